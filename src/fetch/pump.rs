//! Moves the body of an answer into a fill.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::cache::{FillError, FillWriter, Why};
use crate::upstream::{Failure, UpstreamBody};

/// How long bytes may lie in the current chunk while the source pauses, before readers get them.
const FLUSH_AFTER: Duration = Duration::from_millis(10);

/// Bytes between two rests: what is done with them takes some 20 us, and a hit that comes meanwhile waits so long.
const STEP: usize = 16 << 10;

/// Longer than anybody waits.
pub const NEVER: Duration = Duration::from_secs(24 * 3600);

/// What is done between steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// The next one.
    Nothing,
    /// Whatever else the worker has to do: nobody waits for this download.
    Others,
}

/// How one answer's body ended.
pub enum Ended {
    /// All of it was taken.
    Whole,
    /// It broke off; another source may continue.
    Broken(Failure),
    /// Nobody wants it any more, or our own side failed.
    Given(FillError),
}

/// Takes all of `body` but its first `skip` bytes, which are known already. Readers get the first bytes they may see at once, later ones in whole chunks, or after
/// [`FLUSH_AFTER`] when the source is slower than that; an object that is
/// to be verified first is shown all the same once `show_by` has passed.
pub async fn pump(
    writer: &mut FillWriter,
    mut body: UpstreamBody,
    mut skip: u64,
    show_by: Instant,
    between: Between,
) -> Ended {
    let mut flushed = None;
    loop {
        let Ok(frame) = next_frame(writer, &mut body, flushed, show_by).await else {
            // The source pauses.
            if Instant::now() >= show_by && !writer.is_empty() {
                writer.release();
            }
            flushed = Some(Instant::now());
            match writer.flush().await {
                Ok(()) => continue,
                Err(error) => return Ended::Given(error),
            }
        };
        let bytes = match frame {
            None => return Ended::Whole,
            Some(Err(failure)) => return Ended::Broken(failure),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => bytes,
                // Trailers say nothing about an object.
                Err(_) => continue,
            },
        };
        let known = skip.min(bytes.len() as u64);
        skip -= known;
        let mut given = push(writer, &bytes[known as usize..], between).await;
        let now = Instant::now();
        if given.is_ok() && flushed.is_none_or(|at| now >= at + FLUSH_AFTER) {
            if now >= show_by {
                writer.release();
            }
            if writer.is_released() {
                flushed = Some(now);
                given = writer.flush().await;
            }
        }
        if let Err(error) = given {
            return Ended::Given(error);
        }
        if !writer.is_wanted() {
            return Ended::Given(FillError::new(Why::Abandoned, "every reader left"));
        }
    }
}

async fn push(writer: &mut FillWriter, bytes: &[u8], between: Between) -> Result<(), FillError> {
    if between == Between::Nothing {
        return writer.push(bytes).await;
    }
    for step in bytes.chunks(STEP) {
        writer.push(step).await?;
        // Not before the worker has looked who has come in the meantime.
        tokio::task::yield_now().await;
    }
    Ok(())
}

type Frame = Option<Result<http_body::Frame<bytes::Bytes>, Failure>>;

/// The next frame, or `Err` when the source pauses while something waits to be shown.
async fn next_frame(
    writer: &FillWriter,
    body: &mut UpstreamBody,
    flushed: Option<Instant>,
    show_by: Instant,
) -> Result<Frame, tokio::time::error::Elapsed> {
    if !writer.is_released() {
        if writer.is_empty() || Instant::now() >= show_by {
            return Ok(body.frame().await);
        }
        return tokio::time::timeout_at(show_by, body.frame()).await;
    }
    if !writer.has_unshown() {
        return Ok(body.frame().await);
    }
    let at = flushed.map_or_else(Instant::now, |at| at + FLUSH_AFTER);
    tokio::time::timeout_at(at, body.frame()).await
}
