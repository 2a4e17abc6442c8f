//! frontier-squid: its `customize.sh`, which edits a default `squid.conf` through functions for awk.
//!
//! Only calls of those functions with constant arguments are understood. Everything else is reported; where it speaks of
//! `acl` or `http_access`, it counts as a file that was not read, which may refuse anything.
//! Sources: the public documentation of the package, and `customize.sh` files of sites.

use std::iter::Peekable;
use std::str::Chars;

use super::directive::{Directive, Scope};
use super::{Kind, Note};

/// Most lines of the file edited.
const MAX_LINES: usize = 20_000;

/// What the package's default says about the things that are imported here, in our words. The lists of hosts are shorter
/// than the package's.
const DEFAULT: &str = r"acl NET_LOCAL src 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fe80::/10
acl HOST_MONITOR src 127.0.0.1/32
acl SSL_ports port 443
acl Safe_ports port 80 21 443 70 210 1025-65535 280 488 591 777
acl CONNECT method CONNECT
# acl MAJOR_CVMFS dstdom_regex ^(cvmfs-stratum-one\.(cern\.ch|ihep\.ac\.cn|cc\.kek\.jp)|(cernvmfs|cvmfs-egi)\.gridpp\.rl\.ac\.uk|cvmfs-s1(bnl|fnal|goc)\.opensciencegrid\.org|oasis-replica\.opensciencegrid\.org|cvmfs\.(fnal|racf\.bnl)\.gov|(klei|cvmfs01)\.nikhef\.nl|cvmfsrep\.grid\.sinica\.edu\.tw)$
# acl ATLAS_FRONTIER dstdom_regex ^((frontier[^.]*|atlas[^.]*frontier[^.]*)\.cern\.ch|frontier[^.]*\.racf\.bnl\.gov)$
# acl CMS_FRONTIER dstdom_regex ^cmsfrontier[0-9]?\.cern\.ch$
# acl RESTRICT_DEST dstdom_regex ^(cmsfrontier[0-9]?|cvmfs-stratum-one)\.cern\.ch$
# acl RESTRICT_DOMAINS dstdomain .cern.ch
http_access allow localhost manager
http_access deny manager
http_access deny !Safe_ports
http_access deny CONNECT !SSL_ports
# INSERT YOUR OWN RULE(S) HERE TO ALLOW ACCESS FROM YOUR CLIENTS
# http_access deny !RESTRICT_DEST
http_access allow NET_LOCAL
http_access allow localhost
http_access deny all
http_port 3128
# cache_peer
cache_mem 128 MB
maximum_object_size_in_memory 128 KB
maximum_object_size 1048576 KB
cache_dir ufs /var/cache/squid 10000 16 256
logformat awstats %>a %ui %un [%{%d/%b/%Y:%H:%M:%S}tl.%03tu %{%z}tl] %rm %ru HTTP/%rv %>Hs %<st %Ss:%Sh %tr %{X-Frontier-Id}>h %{cvmfs-info}>h %{Referer}>h %{User-Agent}>h
access_log daemon:/var/log/squid/access.log awstats
logfile_rotate 10
# workers 1
collapsed_forwarding on
shutdown_lifetime 1 minute
";

/// A line of the file that is being edited.
struct Line {
    text: String,
    from: String,
}

/// What the default, or `base`, is after `script` has edited it.
pub fn customized(
    base: Option<&[Directive]>,
    script: &str,
    file: &str,
    notes: &mut Vec<Note>,
) -> Vec<Directive> {
    let mut lines: Vec<Line> = match base {
        Some(base) => base.iter().map(|d| Line { text: d.to_string(), from: d.from.clone() }).collect(),
        None => DEFAULT
            .lines()
            .map(|text| Line { text: text.to_owned(), from: "frontier-squid's default".into() })
            .collect(),
    };
    for statement in statements(script) {
        let from = format!("{file}:{}", statement.line);
        let done = statement.call.as_ref().is_some_and(|call| apply(call, &from, &mut lines));
        if done {
            continue;
        }
        notes.push(Note::new(
            Kind::Absent,
            &from,
            &statement.text,
            "not understood: only the package's functions with constant arguments are",
        ));
        if ["acl", "http_access", "include"].iter().any(|word| statement.text.contains(word)) {
            // At the very top: whatever it does, nothing is opened by leaving it out.
            lines.insert(0, Line { text: format!("include {file}"), from });
        }
    }
    lines.iter().filter_map(|line| Directive::parse(&line.text, &line.from, Scope::Always)).collect()
}

