//! A process that runs out of file descriptors: it says at the start how many it has, accepts nothing for a while, and goes on.

use std::process::Command;

use tokio::net::TcpStream;

use crate::support::binary::{Binary, command, config_text};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::Origin;

/// Files that may be open.
const FEW: usize = 64;

/// The program, with so few.
fn with_few() -> Command {
    let program = command(&[]).get_program().to_owned();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {FEW}; exec \"$0\" serve \"$@\"")]).arg(program);
    shell
}

#[tokio::test]
async fn without_descriptors_nobody_is_accepted_until_there_are_some_again() {
    let object = Object::generate(1, 30_000);
    let stratum = Origin::new().object(&object).run();
    let binary = Binary::run(with_few(), &config_text(&[&stratum], None));
    binary.until_said(&format!("at most {FEW} files may be open")).await;
    binary.until_said("serving: ").await;
    let url = stratum.url(&object.path());
    assert!(binary.client().ask(&url).await.unwrap().body == object.bytes);

    let mut crowd = Vec::new();
    for _ in 0..2 * FEW {
        // The kernel takes them; the process does not get round to all.
        crowd.push(TcpStream::connect(binary.address()).await.unwrap());
    }
    binary.until_said("cannot accept connections for now").await;
    drop(crowd);
    assert!(binary.client().ask(&url).await.unwrap().body == object.bytes);
    binary
        .until(metric("substratum_connections_refused_total").label("reason", "accept_error").at_least(1))
        .await;
    binary.until(metric("substratum_connections").eq(0)).await;
}

#[tokio::test]
async fn more_segments_than_descriptors_leave_enough_for_serving() {
    let folder = tempfile::tempdir().unwrap();
    // Each has a segment of its own.
    let objects: Vec<_> = (0..2 * FEW as u64).map(|seed| Object::generate(seed, 300_000)).collect();
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let config = config_text(&[&stratum], Some(folder.path())) + "segment = \"1 MiB\"\n";
    let binary = Binary::serve(&config).await;
    for object in &objects {
        assert!(binary.client().ask(stratum.url(&object.path())).await.unwrap().body == object.bytes);
    }
    binary.until(metric("substratum_disk_objects").eq(objects.len() as u64)).await;
    binary.kill().await;

    let binary = Binary::run(with_few(), &config);
    binary.until_said("more segments of the disk cache than half of the files").await;
    binary.until(metric("substratum_disk_index_loaded").eq(1)).await;
    binary.until(metric("substratum_disk_objects").at_least(FEW as u64 / 2 - 2)).await;
    binary
        .until(metric("substratum_disk_segments_troubled").at_least(objects.len() as u64 - FEW as u64 / 2))
        .await;
    stratum.forget();
    // The latest first: what is stored anew takes the place of older segments.
    for object in objects.iter().rev() {
        assert!(binary.client().ask(stratum.url(&object.path())).await.unwrap().body == object.bytes);
    }
    assert!(stratum.requests() <= objects.len() - FEW / 4, "{}", stratum.requests());
    binary.until(metric("substratum_disk_write_errors_total").eq(0)).await;
}
