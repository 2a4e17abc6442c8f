//! Many requests, one fetch.

use super::*;

const X: &str = "/x";

/// A leader whose fetch is held, and waiters that have joined it.
async fn crowd(play: &Play, size: usize, headers: Fields<'_>) -> (Held, Vec<Held>) {
    let mut leader = play.ask_held(Play::request(X, &[]), 0);
    (&mut leader.arrival).await.unwrap();
    let waiters: Vec<_> = (0..size).map(|_| play.ask_held(Play::request(X, headers), 0)).collect();
    play.until_waiting(size as i64).await;
    (leader, waiters)
}

#[tokio::test(start_paused = true)]
async fn one_fetch_for_all() {
    let play = Play::new();
    let (leader, waiters) = crowd(&play, 20, &[]).await;
    leader.release.send(says(200, &[cc("max-age=61")], "one")).unwrap();
    assert_eq!(leader.client.await.unwrap().unwrap().outcome, Outcome::DocumentMiss);
    for waiter in waiters {
        let got = waiter.client.await.unwrap().unwrap();
        assert_eq!((got.text(), got.outcome), ("one", Outcome::DocumentCollapsed));
        assert_eq!(got.cache_status, "fwd=uri-miss; fwd-status=200; stored; collapsed; ttl=61");
    }
    assert_eq!(play.requests(), 1);
    assert_eq!(play.get(X, &[], 1).await.unwrap().outcome, Outcome::DocumentHit);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_goes_away_harms_nobody() {
    let play = Play::new();
    let (leader, waiters) = crowd(&play, 3, &[]).await;
    leader.client.abort();
    assert!(leader.client.await.unwrap_err().is_cancelled());
    leader.release.send(says(200, &[cc("max-age=61")], "one")).unwrap();
    for waiter in waiters {
        assert_eq!(waiter.client.await.unwrap().unwrap().text(), "one");
    }
    assert_eq!(play.requests(), 1);
    assert_eq!(play.metrics.document.refreshing.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_shared() {
    let play = Play::new();
    let (leader, waiters) = crowd(&play, 3, &[]).await;
    leader.release.send(Err(Gone("down"))).unwrap();
    for client in waiters.into_iter().chain([leader_only(leader.client)]) {
        assert_eq!(client.client.await.unwrap(), Err(Failure::Upstream(Gone("down"))));
    }
    assert_eq!(play.requests(), 1);
}

fn leader_only(client: tokio::task::JoinHandle<Result<Got, Failure<Gone>>>) -> Held {
    Held { client, arrival: oneshot::channel().1, release: oneshot::channel().0 }
}

#[tokio::test(start_paused = true)]
async fn what_is_useless_to_keep_is_shared_once() {
    let play = Play::new();
    let (leader, waiters) = crowd(&play, 3, &[]).await;
    leader.release.send(says(404, &[], "none")).unwrap();
    for waiter in waiters {
        assert_eq!(waiter.client.await.unwrap().unwrap().status, 404);
    }
    assert_eq!(play.requests(), 1);
}

/// The waiters fetch for themselves.
async fn check_not_shared(waiter: Fields<'_>, response: Fields<'_>) {
    let play = Play::new();
    let (leader, waiters) = crowd(&play, 2, waiter).await;
    leader.release.send(says(200, response, "leader's")).unwrap();
    assert_eq!(leader.client.await.unwrap().unwrap().text(), "leader's");
    for mut waiter in waiters {
        (&mut waiter.arrival).await.unwrap();
        waiter.release.send(says(200, response, "own")).unwrap();
        assert_eq!(waiter.client.await.unwrap().unwrap().text(), "own", "{response:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_shared_is_not() {
    check_not_shared(&[], &[cc("private")]).await;
    check_not_shared(&[], &[cc("no-store")]).await;
    check_not_shared(&[], &[cc("no-cache"), ("etag", "\"a\"")]).await;
    check_not_shared(&[], &[cc("max-age=61"), ("vary", "*")]).await;
    check_not_shared(&[("f", "1")], &[cc("max-age=61"), ("vary", "f")]).await;
    check_not_shared(&[cc("min-fresh=99")], &[cc("max-age=61")]).await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_does_not_join() {
    let play = Play::new();
    let (leader, _) = crowd(&play, 0, &[]).await;
    play.then(says(200, &[cc("max-age=61")], "reloaded"));
    assert_eq!(play.get(X, &[cc("no-cache")], 0).await.unwrap().text(), "reloaded");
    assert_eq!(play.last_request().headers, fields(&[cc("no-cache")]));
    leader.release.send(says(200, &[], "late")).unwrap();
    assert_eq!(leader.client.await.unwrap().unwrap().text(), "late");
}

#[tokio::test(start_paused = true)]
async fn too_many_waiters_are_refused() {
    let play = Play::with_policy(Policy { max_waiters: 2, ..Policy::default() });
    let (leader, waiters) = crowd(&play, 2, &[]).await;
    assert_eq!(play.get(X, &[], 0).await, Err(Failure::Overload));
    leader.release.send(says(200, &[cc("max-age=61")], "one")).unwrap();
    for waiter in waiters {
        assert_eq!(waiter.client.await.unwrap().unwrap().text(), "one");
    }
}

#[tokio::test(start_paused = true)]
async fn stale_answers_are_shared_too() {
    let play = Play::new();
    let target = "/cvmfs/r.example/.cvmfswhitelist";
    play.then(says(200, &[cc("max-age=61")], "one"));
    play.get(target, &[], 0).await.unwrap();
    let mut leader = play.ask_held(Play::request(target, &[]), 61);
    (&mut leader.arrival).await.unwrap();
    let waiter = play.ask_held(Play::request(target, &[]), 61);
    play.until_waiting(1).await;
    leader.release.send(says(503, &[], "busy")).unwrap();
    for client in [leader.client, waiter.client] {
        assert_eq!(client.await.unwrap().unwrap().outcome, Outcome::DocumentStale);
    }
    assert_eq!(play.requests(), 2);
}
