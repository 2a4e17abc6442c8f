//! How a stratum misbehaves, as values; and for which requests.

use std::time::Duration;

/// One way to answer other than in full, at once and correctly. Offsets count bytes of the body.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Withholds the head until `release`.
    HoldHead,
    /// Answers correctly, but so much later.
    LateHead(Duration),
    /// Sends the head and so many bytes, and the rest after `release`.
    Hold(usize),
    /// Takes the request and never says a word; the connection stays open.
    NeverAnswer,
    /// Sends the head and so many bytes, then nothing for ever; the connection stays open.
    Stall(usize),
    /// Closes the connection instead of answering.
    CloseUnanswered,
    /// Closes in good order after so many bytes, short of the announced length.
    Truncate(usize),
    /// Resets the connection (RST) after so many bytes.
    Reset(usize),
    /// Sends so many bytes more than announced.
    OverLong(usize),
    /// Announces a length that differs by this, and closes after the true one.
    WrongLength(i64),
    /// Inverts the lowest bit of this byte (counted modulo the length).
    Flip(usize),
    /// Answers with this status and a short text.
    Status(u16),
    /// Answers with bytes that are no HTTP.
    GarbageHead,
    /// Sends a few bytes at a time.
    Drip {
        /// Bytes a step.
        bytes: usize,
        /// Pause between steps.
        every: Duration,
    },
    /// Answers correctly, then closes without having announced it.
    CloseAfter,
    /// Answers correctly, in the chunked coding.
    Chunked,
    /// Chunked; after so many bytes comes a chunk size that is no number.
    BadChunk(usize),
    /// Answers correctly, the end of the connection being the end of the body.
    CloseDelimited,
    /// Sends `103 Early Hints` before the answer.
    Interim,
    /// Sends `103 Early Hints` again and again, and no answer.
    InterimFlood,
    /// Sends the first half of the head, then nothing for ever; the connection stays open.
    StallInHead,
    /// Sends a head with a field of so many bytes.
    HugeHead(usize),
    /// Answers the first request of a connection; to later ones it says nothing, as when the host lost its power or a
    /// firewall forgot the connection.
    Vanish,
}

impl Fault {
    /// Only for paths that contain `needle`.
    pub fn on(self, needle: impl Into<String>) -> Rule {
        Rule { needle: needle.into(), ..self.into() }
    }

    /// Only for the first `n` requests.
    pub fn times(self, n: usize) -> Rule {
        Rule { left: n, ..self.into() }
    }
}

/// A fault and the requests that it befalls; of several rules the first that matches counts.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) fault: Fault,
    needle: String,
    left: usize,
}

impl Rule {
    /// Only for the first `n` requests.
    pub fn times(self, n: usize) -> Self {
        Self { left: n, ..self }
    }

    /// Whether the rule takes this request; uses up one of its times.
    pub(super) fn takes(&mut self, path: &str) -> bool {
        let takes = self.left > 0 && path.contains(&self.needle);
        self.left -= usize::from(takes);
        takes
    }
}

impl From<Fault> for Rule {
    fn from(fault: Fault) -> Self {
        Self { fault, needle: String::new(), left: usize::MAX }
    }
}
