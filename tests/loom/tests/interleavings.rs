//! Every interleaving of a few threads over the ledger, the index, the bell and a fill.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::Bytes;
use loom::future::block_on;
use loom::thread;
use substratum_loom::cache::disk::bell::Bell;
use substratum_loom::cache::disk::entry::{Entry, Place};
use substratum_loom::cache::disk::index::{Index, Put};
use substratum_loom::cache::disk::ledger::{Books, Ceiling, Ledger, Purpose};
use substratum_loom::cache::disk::shares::Share;
use substratum_loom::cache::fill::FillKey;
use substratum_loom::cache::fill::state::{Fill, Next, Phase, Ready};
use substratum_loom::cache::object::Object;

const A: Share = Share(1);

#[test]
fn promises_never_exceed_the_capacity_or_a_ceiling() {
    loom::model(|| {
        let ledger = Ledger::new(100, 10, &[Ceiling::NONE, Ceiling { most: 60, headroom: 10 }]);
        let check = |ledger: &Ledger| {
            assert!(ledger.books().total() <= 100 && ledger.share(A).total() <= 60);
        };
        let others = [(Share::REST, Purpose::Admit), (A, Purpose::Reclaim)].map(|(share, purpose)| {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || {
                let charge = ledger.reserve(50, share, purpose).ok();
                if let Some(charge) = &charge {
                    charge.settle(20);
                    assert!(charge.close_at(40).is_ok());
                }
                check(&ledger);
                charge
            })
        });
        let mine = ledger.reserve(40, A, Purpose::Admit).ok();
        check(&ledger);
        let held: Vec<_> =
            others.map(|other| other.join().unwrap()).into_iter().chain([mine]).flatten().collect();
        assert!(!held.is_empty(), "whoever comes first always has room");
        let sum: u64 = held.iter().map(|charge| charge.books().total()).sum();
        assert_eq!(ledger.books().total(), sum);
        drop(held);
        assert_eq!((ledger.books(), ledger.share(A)), (Books::default(), Books::default()));
    });
}

fn entry(offset: u64) -> Entry {
    Entry { fingerprint: 7, place: Place { slot: 0, offset: 64 * offset }, len: 1, stored_at: 0, hits: 0 }
}

#[test]
fn a_copy_never_takes_the_place_of_something_newer() {
    loom::model(|| {
        let index = Arc::new(Index::default());
        index.put(entry(1));
        let mover = {
            let index = Arc::clone(&index);
            thread::spawn(move || index.moved(entry(1).place, entry(2)))
        };
        let replaced = index.put(entry(3)).unwrap();
        let moved = mover.join().unwrap();
        // Whoever is not found any more was told to exactly one of the two.
        assert_eq!(replaced.place, if moved == Put::Entered { entry(2).place } else { entry(1).place });
        assert_eq!(index.peek(7), Some(entry(3)));
        assert_eq!(index.len(), 1);
    });
}

#[test]
fn what_is_removed_while_it_is_moved_stays_removed() {
    loom::model(|| {
        let index = Arc::new(Index::default());
        index.put(entry(1));
        let mover = {
            let index = Arc::clone(&index);
            thread::spawn(move || index.moved(entry(1).place, entry(2)))
        };
        let removed = index.remove(7).unwrap();
        let moved = mover.join().unwrap();
        assert_eq!(removed.place, if moved == Put::Entered { entry(2).place } else { entry(1).place });
        assert_eq!((index.peek(7), index.len()), (None, 0));
    });
}

#[test]
fn whoever_rings_and_waits_sees_a_whole_pass() {
    loom::model(|| {
        let bell = Arc::new(Bell::default());
        let caller = {
            let bell = Arc::clone(&bell);
            thread::spawn(move || bell.ring_and_wait(A, 5))
        };
        bell.ring();
        // The first pass may have begun before the caller rang; then a second one is called for.
        loop {
            let far = std::time::Duration::from_secs(1_000);
            let call = bell.wait(far).unwrap();
            bell.pass_done();
            if call.wanted(A) == 5 {
                break;
            }
        }
        assert_eq!(caller.join().unwrap(), Ok(()));
    });
}