fn apply(call: &Call, from: &str, lines: &mut Vec<Line>) -> bool {
    let from = from.to_owned();
    let arguments: Vec<&str> = call.arguments.iter().map(String::as_str).collect();
    match (call.function.as_str(), &arguments[..]) {
        ("setoption", [name, value]) => {
            let line = Line { text: format!("{name} {value}"), from };
            match lines
                .iter()
                .position(|line| begins(&line.text, name))
                .or_else(|| lines.iter().position(|line| begins(comment(&line.text), name)))
            {
                Some(place) => lines[place] = line,
                None => lines.push(line),
            }
            true
        }
        ("setoptionparameter", [name, number, value]) => {
            let Some(number) = number.parse::<usize>().ok().filter(|number| (1..64).contains(number)) else {
                return false;
            };
            let Some(line) = lines.iter_mut().find(|line| begins(&line.text, name)) else { return false };
            let head = name.split_whitespace().count();
            let mut words: Vec<String> = line.text.split_whitespace().map(str::to_owned).collect();
            words.resize((head + number).max(words.len()), String::new());
            words[head + number - 1] = (*value).to_owned();
            *line = Line { text: words.join(" "), from };
            true
        }
        ("insertline", [pattern, text]) => insert(pattern, text, &from, lines),
        ("commentout", [name]) => {
            for line in lines.iter_mut().filter(|line| line.text.starts_with(name)) {
                line.text.insert_str(0, "# ");
            }
            true
        }
        ("uncomment", [name]) => {
            for line in lines.iter_mut().filter(|line| comment(&line.text).starts_with(name)) {
                *line = Line { text: comment(&line.text).to_owned(), from: from.clone() };
            }
            true
        }
        ("print", _) => true,
        _ => false,
    }
}

/// Before every line that the pattern matches. Only plain patterns are understood, with or without `^`.
fn insert(pattern: &str, text: &str, from: &str, lines: &mut Vec<Line>) -> bool {
    let (anchored, rest) = pattern.strip_prefix('^').map_or((false, pattern), |rest| (true, rest));
    let plain = rest.replace('\\', "");
    if rest.replace("\\.", "").contains(['.', '*', '+', '?', '[', '(', '|', '$']) || lines.len() >= MAX_LINES
    {
        return false;
    }
    let matches =
        |line: &Line| if anchored { line.text.starts_with(&plain) } else { line.text.contains(&plain) };
    let places: Vec<usize> = (0..lines.len()).filter(|&place| matches(&lines[place])).collect();
    let new = || Line { text: text.to_owned(), from: from.to_owned() };
    if places.is_empty() {
        // The package's file has lines that are not in ours. A line that opens must know its place.
        if text.trim_start().starts_with("http_access") {
            return false;
        }
        lines.push(new());
    }
    for place in places.into_iter().rev().take(64) {
        lines.insert(place, new());
    }
    true
}

