//! A day of everything: mirrors that fail in all ways by turns, and clients that must not notice.
//!
//! A seed draws who fails how; in each act one mirror of three is well, whatever the two others do. Which request meets
//! which fault is left to chance. Days of several seeds run side by side, in real time and with the usual time limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use substratum::config::Upstream;

use crate::support::client::{Ask, Client, ClientError};
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Stratum};
use crate::support::proxy::{Proxy, site};

/// What is drawn follows from them.
const SEEDS: [u64; 4] = [3, 17, 2_026, 65_537];

/// Requests in all: seeds, acts, and requests in each act, by so many clients at a time.
const ALL: usize = 10_000;
const ACTS: usize = 10;
const REQUESTS: usize = ALL / ACTS / SEEDS.len();
const CLIENTS: usize = 24;
const MIRRORS: usize = 3;

/// New objects in each act; the other requests are for objects of this act or earlier ones.
const NEW: usize = 150;

/// Every so many objects one is too large to be verified before its first byte is sent.
const LARGE_EVERY: usize = 16;

/// A CernVM-FS client leaves a proxy that says nothing for this long.
const CLIENT_LEAVES: Duration = Duration::from_secs(5);

/// Sizes in bytes: below and above the limit up to which objects are verified first.
const SMALL: std::ops::Range<usize> = 100..60_000;
const LARGE: std::ops::Range<usize> = 300_000..900_000;

fn generate(random: &mut fastrand::Rng, number: usize) -> Object {
    let sizes = if number.is_multiple_of(LARGE_EVERY) { LARGE } else { SMALL };
    Object::generate(random.u64(..), random.usize(sizes))
}

/// How a mirror fails in one act.
fn fault(random: &mut fastrand::Rng) -> Fault {
    let at = random.usize(..60_000);
    match random.u8(..18) {
        0 => Fault::NeverAnswer,
        1 => Fault::Stall(0),
        2 => Fault::Stall(at),
        3 => Fault::Truncate(at),
        4 => Fault::Reset(at),
        5 | 6 => Fault::Flip(at),
        7 => Fault::WrongLength(if random.bool() { 1 } else { -1 }),
        8 => Fault::Status([500, 502, 503][random.usize(..3)]),
        9 => Fault::Status(404),
        10 => Fault::Status(429),
        11 => Fault::CloseUnanswered,
        12 => Fault::StallInHead,
        13 => Fault::HugeHead(1 << 20),
        14 => Fault::InterimFlood,
        15 => Fault::Vanish,
        16 => Fault::BadChunk(at),
        _ => Fault::Drip { bytes: 20_000, every: Duration::from_millis(20) },
    }
}

/// Whether large objects are sent with wrong bytes, or another length, which their readers learn at the end only.
fn corrupts(fault: &Fault) -> bool {
    matches!(fault, Fault::Flip(_) | Fault::WrongLength(_))
}

/// What the clients of an act have seen.
#[derive(Debug, Default)]
struct Tally {
    complete: usize,
    /// First tries that did not bring the object: its length, and what went wrong.
    retries: Vec<(usize, String)>,
    complaints: Vec<String>,
    slowest: Duration,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.complete += other.complete;
        self.retries.extend(other.retries);
        self.complaints.extend(other.complaints);
        self.slowest = self.slowest.max(other.slowest);
    }

    /// One request as the client puts it: an error status or a short body is worth one retry.
    async fn ask(&mut self, client: &mut Client, url: String, object: &Object) {
        let first = self.try_once(client, Ask::get(&url), object).await;
        let Err(why) = first else { return };
        self.retries.push((object.bytes.len(), why));
        client.leave();
        if let Err(why) = self.try_once(client, Ask::get(&url).no_cache(), object).await {
            self.complaints.push(format!("{url} of {} bytes failed: {why}", object.bytes.len()));
            client.leave();
        }
    }

    async fn try_once(&mut self, client: &mut Client, ask: Ask, object: &Object) -> Result<(), String> {
        let start = Instant::now();
        let answer = self.answer(client, &ask, start).await;
        match answer {
            Err(error) => Err(error.to_string()),
            Ok((200, body)) if body == object.bytes => {
                self.complete += 1;
                Ok(())
            }
            Ok((200, body)) => {
                self.complaints.push(format!("{ask:?}: {} wrong bytes", body.len()));
                Ok(())
            }
            Ok((status, body)) => Err(format!("{status} {}", String::from_utf8_lossy(&body).trim())),
        }
    }

    /// Status and body; an answer whose first byte comes late is a complaint.
    async fn answer(
        &mut self,
        client: &mut Client,
        ask: &Ask,
        start: Instant,
    ) -> Result<(u16, Vec<u8>), ClientError> {
        client.send(ask).await?;
        let head = client.head().await;
        let Some(len) = head.as_ref().ok().and_then(|head| head.content_length()) else {
            let head = head?;
            return Ok((head.status, client.body(&head, ask).await?.to_vec()));
        };
        let head = head?;
        let mut body = Vec::with_capacity(len as usize);
        body.extend_from_slice(&client.take(1.min(len as usize)).await?);
        let waited = start.elapsed();
        self.slowest = self.slowest.max(waited);
        if waited > CLIENT_LEAVES {
            self.complaints.push(format!("{ask:?}: first byte after {waited:?}"));
        }
        body.extend_from_slice(&client.take(len as usize - body.len()).await?);
        if head.closes() {
            client.leave();
        }
        Ok((head.status, body))
    }
}

