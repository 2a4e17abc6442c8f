//! What some have and others do not: an object is missing only when every mirror says so, and never for long.

use std::time::Duration;

use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Stratum};
use crate::support::proxy::{Proxy, site};

/// What a mirror is like with regard to an object.
type Behaviour = fn(Origin, &Object) -> Origin;

/// Three mirrors in the given state, in the order in which they are asked.
fn three(behave: [Behaviour; 3], object: &Object) -> [Stratum; 3] {
    behave.map(|behave| behave(Origin::new(), object).run())
}

fn lacks(origin: Origin, _: &Object) -> Origin {
    origin
}

fn has(origin: Origin, object: &Object) -> Origin {
    origin.object(object)
}

fn dies(origin: Origin, _: &Object) -> Origin {
    origin.fault(Fault::CloseUnanswered)
}

fn fails(origin: Origin, _: &Object) -> Origin {
    origin.fault(Fault::Status(503))
}

fn is_silent(origin: Origin, _: &Object) -> Origin {
    origin.fault(Fault::NeverAnswer)
}

#[tokio::test]
async fn missing_is_what_all_mirrors_lack() {
    let table: [(&str, [Behaviour; 3], u16); 8] = [
        ("nobody has it", [lacks, lacks, lacks], 404),
        ("the first has it", [has, lacks, lacks], 200),
        ("the last has it", [lacks, lacks, has], 200),
        ("one is dead, another has it", [dies, lacks, has], 200),
        // Whoever is in trouble may have it: the client is to try another stratum, not to believe it gone.
        ("one is dead, the others lack it", [dies, lacks, lacks], 502),
        ("the last one fails, the others lack it", [lacks, lacks, fails], 502),
        ("one is silent, the others lack it", [lacks, is_silent, lacks], 504),
        ("all are dead", [dies, dies, dies], 502),
    ];
    for (story, behave, status) in table {
        let object = Object::generate(1, 3_000);
        let strata = three(behave, &object);
        let setup = site(&[&strata[0], &strata[1], &strata[2]]).hasty();
        let proxy = Proxy::start(setup).await;
        let answer = proxy.get(strata[0].url(&object.path())).await;
        assert_eq!(answer.status(), status, "{story}");
        assert!(status != 200 || answer.body == object.bytes, "{story}");
    }
}

#[tokio::test]
async fn an_absence_is_never_an_answer_by_itself() {
    let object = Object::generate(2, 3_000);
    let strata = three([lacks, lacks, lacks], &object);
    let proxy = Proxy::start(site(&[&strata[0], &strata[1], &strata[2]])).await;
    let url = strata[0].url(&object.path());
    for round in 1..=3 {
        assert_eq!(proxy.get(&url).await.status(), 404);
        // All are asked each time: the object may have arrived at any of them.
        assert!(strata.iter().all(|stratum| stratum.requests() == round), "round {round}");
    }
    strata[2].set_object(&object);
    assert_eq!(proxy.get(&url).await.body, object.bytes, "as soon as one has it");
}

#[tokio::test]
async fn a_late_mirror_costs_nothing_where_another_one_has_the_object() {
    let object = Object::generate(3, 3_000);
    let behind = Origin::new().fault(Fault::LateHead(Duration::from_millis(100))).run();
    let ahead = Origin::new().object(&object).run();
    let proxy = Proxy::start(site(&[&behind, &ahead]).no_memory()).await;
    for _ in 0..5 {
        assert_eq!(proxy.get(behind.url(&object.path())).await.body, object.bytes);
    }
    // Once for every five seconds that a slow machine takes for the five.
    assert!(behind.requests() <= 3, "asked {} times for what it lacks", behind.requests());
}
