//! Monitoring that asks squids by SNMP goes on asking: net-snmp's own programs do, here.

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::binary::{Binary, config_text};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin};
use crate::support::peer;

const ROOT: &str = ".1.3.6.1.4.1.3495.1";

/// The address of a program that answers SNMP.
async fn address(binary: &Binary) -> String {
    binary.until_said("snmp on ").await;
    let said = binary.said();
    said.lines().find_map(|line| line.strip_prefix("snmp on ")).expect("an address").to_owned()
}

/// Runs a program of net-snmp: whether it was content, and what it said.
async fn ask(program: &'static str, arguments: &[&str]) -> Option<(bool, String)> {
    let mut command = Command::new(peer::find(program)?);
    // Numbers only: no MIB files are needed. One attempt of a second: who is not answered need not be waited for.
    command.args(["-v2c", "-On", "-m", "", "-r", "0", "-t", "1"]).args(arguments).env("HOME", "/nonexistent");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("it runs");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), said))
}

/// `.1.3.6...1.1.0 = INTEGER: 7` -> `1.1.0`, `INTEGER: 7`
fn rows(said: &str) -> BTreeMap<String, String> {
    let row = |line: &str| {
        let (name, value) = line.split_once(" = ")?;
        Some((name.strip_prefix(ROOT)?.trim_start_matches('.').to_owned(), value.to_owned()))
    };
    said.lines().filter_map(row).collect()
}

#[tokio::test]
async fn a_walk_brings_the_figures_of_the_metrics() {
    let object = Object::generate(1, 300_000);
    let stratum = Origin::new().object(&object).run();
    let config =
        config_text(&[&stratum], None) + "[admin]\nsnmp = \"127.0.0.1:0\"\nsnmp_community = \"site\"\n";
    let binary = Binary::serve(&config).await;
    let mut client = binary.client();
    for _ in 0..4 {
        client.ask(stratum.url(&object.path())).await.unwrap();
    }
    stratum.inject(Fault::Status(503));
    client.ask(stratum.url(&Object::generate(2, 10).path())).await.unwrap();
    binary.until(metric("substratum_requests_total").eq(5)).await;
    let address = address(&binary).await;

    let Some((well, said)) = ask("snmpwalk", &["-c", "site", &address, ROOT]).await else { return };
    assert!(well, "{said}");
    let walked = rows(&said);
    for (name, expected) in [
        ("3.2.1.1.0", "Counter32: 5"),
        ("3.2.1.2.0", "Counter32: 3"),
        ("3.2.1.3.0", "Counter32: 1"),
        ("3.2.1.5.0", "Counter32: 1171"),
        ("3.2.1.12.0", "Counter32: 292"),
        ("3.1.7.0", "Gauge32: 1"),
        ("2.2.0", "STRING: \"substratum\""),
        ("2.6.0", "STRING: \"binary\""),
    ] {
        assert_eq!(walked.get(name).map(String::as_str), Some(expected), "{name} in\n{said}");
    }
    assert!(walked["1.3.0"].starts_with("Timeticks: ("), "{said}");
    assert_eq!(walked.len(), 23, "{said}");

    let (well, said) = ask("snmpbulkwalk", &["-c", "site", &address, ROOT]).await.unwrap();
    assert!(well && rows(&said).keys().eq(walked.keys()), "{said}");
    let (_, said) = ask("snmpget", &["-c", "site", &address, ".1.3.6.1.2.1.1.1.0"]).await.unwrap();
    assert!(said.contains("No Such Object"), "{said}");
}

#[tokio::test]
async fn others_are_not_answered() {
    let stratum = Origin::new().run();
    let binary = Binary::serve(&(config_text(&[&stratum], None) + "[admin]\nsnmp = \"127.0.0.1:0\"\n")).await;
    let address = address(&binary).await;
    let name = format!("{ROOT}.2.2.0");
    let Some((well, said)) = ask("snmpget", &["-c", "other", &address, &name]).await else { return };
    assert!(!well && said.contains("Timeout"), "{said}");
    let (well, said) = ask("snmpset", &["-c", "public", &address, &name, "s", "squid"]).await.unwrap();
    assert!(!well && said.contains("Timeout"), "{said}");
    // Neither does harm, nor does what is no SNMP at all.
    let noise = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for bytes in [&[][..], &[0x30], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0xff; 9000]] {
        noise.send_to(bytes, &address).await.unwrap();
    }
    let (well, said) = ask("snmpget", &["-c", "public", &address, &name]).await.unwrap();
    assert!(well && said.contains("substratum"), "{said}");
}
