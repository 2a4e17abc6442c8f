//! Who joins whose fill, and who may start one.

use super::*;

#[tokio::test]
async fn only_fills_from_the_same_sources_are_joined() {
    let (cache, bytes) = (cache(), bytes(10_000));
    let (_first, _reader) = lead(&cache, &name(&bytes));
    let Lookup::Lead(mut writer, _reader) = cache.lookup(&name(&bytes), Share::REST, "elsewhere") else {
        panic!("joined a fill from other sources");
    };
    writer.begin(Some(10_000)).unwrap();
    writer.push(&bytes).await.unwrap();
    writer.commit().await.map_err(|(_, error)| error).unwrap();
    assert!(found(&cache, &name(&bytes)));
}

#[tokio::test]
async fn a_failed_fill_is_followed_by_one_that_is_joined() {
    let (cache, bytes) = (cache(), bytes(2 * CHUNK));
    let (mut writer, mut unlucky) = lead(&cache, &name(&bytes));
    writer.begin(Some(bytes.len() as u64)).unwrap();
    let mut again = writer.fail_and_restart(FillError::new(Why::Corrupt, "bad")).unwrap();
    assert_eq!(next(&mut unlucky).await.unwrap().unwrap_err().why, Why::Corrupt);
    let mut lucky = join(&cache, &name(&bytes));
    again.begin(Some(bytes.len() as u64)).unwrap();
    again.push(&bytes).await.unwrap();
    again.commit().await.map_err(|(_, error)| error).unwrap();
    assert_eq!(read_all(&mut lucky).await.unwrap(), bytes);
}

#[tokio::test]
async fn fills_are_bounded_in_all_and_joined_beyond_that() {
    let memory =
        config::Memory { max_object: ByteSize::mib(4), ..config::Memory::with_capacity(ByteSize::mib(16)) };
    let limits = config::Objects { max_fills: 2, ..objects() };
    let metrics = Metrics::new().unwrap().cache;
    let cache = Cache::new(&memory, &limits, None, metrics.clone());
    let names: Vec<_> = (1..=3).map(|len| name(&bytes(len))).collect();
    let (first, _reader) = lead(&cache, &names[0]);
    let _second = lead(&cache, &names[1]);
    assert!(matches!(cache.lookup(&names[2], Share::REST, ""), Lookup::Full));
    assert!(matches!(cache.lookup(&names[1], Share::REST, ""), Lookup::Join(_)));
    assert_eq!(metrics.fill_failures[Why::Overload as usize].get(), 1);
    // A fill that begins anew takes the place of the one it replaces.
    let again = first.fail_and_restart(FillError::new(Why::Corrupt, "bad")).unwrap();
    assert!(matches!(cache.lookup(&names[2], Share::REST, ""), Lookup::Full));
    drop(again);
    assert!(matches!(cache.lookup(&names[2], Share::REST, ""), Lookup::Lead(..)));
}

#[tokio::test]
async fn a_late_request_does_not_join_what_has_lost_its_beginning() {
    let (cache, bytes) = (cache(), bytes(3 * WINDOW));
    let (mut writer, mut reader) = lead(&cache, &name(&bytes));
    writer.begin(None).unwrap();
    for part in bytes[..2 * WINDOW].chunks(CHUNK) {
        writer.push(part).await.unwrap();
        at_hand(&mut reader);
    }
    assert!(matches!(cache.lookup(&name(&bytes), Share::REST, ""), Lookup::Lead(..)));
}

#[tokio::test]
async fn what_was_filled_is_found_at_every_moment_until_it_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Metrics::new().unwrap();
    let disk = config::Disk::new(folder.path().to_owned(), ByteSize::mib(64));
    let disk = Disk::open(&disk, metrics.disk.clone()).unwrap();
    let memory = config::Memory::with_capacity(ByteSize(0));
    let cache = Cache::new(&memory, &objects(), Some(disk), metrics.cache.clone());
    for len in 1..=300 {
        let bytes = bytes(len);
        let (mut writer, _reader) = lead(&cache, &name(&bytes));
        writer.begin(Some(len as u64)).unwrap();
        writer.push(&bytes).await.unwrap();
        // Others look all the time: before it ends, while it waits for the disk, while it is written.
        std::thread::scope(|scope| {
            let others = scope.spawn(|| {
                let mut looks = 0;
                while !cache.disk().unwrap().contains(&name(&bytes)) {
                    let lookup = cache.lookup(&name(&bytes), Share::REST, "");
                    assert!(
                        !matches!(lookup, Lookup::Lead(..)),
                        "lost from sight: {len} bytes, look {looks}"
                    );
                    looks += 1;
                }
            });
            // Kept nowhere but in its window until now: it ends without waiting for anything.
            let end = pin!(writer.commit()).poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(end, Poll::Ready(Ok(()))));
            others.join().unwrap();
        });
    }
    assert_eq!(metrics.cache.led.get(), 300);
}
