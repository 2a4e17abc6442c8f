//! What commands say. Whoever reads it may leave (`substratum ls ... | head`), which is no error of theirs; only a broken pipe of this
//! one means that.

use std::error::Error;
use std::io::{self, Write};

/// Standard output.
pub struct Output;

#[derive(Debug, thiserror::Error)]
#[error("whoever reads the output has left")]
struct ReaderLeft;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().lock().write(bytes).map_err(told)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().lock().flush().map_err(told)
    }
}

fn told(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => io::Error::new(io::ErrorKind::BrokenPipe, ReaderLeft),
        _ => error,
    }
}

/// Whether that is what an error comes from.
pub fn reader_has_left(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.any(|cause| {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.is_some_and(|inner| inner.is::<ReaderLeft>())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_output_counts() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(reader_has_left(&told(broken())));
        assert!(!reader_has_left(&broken()), "such as of a socket");
        assert!(!reader_has_left(&told(io::ErrorKind::StorageFull.into())));
    }
}
