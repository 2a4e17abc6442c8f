//! Bodies whose pages are locked in the page cache leave without being copied: the socket is given the pages (`sendfile`).
//! Where they are to be encrypted, they are read from the file.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::SendFlags;
use socket2::SockRef;
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;

use super::transport::Transport;
use crate::page_cache::{self, Place};

/// Shorter slices are not looked up. Objects are pinned from four times as much, and what is left of one at its end is copied.
const LEAST: usize = 32 << 10;

/// Bytes that are read for encryption at a time: four records of TLS.
const READ: usize = 64 << 10;

/// What of some slices is to be sent first, and how.
pub enum Piece<'a> {
    /// These, which something follows that need not be copied.
    Before(&'a [IoSlice<'a>]),
    /// So many bytes of a file.
    Pages(Place, usize),
}

impl<'a> Piece<'a> {
    /// `None` when all is to be copied.
    pub fn first_of(slices: &'a [IoSlice<'a>], stream: &Transport) -> Option<Self> {
        let least = match stream {
            Transport::Plain(_) => LEAST,
            // The kernel can cope with a page that is gone; a reader cannot.
            Transport::Tls(_) => 1,
        };
        let large = slices.iter().enumerate().filter(|(_, slice)| slice.len() >= least);
        let (at, place) = large.filter_map(|(at, slice)| Some((at, page_cache::find(slice)?))).next()?;
        Some(match at {
            0 => Self::Pages(place, slices[0].len()),
            _ => Self::Before(&slices[..at]),
        })
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Before(slices) => slices.iter().map(|slice| slice.len()).sum(),
            Self::Pages(_, len) => *len,
        }
    }

    /// How many bytes the connection took. A file that ends before is an error: somebody has cut it off.
    pub fn poll_send(&self, stream: &mut Transport, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match (stream, self) {
            (Transport::Plain(tcp), _) => self.poll_plain(tcp, cx),
            (Transport::Tls(tls), Self::Before(slices)) => Pin::new(tls).poll_write_vectored(cx, slices),
            (Transport::Tls(tls), Self::Pages(place, len)) => {
                let mut bytes = vec![0; READ.min(*len)];
                place.read(&mut bytes)?;
                Pin::new(tls).poll_write(cx, &bytes)
            }
        }
    }

    fn poll_plain(&self, tcp: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(tcp.poll_write_ready(cx))?;
            match tcp.try_io(Interest::WRITABLE, || self.send(tcp)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn send(&self, tcp: &TcpStream) -> io::Result<usize> {
        match self {
            // In one packet with what follows.
            Self::Before(slices) => {
                SockRef::from(tcp).send_vectored_with_flags(slices, SendFlags::MORE.bits() as i32)
            }
            Self::Pages(place, len) => place.send(tcp, *len),
        }
    }
}