fn begins(text: &str, name: &str) -> bool {
    text.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// What a line says behind its `#`; nothing when it has none.
fn comment(text: &str) -> &str {
    text.strip_prefix('#').map_or("", str::trim_start)
}

struct Call {
    function: String,
    arguments: Vec<String>,
}

struct Statement {
    line: usize,
    text: String,
    call: Option<Call>,
}

/// The statements between the quotes that awk gets; without such quotes, of the whole text.
fn statements(script: &str) -> Vec<Statement> {
    let mut all = Vec::new();
    let mut in_awk = !script.contains("--source");
    for (line, raw) in (1..).zip(script.lines()) {
        if !in_awk {
            in_awk = raw.contains("--source");
            continue;
        }
        let text = raw.trim();
        if text.starts_with('#') || matches!(text, "" | "{" | "}" | "}'" | "'") {
            continue;
        }
        let mut rest = text.chars().peekable();
        loop {
            while rest.next_if(|c| c.is_whitespace() || *c == ';').is_some() {}
            if rest.peek().is_none_or(|c| *c == '#') {
                break;
            }
            let call = call(&mut rest);
            let understood = call.is_some();
            all.push(Statement { line, text: text.chars().take(200).collect(), call });
            if !understood {
                break;
            }
        }
    }
    all
}

/// `name("text", 3)` or `print`.
fn call(rest: &mut Peekable<Chars<'_>>) -> Option<Call> {
    let mut function = String::new();
    while let Some(c) = rest.next_if(|c| c.is_ascii_alphabetic()) {
        function.push(c);
    }
    let spaces = |rest: &mut Peekable<Chars<'_>>| while rest.next_if(|c| c.is_whitespace()).is_some() {};
    spaces(rest);
    if function == "print" && rest.peek().is_none_or(|c| matches!(c, ';' | '#' | '}')) {
        return Some(Call { function, arguments: Vec::new() });
    }
    rest.next_if_eq(&'(')?;
    let mut arguments = Vec::new();
    loop {
        spaces(rest);
        arguments.push(argument(rest)?);
        spaces(rest);
        match rest.next()? {
            ',' if arguments.len() < 8 => {}
            ')' => break,
            _ => return None,
        }
    }
    spaces(rest);
    rest.peek().is_none_or(|c| matches!(c, ';' | '#')).then_some(Call { function, arguments })
}

/// A string or a number. A `'` in it ends what awk gets: the shell would put something there.
fn argument(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut text = String::new();
    if rest.next_if_eq(&'"').is_none() {
        while let Some(c) = rest.next_if(char::is_ascii_digit) {
            text.push(c);
        }
        return (!text.is_empty()).then_some(text);
    }
    loop {
        match rest.next()? {
            '"' => return Some(text),
            '\'' => return None,
            '\\' => match rest.next()? {
                c @ ('"' | '\\') => text.push(c),
                c => text.extend(['\\', c]),
            },
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> (Vec<String>, usize) {
        let mut notes = Vec::new();
        let lines = customized(None, script, "customize.sh", &mut notes);
        (lines.iter().map(ToString::to_string).collect(), notes.len())
    }

    #[test]
    fn the_functions_edit_the_default() {
        let script = r#"awk --file x --source '{
            setoption("cache_mem", "256 MB"); setoptionparameter("cache_dir", 3, "500000") # MB
            setoption("workers", 4)
            uncomment("acl MAJOR_CVMFS")
            insertline("^# http_access deny !RESTRICT_DEST", "http_access deny !MAJOR_CVMFS")
            commentout("http_access allow localhost")
            print
            }'"#;
        let (lines, unknown) = run(script);
        assert_eq!(unknown, 0);
        let at = |text: &str| lines.iter().position(|line| line == text);
        for text in ["cache_mem 256 MB", "cache_dir ufs /var/cache/squid 500000 16 256", "workers 4"] {
            assert!(at(text).is_some(), "{text}: {lines:#?}");
        }
        assert!(at("http_access deny !MAJOR_CVMFS") < at("http_access allow NET_LOCAL"));
        assert!(lines.iter().any(|line| line.starts_with("acl MAJOR_CVMFS")));
        assert_eq!(at("http_access allow localhost"), None);
    }

    #[test]
    fn what_is_not_understood_is_said_and_opens_nothing() {
        for (script, barrier) in [
            ("setoption(\"acl NET_LOCAL src\", \"'$NETS'\")", true),
            ("if ($1 == \"http_port\") {", false),
            ("insertline(\"^http_acc.*\", \"http_access deny all\")", true),
            ("insertline(\"^no such line\", \"http_access allow all\")", true),
            ("setserviceoption(\"snmp_port\", \"\", 3401, 2, 1)", false),
        ] {
            let (lines, unknown) = run(script);
            assert_eq!((unknown, lines[0] == "include customize.sh"), (1, barrier), "{script}");
        }
    }
}
