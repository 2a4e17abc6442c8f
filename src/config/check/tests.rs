//! One table for what is refused, one for what is only pointed out.

use std::path::Path;

use super::*;

/// The words about the configuration that `text` describes, whether or not they refuse it.
fn refused(text: &str) -> Vec<String> {
    match Config::parse(text, Path::new("f")) {
        Ok(_) => Vec::new(),
        Err(error) => error
            .to_string()
            .lines()
            .map(|line| line.splitn(4, ':').nth(3).unwrap().trim().to_owned())
            .collect(),
    }
}

#[test]
fn what_is_warmed_can_be_asked_for() {
    let check = |text: &str, expected: &[&str]| assert_eq!(refused(text), expected, "\n{text}");
    let warm = "[[warm]]\nrepository = 'a.cern.ch'\n";
    check(
        warm,
        &["[[warm]] #1 repository: no group of [[mirrors]] serves a.cern.ch: write its URL, with a server"],
    );
    check(&format!("[[mirrors]]\nname = 'm'\nurls = ['http://m']\n{warm}"), &[]);
    check("[[warm]]\nrepository = 'http://m/cvmfs/a.cern.ch'", &[]);
}

#[test]
fn contradictions_are_refused() {
    let check = |text: &str, expected: &[&str]| assert_eq!(refused(text), expected, "\n{text}");
    check(
        "[listen]\nproxy = ['0.0.0.0:3128', '127.0.0.1:3128']\nadmin = 'off'",
        &["[listen] proxy: 0.0.0.0:3128 and 127.0.0.1:3128 cannot be listened on both"],
    );
    check("[listen]\nproxy = ['0.0.0.0:3128', '[::]:3128']", &[]);
    check("[listen]\nproxy = ['127.0.0.1:0']\nadmin = '127.0.0.1:0'", &[]);
    check(
        "[listen]\nadmin = '127.0.0.1:3128'",
        &["[listen] admin: 127.0.0.1:3128 is taken by proxy (127.0.0.1:3128); choose another port"],
    );
    check(
        "[memory]\ncapacity = '64 MiB'\nmax_object = '17 MiB'",
        &[
            "[memory] max_object: 17 MiB is more than a quarter of capacity (16 MiB); one object would displace all \
           others",
        ],
    );
    check(
        "[disk]\npath = '/c'\ncapacity = '1 GiB'\nsegment = '512 MiB'",
        &[
            "[disk] segment: 1 GiB of capacity hold fewer than 8 segments of 512 MiB; space is reclaimed by the segment",
        ],
    );
    check(
        "[disk]\npath = '/c'\ncapacity = '1 GiB'\nmax_object = '1 GiB'",
        &[
            "[disk] max_object: 1 GiB is more than a quarter of capacity (256 MiB); one object would displace all others",
        ],
    );
    let disk = "[disk]\npath = '/c'\ncapacity = '1 GiB'\n";
    let quota = "[[quotas]]\nrepository = 'a.cern.ch'\n";
    check(
        &format!("{disk}{quota}floor = '2 MiB'\nceiling = '1 MiB'"),
        &["[[quotas]] #1 ceiling: 1 MiB is less than the floor (2 MiB)"],
    );
    check(
        &format!("{disk}{quota}ceiling = '2 GiB'"),
        &[
            "[[quotas]] #1 ceiling: 2 GiB is more than objects can have (1013.8 MiB: the capacity, 1 GiB, less documents, \
          10.2 MiB)",
        ],
    );
    check(
        &format!("{disk}{quota}pin = true"),
        &["[[quotas]] #1 pin: without a ceiling what is pinned would in time take the whole disk"],
    );
    check(
        &format!("{disk}{quota}pin = true\nceiling = '2 MiB'\nfloor = '1 MiB'"),
        &["[[quotas]] #1 floor: what is pinned is kept up to its ceiling; leave the floor out"],
    );
    check(
        &format!("{disk}{quota}{quota}"),
        &["[[quotas]] #2 repository: \"a.cern.ch\" has an earlier entry"],
    );
    check(
        &format!(
            "{disk}{quota}floor = '600 MiB'\n[[quotas]]\nrepository = 'b.cern.ch'\nceiling = '500 MiB'\npin = true"
        ),
        &[
            "[[quotas]] #2 ceiling: all floors, and the ceilings of what is pinned, are 1100 MiB together, more than \
             objects can have (1013.8 MiB: the capacity, 1 GiB, less documents, 10.2 MiB)",
        ],
    );
    // Of what documents have nothing can be promised.
    check(
        &format!("{disk}documents = '500 MiB'\n{quota}floor = '600 MiB'"),
        &[
            "[[quotas]] #1 floor: all floors, and the ceilings of what is pinned, are 600 MiB together, more than objects \
             can have (524 MiB: the capacity, 1 GiB, less documents, 500 MiB)",
        ],
    );
    check(quota, &["[[quotas]] #1 repository: without a [disk] table there is nothing to divide"]);
    check(
        "[memory]\ndocuments = '1 MiB'\nmax_document = '2 MiB'",
        &["[memory] max_document: 2 MiB is more than documents (1 MiB)"],
    );
    check(
        "[upstream]\nmax_connections = 8\nidle_connections = 9",
        &["[upstream] idle_connections: 9 is more than max_connections (8)"],
    );
    check(
        "[[mirrors]]\nname = 'a'\nurls = ['http://a', 'http://A:80']",
        &["[[mirrors]] #1 urls: http://a stands twice"],
    );
    check(
        "[[mirrors]]\nname = 'a'\nurls = ['http://a']\n[[registries]]\nname = 'r'\nurl = 'http://a'\n\
         [[registries]]\nname = 'R'\nurl = 'http://A:80'",
        &[
            "[[registries]] #1 url: http://a stands in [[mirrors]], too; a registry is nobody's mirror",
            "[[registries]] #2 name: \"r\" is the name of an earlier registry",
            "[[registries]] #2 url: http://a is the URL of an earlier registry",
            "[[registries]] #2 url: http://a stands in [[mirrors]], too; a registry is nobody's mirror",
        ],
    );
    check(
        "[[parents]]\nurl = 'http://p:3128'\n[[parents]]\nurl = 'http://p:3128/'",
        &["[[parents]] #2 url: http://p:3128 is the URL of an earlier parent"],
    );
    check(
        "[upstream]\ndirect = false",
        &["[upstream] direct: false without any [[parents]] leaves nobody to ask"],
    );
    check(
        "[access]\nhosts = []",
        &["[access] hosts: an empty list without any [[mirrors]] leaves nothing to ask for"],
    );
    check(
        "[disk]\npath = '/'\ncapacity = '1 GiB'",
        &["[disk] path: the root folder holds other things; give a folder of its own"],
    );
    check(
        "[disk]\npath = '/c'\ncapacity = '1 GiB'\n[log]\npath = '/c/access.log'",
        &["[log] path: /c/access.log is inside the folder of the disk tier (/c), which is for nothing else"],
    );
}

