//! A process that runs out of file descriptors: it says at the start how many it has, accepts nothing for a while, and goes on.

use std::process::Command;

use tokio::net::TcpStream;

use crate::support::binary::{Binary, command, config_text};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::Origin;

/// Files that may be open.
const FEW: usize = 64;

#[tokio::test]
async fn without_descriptors_nobody_is_accepted_until_there_are_some_again() {
    let object = Object::generate(1, 30_000);
    let stratum = Origin::new().object(&object).run();
    let program = command(&[]).get_program().to_owned();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {FEW}; exec \"$0\" serve \"$@\"")]).arg(program);
    let binary = Binary::run(shell, &config_text(&[&stratum], None));
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
