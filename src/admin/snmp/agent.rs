//! Requests and answers (RFC 3416 §4.2): which names get which values. Pure.

use super::ber::{self, Reader, tag};
use super::mib::{Mib, Value};

/// SNMP v2c.
const VERSION: i32 = 1;

/// Most names of one request.
const MAX_NAMES: usize = 64;

/// Bytes of bindings in an answer: with all around them it fits one Ethernet frame.
const MAX_BINDINGS: usize = 1300;

/// `error-status`: the answer would not fit.
const TOO_BIG: i64 = 1;

/// A request that is answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    community: Vec<u8>,
    id: i32,
    operation: Operation,
    names: Vec<Vec<u32>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Get,
    GetNext,
    GetBulk { single: usize, repetitions: usize },
}

/// Reads a datagram; nothing for whatever is not to be answered.
pub fn read(datagram: &[u8], community: &[u8]) -> Option<Request> {
    let mut outer = Reader(datagram);
    let mut message = Reader(outer.expect(tag::SEQUENCE)?);
    if !outer.0.is_empty() || message.integer()? != VERSION || message.expect(tag::OCTETS)? != community {
        return None;
    }
    let (kind, content) = message.element()?;
    let mut pdu = Reader(content);
    let (id, second, third) = (pdu.integer()?, pdu.integer()?, pdu.integer()?);
    let count = |number: i32| usize::try_from(number).unwrap_or(0);
    let operation = match kind {
        tag::GET => Operation::Get,
        tag::GET_NEXT => Operation::GetNext,
        tag::GET_BULK => Operation::GetBulk { single: count(second), repetitions: count(third) },
        _ => return None,
    };
    let mut bindings = Reader(pdu.expect(tag::SEQUENCE)?);
    let mut names = Vec::new();
    while !bindings.0.is_empty() {
        names.push(Reader(bindings.expect(tag::SEQUENCE)?).oid()?);
        if names.len() > MAX_NAMES {
            return None;
        }
    }
    Some(Request { community: community.to_vec(), id, operation, names })
}

/// The answer, as a datagram.
pub fn answer(request: &Request, mib: &Mib) -> Vec<u8> {
    let mut bindings = Vec::new();
    let mut fits = true;
    let mut put = |name: &[u32], value: &Value| {
        let before = bindings.len();
        bind(&mut bindings, name, value);
        fits = bindings.len() <= MAX_BINDINGS;
        if !fits {
            bindings.truncate(before);
        }
        fits
    };
    match request.operation {
        Operation::Get => {
            request.names.iter().all(|name| put(name, mib.get(name)));
        }
        Operation::GetNext => {
            request.names.iter().all(|name| {
                let (name, value) = mib.next(name);
                put(name, value)
            });
        }
        Operation::GetBulk { single, repetitions } => {
            let (once, again) = request.names.split_at(single.min(request.names.len()));
            let mut next = |name: &[u32]| -> Option<(Vec<u32>, bool)> {
                let (name, value) = mib.next(name);
                put(name, value).then(|| (name.to_vec(), *value == Value::EndOfMibView))
            };
            let done = once.iter().any(|name| next(name).is_none());
            let mut row: Vec<Vec<u32>> = if done { Vec::new() } else { again.to_vec() };
            for _ in 0..repetitions {
                let found: Option<Vec<_>> = row.iter().map(|name| next(name)).collect();
                // Full, or nothing left: enough.
                let Some(found) = found.filter(|found| found.iter().any(|(_, end)| !end)) else { break };
                row = found.into_iter().map(|(name, _)| name).collect();
            }
            // What does not fit is left out (§4.2.3).
            fits = true;
        }
    }
    let (status, bindings) = if fits { (0, bindings) } else { (TOO_BIG, Vec::new()) };
    wrapped(request, status, &bindings)
}

fn bind(out: &mut Vec<u8>, name: &[u32], value: &Value) {
    let mut pair = Vec::new();
    ber::oid(&mut pair, name);
    match value {
        Value::Integer(number) => ber::integer(&mut pair, tag::INTEGER, (*number).into()),
        Value::Counter32(number) => ber::integer(&mut pair, tag::COUNTER32, (*number).into()),
        Value::Gauge32(number) => ber::integer(&mut pair, tag::GAUGE32, (*number).into()),
        Value::TimeTicks(number) => ber::integer(&mut pair, tag::TIME_TICKS, (*number).into()),
        Value::Text(text) => ber::element(&mut pair, tag::OCTETS, text.as_bytes()),
        Value::NoSuchObject => ber::element(&mut pair, tag::NO_SUCH_OBJECT, &[]),
        Value::NoSuchInstance => ber::element(&mut pair, tag::NO_SUCH_INSTANCE, &[]),
        Value::EndOfMibView => ber::element(&mut pair, tag::END_OF_MIB_VIEW, &[]),
    }
    ber::element(out, tag::SEQUENCE, &pair);
}

