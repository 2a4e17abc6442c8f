//! Who knows what is in the tier already.

use std::collections::HashSet;
use std::sync::Arc;

use crate::catalog::Object;
use crate::digest::ObjectName;

/// Names in one question; the admin port takes some 20,000.
const BATCH: usize = 10_000;

/// A question: names, one a line; the answer: those that are missing, likewise, or why there is none. May block for a while.
pub type Question = dyn Fn(&str) -> Result<String, String> + Send + Sync;

/// Who is asked.
pub enum Presence {
    /// A running program.
    Other(Arc<Question>),
    /// The cache of this process.
    Own(Arc<dyn Fn(&ObjectName) -> bool + Send + Sync>),
    /// Nobody: everything may be missing.
    Unknown,
}

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
#[error("the admin port does not tell what is there: {0}")]
pub struct PresenceError(String);

impl Presence {
    /// Those that are not in the tier, in the same order.
    pub fn missing(&self, objects: &[Object]) -> Result<Vec<Object>, PresenceError> {
        match self {
            Self::Unknown => Ok(objects.to_vec()),
            Self::Own(has) => Ok(objects.iter().filter(|object| !has(&object.name)).copied().collect()),
            Self::Other(ask) => {
                let mut missing = Vec::new();
                for batch in objects.chunks(BATCH) {
                    let names: Vec<_> = batch.iter().map(|object| object.name.to_string()).collect();
                    let answer = ask(&names.join("\n")).map_err(PresenceError)?;
                    let lines: HashSet<&str> = answer.lines().collect();
                    let theirs = names.iter().zip(batch).filter(|(name, _)| lines.contains(name.as_str()));
                    missing.extend(theirs.map(|(_, object)| *object));
                }
                Ok(missing)
            }
        }
    }
}