/// All requests of one act, by clients that each take the next one when they are done.
async fn act(proxy: &Proxy, script: Vec<(String, Object)>) -> Tally {
    let script = Arc::new(script);
    let next = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = std::iter::repeat_with(|| {
        let (mut client, script, next) = (proxy.client(), script.clone(), next.clone());
        tokio::spawn(async move {
            let mut tally = Tally::default();
            while let Some((url, object)) = script.get(next.fetch_add(1, Ordering::Relaxed)) {
                tally.ask(&mut client, url.clone(), object).await;
            }
            tally
        })
    })
    .take(CLIENTS)
    .collect();
    let mut tally = Tally::default();
    for client in clients {
        tally.add(client.await.unwrap());
    }
    tally
}

/// An act as it is drawn, before anything runs: drawing takes time, in which a mirror that shares it would not be well.
struct Act {
    /// Which mirror is well.
    well: usize,
    /// How the others fail, by their places.
    program: Vec<(usize, Fault)>,
    new: Vec<Object>,
    /// Mirror and object of each request.
    script: Vec<(usize, Object)>,
}

/// The acts of one seed.
fn draw(seed: u64) -> Vec<Act> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut known = Vec::new();
    let act = |number| {
        // For the last act one mirror closes for good.
        let well = random.usize(..MIRRORS - usize::from(number == ACTS - 1));
        let others = (0..MIRRORS).filter(|place| *place != well);
        let program = others.map(|place| (place, fault(&mut random))).collect();
        let new: Vec<_> = (0..NEW).map(|number| generate(&mut random, number)).collect();
        known.extend(new.iter().cloned());
        let mut objects = new.clone();
        objects.extend((NEW..REQUESTS).map(|_| known[random.usize(..known.len())].clone()));
        random.shuffle(&mut objects);
        let script = objects.into_iter().map(|object| (random.usize(..MIRRORS), object)).collect();
        Act { well, program, new, script }
    };
    (0..ACTS).map(act).collect()
}

/// A day as drawn.
async fn day(seed: u64, acts: Vec<Act>) -> Tally {
    let mut strata: Vec<Stratum> = std::iter::repeat_with(|| Origin::new().run()).take(MIRRORS).collect();
    let mirrors: Vec<&Stratum> = strata.iter().collect();
    let proxy = Proxy::start(site(&mirrors).with(|config| config.upstream = Upstream::default())).await;
    let mut day = Tally::default();
    for (number, Act { well, program, new, script }) in acts.into_iter().enumerate() {
        if number == ACTS - 1 {
            strata[MIRRORS - 1].refuse();
        }
        strata.iter().for_each(Stratum::heal);
        program.iter().for_each(|(place, fault)| strata[*place].inject(fault.clone()));
        for stratum in &strata {
            new.iter().for_each(|object| stratum.set_object(object));
        }
        let script = script.into_iter().map(|(place, object)| (strata[place].url(&object.path()), object));
        let tally = act(&proxy, script.collect()).await;
        let corrupt = program.iter().any(|(_, fault)| corrupts(fault));
        let needless = tally.retries.iter().filter(|(len, _)| *len < LARGE.start || !corrupt);
        let needless: Vec<_> = needless.collect();
        assert!(
            tally.complaints.is_empty() && needless.is_empty(),
            "seed {seed}, act {number}: {program:?}, well: {well}: {:#?}, needless: {needless:#?}",
            tally.complaints
        );
        day.add(tally);
    }
    day
}

/// Each day has a thread of its own, so that no mirror is slow because of another day's.
#[test]
fn clients_do_not_notice_while_one_mirror_is_well() {
    let lived = |seed| {
        std::thread::spawn(move || {
            let acts = draw(seed);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(day(seed, acts))
        })
    };
    let days = SEEDS.map(lived);
    let complete: usize = days.into_iter().map(|day| day.join().unwrap().complete).sum();
    assert_eq!(complete, ALL);
}
