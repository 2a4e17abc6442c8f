//! `substratum status`: how a running program does, in a terminal.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use super::inquiry::{self, Inquiry, ReportError};
use crate::config::ByteSize;

/// Arguments of `substratum status`.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    inquiry: inquiry::Target,
}

/// What a script needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It serves, and nothing needs attention.
    Well,
    /// It is not ready, or something needs attention.
    Trouble,
}

/// Repositories shown; `/status` has more.
const REPOSITORIES: usize = 5;
/// `cache::disk::Condition` as `/status` has it: all is well.
const WORKING: &str = "working";

/// Asks, and writes what is essential.
pub fn run(options: &Options, config: Option<&Path>, out: &mut dyn Write) -> Result<Verdict, ReportError> {
    let status = Inquiry::obtain(&options.inquiry, config)??.status()?;
    let (text, verdict) = render(&status);
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(verdict)
}

fn render(status: &Value) -> (String, Verdict) {
    let mut out = String::new();
    let ready = text(&status["ready"]);
    let troubles = rows(&status["troubles"]);
    let upstreams = rows(&status["upstreams"]);
    let name = text(&status["name"]);
    line(&mut out, name, &format!("{ready}; version {}, {} up", text(&status["version"]), up(status)));
    line(&mut out, "memory", &room(&status["memory"], "used_bytes"));
    match &status["disk"] {
        Value::Null => line(&mut out, "disk", "none"),
        tier => line(&mut out, "disk", &disk(tier)),
    }
    line(
        &mut out,
        "now",
        &format!(
            "{} connections, {} downloads for {} readers",
            count(&status["connections"]),
            count(&status["fills"]["in_progress"]),
            count(&status["fills"]["readers"])
        ),
    );
    for upstream in upstreams {
        line(&mut out, text(&upstream["role"]), &server(upstream));
    }
    for row in rows(&status["repositories_in_the_last_hour"]).iter().take(REPOSITORIES) {
        line(&mut out, "asked for", &repository(row));
    }
    for trouble in troubles {
        line(&mut out, "TROUBLE", &format!("{}. {}", text(&trouble["what"]), text(&trouble["action"])));
    }
    let disk_works = status["disk"]["condition"].as_str().is_none_or(|condition| condition == WORKING);
    let well = ready == "ready" && troubles.is_empty() && disk_works;
    (out, if well { Verdict::Well } else { Verdict::Trouble })
}

/// `atlas.cern.ch: 1200 requests in the last hour (97 % answered here), 5 GiB`
fn repository(row: &Value) -> String {
    format!(
        "{}: {} requests in the last hour ({} % answered here), {}",
        text(&row["repository"]),
        count(&row["requests"]),
        count(&row["answered_here_percent"]),
        ByteSize(count(&row["sent_bytes"]))
    )
}

/// `http://a:8000: good, first byte after 12 ms (95 of 100 within 40 ms)`
pub(super) fn server(upstream: &Value) -> String {
    let mut line = format!("{}: {}", text(&upstream["url"]), text(&upstream["state"]));
    if let Some(seconds) = upstream["retry_in_seconds"].as_u64() {
        let _ = write!(line, ", tried again in {seconds} s");
    }
    if let Some(ms) = upstream["first_byte_ms"].as_u64() {
        let _ = write!(line, ", first byte after {ms} ms");
    }
    if let Some(ms) = upstream["first_byte_p95_ms"].as_u64() {
        let _ = write!(line, " (95 of 100 within {ms} ms)");
    }
    if let (Some(failure), Some(ago)) =
        (upstream["last_failure"].as_str(), upstream["last_failure_age_seconds"].as_u64())
    {
        let _ = write!(line, "; {} ago: {}", elapsed(ago), printable(failure));
    }
    line
}

/// `1.5 GiB of 8 GiB (18 %), 1200 objects`
pub(super) fn room(tier: &Value, used: &str) -> String {
    let (used, capacity) = (count(&tier[used]), count(&tier["capacity_bytes"]));
    let percent = (used * 100).checked_div(capacity).unwrap_or(0);
    let objects = count(&tier["objects"]);
    format!("{} of {} ({percent} %), {objects} objects", ByteSize(used), ByteSize(capacity))
}

