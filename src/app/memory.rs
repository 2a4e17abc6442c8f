//! Keeps the memory tier within what the machine allows: looks at the control groups four times a second, in a thread of its own,
//! since a tier that is made anew takes about a microsecond an object.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::allocator;
use crate::allowance::Allowance;
use crate::cache::{Cache, Pressure, Restraint};
use crate::config::{ByteSize, Config};
use crate::metrics::MemoryMetrics;

/// Between two looks: what comes from a network of 10 Gb/s meanwhile is less than a stretch of a large limit. A look reads
/// three small files.
const LOOK: Duration = Duration::from_millis(250);

/// Beside everything with a size of its own: code, connections, buffers, tables.
const BESIDE: ByteSize = ByteSize::mib(48);

/// The thread that looks; ends when dropped.
pub struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Begins.
    pub fn start(
        allowance: Allowance,
        cache: Arc<Cache>,
        config: &Config,
        metrics: MemoryMetrics,
    ) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let mut restraint = Restraint::default();
        // Four looks a second are too few for a tier that grows into a limit it does not fit.
        if let Some(look) = allowance.look()
            && let Some(room) = room(config, look.limit)
        {
            cache.begin_with(&mut restraint, room, look.taken);
        }
        let run = move || {
            let (start, mut restraint) = (Instant::now(), restraint);
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let look = allowance.look();
                metrics.saw(look.map(|look| (look.limit, look.taken)));
                let pressure = look.map(|look| Pressure { limit: look.limit, taken: look.taken });
                if let Some(capacity) = cache.restrain(&mut restraint, start.elapsed(), pressure) {
                    let taken = look.map_or(ByteSize(0), |look| ByteSize(look.taken));
                    allocator::ask();
                    tracing::info!(%taken, "the memory tier may hold {} for now", ByteSize(capacity));
                }
            }
        };
        let thread = std::thread::Builder::new().name("memory".into()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that looks after memory had panicked");
        }
    }
}

/// The capacity to begin with where the configured one does not fit into `limit`: what the rest leaves of it, a quarter at least.
fn room(config: &Config, limit: u64) -> Option<u64> {
    let room = limit.saturating_sub(rest(config)).max(limit / 4);
    (room < config.memory.capacity.bytes()).then_some(room)
}

/// Bytes that may be needed beside the memory tier.
fn rest(config: &Config) -> u64 {
    let parts = [config.memory.documents, config.objects.fill_memory, BESIDE];
    parts.iter().fold(0, |sum, part| sum.saturating_add(part.bytes()))
}

/// What to tell whoever starts a tier that needs more than `limit`.
pub fn too_large(config: &Config, limit: ByteSize) -> Option<String> {
    let (memory, fills) = (&config.memory, config.objects.fill_memory);
    let needed = ByteSize(memory.capacity.bytes().saturating_add(rest(config)));
    (needed > limit).then(|| {
        format!(
            "memory of this process is limited to {limit}, but it may need {needed}: {} for objects (`capacity` in [memory]), {} for \
             documents (`documents` there), {fills} for downloads (`fill_memory` in [objects]), {BESIDE} for the rest; raise the \
             limit (MemoryMax= of the service) or lower the keys, or objects will go from memory when the limit is near",
            memory.capacity, memory.documents,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_fit_is_said_with_both_numbers() {
        let config = Config::default();
        let warning = too_large(&config, ByteSize::mib(300)).unwrap();
        for word in ["300 MiB", "432 MiB", "256 MiB", "64 MiB", "MemoryMax="] {
            assert!(warning.contains(word), "{word}: {warning}");
        }
        assert_eq!(too_large(&config, ByteSize::mib(432)), None);
        for (limit, begun) in [(432, None), (300, Some(124)), (160, Some(40)), (0, Some(0))] {
            assert_eq!(room(&config, limit << 20), begun.map(|mib: u64| mib << 20), "of {limit} MiB");
        }
    }
}
