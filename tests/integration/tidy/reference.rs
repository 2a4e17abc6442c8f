//! `docs/reference.md` is written from the program's own tables: `UPDATE_DOCS=1 cargo test --test integration reference`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use substratum::access_log;
use substratum::reason::{Class, Reason};
use substratum::response::fields::{self, Field};

use super::{File, none, root};
use crate::support::client::Ask;
use crate::support::object::Object;
use crate::support::origin::{Origin, Page};
use crate::support::proxy::{Proxy, site};

const PATH: &str = "docs/reference.md";

const CLASSES: [(Class, &str); 5] = [
    (Class::Missed, "Answered well, but not from the caches alone"),
    (Class::NotKept, "Fetched and not kept, so that the next request fetches again"),
    (Class::Stale, "Answered with an older copy"),
    (Class::Refused, "Turned away here"),
    (Class::Failed, "No answer could be had, or it could not be finished"),
];

fn text() -> String {
    let mut text = String::from(
        "# Reference: reasons, log fields, header fields\n\n\
         Written by the program's tests from its own tables; a test fails when they differ. Metrics are in \
         [metrics.md](metrics.md),\nkeys in [configuration.md](configuration.md); tests hold those to the program, too.\n\n\
         ## Reasons\n\n\
         Whatever was no plain hit has a reason, in one word: `detail` in `Cache-Status`, `reason` in the access log \
         (`json`; the other\nforms are those of other programs and have no place for it), the label of \
         `substratum_request_reasons_total`, and what\n`substratum explain` says. `substratum explain WORD` prints \
         its row.\n",
    );
    for (class, title) in CLASSES {
        let _ = write!(text, "\n### {title}\n\n| word | what it means | what to do |\n|---|---|---|\n");
        for reason in Reason::ALL.into_iter().filter(|reason| reason.class() == class) {
            let _ = writeln!(text, "| `{}` | {} | {} |", reason.as_str(), reason.meaning(), reason.action());
        }
    }
    text += "\n## Fields of the access log, in the form `json`\n\nThose marked * are left out where there is nothing to say.\n\n\
             | field | meaning |\n|---|---|\n";
    for field in access_log::FIELDS {
        let _ = writeln!(
            text,
            "| `{}`{} | {} |",
            field.name,
            if field.optional { "*" } else { "" },
            field.meaning
        );
    }
    text += "\n## Header fields of answers\n\nNAME is `[listen] name`. What a server sent with a document is passed on beside these.\n\n";
    table(&mut text, &fields::ANSWERS);
    text += "\n## Header fields of requests to upstreams\n\nWhat a client sent with a request for a document, and is meant for its server, is passed on beside these.\n\n";
    table(&mut text, &fields::REQUESTS);
    text
}

fn table(text: &mut String, rows: &[Field]) {
    *text += "| field | on | for example | meaning |\n|---|---|---|---|\n";
    for row in rows {
        let _ = writeln!(text, "| `{}` | {} | `{}` | {} |", row.name, row.on, row.example, row.meaning);
    }
}

#[test]
fn the_reference_is_what_the_program_says() {
    let text = text();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(root().join(PATH), &text).unwrap();
    }
    let written = File::read(PATH).text;
    let different = written.lines().zip(text.lines()).find(|(written, text)| written != text);
    assert!(written == text, "{PATH} is not up to date (UPDATE_DOCS=1 writes it): {different:?}");
}

/// Names that a table has, in lower case.
fn names(rows: &[Field]) -> BTreeSet<String> {
    rows.iter().flat_map(|row| row.name.split(", ")).map(str::to_ascii_lowercase).collect()
}

#[tokio::test]
async fn every_field_of_ours_is_in_the_reference() {
    const DOCUMENT: &str = "/cvmfs/a.test.local/.cvmfs_document";
    let object = Object::generate(1, 30_000);
    let page = Page::new("text").field("ETag", "\"a\"").field("Cache-Control", "max-age=0");
    let stratum = Origin::new().object(&object).page(DOCUMENT, page).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let url = stratum.url(&object.path());
    let mut found = BTreeSet::new();
    let asks = [
        Ask::get(&url),
        Ask::get(&url),
        Ask::head(&url),
        Ask::get(&url).field("Range", "bytes=0-9"),
        Ask::get(&url).field("Range", "bytes=40000-"),
        Ask::get(&url).field("If-None-Match", format!("\"{}\"", object.name)),
        Ask::get(&url).method("DELETE"),
        Ask::get(stratum.url("/cvmfs/a.test.local/data/00/00000000000000000000000000000000000000")),
        Ask::get(stratum.url(DOCUMENT)),
        Ask::get(stratum.url(DOCUMENT)),
    ];
    for ask in asks {
        let answer = proxy.get(ask).await;
        found.extend(answer.head.fields.iter().map(|(name, _)| name.to_ascii_lowercase()));
    }
    let described = names(&fields::ANSWERS);
    let mut findings: Vec<_> =
        found.difference(&described).map(|name| format!("{name} is not described")).collect();
    findings.extend(described.difference(&found).map(|name| format!("{name} is described, but never seen")));
    let asked: BTreeSet<_> = stratum
        .seen()
        .iter()
        .flat_map(|seen| seen.fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect::<Vec<_>>())
        .collect();
    // What the client of the tests says of itself.
    let client = ["user-agent", "accept"].map(str::to_owned);
    let described: BTreeSet<_> = names(&fields::REQUESTS).into_iter().chain(client).collect();
    findings.extend(
        asked.difference(&described).map(|name| format!("{name} goes upstream and is not described")),
    );
    for name in ["host", "via", "x-forwarded-for", "if-none-match"] {
        if !asked.contains(name) {
            findings.push(format!("{name} is described, but did not go upstream"));
        }
    }
    none(&findings);
}
