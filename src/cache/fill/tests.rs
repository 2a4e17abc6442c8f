//! Plays over a cache without any network: writers push, readers read, in every order that matters.

mod joining;
mod keeping;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::disk::Disk;
use super::super::{CHUNK, Cache, Lookup, Object, Share};
use super::*;
use crate::config::{self, ByteSize};
use crate::digest::Algorithm;
use crate::metrics::Metrics;

const VERIFY_FIRST: usize = 64 << 10;
const WINDOW: usize = 1 << 20;

fn objects() -> config::Objects {
    config::Objects {
        verify_first: ByteSize(VERIFY_FIRST as u64),
        window: ByteSize(WINDOW as u64),
        finish_abandoned: ByteSize::kib(64),
        ..config::Objects::default()
    }
}

fn cache_with(disk: Option<&std::path::Path>) -> Arc<Cache> {
    let metrics = Metrics::new().unwrap();
    let disk = disk.map(|path| {
        let config = config::Disk::new(path.to_owned(), ByteSize::mib(64));
        Disk::open(&config, metrics.disk.clone()).unwrap()
    });
    let memory = config::Memory {
        capacity: ByteSize::mib(16),
        max_object: ByteSize::mib(4),
        ..config::Memory::default()
    };
    Cache::new(&memory, &objects(), disk, metrics.cache)
}

fn cache() -> Arc<Cache> {
    cache_with(None)
}

fn bytes(len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(len as u64);
    (0..len).map(|_| random.u8(..)).collect()
}

fn name(bytes: &[u8]) -> ObjectName {
    ObjectName::of(Algorithm::Sha1, bytes)
}

fn lead(cache: &Arc<Cache>, name: &ObjectName) -> (FillWriter, FillReader) {
    match cache.lookup(name, Share::REST, "") {
        Lookup::Lead(writer, reader) => (writer, reader),
        _ => panic!("somebody leads already"),
    }
}

fn join(cache: &Arc<Cache>, name: &ObjectName) -> FillReader {
    match cache.lookup(name, Share::REST, "") {
        Lookup::Join(reader) => reader,
        _ => panic!("nothing to join"),
    }
}

fn found(cache: &Arc<Cache>, name: &ObjectName) -> bool {
    matches!(cache.lookup(name, Share::REST, ""), Lookup::Hit(_))
}

/// What the reader can have now, without waiting.
fn at_hand(reader: &mut FillReader) -> Vec<u8> {
    let mut all = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(bytes))) = reader.poll_next(&mut cx) {
        all.extend_from_slice(&bytes);
    }
    all
}

async fn next(reader: &mut FillReader) -> Option<Result<Bytes, FillError>> {
    std::future::poll_fn(|cx| reader.poll_next(cx)).await
}

async fn read_all(reader: &mut FillReader) -> Result<Vec<u8>, FillError> {
    let mut all = Vec::new();
    while let Some(bytes) = next(reader).await {
        all.extend_from_slice(&bytes?);
    }
    Ok(all)
}

fn is_pending<F: Future>(future: F) -> bool {
    pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test]
async fn a_small_object_shows_nothing_before_it_is_verified() {
    let (cache, bytes) = (cache(), bytes(10_000));
    let (mut writer, mut first) = lead(&cache, &name(&bytes));
    let mut second = join(&cache, &name(&bytes));
    writer.begin(Some(10_000)).unwrap();
    writer.push(&bytes).await.unwrap();
    assert!(!writer.is_released());
    assert!(is_pending(first.ready()) && is_pending(second.ready()));
    assert!(!found(&cache, &name(&bytes)));
    writer.commit().await.map_err(|(_, error)| error).unwrap();
    for reader in [&mut first, &mut second] {
        assert!(matches!(reader.ready().await, Ok(Ready::Complete(Object::Memory(_)))));
        assert_eq!(read_all(reader).await.unwrap(), bytes);
    }
    assert!(found(&cache, &name(&bytes)));
}

#[tokio::test]
async fn a_large_object_streams_but_for_its_tail() {
    let (cache, bytes) = (cache(), bytes(3 * CHUNK + 17));
    let (mut writer, mut reader) = lead(&cache, &name(&bytes));
    writer.begin(Some(bytes.len() as u64)).unwrap();
    assert!(matches!(reader.ready().await, Ok(Ready::Streaming { len: Some(_) })));
    writer.push(&bytes[..CHUNK]).await.unwrap();
    assert_eq!(at_hand(&mut reader), &bytes[..CHUNK]);
    writer.push(&bytes[CHUNK..]).await.unwrap();
    writer.flush().await.unwrap();
    let shown = bytes.len() - HELD_BACK as usize;
    assert_eq!(at_hand(&mut reader), &bytes[CHUNK..shown]);
    assert!(is_pending(next(&mut reader)));
    writer.commit().await.map_err(|(_, error)| error).unwrap();
    assert_eq!(read_all(&mut reader).await.unwrap(), &bytes[shown..]);
}