#[test]
fn a_cache_may_not_ask_itself() {
    let check = |listen: &str, url: &str, expected: bool| {
        let text = format!("[listen]\nproxy = ['{listen}']\n[[parents]]\nurl = '{url}'");
        assert_eq!(!refused(&text).is_empty(), expected, "{listen} {url}");
    };
    check("127.0.0.1:3128", "http://127.0.0.1:3128", true);
    check("127.0.0.1:3128", "http://127.0.0.1:3129", true); // our own admin pages
    check("127.0.0.1:3128", "http://127.0.0.1:3130", false);
    check("127.0.0.1:3128", "http://localhost:3128", true);
    check("0.0.0.0:3128", "http://127.0.0.2:3128", true);
    check("0.0.0.0:3128", "http://192.0.2.1:3128", false);
    check("192.0.2.1:3128", "http://192.0.2.1:3128", true);
    check("192.0.2.1:3128", "http://localhost:3128", false);
    check("[::]:3128", "http://[::1]:3128", true);
    check("[::]:3128", "http://127.0.0.1:3128", false);
}

#[test]
fn suspicious_settings_are_pointed_out() {
    // Everything that the rows do not set is beyond suspicion.
    let check = |text: &str, expected: &[&str]| {
        let disk = if text.contains("[disk]") { "" } else { "\n[disk]\npath = '/c'\ncapacity = '10 GiB'" };
        let config = Config::parse(&format!("{text}{disk}"), Path::new("f")).unwrap();
        let found: Vec<_> = warnings(&config).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "\n{text}");
    };
    check("", &[]);
    check(
        "[access]\nclients = ['10.0.0.0/8']",
        &["[listen] proxy: only this machine can reach a loopback address; 10.0.0.0/8 in clients cannot"],
    );
    check(
        "[listen]\nproxy = ['0.0.0.0:3128']",
        &["[access] clients: nobody but this machine is answered, although proxy listens for others"],
    );
    check(
        "[listen]\nadmin = '0.0.0.0:3129'",
        &[
            "[listen] admin: 0.0.0.0:3129 can be reached from other machines; make sure that only operators can",
        ],
    );
    check("[admin]\nsnmp = '127.0.0.1:3401'", &[]);
    check(
        "[admin]\nsnmp = '0.0.0.0:3401'",
        &[
            "[admin] snmp: 0.0.0.0:3401 can be reached from other machines, and the community is no secret; let only the \
           monitoring through",
        ],
    );
    let open = "[listen]\nproxy = ['0.0.0.0:3128']\n[access]\n";
    check(
        &format!("{open}clients = ['0.0.0.0/0']"),
        &["[access] clients: 0.0.0.0/0 is the whole Internet; name the networks of the site"],
    );
    check(
        &format!("{open}clients = ['192.0.2.0/24']\ntargets = ['any']"),
        &[
            "[access] targets: \"any\" and clients beyond private networks (192.0.2.0/24) make this an open proxy",
        ],
    );
    check(&format!("{open}clients = ['10.0.0.0/8', 'fd00::/8', 'fe80::/10', '::1']\ntargets = ['any']"), &[]);
    check(
        &format!("{open}clients = ['172.16.0.0/12']\ntargets = ['any']\ninternal_hosts = ['*']"),
        &[
            "[access] internal_hosts: \"*\" and the target \"any\" let clients reach every service inside the site",
        ],
    );
    check(
        "[disk]\npath = '/c'\ncapacity = '100 MiB'",
        &["[disk] capacity: 100 MiB is less than the memory tier (256 MiB)"],
    );
    check(
        "[upstream]\nhead_deadline = '5 s'\nstall_timeout = '1 min'",
        &[
            "[upstream] head_deadline: 5 s is longer than CVMFS clients wait (5 s); they leave for another proxy",
            "[upstream] stall_timeout: 1 min is longer than CVMFS clients wait (5 s); they leave for another proxy",
        ],
    );
    check(
        "[[mirrors]]\nname = 'a'\nurls = ['http://a']\n[[mirrors]]\nname = 'b'\nurls = ['http://b']",
        &[
            "[[mirrors]] #2 serves: requests that name no server never come to \"b\", because \"a\" above it serves everything",
        ],
    );
    let quota =
        |name: &str| format!("[disk]\npath = '/c'\ncapacity = '10 GiB'\n[[quotas]]\nrepository = '{name}'\n");
    check(
        &format!("{}[[quotas]]\nrepository = 'a.cern.ch'", quota("*.cern.ch")),
        &[
            "[[quotas]] #2 repository: no object counts for \"a.cern.ch\", because \"*.cern.ch\" above it matches all of them",
        ],
    );
    check(
        &quota("atlas"),
        &[
            "[[quotas]] #1 repository: \"atlas\" is not the full name of a repository, such as \"atlas.cern.ch\"",
        ],
    );
    check(
        &format!("{}floor = '10000 MiB'", quota("atlas.cern.ch")),
        &["[[quotas]] #1 floor: floors and pins leave 137.6 MiB to all other repositories"],
    );
    check("[log]\npath = '/var/log/a'", &["[log] path: nothing is written, because access is off"]);
}

#[test]
fn without_a_disk_a_warning() {
    let found = warnings(&Config::default());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place.key, &keys::disk::PATH);
}
