//! What several keys accept, in words.

use super::Accepts;

pub(super) const PATH_WORDS: &str = "an absolute path, such as \"/var/cache/substratum\"";
pub(super) const PATTERN_WORDS: &str = "\"manifests\", \"whitelists\", \"cvmfs\", \"frontier\" or a pattern for host and path, such as \"*.cern.ch/crl/*\"";
pub(super) const REPOSITORY_WORDS: &str = "a repository or pattern, such as \"*.cern.ch\"";
pub(super) const SERVER_WORDS: &str = "a server, such as \"http://stratum.example.org:8000\"";

pub(super) static METHOD: Accepts = Accepts::OneOf(&["POST", "PUT", "PATCH", "DELETE"]);
pub(super) static ADDRESS: Accepts =
    Accepts::Text("an address and port, such as \"0.0.0.0:3128\" or \"[::]:3128\"");
pub(super) static NETWORK: Accepts = Accepts::Text("a network or address, such as \"10.0.0.0/8\" or \"::1\"");
pub(super) static TARGET: Accepts = Accepts::OneOf(&["cvmfs", "frontier", "any"]);
pub(super) static HOST: Accepts =
    Accepts::Text("a host name or pattern without scheme and port, such as \"*.cern.ch\"");
pub(super) static PORT: Accepts =
    Accepts::Text("a port or a range of ports, such as \"80\" or \"1024-65535\"");
pub(super) static REPOSITORY: Accepts = Accepts::Text(REPOSITORY_WORDS);
pub(super) static SERVER: Accepts = Accepts::Text(SERVER_WORDS);
pub(super) static REPOSITORY_PATH: Accepts =
    Accepts::Text("a path from the root of the repository, such as \"/owner/image:latest\"");
pub(super) static FILE: Accepts = Accepts::Text("an absolute path, such as \"/etc/ssl/site-ca.pem\"");