#[tokio::test]
async fn wrong_bytes_are_never_found_and_never_complete() {
    let (cache, good) = (cache(), bytes(3 * CHUNK));
    let mut bad = good.clone();
    bad[5] ^= 1;
    let (mut writer, mut reader) = lead(&cache, &name(&good));
    writer.begin(Some(bad.len() as u64)).unwrap();
    writer.push(&bad).await.unwrap();
    let (writer, error) = writer.commit().await.unwrap_err();
    assert!(matches!(error, CommitError::Digest(_)));
    assert!(at_hand(&mut reader).len() < good.len());
    drop(writer);
    assert_eq!(next(&mut reader).await.unwrap().unwrap_err().why, Why::Abandoned);
    assert!(!found(&cache, &name(&good)));
}

#[tokio::test]
async fn too_few_and_too_many_bytes_are_refused() {
    for announced in [9_999, 10_001] {
        let (cache, bytes) = (cache(), bytes(10_000));
        let (mut writer, _reader) = lead(&cache, &name(&bytes));
        writer.begin(Some(announced)).unwrap();
        writer.push(&bytes).await.unwrap();
        let (_, error) = writer.commit().await.unwrap_err();
        assert_eq!(error, CommitError::Length { announced, received: 10_000 });
    }
}

#[tokio::test]
async fn a_hidden_fill_can_begin_anew() {
    let (cache, bytes) = (cache(), bytes(10_000));
    let (mut writer, mut reader) = lead(&cache, &name(&bytes));
    writer.begin(Some(20_000)).unwrap();
    writer.push(&[7; 12_345]).await.unwrap();
    writer.reset();
    assert_eq!((writer.received(), writer.len()), (0, None));
    writer.begin(Some(10_000)).unwrap();
    writer.push(&bytes).await.unwrap();
    writer.commit().await.map_err(|(_, error)| error).unwrap();
    assert!(reader.ready().await.is_ok());
    assert_eq!(read_all(&mut reader).await.unwrap(), bytes);
}

#[tokio::test]
async fn without_readers_only_what_is_nearly_done_is_wanted() {
    let (cache, bytes) = (cache(), bytes(3 * CHUNK));
    let (mut writer, reader) = lead(&cache, &name(&bytes));
    writer.begin(Some(bytes.len() as u64)).unwrap();
    assert!(writer.is_wanted());
    drop(reader);
    assert!(!writer.is_wanted());
    writer.push(&bytes[..bytes.len() - 1000]).await.unwrap();
    assert!(writer.is_wanted());
}

#[tokio::test]
async fn what_fits_nowhere_is_passed_on_within_the_window() {
    let (cache, bytes) = (cache(), bytes(3 * WINDOW));
    let (mut writer, mut reader) = lead(&cache, &name(&bytes));
    writer.begin(Some(bytes.len() as u64)).unwrap();
    let pushed = bytes.clone();
    let writing = tokio::spawn(async move {
        writer.push(&pushed).await.unwrap();
        writer.commit().await.map_err(|(_, error)| error).unwrap();
    });
    assert_eq!(read_all(&mut reader).await.unwrap(), bytes);
    writing.await.unwrap();
    assert!(!found(&cache, &name(&bytes)));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stalls_is_left_behind_by_a_fill_that_fits_nowhere() {
    let (cache, bytes) = (cache(), bytes(3 * WINDOW));
    let (mut writer, mut reader) = lead(&cache, &name(&bytes));
    let mut stalled = join(&cache, &name(&bytes));
    writer.begin(Some(bytes.len() as u64)).unwrap();
    let pushed = bytes.clone();
    let writing = tokio::spawn(async move {
        writer.push(&pushed).await.unwrap();
        writer.commit().await.map_err(|(_, error)| error).unwrap();
    });
    let begun = tokio::time::Instant::now();
    assert_eq!(read_all(&mut reader).await.unwrap(), bytes);
    writing.await.unwrap();
    assert_eq!(next(&mut stalled).await.unwrap().unwrap_err().why, Why::Overrun);
    // It is waited for once, not at every chunk.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_only_reader_may_be_as_slow_as_it_likes() {
    let (cache, bytes) = (cache(), bytes(3 * WINDOW));
    let (mut writer, mut reader) = lead(&cache, &name(&bytes));
    writer.begin(Some(bytes.len() as u64)).unwrap();
    let pushed = bytes.clone();
    let writing = tokio::spawn(async move {
        writer.push(&pushed).await.unwrap();
        writer.commit().await.map_err(|(_, error)| error).unwrap();
    });
    let mut read = Vec::new();
    while let Some(piece) = next(&mut reader).await {
        read.extend_from_slice(&piece.unwrap());
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert!(read == bytes);
    writing.await.unwrap();
}

#[tokio::test]
async fn beyond_the_window_readers_read_back_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, bytes) = (cache_with(Some(folder.path())), bytes(3 * WINDOW + 5));
    let (mut writer, mut quick) = lead(&cache, &name(&bytes));
    let mut slow = join(&cache, &name(&bytes));
    writer.begin(Some(bytes.len() as u64)).unwrap();
    for part in bytes.chunks(100_000) {
        writer.push(part).await.unwrap();
        at_hand(&mut quick);
    }
    let mut late = join(&cache, &name(&bytes));
    late.seek(10);
    writer.commit().await.map_err(|(_, error)| error).unwrap();
    assert_eq!(read_all(&mut slow).await.unwrap(), bytes);
    assert_eq!(read_all(&mut late).await.unwrap(), &bytes[10..]);
    match cache.lookup(&name(&bytes), Share::REST, "") {
        Lookup::Hit(Object::Disk(object)) => assert_eq!(object.len(), bytes.len() as u64),
        _ => panic!("not on disk"),
    }
}

