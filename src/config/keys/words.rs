//! What several keys have in common: spans of time, words, elements of lists.

use std::time::Duration;

use super::Accepts;

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);
pub(super) const YEAR: Duration = Duration::from_secs(365 * 86_400);

pub(super) const PATH_WORDS: &str = "an absolute path, such as \"/var/cache/substratum\"";
pub(super) const PATTERN_WORDS: &str = "\"manifests\", \"whitelists\", \"cvmfs\", \"frontier\" or a pattern for host and path, such as \"*.cern.ch/crl/*\"";
pub(super) const REPOSITORY_WORDS: &str = "a repository or pattern, such as \"*.cern.ch\"";
pub(super) const SERVER_WORDS: &str = "a server, such as \"http://stratum.example.org:8000\"";

pub(super) static AUTHORITY: Accepts =
    Accepts::Text("a server and its port, such as \"www.example.org:443\"");
pub(super) static METHOD: Accepts = Accepts::OneOf(&["POST", "PUT", "PATCH", "DELETE"]);
pub(super) static ADDRESS: Accepts =
    Accepts::Text("an address and port, such as \"0.0.0.0:3128\" or \"[::]:3128\"");
pub(super) static NETWORK: Accepts = Accepts::Text("a network or address, such as \"10.0.0.0/8\" or \"::1\"");
pub(super) static TARGET: Accepts = Accepts::OneOf(&["cvmfs", "frontier", "any", "debian", "bazel"]);
pub(super) static HOST: Accepts =
    Accepts::Text("a host name or pattern without scheme and port, such as \"*.cern.ch\"");
pub(super) static PORT: Accepts =
    Accepts::Text("a port or a range of ports, such as \"80\" or \"1024-65535\"");
pub(super) static REPOSITORY: Accepts = Accepts::Text(REPOSITORY_WORDS);
pub(super) static SERVER: Accepts = Accepts::Text(SERVER_WORDS);
pub(super) static REPOSITORY_PATH: Accepts =
    Accepts::Text("a path from the root of the repository, such as \"/owner/image:latest\"");
pub(super) static FILE: Accepts = Accepts::Text("an absolute path, such as \"/etc/ssl/site-ca.pem\"");
