//! The units for systemd: systemd itself reads them, and finds little to attack.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::peer;

/// `systemd-analyze security` counts in tenths; 2.0 is where its "OK" ends for a network service.
const EXPOSURE: &str = "--threshold=20";

const UNITS: [&str; 2] = ["substratum", "substratum-node"];

fn analyze(arguments: &[&str], folder: &Path) -> String {
    let program = peer::find("systemd-analyze").expect("looked for before");
    let output =
        Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

#[test]
fn systemd_reads_them_and_finds_little_to_attack() {
    if peer::find("systemd-analyze").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd");
    for unit in UNITS {
        // The program of the unit must be there.
        let service = std::fs::read_to_string(source.join(format!("{unit}.service"))).unwrap();
        let service = service.replace("/usr/bin/substratum", env!("CARGO_BIN_EXE_substratum"));
        std::fs::write(folder.path().join(format!("{unit}.service")), service).unwrap();
        let socket = format!("{unit}.socket");
        std::fs::copy(source.join(&socket), folder.path().join(&socket)).unwrap();
    }
    for unit in UNITS {
        let (service, socket) = (format!("./{unit}.service"), format!("./{unit}.socket"));
        let complaints = analyze(&["verify", &service, &socket], folder.path());
        let ours: Vec<_> = complaints.lines().filter(|line| line.contains("substratum")).collect();
        assert_eq!(ours, Vec::<&str>::new());
        analyze(&["security", "--offline=true", EXPOSURE, &service], folder.path());
    }
}
