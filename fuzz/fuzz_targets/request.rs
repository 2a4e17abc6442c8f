//! Requests: whatever the strict reader lets through is read by the parser as it stands there, and what is understood can be
//! said to the next server in one way only.
#![no_main]

use http::{HeaderName, HeaderValue, Method, Request, Version};
use libfuzzer_sys::fuzz_target;
use substratum::access::Access;
use substratum::config::{self, Glob, TargetShape, WriteMethod};
use substratum::request::{self, Target};
use substratum::server::intake::{Contents, Intake};
use substratum::syntax::{Limits, Lines, request_line};

const LIMITS: Limits = Limits { head: 2048, first_line: 1024, fields: 100, empty_lines: 1 };

const MAX_CONTENT: u64 = 1000;

/// The first request, if it passes the strict reader.
fn strict(bytes: &[u8]) -> Option<&[u8]> {
    let end = Lines::new(LIMITS).feed(bytes).ok()??;
    request_line(&bytes[..end]).ok()?;
    Some(&bytes[..end])
}

/// All that the parser is shown of bytes that come in pieces of `size`.
fn shown(bytes: &[u8], size: usize) -> Vec<u8> {
    let contents = Contents { methods: WriteMethod::ALL.to_vec(), max: MAX_CONTENT };
    let (mut intake, mut out) = (Intake::new(LIMITS, contents), Vec::new());
    for came in bytes.chunks(size) {
        if intake.is_refused() {
            break;
        }
        if intake.passes(came) {
            out.extend_from_slice(came);
            continue;
        }
        intake.take(came);
        let ready = intake.ready().to_vec();
        intake.handed_on(ready.len());
        out.extend_from_slice(&ready);
    }
    out
}

/// What the parser makes of it: every request is one that was checked, each behind the content of the one before.
fn follow(mut rest: &[u8], bytes: &[u8]) {
    let mut from = 0;
    while !rest.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut found = httparse::Request::new(&mut fields);
        let Ok(httparse::Status::Complete(end)) = found.parse(rest) else { return };
        if found.method == Some("REFUSED") {
            return;
        }
        assert_eq!(Some(&rest[..end]), strict(&bytes[from..]), "a head that was not checked");
        // As hyper: the length, if it can be told, else no content. It refuses all that the next line does not understand.
        let length = found.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
        let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok()).unwrap_or(0usize);
        let served = WriteMethod::ALL.iter().any(|method| Some(method.as_str()) == found.method);
        if !served && length > 0 {
            // Refused for its content, and the connection is closed.
            return;
        }
        assert!(length as u64 <= MAX_CONTENT);
        let end = end + length;
        from += end;
        let Some(next) = rest.get(end..) else { return };
        rest = next;
    }
}

/// As hyper reads it.
fn parsed(head: &[u8]) -> Option<Request<()>> {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut found = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(end)) = found.parse(head) else { return None };
    assert_eq!(end, head.len(), "the parser ends the head elsewhere");
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(found.method?.as_bytes()).ok()?;
    *request.uri_mut() = found.path?.parse().ok()?;
    *request.version_mut() = if found.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    for field in found.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).expect("a name the parser let through");
        request.headers_mut().append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some(request)
}

/// The same by hand: words between single spaces, lines between CRLFs, names before the first colon.
fn compare(head: &[u8], request: &Request<()>) {
    let text = head.strip_prefix(b"\r\n").unwrap_or(head);
    let mut lines = text.strip_suffix(b"\r\n\r\n").expect("the end").split(|c| *c == b'\r');
    let first = lines.next().expect("a first line");
    let words: Vec<_> = first.split(|c| *c == b' ').collect();
    assert_eq!(words.len(), 3);
    assert_eq!(words[0], request.method().as_str().as_bytes());
    assert_eq!(words[2], if request.version() == Version::HTTP_11 { b"HTTP/1.1" } else { b"HTTP/1.0" });
    let mut count = 0;
    for line in lines {
        let line = line.strip_prefix(b"\n").expect("CRLF");
        let colon = line.iter().position(|c| *c == b':').expect("a colon");
        let name = HeaderName::from_bytes(&line[..colon]).expect("a name without blanks");
        let value = line[colon + 1..].trim_ascii();
        assert!(request.headers().get_all(&name).iter().any(|held| held.as_bytes() == value), "{name}");
        count += 1;
    }
    assert_eq!(count, request.headers().len());
}

fn access() -> Access {
    let rules = config::Access {
        targets: vec![TargetShape::Any],
        hosts: vec![Glob::new("*")],
        methods: WriteMethod::ALL.to_vec(),
        ..Default::default()
    };
    Access::new(&rules, &[], &[], &[])
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let whole = shown(bytes, bytes.len().max(1));
    follow(&whole, bytes);
    assert_eq!(whole, shown(bytes, usize::from(size).max(1)), "in pieces as in one");
    let Some(head) = strict(bytes) else { return };
    let Some(request) = parsed(head) else { return };
    compare(head, &request);
    let access = access();
    let Ok(asked) = request::parse(&request, &access, "(me)") else { return };
    let path = asked.path.as_str();
    assert!(path.starts_with('/') && path.bytes().all(|c| c.is_ascii_graphic()));
    if let Target::Object(_) = &asked.target {
        assert!(!path.contains('?'));
    }
    // As it is put to a server, and to a cache: each is read back as the same.
    let host = asked.named.as_ref().map_or_else(|| "h".to_owned(), |named| named.authority());
    let mut targets = vec![path.to_owned()];
    targets.extend(asked.named.as_ref().map(|named| format!("{}://{host}{path}", named.scheme.as_str())));
    for (forward, target) in [false, true].into_iter().zip(targets) {
        if target.len() > 900 || host.len() > 500 {
            return;
        }
        let said = format!("{} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n", asked.verb.method());
        let again = strict(said.as_bytes()).and_then(parsed).unwrap_or_else(|| panic!("{said:?} from {head:?}"));
        let again = request::parse(&again, &access, "(me)").unwrap_or_else(|error| panic!("{error}: {said:?}"));
        assert_eq!((&again.path, again.verb), (&asked.path, asked.verb));
        assert_eq!(again.named.as_ref(), asked.named.as_ref().filter(|_| forward));
        assert_eq!(again.target, asked.target);
    }
});
