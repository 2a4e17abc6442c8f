//! Wrong files and the exact words about them.

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Config, Vec<Fault>> {
    parse(text, &Environment::default()).map(|loaded| loaded.config)
}

/// The faults of `text`, one a line, as a person sees them.
fn check(text: &str, expected: &[&str]) {
    let error = Config::parse(text, Path::new("site.toml")).expect_err(text).to_string();
    assert_eq!(error.lines().collect::<Vec<_>>(), expected, "\n{text}");
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(read(""), Ok(Config::default()));
    assert_eq!(read("# nothing\n[listen]\n[memory]\n"), Ok(Config::default()));
}

#[test]
fn unknown_keys_and_tables() {
    check(
        "[listen]\nporxy = []\n",
        &[r#"site.toml:2:1: [listen] porxy: unknown key; did you mean "proxy"?"#],
    );
    check(
        "[memory]\n  segment = \"1 MiB\"\n",
        &["site.toml:2:3: [memory] segment: unknown key; it belongs in [disk]"],
    );
    check(
        "[memory]\nfoo.bar = 1\n",
        &[
            "site.toml:2:1: [memory] foo: unknown key; known here: capacity, max_object, documents, max_document",
        ],
    );
    check(
        "[[parents]]\nurl = \"http://a\"\n[[parents]]\nurll = \"http://b\"\n",
        &[
            "site.toml:3:1: [[parents]] #2 url: missing; expected a server, such as \
             \"http://stratum.example.org:8000\"",
            r#"site.toml:4:1: [[parents]] #2 urll: unknown key; did you mean "url"?"#,
        ],
    );
    check(
        "[[parents]]\nurl = \"http://a\"\nuser = \"u\"\n[[parents]]\nurl = \"http://b\"\npassword_file = \"/p\"\n",
        &[
            "site.toml:3:1: [[parents]] #1 user: needs password_file beside it",
            "site.toml:6:1: [[parents]] #2 password_file: needs user beside it",
        ],
    );
    check("[acess]\n", &["site.toml:1:2: [acess]: unknown table; did you mean [access]?"]);
    check("[[mirror]]\n", &["site.toml:1:3: [mirror]: unknown table; did you mean [[mirrors]]?"]);
    check("capacity = 5", &["site.toml:1:1: [capacity]: unknown table; it belongs in [memory], [disk]"]);
    check(
        "[network]",
        &[
            "site.toml:1:2: [network]: unknown table; known tables: [listen], [admin], [access], [memory], [disk], \
           [[quotas]], [objects], [[documents]], [[mirrors]], [[registries]], [[parents]], [upstream], [[warm]], [log]",
        ],
    );
}

#[test]
fn tables_of_the_wrong_shape() {
    check("listen = 3", &["site.toml:1:1: [listen]: not a table; write [listen] above its keys, once"]);
    check("[[log]]", &["site.toml:1:3: [log]: not a table; write [log] above its keys, once"]);
    check(
        "[parents]\nurl = \"http://a\"",
        &["site.toml:1:2: [[parents]]: may stand several times; write [[parents]]"],
    );
    check("parents = [7]", &["site.toml:1:12: [[parents]]: not a table; write [[parents]] above its keys"]);
}

#[test]
fn addresses_and_networks() {
    let address = "an address and port, such as \"0.0.0.0:3128\" or \"[::]:3128\"";
    check(
        "[listen]\nproxy = \"0.0.0.0:3128\"",
        &[&format!(
            "site.toml:2:9: [listen] proxy: \"0.0.0.0:3128\" is not a list (write [\"0.0.0.0:3128\"]); expected a list \
             of at least one, each {address}"
        )],
    );
    check(
        "[listen]\nproxy = [\"10.0.0.1\", \"localhost:1\",\n 7]",
        &[
            &format!("site.toml:2:10: [listen] proxy: \"10.0.0.1\" has no port; expected {address}"),
            &format!(
                "site.toml:2:22: [listen] proxy: \"localhost:1\" is not an address and a port; expected {address}"
            ),
            &format!("site.toml:3:2: [listen] proxy: 7 is a number; expected {address}"),
        ],
    );
    check(
        "[listen]\nproxy = []",
        &[&format!(
            "site.toml:2:9: [listen] proxy: [] is empty; expected a list of at least one, each {address}"
        )],
    );
    check(
        "[listen]\nadmin = \"on\"",
        &[
            "site.toml:2:9: [listen] admin: \"on\" is not an address and a port; expected \"off\" or an address and \
           port, such as \"127.0.0.1:3129\"",
        ],
    );
    check(
        "[access]\nclients = [\"10.1.0.0/8\"]",
        &[
            "site.toml:2:12: [access] clients: \"10.1.0.0/8\" has bits behind its prefix (write 10.0.0.0/8); expected a \
           network or address, such as \"10.0.0.0/8\" or \"::1\"",
        ],
    );
}

#[test]
fn quantities() {
    let size = "a size from 0 B to 16 TiB, such as \"64 MiB\"";
    check(
        "[memory]\ncapacity = \"5 XB\"",
        &[&format!(
            "site.toml:2:12: [memory] capacity: \"5 XB\" has an unknown unit \"XB\"; expected {size}"
        )],
    );
    check(
        "[memory]\ncapacity = -1",
        &[&format!("site.toml:2:12: [memory] capacity: -1 is out of range; expected {size}")],
    );
    check(
        "[memory]\ncapacity = 1.5",
        &[&format!("site.toml:2:12: [memory] capacity: 1.5 is a number; expected {size}")],
    );
    check(
        "[disk]\npath = \"/c\"\ncapacity = \"1 MiB\"",
        &[
            "site.toml:3:12: [disk] capacity: \"1 MiB\" is out of range; expected a size from 16 MiB to 1024 TiB, such \
           as \"64 MiB\"",
        ],
    );
    let wait = "a duration from 1 ms to 1 min, such as \"1500 ms\" or \"5 s\"";
    check(
        "[upstream]\nconnect_timeout = 5\nfirst_byte_timeout = \"0 s\"",
        &[
            &format!("site.toml:2:19: [upstream] connect_timeout: 5 has no unit; expected {wait}"),
            &format!(
                "site.toml:3:22: [upstream] first_byte_timeout: \"0 s\" is out of range; expected {wait}"
            ),
        ],
    );
    check(
        "[listen]\nmax_connections = \"10000\"\nworkers = 0",
        &[
            "site.toml:2:19: [listen] max_connections: \"10000\" is a string; expected a whole number from 1 to 1000000",
            "site.toml:3:11: [listen] workers: 0 is out of range; expected a whole number from 1 to 1024",
        ],
    );
}

#[test]
fn words() {
    check(
        "[log]\naccess = \"squit\"",
        &[
            "site.toml:2:10: [log] access: \"squit\" is not known (did you mean \"squid\"?); expected \"off\", \
           \"squid\", \"frontier\", \"json\" or \"combined\"",
        ],
    );
    check(
        "[upstream]\ndirect = \"yes\"",
        &["site.toml:2:10: [upstream] direct: \"yes\" is a string; expected true or false"],
    );
    check(
        "[listen]\nname = \"my cache\"",
        &[
            "site.toml:2:8: [listen] name: \"my cache\" has a ' ' in it; expected a name of 1 to 64 letters, digits and \
           -._~ such as \"cache-01\"",
        ],
    );
    check(
        "[[mirrors]]\nname = \"a\"\nurls = [\"http://s1/cvmfs\"]",
        &[
            "site.toml:3:9: [[mirrors]] #1 urls: \"http://s1/cvmfs\" has a path or query behind the host and port; \
           expected a server, such as \"http://stratum.example.org:8000\"",
        ],
    );
    check(
        "[log]\npath = \"access.log\"",
        &["site.toml:2:8: [log] path: \"access.log\" is not absolute; expected an absolute path, such as \
           \"/var/cache/substratum\""],
    );
}

#[test]
fn missing_keys() {
    check(
        "# no keys\n[disk]\n",
        &[
            "site.toml:2:2: [disk] path: missing; expected an absolute path, such as \"/var/cache/substratum\"",
            "site.toml:2:2: [disk] capacity: missing; expected a size from 16 MiB to 1024 TiB, such as \"64 MiB\"",
        ],
    );
}

#[test]
fn all_faults_come_at_once_in_the_order_of_the_file() {
    check(
        "[upstream]\ndirect = 1\n[acces]\n[memory]\ncapacity = true\nmax = 1\n",
        &[
            "site.toml:2:10: [upstream] direct: 1 is a number; expected true or false",
            "site.toml:3:2: [acces]: unknown table; did you mean [access]?",
            "site.toml:5:12: [memory] capacity: true is a boolean; expected a size from 0 B to 16 TiB, such as \
             \"64 MiB\"",
            "site.toml:6:1: [memory] max: unknown key; known here: capacity, max_object, documents, max_document",
        ],
    );
}

#[test]
fn columns_count_characters() {
    check(
        "access = { hosts = [\"ä\", \"a/b\"] }",
        &[
            "site.toml:1:21: [access] hosts: \"ä\" has a 'ä' in it; expected a host name or pattern without scheme and \
             port, such as \"*.cern.ch\"",
            "site.toml:1:26: [access] hosts: \"a/b\" has a '/' in it; expected a host name or pattern without scheme \
             and port, such as \"*.cern.ch\"",
        ],
    );
}

#[test]
fn text_that_is_not_toml() {
    check("[listen\nproxy = ", &["site.toml:1:8: not TOML: unclosed table, expected `]`"]);
    check(
        "[log]\nkeep = 1\n[log]\nkeep = 6",
        &["site.toml:3:2: not TOML: duplicate key", "site.toml:4:1: not TOML: duplicate key"],
    );
    check(
        "[listen]\nproxy = 0.0.0.0:3128\nadmin = off\nname = node",
        &[
            "site.toml:2:12: not TOML: invalid float, expected nothing (text must stand in quotes)",
            "site.toml:3:9: not TOML: string values must be quoted, expected literal string",
            "site.toml:4:8: not TOML: invalid float, expected `nan` (text must stand in quotes)",
        ],
    );
}

#[test]
fn contradictions_point_at_the_key_that_the_file_mentions() {
    check(
        "\n[objects]\nwindow = \"1 MiB\"\nverify_first = \"2 MiB\"",
        &["site.toml:4:1: [objects] verify_first: 2 MiB is more than window (1 MiB)"],
    );
    check(
        "[upstream]\nhead_deadline = \"1200 ms\"",
        &[
            "site.toml:2:1: [upstream] head_deadline: 1200 ms for all servers together is less than first_byte_timeout \
           for one (1500 ms)",
        ],
    );
    check(
        "[upstream]\nfirst_byte_timeout = \"10 s\"",
        &[
            "site.toml:2:1: [upstream] head_deadline: 4 s for all servers together is less than first_byte_timeout for \
           one (10 s)",
        ],
    );
    check(
        "[[mirrors]]\nname = \"a\"\nurls = [\"http://a\"]\n[[mirrors]]\nname = \"a\"\nurls = [\"http://b\"]",
        &["site.toml:5:1: [[mirrors]] #2 name: \"a\" is the name of an earlier group"],
    );
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in r#"(\[\[?[a-z]{1,8}\]\]?|[a-z_]{1,9} ?= ?["\[]?[0-9a-zA-Z :/."ä]{0,9}["\]]?|\n){0,20}"#) {
        let _ = read(&text);
    }
}
