//! The documents as a newcomer takes them: every command line in their blocks is run, every configuration read, and every command that the
//! prose names is put to the parser of the command line.
//!
//! A shell runs the lines, in a folder that stands for the machine; ports and the strata of the world are those of the play. What
//! takes root, a cluster or a network is listed here, with what of it can be checked all the same. A line of no known kind is a
//! finding: whoever writes it adds it here.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Parser;
use rustix::process::{Pid, Signal, kill_process};
use substratum::cli::Arguments;
use substratum::config::Config;

use crate::support::binary::{Binary, config_text};
use crate::support::origin::{Origin, Page};
use crate::support::peer;

/// Documents that newcomers follow.
const DOCUMENTS: [&str; 5] = [
    "README.md",
    "docs/install.md",
    "docs/operate.md",
    "docs/migrate-from-squid.md",
    "docs/configuration.md",
];

/// Of the strata that the documents name.
const STRATUM: &str = "http://cvmfs-stratum-one.cern.ch:8000";
const MANIFEST: &str = "/cvmfs/cvmfs-config.cern.ch/.cvmfspublished";

/// Beginnings of lines that nobody can run in a test, and why.
const ELSEWHERE: [(&str, &str); 9] = [
    ("apt-get install ", "takes root and a network"),
    ("rustup target add ", "takes a network"),
    ("cargo install ", "takes a network"),
    ("cargo build --release", "another build than that of the tests"),
    ("cargo test", "this is it"),
    ("useradd ", "takes root"),
    ("systemctl ", "takes root and systemd"),
    ("kubectl apply ", "takes a cluster"),
    ("deploy/packaging/build.sh", "takes minutes; deploy/packaging/check.py runs it"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A block of a document: its language and its text.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split("\n```").skip(1).step_by(2);
    parts.map(|block| block.split_once('\n').unwrap_or((block, ""))).collect()
}

/// A command line without what is said behind it.
fn without_comment(line: &str) -> &str {
    let said = line.find("  #").or_else(|| line.starts_with('#').then_some(0));
    line[..said.unwrap_or(line.len())].trim_end()
}

/// The folder that stands for the machine.
struct Machine {
    folder: tempfile::TempDir,
    replacements: Vec<(String, String)>,
}

impl Machine {
    fn new(replacements: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let within = |path: &str| folder.path().join(path);
        for path in
            ["bin", "usr/bin", "etc/substratum", "etc/squid", "etc/systemd/system", "var/log/substratum"]
        {
            fs::create_dir_all(within(path)).unwrap();
        }
        let program = env!("CARGO_BIN_EXE_substratum");
        std::os::unix::fs::symlink(program, within("bin/substratum")).unwrap();
        fs::copy(root().join("tests/data/squid/distribution.squid.conf"), within("etc/squid/squid.conf"))
            .unwrap();
        let customize = "awk --file `dirname $0`/customhelps.awk --source '{\nsetoption(\"acl NET_LOCAL src\", \"10.0.0.0/8\")\n\
                         setoption(\"cache_mem\", \"128 MB\")\nprint\n}'\n";
        fs::write(within("etc/squid/customize.sh"), customize).unwrap();
        let site =
            read("config/site.toml").replace("\"/var/", &format!("\"{}/var/", folder.path().display()));
        fs::write(within("FILE"), site).unwrap();
        let mut all = vec![("target/release/substratum".to_owned(), program.to_owned())];
        // A word at the beginning of which a path of the machine stands.
        for path in ["/etc/", "/usr/bin/"] {
            all.push((format!(" {path}"), format!(" {}{path}", folder.path().display())));
        }
        all.push((" config/".into(), format!(" {}/config/", root().display())));
        all.push((" deploy/".into(), format!(" {}/deploy/", root().display())));
        all.extend(replacements.iter().map(|(from, to)| ((*from).to_owned(), to.clone())));
        Self { folder, replacements: all }
    }

    fn shell(&self, line: &str) -> Command {
        let line = self.replacements.iter().fold(line.to_owned(), |line, (from, to)| line.replace(from, to));
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command.args(["-c", &line]).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("PATH", format!("{}:{path}", self.folder.path().join("bin").display()));
        command.env("HOME", self.folder.path()).env("XDG_CACHE_HOME", self.folder.path().join("var"));
        command.env_remove("RUST_LOG");
        command
    }

    /// What is wrong with a line that ends by itself.
    fn run(&self, line: &str) -> Option<String> {
        let output = self.shell(line).output().unwrap();
        let said = String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned();
        (!output.status.success()).then(|| format!("{}: {said}", output.status))
    }

    /// What is wrong with a line that serves until it is told to stop.
    fn serve(&self, line: &str) -> Option<String> {
        // In place of the shell, so that it is the program that is told.
        let mut command = self.shell(&format!("exec {}", line.trim_end_matches(['&', ' '])));
        for (variable, value) in [("LISTEN_PROXY", "127.0.0.1:0"), ("LISTEN_ADMIN", "127.0.0.1:0")] {
            command.env(format!("SUBSTRATUM_{variable}"), value);
        }
        command.env("SUBSTRATUM_DISK_PATH", self.folder.path().join("var/disk"));
        command.env("SUBSTRATUM_DISK_CAPACITY", "64 MiB");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut all = String::new();
        while !all.contains("listening on ") && said.read_line(&mut all).unwrap() > 0 {}
        // The rest has to be taken, or it would stand in the way of the end.
        let rest = std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
        let status = child.wait().unwrap();
        rest.join().unwrap().unwrap();
        (!all.contains("listening on ") || !status.success()).then(|| format!("{status}: {all}"))
    }
}

/// What of a line can be checked without running it.
fn elsewhere(line: &str) -> Option<String> {
    for word in line.split_whitespace() {
        let unit = word.ends_with(".service") || word.ends_with(".socket");
        if unit && !root().join("deploy/systemd").join(word).exists() {
            return Some(format!("there is no unit {word}"));
        }
        if word.starts_with("deploy/") && !root().join(word).exists() {
            return Some(format!("there is no {word}"));
        }
    }
    let parts = line.strip_prefix("deploy/packaging/build.sh")?.split_whitespace();
    let script = read("deploy/packaging/build.sh");
    let unknown = parts.filter(|part| !script.contains(&format!("\n{part}() {{"))).collect::<Vec<_>>();
    (!unknown.is_empty()).then(|| format!("build.sh makes no {unknown:?}"))
}

/// `NAME=value NAME="other value"`: settings of clients, or variables of ours.
fn is_assignment(line: &str) -> bool {
    let name = line.split('=').next().unwrap_or_default();
    line.contains('=') && name.bytes().all(|c| c.is_ascii_uppercase() || c == b'_')
}

/// What is wrong with a line.
fn tried(machine: &Machine, line: &str) -> Option<String> {
    let program = line.strip_prefix("target/release/").unwrap_or(line);
    if program == "substratum"
        || program.starts_with("substratum --config ")
        || program.starts_with("substratum serve")
    {
        machine.serve(line)
    } else if program.starts_with("substratum ") || line.starts_with("install ") {
        machine.run(line)
    } else if let Some(arguments) = line.strip_prefix("cargo run --release -- ") {
        parsed(arguments)
    } else if let Some(rest) = line.strip_prefix("curl ") {
        peer::find("curl")?;
        machine.run(&format!("curl --fail --silent --show-error {rest}"))
    } else if line.starts_with("SUBSTRATUM_") && is_assignment(line) {
        machine.run(&format!("{line} substratum check --config FILE"))
    } else if is_assignment(line) {
        machine.run(line)
    } else if ELSEWHERE.iter().any(|(beginning, _)| line.starts_with(beginning)) {
        elsewhere(line)
    } else {
        Some("no line of a known kind: see ELSEWHERE in tests/integration/newcomer.rs".to_owned())
    }
}

#[tokio::test]
async fn every_command_line_works() {
    let stratum = Origin::new().page(MANIFEST, Page::new("a manifest")).run();
    let binary = Binary::serve(&config_text(&[&stratum], None)).await;
    let replacements = [
        ("127.0.0.1:3128", binary.address().to_string()),
        ("127.0.0.1:3129", binary.admin_address().await.to_string()),
        (STRATUM, stratum.base()),
    ];
    let (findings, run) = tokio::task::spawn_blocking(move || {
        let (mut findings, mut run) = (Vec::new(), 0);
        for document in DOCUMENTS {
            let text = read(document);
            for (_, block) in blocks(&text).into_iter().filter(|(language, _)| matches!(*language, "sh" | ""))
            {
                let machine = Machine::new(&replacements);
                for line in block.lines().map(without_comment).filter(|line| !line.is_empty()) {
                    run += 1;
                    findings.extend(
                        tried(&machine, line).map(|wrong| format!("{document}: {line}\n    {wrong}")),
                    );
                }
            }
        }
        (findings, run)
    })
    .await
    .unwrap();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(run >= 25, "{run} lines: the blocks are not found any more");
}

/// What the parser of the command line says against these words, in which some stand for what readers fill in.
fn parsed(line: &str) -> Option<String> {
    let filled = |word: &str| match word {
        "IP" => "127.0.0.1".to_owned(),
        "ADDR" => "127.0.0.1:3129".to_owned(),
        other => other.trim_matches('"').to_owned(),
    };
    // A command that is only named.
    let alone = (line.split_whitespace().count() == 1).then(|| "--help".to_owned());
    let words =
        std::iter::once("substratum".to_owned()).chain(line.split_whitespace().map(filled)).chain(alone);
    match Arguments::try_parse_from(words) {
        Ok(_) => None,
        Err(error) if !error.use_stderr() => None,
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn every_command_named_is_one() {
    let mut findings = Vec::new();
    let mut named = 0;
    let mut all: Vec<_> = DOCUMENTS.iter().map(|document| (*document).to_owned()).collect();
    all.push("CHANGELOG.md".to_owned());
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        all.extend(name.ends_with(".md").then(|| format!("docs/{name}")));
    }
    all.extend(["config/site.toml", "config/node.toml"].map(str::to_owned));
    for document in all {
        let text = read(&document);
        // In prose: between backticks, outside of blocks. In configurations: wherever a comment names one.
        let prose: String = text.split("\n```").step_by(2).collect();
        for code in prose.split('`').skip(1).step_by(2) {
            let Some(arguments) = code.strip_prefix("substratum ") else { continue };
            // What follows a pipe or stands for more is not ours.
            let arguments = arguments.split(['|', '>']).next().unwrap_or_default().replace("...", "");
            named += 1;
            findings.extend(parsed(&arguments).map(|wrong| format!("{document}: {code}\n    {wrong}")));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(named >= 15, "{named} commands: they are not found any more");
}

#[test]
fn every_configuration_shown_is_read() {
    let mut shown = 0;
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (_, block) in blocks(&text).into_iter().filter(|(language, _)| *language == "toml") {
            // What stands around it in a file.
            let disk =
                if block.contains("[disk]") { "" } else { "[disk]\npath = \"/c\"\ncapacity = \"1 TB\"\n" };
            if let Err(error) = Config::parse(&format!("{block}\n{disk}"), &path) {
                panic!("{}: {error}\n{block}", path.display());
            }
            shown += 1;
        }
    }
    assert!(shown >= 2, "{shown}");
}

#[test]
fn prometheus_takes_what_is_shown_for_it() {
    let Some(promtool) = peer::find("promtool") else { return };
    let text = read("docs/operate.md");
    for (_, block) in blocks(&text).into_iter().filter(|(language, _)| *language == "yaml") {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), block).unwrap();
        let output = Command::new(&promtool)
            .args(["check", "config", "--syntax-only"])
            .arg(file.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}\n{block}", String::from_utf8_lossy(&output.stderr));
    }
}
