//! Which folders are used, and by whom.

use super::*;

fn check(prepare: impl FnOnce(&Path), expected: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    prepare(&path);
    let message = match Folder::open(&path, Faults::default()) {
        Ok(_) => "opened".to_owned(),
        Err(error) => error.to_string(),
    };
    assert!(message.contains(expected), "{message}");
}

fn with_files(files: &[(&str, &str)]) -> impl FnOnce(&Path) {
    move |path| {
        fs::create_dir(path).unwrap();
        for (name, content) in files {
            fs::write(path.join(name), content).unwrap();
        }
    }
}

#[test]
fn only_a_folder_of_ours_is_opened() {
    check(|_| {}, "opened");
    check(with_files(&[]), "opened");
    check(with_files(&[("lock", ""), ("format.new", "substratum")]), "opened");
    check(with_files(&[("format", "substratum disk cache, format 1\n"), ("note", "")]), "opened");
    check(with_files(&[("thesis.tex", "")]), "is not a disk cache (it contains `thesis.tex`)");
    check(with_files(&[("format", "something\n")]), "is not a disk cache");
    check(
        with_files(&[("format", "substratum disk cache, format 2\n")]),
        "format 2, this program knows up to 1",
    );
    check(
        with_files(&[("format", "substratum disk cache, format 2\nchecksum 00000000\n")]),
        "is not a disk cache",
    );
    check(|path| fs::write(path, "").unwrap(), "is not a folder");
}

#[test]
fn an_older_format_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FORMAT), "substratum disk cache, format 0\n").unwrap();
    fs::create_dir(dir.path().join(SEGMENTS)).unwrap();
    fs::write(dir.path().join(SEGMENTS).join("segment-0"), "old").unwrap();
    let folder = Folder::open(dir.path(), Faults::default()).unwrap();
    assert_eq!(fs::read_dir(folder.segments_path()).unwrap().count(), 0);
    assert_eq!(read_format(dir.path()).unwrap(), Format::Version(VERSION));
}

#[test]
fn one_instance_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path(), Faults::default()).unwrap();
    assert!(matches!(Folder::open(dir.path(), Faults::default()), Err(OpenError::Locked { .. })));
    folder.unlock();
    assert!(Folder::open(dir.path(), Faults::default()).is_ok());
}
