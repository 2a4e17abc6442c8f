//! Death at every change to a file, and random lives: what comes back is what was there, or what came next, never older.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What happens to a store.
#[derive(Clone, Debug)]
enum Step {
    /// An answer of this URL for this value of the field it varies on; none: it does not vary.
    Put(u8, Option<u8>, usize),
    Remove(u8, u8),
    Restart,
    Kill,
}

/// What the store should hold: by URL and variant, in the order of `find`.
type Model = BTreeMap<(u8, Option<u8>), Vec<u8>>;

fn url(n: u8) -> String {
    format!("/{n}")
}

fn value(n: u8) -> String {
    format!("v{n}")
}

/// A body that no other step has.
fn body(step: usize, length: usize) -> Vec<u8> {
    let mut body = format!("step {step}: ").into_bytes();
    body.resize(body.len() + length, b'.');
    body
}

fn put(run: &Run, model: &mut Model, step: usize, (n, variant, length): (u8, Option<u8>, usize)) {
    let body = body(step, length);
    let value = variant.map(value);
    let asked: Vec<(&str, &str)> = value.iter().map(|value| ("f", value.as_str())).collect();
    // Later answers have later dates, so that it is clear which of two that match is found.
    let date = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(10_000 - step as u64));
    let mut fields = vec![("cache-control", "max-age=360000"), ("date", &*date)];
    if variant.is_some() {
        fields.push(("vary", "f"));
    }
    run.put(&url(n), &asked, &came(Duration::ZERO, &asked, &fields, &body));
    // It replaces what this request would have selected: itself, and the one that does not vary.
    model.retain(|(other, of), _| *other != n || (of.is_some() && *of != variant));
    model.insert((n, variant), body);
}

fn remove(run: &Run, model: &mut Model, n: u8, variant: u8) {
    let value = value(variant);
    run.remove(&url(n), &[("f", &value)]);
    model.retain(|(other, of), _| *other != n || of.is_some_and(|of| of != variant));
}

/// What is found of each URL and variant.
fn held(run: &Run) -> Model {
    let mut held = Model::new();
    for n in 0..4 {
        if let Lookup::Found(stored) = run.shelf.store.find(&key(&url(n)), &HeaderMap::new()) {
            held.insert((n, None), stored.body().to_vec());
        }
        for variant in 0..3 {
            let value = value(variant);
            if let Lookup::Found(stored) = run.shelf.store.find(&key(&url(n)), &map(&[("f", &value)]))
                && stored.selection().fields().count() > 0
            {
                held.insert((n, Some(variant)), stored.body().to_vec());
            }
        }
    }
    held
}

/// Of two that match a request only the later is found: what the model holds behind it does not show.
fn shown(model: &Model) -> Model {
    let step = |body: &[u8]| {
        let text = String::from_utf8_lossy(body);
        text.trim_start_matches("step ").split(':').next().unwrap().parse::<usize>().unwrap()
    };
    let mut shown = model.clone();
    shown.retain(|(n, variant), body| {
        let any = model.get(&(*n, None)).map_or(0, |body| step(body));
        variant.is_none() || step(body) >= any
    });
    shown
}

fn live(run: &Run, steps: &[Step], mut after: impl FnMut(&Model, &Model) -> bool) {
    let mut model = Model::new();
    for (number, step) in (1..).zip(steps) {
        let before = model.clone();
        match step {
            Step::Put(n, variant, length) => put(run, &mut model, number, (*n, *variant, *length)),
            Step::Remove(n, variant) => remove(run, &mut model, *n, *variant),
            Step::Restart | Step::Kill => {}
        }
        if after(&before, &model) {
            return;
        }
    }
}

fn steps() -> Vec<Step> {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut next = || match rng.u8(0..5) {
        0 => Step::Remove(rng.u8(0..4), rng.u8(0..3)),
        1 => Step::Put(rng.u8(0..4), None, rng.usize(0..6000)),
        _ => Step::Put(rng.u8(0..4), Some(rng.u8(0..3)), rng.usize(0..6000)),
    };
    std::iter::repeat_with(&mut next).take(60).collect()
}

/// Dies at the given change, or lives on when there are fewer; how many there were.
fn die_at(change: usize, steps: &[Step]) -> usize {
    let house = House::new(MIB);
    let run = house.open();
    house.disk.die_at(change);
    let (mut before, mut after) = (Model::new(), Model::new());
    live(&run, steps, |old, new| {
        (before, after) = (old.clone(), new.clone());
        house.disk.changes() > change
    });
    let changes = house.disk.changes();
    drop(run);
    house.disk.die_at(usize::MAX);
    assert!(house.size() <= house.bound);
    let run = house.open();
    let held = held(&run);
    let (before, after) = (shown(&before), shown(&after));
    for (place, body) in &held {
        let expected = [before.get(place), after.get(place)];
        assert!(
            expected.contains(&Some(body)),
            "change {change}: {place:?} {}",
            String::from_utf8_lossy(&body[..9])
        );
    }
    // What the step that died did not touch is all there.
    let untouched = after.iter().filter(|(place, body)| before.get(place) == Some(body));
    for (place, body) in untouched {
        assert_eq!(held.get(place), Some(body), "change {change}: {place:?}");
    }
    let usage = run.keeper.usage();
    assert_eq!((usage.documents, usage.bytes), (house.documents().len(), house.size()));
    changes
}

#[test]
fn death_at_every_change_brings_back_nothing_old() {
    let steps = steps();
    let all = die_at(usize::MAX, &steps);
    assert!(all > 150, "{all}");
    for change in 0..all {
        die_at(change, &steps);
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8, prop::option::of(0..3_u8), 0..9000_usize).prop_map(|(n, v, l)| Step::Put(n, v, l)),
        2 => (0..4_u8, 0..3_u8).prop_map(|(n, v)| Step::Remove(n, v)),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    /// With room for all, everything survives; with little room, what survives is right.
    #[test]
    fn random_lives(steps in prop::collection::vec(any_step(), 1..40), is_tight in any::<bool>()) {
        let house = House::new(if is_tight { 96 * KIB } else { MIB });
        let (mut run, mut model) = (house.open(), Model::new());
        for (number, step) in (1..).zip(&steps) {
            match step {
                Step::Put(n, variant, length) => put(&run, &mut model, number, (*n, *variant, *length)),
                Step::Remove(n, variant) => remove(&run, &mut model, *n, *variant),
                Step::Restart | Step::Kill => {
                    if matches!(step, Step::Restart) {
                        run.keeper.close();
                    }
                    drop(run);
                    run = house.open();
                    let held = held(&run);
                    for (place, body) in &held {
                        prop_assert_eq!(model.get(place), Some(body));
                    }
                }
            }
            prop_assert!(house.size() <= house.bound);
            if !is_tight {
                prop_assert_eq!(held(&run), shown(&model));
            }
        }
    }
}
