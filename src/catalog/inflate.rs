//! zlib, bounded: how long the content is is counted before anything is kept of it, so that a bomb costs time only.

use std::io::{self, Read};

use flate2::read::ZlibDecoder;

/// Why an object is not what it was stored as.
#[derive(Debug, thiserror::Error)]
pub enum InflateError {
    /// More content than may be.
    #[error("its content is larger than {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: u64,
    },
    /// Not a zlib stream, or one that is cut.
    #[error("it is no whole zlib stream: {0}")]
    Damaged(#[from] io::Error),
}

/// Length of the content in bytes, at most `limit`.
pub fn inflated_len(stored: &[u8], limit: u64) -> Result<u64, InflateError> {
    let len = io::copy(&mut reader(stored).take(limit + 1), &mut io::sink())?;
    if len > limit { Err(InflateError::TooLarge { limit }) } else { Ok(len) }
}

/// The content.
pub fn reader(stored: &[u8]) -> impl Read {
    ZlibDecoder::new(stored)
}

/// The whole content of a small object.
pub fn inflate(stored: &[u8], limit: u64) -> Result<Vec<u8>, InflateError> {
    let len = inflated_len(stored, limit)?;
    let mut content = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
    reader(stored).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    #[test]
    fn a_bomb_is_refused_and_a_cut_stream_is_no_content() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![0; 10 << 20]).unwrap();
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 20_000);
        assert!(matches!(inflate(&bomb, (10 << 20) - 1), Err(InflateError::TooLarge { .. })));
        assert_eq!(inflate(&bomb, 10 << 20).unwrap().len(), 10 << 20);
        assert!(matches!(inflate(&bomb[..bomb.len() - 1], 10 << 20), Err(InflateError::Damaged(_))));
        assert!(matches!(inflate(b"SQLite format 3", 100), Err(InflateError::Damaged(_))));
    }
}