/// Reads to the end, as a task would.
fn read(fill: &Fill, slot: usize) -> Option<Vec<u8>> {
    block_on(poll_fn(|cx| fill.poll_ready(slot, cx.waker()))).ok()?;
    let mut all = Vec::new();
    loop {
        match block_on(poll_fn(|cx| fill.poll_next(slot, all.len() as u64, cx.waker()))) {
            Next::Bytes(bytes) => {
                assert!(!bytes.is_empty());
                all.extend_from_slice(&bytes);
                fill.moved(slot, all.len() as u64);
            }
            Next::End => {
                fill.leave(slot);
                return Some(all);
            }
            Next::Failed(_) => return None,
            Next::OnDisk(..) | Next::Gone => panic!("everything is kept in memory"),
        }
    }
}

#[test]
fn no_reader_of_a_fill_misses_a_call() {
    loom::model(|| {
        let (fill, first) = Fill::new(FillKey);
        let reader = {
            let fill = Arc::clone(&fill);
            thread::spawn(move || read(&fill, first))
        };
        fill.publish(Bytes::from_static(b"ab"));
        fill.release();
        fill.publish(Bytes::from_static(b"cd"));
        fill.end(Phase::Complete(None));
        assert_eq!(reader.join().unwrap().as_deref(), Some(&b"abcd"[..]));
        assert_eq!(fill.readers(), 0);
    });
}

#[test]
fn a_fill_that_fails_ends_for_every_reader() {
    loom::model(|| {
        let (fill, first) = Fill::new(FillKey);
        let second = fill.join().unwrap();
        let readers = [first, second].map(|slot| {
            let fill = Arc::clone(&fill);
            thread::spawn(move || block_on(poll_fn(|cx| fill.poll_ready(slot, cx.waker()))).is_err())
        });
        fill.end(Phase::Failed(substratum_loom::cache::fill::FillError));
        assert!(readers.map(|reader| reader.join().unwrap()).into_iter().all(|failed| failed));
        assert!(fill.join().is_none());
    });
}

#[test]
fn a_writer_that_waits_for_the_slowest_reader_is_called() {
    loom::model(|| {
        let (fill, slot) = Fill::new(FillKey);
        fill.release();
        fill.publish(Bytes::from_static(b"abc"));
        let reader = {
            let fill = Arc::clone(&fill);
            thread::spawn(move || {
                let next = block_on(poll_fn(|cx| fill.poll_next(slot, 0, cx.waker())));
                assert!(matches!(next, Next::Bytes(bytes) if bytes == b"ab"[..]));
                fill.moved(slot, 2);
                fill.leave(slot);
            })
        };
        loop {
            let (gone, seen) = {
                let state = fill.state.lock();
                (state.readers.slowest().is_none(), state.readers.moves)
            };
            if gone {
                break;
            }
            block_on(poll_fn(|cx| fill.poll_moved(seen, cx.waker())));
        }
        reader.join().unwrap();
    });
}

#[test]
fn an_object_at_rest_is_what_late_readers_begin_with() {
    loom::model(|| {
        let (fill, slot) = Fill::new(FillKey);
        let reader = {
            let fill = Arc::clone(&fill);
            thread::spawn(move || {
                block_on(poll_fn(|cx| match ready!(fill.poll_ready(slot, cx.waker())) {
                    Ok(Ready::Complete(_)) => Poll::Ready(true),
                    Ok(Ready::Streaming { .. }) | Err(_) => Poll::Ready(false),
                }))
            })
        };
        fill.publish(Bytes::from_static(b"ab"));
        fill.end(Phase::Complete(Some(Object)));
        assert!(reader.join().unwrap());
    });
}
