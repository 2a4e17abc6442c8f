//! The program as operators meet it: exit codes, and messages that say what is wrong and where.

use std::net::TcpListener;
use std::process::Output;

use crate::support::binary::{Binary, command, config_text};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::Origin;

/// Runs a command to its end.
fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the program runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn a_bad_configuration_ends_with_2_and_says_where() {
    let table = [
        ("[memory]\ncapacty = \"1 GiB\"\n", vec!["capacty", "capacity", ":2"]),
        ("[memory]\ncapacity = \"many\"\n", vec!["[memory] capacity", "many", ":2"]),
        ("[listen]\nproxy = \"not an address\"\n", vec!["proxy"]),
        ("[memory\n", vec![":1"]),
        ("[[mirrors]]\nname = \"a\"\nurls = [\"ftp://a.example.org\"]\n", vec!["urls", "http://"]),
    ];
    for (text, words) in table {
        let file = file(text);
        let path = file.path().to_str().unwrap();
        for command in ["check", "serve"] {
            let output = run(&[command, "--config", path]);
            let said = said(&output);
            assert_eq!(output.status.code(), Some(2), "{command} {text}: {said}");
            assert!(said.contains(path), "{command} does not name the file: {said}");
            for word in &words {
                assert!(said.contains(word), "{command} does not say {word}: {said}");
            }
            assert!(!said.contains("panicked"), "{said}");
        }
    }
}

#[test]
fn a_missing_configuration_file_ends_with_2() {
    let output = run(&["serve", "--config", "/nowhere/substratum.toml"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("/nowhere/substratum.toml"), "{}", said(&output));
}

#[test]
fn a_good_configuration_is_found_good() {
    let file = file(&config_text(&[], None).replace("urls = []", "urls = [\"http://stratum.example.org\"]"));
    let output = run(&["check", "--config", file.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn a_reader_who_has_enough_is_no_error() {
    let file = file("");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = command(&["check", "--config", file.path().to_str().unwrap()]);
    let output = command.stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(said(&output), "");
}

#[test]
fn arguments_that_are_none() {
    let output = run(&["serve", "--no-such-option"]);
    assert_eq!(output.status.code(), Some(2));
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    for word in ["serve", "check", "--config"] {
        assert!(said(&output).contains(word), "{}", said(&output));
    }
    assert_eq!(run(&["--version"]).status.code(), Some(0));
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    for key in ["proxy = [\"127.0.0.1:0\"]", "admin = \"127.0.0.1:0\""] {
        let config = "[listen]\nproxy = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n";
        let mut binary = Binary::spawn(&config.replace(key, &key.replace("127.0.0.1:0", &taken)));
        let status = binary.exit().await;
        assert!(!status.success() && status.code().is_some(), "{status}");
        binary.until_said(&taken).await;
    }
}

#[tokio::test]
async fn a_cache_folder_has_one_user() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        config_text(&[], Some(folder.path())).replace("urls = []", "urls = [\"http://stratum.example.org\"]");
    let first = Binary::serve(&config).await;
    let mut second = Binary::spawn(&config);
    let status = second.exit().await;
    assert!(!status.success() && status.code().is_some(), "{status}");
    second.until_said(folder.path().to_str().unwrap()).await;
    drop(first);
    Binary::serve(&config).await;
}

#[tokio::test]
async fn scrub_names_what_is_bad_and_leaves_a_running_daemon_alone() {
    let folder = tempfile::tempdir().unwrap();
    let object = Object::generate(1, 50_000);
    let stratum = Origin::new().object(&object).run();
    let text = config_text(&[&stratum], Some(folder.path()));
    let config = file(&text);
    let scrub = || run(&["scrub", "--config", config.path().to_str().unwrap()]);
    let mut binary = Binary::serve(&text).await;
    assert!(binary.client().ask(stratum.url(&object.path())).await.unwrap().body == object.bytes);
    binary.until(metric("substratum_disk_objects").at_least(1)).await;
    let output = scrub();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("in use by a running daemon"), "{}", said(&output));
    binary.terminate();
    binary.exit().await;
    let output = scrub();
    assert_eq!((output.status.code(), said(&output).contains("checked 1 objects")), (Some(0), true));
    let segment = std::fs::read_dir(folder.path().join("segments")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[20_000] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let output = scrub();
    let digest = object.path().rsplit('/').next().unwrap().to_owned();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains(&digest) && said(&output).contains("block damaged"), "{}", said(&output));
    assert_eq!(run(&["scrub", "--config", file("").path().to_str().unwrap()]).status.code(), Some(2));
}

#[tokio::test]
async fn a_second_instance_says_so_or_waits() {
    let folder = tempfile::tempdir().unwrap();
    let text = config_text(&[&Origin::new().run()], Some(folder.path()));
    let config = file(&text);
    let mut first = Binary::serve(&text).await;
    let output = run(&["serve", "--config", config.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("in use by another running instance"), "{}", said(&output));
    let second = Binary::spawn_with(&["serve", "--wait"], &text);
    second.until_said("waiting for").await;
    first.terminate();
    assert_eq!(first.exit().await.code(), Some(0));
    second.until_said("listening on").await;
}

#[tokio::test]
async fn a_running_program_says_how_it_does() {
    let stratum = Origin::new().run();
    let binary = Binary::serve(&config_text(&[&stratum], None)).await;
    let admin = binary.admin_address().await.to_string();
    let output = run(&["status", "--admin", &admin]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for words in ["binary     ready;", "memory     0 B of ", &format!("mirror     {}: good", stratum.base())]
    {
        assert!(text.contains(words), "{words} is missing in\n{text}");
    }
}

#[tokio::test]
async fn nobody_to_ask_ends_with_1_and_says_where() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let output = run(&["status", "--admin", &free]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(&format!("nothing answers at {free}")), "{}", said(&output));
}

/// From the configuration alone, and with what the running program adds; and then it happens as it was told.
#[tokio::test]
async fn a_request_is_explained() {
    let object = Object::generate(7, 100);
    let stratum = Origin::new().object(&object).run();
    let config = config_text(&[&stratum], None);
    let file = file(&config);
    let binary = Binary::serve(&config).await;
    let admin = binary.admin_address().await.to_string();
    let explain = |target: &str| {
        let path = file.path().to_str().unwrap();
        run(&["explain", target, "--config", path, "--admin", &admin])
    };
    let output = explain(&stratum.url(&object.path()));
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let base = stratum.base();
    for words in
        [&format!("ask        1. mirror {base}\n"), "running    ready\n", &format!("now        {base}: good")]
    {
        assert!(text.contains(words), "{words} is missing in\n{text}");
    }
    assert_eq!(stratum.requests(), 0, "explaining asks nobody");

    let target = stratum.url("/index.html");
    let output = explain(&target);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let answer = binary.client().ask(&target).await.unwrap();
    let body = String::from_utf8_lossy(&answer.body).trim().to_owned();
    assert!(said(&output).contains(&body), "{body} is missing in\n{}", said(&output));
    assert!(said(&output).contains(&answer.status().to_string()), "{}", said(&output));
}