fn wrapped(request: &Request, status: i64, bindings: &[u8]) -> Vec<u8> {
    let mut pdu = Vec::new();
    ber::integer(&mut pdu, tag::INTEGER, request.id.into());
    ber::integer(&mut pdu, tag::INTEGER, status);
    ber::integer(&mut pdu, tag::INTEGER, 0);
    ber::element(&mut pdu, tag::SEQUENCE, bindings);
    let mut message = Vec::new();
    ber::integer(&mut message, tag::INTEGER, VERSION.into());
    ber::element(&mut message, tag::OCTETS, &request.community);
    ber::element(&mut message, tag::RESPONSE, &pdu);
    let mut datagram = Vec::new();
    ber::element(&mut datagram, tag::SEQUENCE, &message);
    datagram
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::super::mib::ROOT;
    use super::*;
    use crate::metrics::Metrics;

    /// What a request has for a value.
    const NULL: u8 = 0x05;

    fn mib() -> Mib {
        Mib::of("site", &Metrics::new().unwrap().registry.gather(), SystemTime::now())
    }

    fn datagram(version: i64, community: &str, kind: u8, numbers: [i64; 3], names: &[&[u32]]) -> Vec<u8> {
        let mut bindings = Vec::new();
        for name in names {
            let mut pair = Vec::new();
            ber::oid(&mut pair, name);
            ber::element(&mut pair, NULL, &[]);
            ber::element(&mut bindings, tag::SEQUENCE, &pair);
        }
        let mut pdu = Vec::new();
        numbers.iter().for_each(|number| ber::integer(&mut pdu, tag::INTEGER, *number));
        ber::element(&mut pdu, tag::SEQUENCE, &bindings);
        let mut message = Vec::new();
        ber::integer(&mut message, tag::INTEGER, version);
        ber::element(&mut message, tag::OCTETS, community.as_bytes());
        ber::element(&mut message, kind, &pdu);
        let mut out = Vec::new();
        ber::element(&mut out, tag::SEQUENCE, &message);
        out
    }

    /// Status, and tag of each value.
    fn outcome(answer: &[u8]) -> (i32, Vec<u8>) {
        let mut message = Reader(Reader(answer).expect(tag::SEQUENCE).unwrap());
        message.integer().unwrap();
        message.expect(tag::OCTETS).unwrap();
        let mut pdu = Reader(message.expect(tag::RESPONSE).unwrap());
        assert_eq!(pdu.integer(), Some(7), "the id is given back");
        let status = pdu.integer().unwrap();
        pdu.integer().unwrap();
        let mut bindings = Reader(pdu.expect(tag::SEQUENCE).unwrap());
        let mut tags = Vec::new();
        while let Some(pair) = bindings.expect(tag::SEQUENCE) {
            let mut pair = Reader(pair);
            pair.oid().unwrap();
            tags.push(pair.element().unwrap().0);
        }
        (status, tags)
    }

    fn ask(kind: u8, numbers: [i64; 3], names: &[&[u32]]) -> (i32, Vec<u8>) {
        let request = read(&datagram(1, "public", kind, numbers, names), b"public").unwrap();
        let answer = answer(&request, &mib());
        assert!(answer.len() <= 1472, "{} bytes", answer.len());
        outcome(&answer)
    }

    #[test]
    fn values_and_their_absence() {
        let requests = [&ROOT[..], &[3, 2, 1, 1, 0]].concat();
        let names = [&requests[..], &[1, 3, 6, 1, 2, 1, 1, 1, 0], &[&ROOT[..], &[3, 2, 1, 1, 7]].concat()];
        let expected = vec![tag::COUNTER32, tag::NO_SUCH_OBJECT, tag::NO_SUCH_INSTANCE];
        assert_eq!(ask(tag::GET, [7, 0, 0], &names), (0, expected));
        assert_eq!(
            ask(tag::GET_NEXT, [7, 0, 0], &[&[1, 3], &[2, 0]]),
            (0, vec![tag::INTEGER, tag::END_OF_MIB_VIEW])
        );
    }

    #[test]
    fn bulk_ends_with_the_view_and_with_the_datagram() {
        let (status, tags) = ask(tag::GET_BULK, [7, 0, 1000], &[&[1, 3]]);
        assert_eq!((status, tags.last()), (0, Some(&tag::END_OF_MIB_VIEW)));
        let many = vec![&[1, 3][..]; MAX_NAMES];
        let (status, tags) = ask(tag::GET_BULK, [7, 3, i64::from(i32::MAX)], &many);
        assert!(status == 0 && tags.len() > 40, "{}", tags.len());
        let long = [&ROOT[..], &[2]].concat();
        let (status, tags) = ask(tag::GET_NEXT, [7, 0, 0], &vec![&long[..]; MAX_NAMES]);
        assert_eq!((status, tags.len()), (TOO_BIG as i32, 0));
    }

    #[test]
    fn what_is_not_answered() {
        let one: &[&[u32]] = &[&[1, 3]];
        for (version, community, kind) in [
            (0, "public", tag::GET),
            (3, "public", tag::GET),
            (1, "private", tag::GET),
            (1, "", tag::GET),
            (1, "public", tag::RESPONSE),
            (1, "public", 0xa3),
            (1, "public", 0xa7),
        ] {
            assert_eq!(read(&datagram(version, community, kind, [7, 0, 0], one), b"public"), None);
        }
        let many = vec![&[1, 3][..]; MAX_NAMES + 1];
        assert_eq!(read(&datagram(1, "public", tag::GET, [7, 0, 0], &many), b"public"), None);
        let mut trailing = datagram(1, "public", tag::GET, [7, 0, 0], one);
        trailing.push(0);
        assert_eq!(read(&trailing, b"public"), None);
    }

    proptest! {
        #[test]
        fn no_datagram_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..60, flip in any::<u8>()) {
            let _ = read(&bytes, b"public");
            let mut near = datagram(1, "public", tag::GET_BULK, [7, 1, 9], &[&[1, 3], &ROOT]);
            let at = at % near.len();
            near[at] ^= flip;
            if let Some(request) = read(&near, b"public") {
                prop_assert!(answer(&request, &mib()).len() <= 1472);
            }
        }
    }
}