/// The same, and what is not as it should be: `...; read_only, tried again in 3 s; no more than 6 GiB, since others fill the disk`
fn disk(tier: &Value) -> String {
    let mut line = room(tier, "stored_bytes");
    if let Some(condition) = tier["condition"].as_str().filter(|&condition| condition != WORKING) {
        let _ = write!(line, "; {condition}, tried again in {} s", count(&tier["retry_in_seconds"]));
    }
    if let Some(limit) = tier["limit_bytes"].as_u64().filter(|&limit| limit < count(&tier["capacity_bytes"]))
    {
        let _ = write!(line, "; no more than {}, since others fill the disk", ByteSize(limit));
    }
    if tier["index_complete"] == Value::Bool(false) {
        line += "; still finding what is there";
    }
    line
}

fn up(status: &Value) -> String {
    elapsed(count(&status["uptime_seconds"]))
}

/// The two largest units.
fn elapsed(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

fn line(out: &mut String, label: &str, value: &str) {
    // Writing to a String cannot fail. What comes from another program must not steer the terminal.
    let _ = writeln!(out, "{:<10} {}", printable(label), printable(value));
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn site() -> Value {
        json!({
            "name": "site-1", "version": "0.1.0", "ready": "ready", "uptime_seconds": 93_784, "connections": 7,
            "memory": { "objects": 3, "used_bytes": 512 << 20, "capacity_bytes": 2_u64 << 30 },
            "fills": { "in_progress": 2, "readers": 5 },
            "upstreams": [{
                "url": "http://a:8000", "role": "mirror", "state": "good", "retry_in_seconds": null,
                "first_byte_ms": 12, "first_byte_p95_ms": 40,
                "last_failure": "it broke the connection", "last_failure_age_seconds": 61,
            }],
            "repositories_in_the_last_hour": [
                { "repository": "atlas.cern.ch", "requests": 1200, "answered_here_percent": 97, "sent_bytes": 5_u64 << 30 },
            ],
            "troubles": [],
        })
    }

    #[test]
    fn what_is_essential() {
        let (text, verdict) = render(&site());
        let expected = "\
site-1     ready; version 0.1.0, 1 d 2 h up
memory     512 MiB of 2 GiB (25 %), 3 objects
disk       none
now        7 connections, 2 downloads for 5 readers
mirror     http://a:8000: good, first byte after 12 ms (95 of 100 within 40 ms); 1 min 1 s ago: it broke the connection
asked for  atlas.cern.ch: 1200 requests in the last hour (97 % answered here), 5 GiB
";
        assert_eq!((text.as_str(), verdict), (expected, Verdict::Well));
    }

    #[test]
    fn trouble_is_said_and_shows_in_the_verdict() {
        let mut status = site();
        status["troubles"] = json!([{ "what": "it rains", "action": "Take an umbrella." }]);
        let (text, verdict) = render(&status);
        assert_eq!(text.lines().last().unwrap(), "TROUBLE    it rains. Take an umbrella.");
        assert_eq!(verdict, Verdict::Trouble);
        let mut status = site();
        status["ready"] = "draining: no new clients, please".into();
        assert_eq!(render(&status).1, Verdict::Trouble);
    }

    #[test]
    fn a_disk_that_does_not_work_as_it_should_is_told() {
        let room = "disk       1 GiB of 8 GiB (12 %), 5 objects";
        let check = |condition, limit: u64, complete, more: &'static str, verdict| {
            let mut status = site();
            status["disk"] = json!({
                "objects": 5, "stored_bytes": 1_u64 << 30, "capacity_bytes": 8_u64 << 30, "limit_bytes": limit << 30,
                "condition": condition, "retry_in_seconds": 3, "index_complete": complete,
            });
            let (text, found) = render(&status);
            let line = text.lines().find(|line| line.starts_with("disk")).unwrap();
            assert_eq!((line, found), (&*format!("{room}{more}"), verdict));
        };
        check("working", 8, true, "", Verdict::Well);
        check("working", 8, false, "; still finding what is there", Verdict::Well);
        check("working", 6, true, "; no more than 6 GiB, since others fill the disk", Verdict::Well);
        check("read_only", 8, true, "; read_only, tried again in 3 s", Verdict::Trouble);
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let mut status = site();
        status["name"] = "\x1b[2Jgone".into();
        assert!(!render(&status).0.contains('\x1b'));
    }
}
