//! A disk that fails in the middle of an answer: the rest comes from a stratum, and the client sees nothing of it.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;
use substratum::cache::disk::faults::{Interference, Operation, Verdict};
use substratum::config::ByteSize;

use crate::support::client::{Ask, Client};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Page, Stratum};
use crate::support::proxy::{Proxy, site};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// Every read fails.
    Broken,
    /// No read comes back.
    Hanging,
}

struct Disk {
    mood: Mutex<Mood>,
    turned: Condvar,
}

impl Disk {
    fn new() -> Arc<Self> {
        Arc::new(Self { mood: Mutex::new(Mood::Well), turned: Condvar::new() })
    }

    fn turn(&self, mood: Mood) {
        *self.mood.lock() = mood;
        self.turned.notify_all();
    }
}

impl Interference for Disk {
    fn judge(&self, operation: Operation) -> Verdict {
        let mut mood = self.mood.lock();
        match (*mood, operation) {
            (Mood::Well, _) => Verdict::Go,
            (Mood::Broken, Operation::Read | Operation::ReadCached) => Verdict::Fail(Errno::IO),
            (Mood::Hanging, Operation::ReadCached) => Verdict::Fail(Errno::AGAIN),
            (Mood::Hanging, Operation::Read) => {
                self.turned.wait_while(&mut mood, |mood| *mood == Mood::Hanging);
                Verdict::Go
            }
            _ => Verdict::Go,
        }
    }
}

/// A tier without memory that has the object on disk.
async fn stored(stratum: &Stratum, disk: &Arc<Disk>, object: &Object) -> Proxy {
    let setup = site(&[stratum]).no_memory().disk(ByteSize::mib(64)).on(disk.clone());
    let proxy = Proxy::start(setup).await;
    proxy.get(stratum.url(&object.path())).await;
    proxy.flush();
    assert_eq!(proxy.get(stratum.url(&object.path())).await.get("X-Cache").split(' ').next(), Some("HIT"));
    assert_eq!(stratum.requests(), 1);
    proxy
}

/// Asks, and has the disk turn when the answer has begun.
async fn ask_while_it_turns(proxy: &Proxy, disk: &Disk, mood: Mood, ask: &Ask) -> Result<Vec<u8>, String> {
    let mut client = Client::with_small_buffer(proxy.address());
    client.send(ask).await.unwrap();
    let head = client.head().await.unwrap();
    disk.turn(mood);
    client.body(&head, ask).await.map(Into::into).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_read_that_fails_is_followed_by_the_stratum() {
    let object = Object::generate(1, 6_000_000);
    let stratum = Origin::new().object(&object).run();
    let disk = Disk::new();
    let proxy = stored(&stratum, &disk, &object).await;
    let url = stratum.url(&object.path());
    let whole = ask_while_it_turns(&proxy, &disk, Mood::Broken, &Ask::get(url.as_str())).await;
    assert!(whole.unwrap() == object.bytes);
    assert_eq!(stratum.requests(), 2);
    disk.turn(Mood::Well);
    proxy.until(metric("substratum_fills").eq(0)).await;
    proxy.flush();

    // Stored anew meanwhile.
    let part = Ask::get(url.as_str()).field("Range", "bytes=1000000-5999999");
    let part = ask_while_it_turns(&proxy, &disk, Mood::Broken, &part).await;
    assert!(part.unwrap() == object.bytes[1_000_000..]);
    assert_eq!(stratum.requests(), 3);
    disk.turn(Mood::Well);
}

#[tokio::test]
async fn a_read_that_hangs_is_not_waited_for() {
    let object = Object::generate(1, 6_000_000);
    let stratum = Origin::new().object(&object).run();
    let disk = Disk::new();
    let proxy = stored(&stratum, &disk, &object).await;
    let ask = Ask::get(stratum.url(&object.path()));
    let whole = ask_while_it_turns(&proxy, &disk, Mood::Hanging, &ask).await;
    disk.turn(Mood::Well);
    assert!(whole.unwrap() == object.bytes);
    assert_eq!(stratum.requests(), 2);
}

#[tokio::test]
async fn without_a_stratum_the_answer_is_cut() {
    let object = Object::generate(1, 6_000_000);
    let mut stratum = Origin::new().object(&object).run();
    let disk = Disk::new();
    let proxy = stored(&stratum, &disk, &object).await;
    let ask = Ask::get(stratum.url(&object.path()));
    stratum.refuse();
    assert!(ask_while_it_turns(&proxy, &disk, Mood::Broken, &ask).await.is_err());
    disk.turn(Mood::Well);
}

#[tokio::test]
async fn bytes_of_another_length_do_not_end_an_answer() {
    let object = Object::generate(1, 6_000_000);
    let stratum = Origin::new().object(&object).run();
    let disk = Disk::new();
    let proxy = stored(&stratum, &disk, &object).await;
    let ask = Ask::get(stratum.url(&object.path()));
    let len = object.bytes.len();
    stratum.set_page(&object.path(), Page::new(vec![7; len + 8192]));
    // As many as the client waits for, and not yet all that would tell that they are wrong.
    stratum.inject(Fault::Hold(len + 1000));
    let answer = ask_while_it_turns(&proxy, &disk, Mood::Broken, &ask).await;
    assert!(answer.is_err(), "it would have ended well, with wrong bytes");
    disk.turn(Mood::Well);
    stratum.release();
}
