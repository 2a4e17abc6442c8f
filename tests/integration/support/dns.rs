//! A name server on loopback, for one name whose addresses a play decides (RFC 1035 §4).

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use parking_lot::Mutex;

/// Longest question that is answered.
const MAX_MESSAGE: usize = 512;
/// Seconds for which an answer may be kept.
const LIFETIME: u32 = 1;

/// The name server; it runs as long as the process.
pub struct NameServer {
    addresses: Arc<Mutex<Vec<Ipv4Addr>>>,
}

impl NameServer {
    /// Answers at `address` about `name`, in lower case; all other names do not exist.
    pub fn start(address: SocketAddr, name: &'static str) -> Self {
        let socket = UdpSocket::bind(address).expect("the address of a name server");
        let addresses = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&addresses);
        std::thread::spawn(move || {
            let mut message = [0; MAX_MESSAGE];
            while let Ok((length, client)) = socket.recv_from(&mut message) {
                if let Some(answer) = answer(&message[..length], name, &known.lock()) {
                    // Whoever asks asks again.
                    let _ = socket.send_to(&answer, client);
                }
            }
        });
        Self { addresses }
    }

    /// What the name stands for from now on.
    pub fn set(&self, addresses: &[Ipv4Addr]) {
        addresses.clone_into(&mut self.addresses.lock());
    }
}

fn answer(question: &[u8], name: &str, addresses: &[Ipv4Addr]) -> Option<Vec<u8>> {
    let mut asked = Vec::new();
    let mut rest = question.get(12..)?;
    loop {
        let (&length, tail) = rest.split_first()?;
        let (label, tail) = tail.split_at_checked(length.into())?;
        rest = tail;
        if length == 0 {
            break;
        }
        asked.push(String::from_utf8(label.to_ascii_lowercase()).ok()?);
    }
    let is_a = rest.get(..4)? == [0, 1, 0, 1];
    let end = question.len() - rest.len() + 4;
    let exists = asked.join(".") == name;
    let records = if exists && is_a { addresses } else { &[] };
    // Authoritative, recursion as desired and available; no error, or NXDOMAIN.
    let mut message = question.get(..2)?.to_vec();
    message.extend([0x84 | (question.get(2)? & 1), if exists { 0x80 } else { 0x83 }, 0, 1]);
    message.extend(u16::try_from(records.len()).ok()?.to_be_bytes());
    message.extend([0; 4]);
    message.extend(question.get(12..end)?);
    for address in records {
        // The name of the question, A, IN.
        message.extend([0xc0, 12, 0, 1, 0, 1]);
        message.extend(LIFETIME.to_be_bytes());
        message.extend([0, 4]);
        message.extend(address.octets());
    }
    Some(message)
}
