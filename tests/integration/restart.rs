//! What survives the end of the process, orderly or not: every object that was on disk, and never a wrong byte.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::support::binary::{Binary, config_text};
use crate::support::client::{Ask, ClientError};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Origin, Stratum};

/// Objects of all sizes: below and above the sizes that are verified first and kept in memory.
fn objects() -> Vec<Object> {
    let sizes = [10, 100, 4_096, 60_000, 300_000, 2_000_000];
    let others = (1..60).map(|seed| Object::generate(seed, sizes[seed as usize % sizes.len()]));
    [Object::generate(0, 0)].into_iter().chain(others).collect()
}

async fn read_all(binary: &Binary, stratum: &Stratum, objects: &[Object]) {
    let mut client = binary.client();
    for object in objects {
        let answer = client.ask(stratum.url(&object.path())).await.unwrap();
        assert_eq!(answer.status(), 200, "{:?}", answer.head);
        assert!(answer.body == object.bytes);
    }
}

/// Everything that was written is on its way no more: only then a sudden death may not lose it.
async fn until_written(binary: &Binary, objects: &[Object]) {
    binary.until(metric("substratum_disk_objects").at_least(objects.len() as u64)).await;
}

#[tokio::test]
async fn after_sudden_death_everything_is_a_hit() {
    let folder = tempfile::tempdir().unwrap();
    let objects = objects();
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let config = config_text(&[&stratum], Some(folder.path()));
    let binary = Binary::serve(&config).await;
    read_all(&binary, &stratum, &objects).await;
    until_written(&binary, &objects).await;
    binary.kill().await;

    stratum.forget();
    for _ in 0..2 {
        let binary = Binary::serve(&config).await;
        until_written(&binary, &objects).await;
        read_all(&binary, &stratum, &objects).await;
        assert_eq!(stratum.requests(), 0, "{:?}", stratum.requests_by_path());
        binary.kill().await;
    }
}

#[tokio::test]
async fn death_in_the_middle_of_transfers_leaves_no_wrong_byte() {
    let folder = tempfile::tempdir().unwrap();
    let objects: Vec<_> = (0..8).map(|seed| Object::generate(seed, 1_500_000)).collect();
    let stratum = objects.iter().fold(Origin::new(), Origin::object).hold_after(1_000_000).run();
    let config = config_text(&[&stratum], Some(folder.path()));
    let binary = Binary::serve(&config).await;
    let mut clients = Vec::new();
    for object in &objects {
        let mut client = binary.client();
        client.send(&Ask::get(stratum.url(&object.path()))).await.unwrap();
        client.head().await.unwrap();
        client.take(500_000).await.unwrap();
        clients.push(client);
    }
    binary.kill().await;

    stratum.release();
    let binary = Binary::serve(&config).await;
    read_all(&binary, &stratum, &objects).await;
}

#[tokio::test]
async fn sigterm_lets_answers_in_progress_finish() {
    let object = Object::generate(1, 1_500_000);
    let stratum = Origin::new().object(&object).hold_after(1_000_000).run();
    let mut binary = Binary::serve(&config_text(&[&stratum], None)).await;
    let ask = Ask::get(stratum.url(&object.path()));
    let mut client = binary.client();
    client.send(&ask).await.unwrap();
    let head = client.head().await.unwrap();
    let begun = client.take(500_000).await.unwrap();
    binary.terminate();
    // The port closes first: whoever comes now takes the next proxy of its list at once.
    while binary.client().ask(&ask).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stratum.release();
    let rest = client.take(object.bytes.len() - begun.len()).await.unwrap();
    assert_eq!(head.status, 200);
    assert!([begun, rest].concat() == object.bytes);
    let status = binary.exit().await;
    assert_eq!(status.code(), Some(0), "{}", binary.said());
}

#[tokio::test]
async fn sigterm_without_work_ends_at_once_and_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let objects = objects();
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let config = config_text(&[&stratum], Some(folder.path()));
    let mut binary = Binary::serve(&config).await;
    read_all(&binary, &stratum, &objects).await;
    binary.terminate();
    assert_eq!(binary.exit().await.code(), Some(0), "{}", binary.said());

    stratum.forget();
    let binary = Binary::serve(&config).await;
    until_written(&binary, &objects).await;
    read_all(&binary, &stratum, &objects).await;
    assert_eq!(stratum.requests(), 0);
}

/// Inverts a bit every 1,013 bytes of every file below `folder`.
fn damage(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage(&path);
            continue;
        }
        let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        for at in (500..file.metadata().unwrap().len()).step_by(1_013) {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 4], at).unwrap();
        }
    }
}

#[tokio::test]
async fn damage_on_disk_never_reaches_a_client_and_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let objects = objects();
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let config = config_text(&[&stratum], Some(folder.path()));
    let binary = Binary::serve(&config).await;
    read_all(&binary, &stratum, &objects).await;
    until_written(&binary, &objects).await;
    binary.kill().await;
    damage(folder.path());

    stratum.forget();
    let binary = Binary::serve(&config).await;
    let mut client = binary.client();
    for object in &objects {
        let ask = Ask::get(stratum.url(&object.path()));
        let answer = match client.ask(&ask).await {
            // A large object is found bad while it is being sent: it ends short, and the retry is good.
            Err(ClientError::Short { received, .. }) => {
                assert!(received.len() < object.bytes.len());
                client.leave();
                client.ask(ask.no_cache()).await
            }
            other => other,
        };
        assert!(answer.unwrap().body == object.bytes);
    }
    assert!(stratum.requests() >= objects.len() / 2, "damaged objects are fetched anew");

    stratum.forget();
    read_all(&binary, &stratum, &objects).await;
    assert_eq!(stratum.requests(), 0, "repaired");
}