#[tokio::test]
async fn readers_woken_on_another_thread_see_everything() {
    let (cache, bytes) = (cache(), bytes(4 * CHUNK));
    let (mut writer, reader) = lead(&cache, &name(&bytes));
    let readers: Vec<_> = (0..4)
        .map(|_| join(&cache, &name(&bytes)))
        .chain([reader])
        .map(|mut reader| {
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    tokio::time::timeout(Duration::from_secs(20), read_all(&mut reader)).await
                })
            })
        })
        .collect();
    writer.begin(Some(bytes.len() as u64)).unwrap();
    for part in bytes.chunks(7_001) {
        writer.push(part).await.unwrap();
        writer.flush().await.unwrap();
    }
    writer.commit().await.map_err(|(_, error)| error).unwrap();
    for reader in readers {
        assert_eq!(reader.join().unwrap().unwrap().unwrap(), bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// However bytes arrive, are shown and are read: every reader gets exactly the object.
    #[test]
    fn any_order_of_steps_gives_the_same_bytes(
        len in 0..3 * WINDOW / 2,
        announced: bool,
        steps in prop::collection::vec((1..2 * CHUNK, any::<bool>(), 0..4usize), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (cache, bytes) = (cache(), bytes(len));
            let (mut writer, reader) = lead(&cache, &name(&bytes));
            let mut readers = vec![(reader, Vec::new())];
            writer.begin(announced.then_some(len as u64)).unwrap();
            let mut rest = &bytes[..];
            let mut written = Ok(());
            for (size, flush, reads) in steps.iter().cycle() {
                if rest.is_empty() || written.is_err() {
                    break;
                }
                let (now, later) = rest.split_at((*size).min(rest.len()));
                rest = later;
                let pushed = tokio::time::timeout(Duration::from_secs(9), async {
                    writer.push(now).await?;
                    if *flush { writer.flush().await } else { Ok(()) }
                });
                // A fill that is stored nowhere waits for its readers, who are busy writing here.
                written = pushed.await.unwrap_or(Err(FillError::new(Why::Abandoned, "")));
                if readers.len() < 4 && let Lookup::Join(reader) = cache.lookup(&name(&bytes), Share::REST, "") {
                    readers.push((reader, Vec::new()));
                }
                for (reader, read) in readers.iter_mut().skip(*reads) {
                    read.extend(at_hand(reader));
                }
            }
            match written {
                Ok(()) => match tokio::time::timeout(Duration::from_secs(9), writer.commit()).await {
                    Ok(committed) => committed.map_err(|(_, error)| error).unwrap(),
                    Err(_) => assert!(len > WINDOW),
                },
                // Nobody kept up with a fill that is stored nowhere.
                Err(error) => {
                    assert!(error.why == Why::Abandoned && len > WINDOW);
                    writer.fail(error);
                }
            }
            for (mut reader, mut read) in readers {
                match read_all(&mut reader).await {
                    Ok(end) => {
                        read.extend(end);
                        assert!(read == bytes);
                    }
                    Err(error) => assert!(
                        matches!(error.why, Why::Overrun | Why::Abandoned) && len > WINDOW,
                        "{error:?}"
                    ),
                }
            }
        });
    }
}
