//! One URL in many spellings: `docs/http.md` says in a table what each is read as; the parser and a running tier must agree with
//! every row.

use std::net::Ipv4Addr;

use http::Request;
use substratum::access::Access;
use substratum::config::{Glob, PortRange, TargetShape};
use substratum::document::DocumentKey;
use substratum::request::{self, Refusal, Target};

use crate::support::origin::{Origin, Page};
use crate::support::proxy::{Proxy, Setup, node_of};
use crate::support::{client::Client, object::Object};

/// The row that names the columns.
const HEADING: &str = "| a client writes | it is read as | because |";

/// `written`, `read as` of each row.
fn rows() -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/http.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, table) = text.split_once(HEADING).expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cell = |text: &str| text.trim().trim_matches('`').to_owned();
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').collect();
        (cell(cells[1]), cell(cells[2]))
    })
    .collect()
}

/// A node whose parent takes requests for any host, and notes for which.
fn open(parent: std::net::SocketAddr) -> Setup {
    node_of(parent, &[]).any_target().with(|config| {
        config.access.hosts = vec![Glob::new("*")];
        config.access.ports = vec![PortRange::new(1, u16::MAX)];
        config.access.internal_hosts.clear();
        config.listen.workers = 1;
    })
}

/// What the parser makes of a target.
fn parsed(target: &str) -> String {
    let mut config = open((Ipv4Addr::LOCALHOST, 1).into()).config.access;
    config.targets = vec![TargetShape::Any];
    let access = Access::new(&config, &[], &[], &[]);
    let head = format!("GET {target} HTTP/1.1\r\n\r\n");
    if substratum::syntax::request_line(head.as_bytes()).is_err() {
        return "400".to_owned();
    }
    let host = target.split("//").nth(1).unwrap_or("a").split(['/', '?']).next().unwrap_or_default();
    let Ok(request) = Request::builder().uri(target).header("host", host).body(()) else {
        return "400".to_owned();
    };
    match request::parse(&request, &access, "(none)") {
        Ok(asked) => match asked.target {
            Target::Object(object) => format!("object {}", object.name),
            _ => {
                let key = DocumentKey::at(asked.named.as_ref(), asked.path.as_str());
                format!("http://{}", key.as_str())
            }
        },
        Err(Refusal::Malformed(_)) => "400".to_owned(),
        Err(Refusal::Denied(_)) => "403".to_owned(),
        Err(other) => panic!("{target}: {other}"),
    }
}

#[test]
fn the_parser_reads_each_as_the_documents_say() {
    let rows = rows();
    assert!(rows.len() >= 30, "{}", rows.len());
    for (written, read) in rows {
        assert_eq!(parsed(&written), read, "{written}");
    }
}

/// Asks for exactly this target.
async fn ask(client: &mut Client, target: &str) -> (u16, String) {
    let host = target.split("//").nth(1).unwrap_or("a").split(['/', '?']).next().unwrap_or_default();
    client.send_raw(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    let head = client.head().await.unwrap_or_else(|error| panic!("{target}: {error}"));
    let length = head.get("Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let body = client.take(length).await.unwrap();
    (head.status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_running_tier_asks_for_and_keeps_what_the_documents_say() {
    for (written, read) in rows() {
        let path = match read.strip_prefix("http://").map(|rest| rest.find('/').map_or("/", |at| &rest[at..]))
        {
            Some(path) => path.to_owned(),
            None => "/".to_owned(),
        };
        let page = Page::new(read.clone()).field("Cache-Control", "max-age=600");
        let parent = Origin::new().page(&path, page).run();
        let proxy = Proxy::start(open(parent.address())).await;
        let (status, body) = ask(&mut proxy.client(), &written).await;
        match read.as_str() {
            "400" | "403" => {
                assert_eq!((status.to_string(), parent.requests()), (read.clone(), 0), "{written}");
            }
            // Nobody here has bytes of that name; but it is asked for as it stands.
            object if object.starts_with("object ") => assert_eq!(status, 404, "{written}"),
            url => {
                assert_eq!((status, &*body), (200, url), "{written}");
                assert_eq!(parent.last_seen().target, url, "{written}");
                // Read as the same: there already.
                let (status, body) = ask(&mut proxy.client(), url).await;
                assert_eq!((status, &*body, parent.requests()), (200, url, 1), "{written}");
            }
        }
    }
}

#[tokio::test]
async fn a_name_in_capitals_is_no_other_name_for_an_object() {
    let object = Object::generate(7, 10_000);
    let (folder, name) =
        object.path().rsplit_once('/').map(|(a, b)| (a.to_owned(), b.to_uppercase())).unwrap();
    let capitals = format!("{folder}/{name}");
    let stratum = Origin::new()
        .object(&object)
        .page(&capitals, Page::new("poison").field("Cache-Control", "max-age=600"))
        .run();
    let proxy = Proxy::start(crate::support::proxy::site(&[&stratum])).await;
    assert_eq!(proxy.get(stratum.url(&capitals)).await.body, "poison", "some other file of the repository");
    assert_eq!(proxy.get(stratum.url(&object.path())).await.body, object.bytes);
}
