//! What of a fill stays in memory as the object.

use super::*;
use crate::cache::MemoryObject;

/// The object that the tier keeps, taken out of it.
fn taken_out(cache: &Arc<Cache>, name: &ObjectName) -> Arc<MemoryObject> {
    let Lookup::Hit(Object::Memory(object)) = cache.lookup(name, Share::REST, "") else {
        panic!("not there")
    };
    cache.memory.load().remove(name);
    cache.memory.load().usage();
    object
}

#[tokio::test]
async fn what_came_without_a_length_takes_no_more_than_its_bytes() {
    for (len, shown) in [(1000, 1000), (1000, 10), (300_000, CHUNK + 4096)] {
        let (cache, bytes) = (cache(), bytes(len));
        let (mut writer, reader) = lead(&cache, &name(&bytes));
        drop(reader);
        writer.begin(None).unwrap();
        writer.push(&bytes[..shown]).await.unwrap();
        writer.flush().await.unwrap();
        writer.push(&bytes[shown..]).await.unwrap();
        writer.commit().await.map_err(|(_, error)| error).unwrap();
        let object = taken_out(&cache, &name(&bytes));
        assert!(object.verify(&name(&bytes)));
        let chunks = object.chunks().to_vec();
        drop(object);
        let capacity = |chunk: Bytes| chunk.try_into_mut().expect("nobody else holds it").capacity();
        let held: usize = chunks.into_iter().map(capacity).sum();
        assert!(held < len + 1000, "{held} for {len}");
    }
}

#[tokio::test]
async fn pieces_as_they_were_shown_become_the_object_without_a_copy() {
    let (cache, bytes) = (cache(), bytes(3 * CHUNK));
    let (mut writer, mut reader) = lead(&cache, &name(&bytes));
    writer.begin(Some(bytes.len() as u64)).unwrap();
    let mut seen = Vec::new();
    for piece in bytes.chunks(100_000) {
        writer.push(piece).await.unwrap();
        writer.flush().await.unwrap();
        while let Poll::Ready(Some(Ok(bytes))) = reader.poll_next(&mut Context::from_waker(Waker::noop())) {
            seen.push(bytes.as_ptr());
        }
    }
    writer.commit().await.map_err(|(_, error)| error).unwrap();
    let object = taken_out(&cache, &name(&bytes));
    let kept: Vec<_> = object.chunks().iter().map(|chunk| chunk.as_ptr()).collect();
    assert!(kept.len() > 4 && seen.starts_with(&kept[..kept.len() - 1]), "{seen:?} {kept:?}");
    assert!(object.verify(&name(&bytes)));
}
