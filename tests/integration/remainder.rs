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

/// A tier without memory that has an object on disk.
struct Play {
    object: Object,
    stratum: Stratum,
    disk: Arc<Disk>,
    proxy: Proxy,
}

impl Play {
    async fn new() -> Self {
        let object = Object::generate(1, 6_000_000);
        let stratum = Origin::new().object(&object).run();
        let disk = Disk::new();
        let setup = site(&[&stratum]).no_memory().disk(ByteSize::mib(64)).on(disk.clone());
        let play = Self { object, stratum, disk, proxy: Proxy::start(setup).await };
        play.proxy.get(play.url()).await;
        play.proxy.flush();
        let again = play.proxy.get(play.url()).await;
        assert_eq!(again.get("X-Cache").split(' ').next(), Some("HIT"));
        assert_eq!(play.stratum.requests(), 1);
        play
    }

    fn url(&self) -> String {
        self.stratum.url(&self.object.path())
    }

    /// Asks, and has the disk turn when the answer has begun, until it has ended.
    async fn ask_while_it_turns(&self, mood: Mood, ask: &Ask) -> Result<Vec<u8>, String> {
        let mut client = Client::with_small_buffer(self.proxy.address());
        client.send(ask).await.unwrap();
        let head = client.head().await.unwrap();
        self.disk.turn(mood);
        let body = client.body(&head, ask).await;
        self.disk.turn(Mood::Well);
        body.map(Into::into).map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn a_read_that_fails_is_followed_by_the_stratum() {
    let play = Play::new().await;
    let whole = play.ask_while_it_turns(Mood::Broken, &Ask::get(play.url())).await;
    assert!(whole.unwrap() == play.object.bytes);
    assert_eq!(play.stratum.requests(), 2);
    play.proxy.until(metric("substratum_fills").eq(0)).await;
    play.proxy.flush();

    // Stored anew meanwhile.
    let part = Ask::get(play.url()).field("Range", "bytes=1000000-5999999");
    let part = play.ask_while_it_turns(Mood::Broken, &part).await;
    assert!(part.unwrap() == play.object.bytes[1_000_000..]);
    assert_eq!(play.stratum.requests(), 3);
}

#[tokio::test]
async fn a_read_that_hangs_is_not_waited_for() {
    let play = Play::new().await;
    let whole = play.ask_while_it_turns(Mood::Hanging, &Ask::get(play.url())).await;
    assert!(whole.unwrap() == play.object.bytes);
    assert_eq!(play.stratum.requests(), 2);
}

#[tokio::test]
async fn without_a_stratum_the_answer_is_cut() {
    let mut play = Play::new().await;
    play.stratum.refuse();
    assert!(play.ask_while_it_turns(Mood::Broken, &Ask::get(play.url())).await.is_err());
}

#[tokio::test]
async fn bytes_of_another_length_do_not_end_an_answer() {
    let play = Play::new().await;
    let len = play.object.bytes.len();
    play.stratum.set_page(&play.object.path(), Page::new(vec![7; len + 8192]));
    // As many as the client waits for, and not yet all that would tell that they are wrong.
    play.stratum.inject(Fault::Hold(len + 1000));
    let answer = play.ask_while_it_turns(Mood::Broken, &Ask::get(play.url())).await;
    assert!(answer.is_err(), "it would have ended well, with wrong bytes");
    play.stratum.release();
}
