//! Sudden deaths under load, again and again in one folder: no wrong byte, ever, and most of what was stored survives.
//!
//! Ten deaths; `KILLS=200 cargo test --test integration kills -- --nocapture` for more, with a summary.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use substratum::config::ByteSize;
use tokio::sync::watch;

use crate::support::binary::{Binary, config_text};
use crate::support::client::Client;
use crate::support::object::Object;
use crate::support::origin::{Origin, Stratum};
use crate::support::storage::bytes_in;

const KILLS: usize = 10;

/// Clients at the same time.
const CLIENTS: u64 = 6;

/// Of `config_text`.
const CAPACITY: ByteSize = ByteSize::mib(64);

/// One and a half times what the disk holds: from next to nothing to files that are written while they arrive.
fn objects() -> Vec<Object> {
    let sizes = [0, 100, 3_000, 20_000, 100_000, 300_000, 1_500_000];
    let sizes = sizes.iter().cycle().zip(0..350);
    sizes.map(|(&size, seed)| Object::generate(seed, size + seed as usize)).collect()
}

/// What one life of the process brought.
#[derive(Default)]
struct Life {
    answered: AtomicUsize,
    hits: AtomicUsize,
    /// Seeds of what was answered whole.
    seen: Mutex<BTreeSet<usize>>,
}

/// Asks for anything until the process is gone. Whatever comes whole has to be right.
async fn ask_until_death(
    mut client: Client,
    base: String,
    objects: Arc<Vec<Object>>,
    seed: u64,
    life: Arc<Life>,
    answers: watch::Sender<usize>,
) {
    let mut random = fastrand::Rng::with_seed(seed);
    loop {
        // Some are wanted more than others.
        let n = random.usize(..objects.len()).min(random.usize(..objects.len()));
        let object = &objects[n];
        let Ok(answer) = client.ask(format!("{base}{}", object.path())).await else { return };
        assert_eq!(answer.status(), 200, "{:?}", answer.head);
        assert!(answer.body == object.bytes, "wrong bytes for {}", object.path());
        let hit = answer.head.get("X-Cache").is_some_and(|value| value.starts_with("HIT"));
        life.hits.fetch_add(usize::from(hit), Ordering::Relaxed);
        life.seen.lock().insert(n);
        answers.send_modify(|count| *count += 1);
        life.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Lives until so many answers were given, then dies without warning.
async fn live(
    binary: Binary,
    stratum: &Stratum,
    objects: &Arc<Vec<Object>>,
    seed: u64,
    until: usize,
) -> Arc<Life> {
    let life = Arc::new(Life::default());
    let (answers, mut answered) = watch::channel(0);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (client, answers) = (binary.client(), answers.clone());
            let seed = seed * CLIENTS + n;
            tokio::spawn(ask_until_death(
                client,
                stratum.base(),
                Arc::clone(objects),
                seed,
                Arc::clone(&life),
                answers,
            ))
        })
        .collect();
    answered.wait_for(|&count| count >= until).await.expect("clients ask");
    binary.kill().await;
    for client in clients {
        client.await.expect("nothing wrong was answered");
    }
    life
}

/// How many of the objects are answered without the stratum; all of them have to be right.
async fn surviving(binary: &Binary, stratum: &Stratum, objects: &[Object], seen: &BTreeSet<usize>) -> usize {
    let mut client = binary.client();
    stratum.forget();
    for &n in seen {
        let answer = client.ask(stratum.url(&objects[n].path())).await.unwrap();
        assert!(answer.body == objects[n].bytes, "wrong bytes for {}", objects[n].path());
    }
    seen.len() - stratum.requests().min(seen.len())
}

#[tokio::test]
async fn deaths_under_load_bring_no_wrong_byte_and_lose_little() {
    let kills = std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let folder = tempfile::tempdir().unwrap();
    let objects = Arc::new(objects());
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let config = config_text(&[&stratum], Some(folder.path()));
    let mut random = fastrand::Rng::with_seed(7);
    let (mut answered, mut hits, mut asked_again, mut survived) = (0, 0, 0, 0);
    for kill in 0..kills {
        let binary = Binary::serve(&config).await;
        let life = live(binary, &stratum, &objects, kill as u64, random.usize(20..300)).await;
        assert!(bytes_in(folder.path()) <= CAPACITY.bytes());
        answered += life.answered.load(Ordering::Relaxed);
        hits += life.hits.load(Ordering::Relaxed);

        let binary = Binary::serve(&config).await;
        binary.until(crate::support::metric::metric("substratum_disk_index_loaded").eq(1)).await;
        let seen = life.seen.lock().clone();
        survived += surviving(&binary, &stratum, &objects, &seen).await;
        asked_again += seen.len();
        // Every other time the life that only looked dies as well; else it ends in order.
        if kill % 2 == 0 {
            binary.kill().await;
        } else {
            let mut binary = binary;
            binary.terminate();
            assert!(binary.exit().await.success());
        }
    }
    println!(
        "{kills} deaths under load: {answered} answers, {hits} of them hits, none wrong; {survived} of {asked_again} \
         objects answered in a life were there in the next"
    );
    // What was on its way is lost, and what no longer fits.
    assert!(survived * 2 > asked_again, "{survived} of {asked_again}");
}
