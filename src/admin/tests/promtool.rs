//! Metrics as Prometheus' own tool judges them.

use std::process::{Command, Stdio};

use super::*;

#[tokio::test]
async fn promtool_has_nothing_to_say() {
    let server = Server::start(limits()).await;
    let metrics = server.get("/metrics").await.body;
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match promtool.spawn() {
        Ok(child) => child,
        Err(error) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "promtool (Debian package prometheus) is needed: {error}"
            );
            eprintln!("not checked: promtool (Debian package prometheus) is not installed");
            return;
        }
    };
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), metrics.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
