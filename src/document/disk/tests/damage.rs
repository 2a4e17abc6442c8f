//! Files that are not what was written: nothing of them is served, and it is counted.

use proptest::prelude::*;

use super::*;

const FIELDS: Fields<'_> = &[("cache-control", "max-age=3600"), ("vary", "f"), ("etag", "\"a\"")];

/// One document in a folder, and its file.
fn one() -> (House, PathBuf) {
    let house = House::new(MIB);
    let run = house.open();
    let asked: Fields<'_> = &[("f", "1")];
    run.put("/x", asked, &came(Duration::ZERO, asked, FIELDS, "the body"));
    drop(run);
    let file = house.documents().remove(0);
    (house, file)
}

fn check_dropped(house: &House, what: &str) {
    let corrupt = house.metrics.document.disk.dropped.corrupt.get();
    let run = house.open();
    assert!(run.find("/x", &[("f", "1")]).is_none(), "{what}");
    assert_eq!(house.metrics.document.disk.dropped.corrupt.get(), corrupt + 1, "{what}");
    assert_eq!(house.documents(), Vec::<PathBuf>::new(), "{what}");
}

#[test]
fn a_flipped_bit_anywhere() {
    let (house, file) = one();
    let good = fs::read(&file).unwrap();
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        fs::write(&file, bad).unwrap();
        check_dropped(&house, &format!("byte {byte}"));
    }
    fs::write(&file, good).unwrap();
    assert_eq!(house.open().text("/x", &[("f", "1")]).as_deref(), Some("the body"));
}

#[test]
fn a_file_that_ends_anywhere_or_goes_on() {
    let (house, file) = one();
    let good = fs::read(&file).unwrap();
    for length in 0..good.len() {
        fs::write(&file, &good[..length]).unwrap();
        check_dropped(&house, &format!("{length} bytes"));
    }
    fs::write(&file, [&good[..], b"more"].concat()).unwrap();
    check_dropped(&house, "more bytes");
    fs::write(&file, vec![0; good.len()]).unwrap();
    check_dropped(&house, "zeros");
}

#[test]
fn a_file_under_the_name_of_another() {
    let (house, file) = one();
    let other = house.folder.join("0123456789abcdef-0123456789abcdef");
    fs::rename(&file, &other).unwrap();
    check_dropped(&house, "renamed");
    // And what is none at all.
    for name in ["new", "note", "0123"] {
        fs::write(house.folder.join(name), "text").unwrap();
    }
    fs::create_dir(house.folder.join("folder")).unwrap();
    drop(house.open());
    assert_eq!(house.files(), [house.folder.join("folder")]);
}

/// Makes a record one of a newer version.
fn renew(path: &std::path::Path) {
    let mut record = fs::read(path).unwrap();
    record[8] += 1;
    let checksum = crc32fast::hash(&record[..16]);
    record[16..20].copy_from_slice(&checksum.to_le_bytes());
    fs::write(path, record).unwrap();
}

#[test]
fn what_a_newer_program_wrote_is_left_to_it_while_there_is_room() {
    let (house, file) = one();
    renew(&file);
    for n in 1..3 {
        let run = house.open();
        assert!(run.find("/x", &[("f", "1")]).is_none());
        assert_eq!(house.metrics.document.disk.dropped.newer.get(), n);
        assert_eq!(house.documents(), [file.as_path()]);
    }
    // It is the first to go.
    let run = house.open();
    for n in 0..300 {
        run.put(&format!("/{n}"), &[], &fresh("x"));
        assert!(house.size() <= house.bound);
    }
    assert!(!file.exists());
}

proptest! {
    /// Content that a checksum vouches for and that means nothing, or something: read without harm, and written as it was.
    #[test]
    fn any_content_is_read_or_refused(content in prop::collection::vec(any::<u8>(), 0..300), cut in 0..200_usize) {
        for kind in [record::Kind::Document, record::Kind::Manifest] {
            let bytes = Bytes::from(record::seal(kind, &content).unwrap());
            let _ = (codec::read_document(&bytes), codec::read_mark(&bytes));
        }
        // And pieces of what does mean something.
        let asked: Fields<'_> = &[("f", "1")];
        let date = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(10));
        let fields = [FIELDS, &[("date", date.as_str())]].concat();
        let good = codec::document(&key("/x"), &came(Duration::ZERO, asked, &fields, &content)).unwrap();
        let (sound, _) = record::open(record::Kind::Document, &good).unwrap();
        let end = cut.min(sound.len());
        let mixed = [&sound[..end], &content[..]].concat();
        let _ = codec::read_document(&record::seal(record::Kind::Document, &mixed).unwrap().into());
        let (read, written) = codec::read_document(&good.clone().into()).unwrap();
        let stored = written.document(&read, &Terms::default(), SystemTime::now()).unwrap();
        prop_assert_eq!(codec::document(&read, &stored).unwrap(), good);
    }
}

#[test]
fn a_scrub_finds_and_removes_it() {
    let (house, file) = one();
    let run = house.open();
    for n in 0..5 {
        run.put(&format!("/{n}"), &[], &fresh("x"));
    }
    assert_eq!(manifests::served(&run, "a", 7), 7);
    assert_eq!(manifests::served(&run, "b", 7), 7);
    drop(run);
    let none = &mut |finding| panic!("{finding:?}");
    assert_eq!(scrub(&house.folder, none).unwrap(), Scrubbed { records: 8, bad: 0 });
    let flip = |path: &PathBuf, at: usize| {
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    flip(&file, 99);
    flip(&house.folder.join("manifests"), SLOT as usize + 99);
    let mut found = Vec::new();
    let sum = scrub(&house.folder, &mut |finding| found.push(finding)).unwrap();
    assert_eq!(sum, Scrubbed { records: 8, bad: 2 });
    assert_eq!(found[0].file, file.file_name().unwrap().to_str().unwrap());
    assert_eq!((&*found[1].file, found[1].offset, &*found[1].fault), ("manifests", SLOT, "damaged"));
    assert_eq!(scrub(&house.folder, none).unwrap(), Scrubbed { records: 6, bad: 0 });
    assert_eq!(scrub(&house.folder.join("not there"), none).unwrap(), Scrubbed::default());
}
