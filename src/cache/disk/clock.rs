//! The wall clock, for ages that outlive the process.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970; ends in 2106.
pub fn unix_seconds() -> u32 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX)
}
