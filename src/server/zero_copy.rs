//! Bodies whose pages are locked in the page cache leave without being copied: the socket is given the pages (`sendfile`).

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use rustix::net::SendFlags;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::page_cache::{self, Place, WORTH_SENDING};

/// What of some slices is to be sent first, and how.
pub enum Piece<'a> {
    /// These, which something follows that need not be copied.
    Before(&'a [IoSlice<'a>]),
    /// So many bytes of a file.
    Pages(Place, usize),
}

impl<'a> Piece<'a> {
    /// `None` when all is to be copied. Shorter slices of pages than [`WORTH_SENDING`] are only what is left of longer ones.
    /// `follows`: the latest piece was pages.
    pub fn first_of(slices: &'a [IoSlice<'a>], follows: bool) -> Option<Self> {
        Some(match page_cache::first_of(slices, if follows { 1 } else { WORTH_SENDING })? {
            (0, place) => Self::Pages(place, slices[0].len()),
            (at, _) => Self::Before(&slices[..at]),
        })
    }

    /// Whether it is pages.
    pub fn is_pages(&self) -> bool {
        matches!(self, Self::Pages(..))
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Before(slices) => slices.iter().map(|slice| slice.len()).sum(),
            Self::Pages(_, len) => *len,
        }
    }

    /// How many bytes the socket took. A file that ends before is an error, or that somebody else has written to.
    pub fn poll_send(&self, tcp: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
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
