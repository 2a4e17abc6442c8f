//! What `/metrics` says of requests that ended, over all workers.

use std::thread;

use super::*;
use crate::metrics::Metrics;

#[track_caller]
fn check(metrics: &Metrics, expected: &[&str]) {
    let text = metrics.render().unwrap();
    for line in expected {
        assert!(text.lines().any(|found| found == *line), "{line} is missing in\n{text}");
    }
}

#[test]
fn the_index_of_an_outcome_is_its_place_in_the_table() {
    assert!(Outcome::ALL.iter().enumerate().all(|(at, outcome)| *outcome as usize == at));
}

#[test]
fn a_request_is_counted_everywhere() {
    let metrics = Metrics::new().unwrap();
    let ms = Duration::from_millis;
    metrics.request.finished(Outcome::MemoryHit, 200, 1000, ms(1), ms(2));
    metrics.request.finished(Outcome::Miss, 200, 500, ms(4_500), ms(400_000));
    metrics.request.finished(Outcome::UpstreamError, 504, 0, ms(11_000), ms(11_000));
    metrics.request.finished(Outcome::BadRequest, 0, 0, ms(0), ms(0));
    metrics.request.explained(Reason::Evicted);
    check(
        &metrics,
        &[
            "substratum_request_reasons_total{reason=\"evicted\"} 1",
            "substratum_request_reasons_total{reason=\"absent\"} 0",
            "substratum_requests_total{outcome=\"memory_hit\"} 1",
            "substratum_requests_total{outcome=\"overload\"} 0",
            "substratum_response_body_bytes_total{outcome=\"miss\"} 500",
            "substratum_responses_total{class=\"2xx\"} 2",
            "substratum_responses_total{class=\"5xx\"} 1",
            "substratum_responses_total{class=\"none\"} 1",
            "substratum_request_first_byte_seconds_bucket{source=\"store\",le=\"0.0005\"} 0",
            "substratum_request_first_byte_seconds_bucket{source=\"store\",le=\"0.001\"} 1",
            "substratum_request_first_byte_seconds_bucket{source=\"upstream\",le=\"4\"} 0",
            "substratum_request_first_byte_seconds_bucket{source=\"upstream\",le=\"5\"} 1",
            "substratum_request_first_byte_seconds_bucket{source=\"upstream\",le=\"10\"} 1",
            "substratum_request_first_byte_seconds_bucket{source=\"upstream\",le=\"+Inf\"} 2",
            "substratum_request_first_byte_seconds_sum{source=\"upstream\"} 15.5",
            "substratum_request_first_byte_seconds_count{source=\"refused\"} 1",
            "substratum_request_duration_seconds_bucket{le=\"0.005\"} 2",
            "substratum_request_duration_seconds_bucket{le=\"300\"} 3",
            "substratum_request_duration_seconds_count 4",
        ],
    );
}

#[test]
fn workers_are_added_up_and_remembered() {
    let metrics = Metrics::new().unwrap();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let worker = metrics.request.for_worker();
            thread::spawn(move || {
                for _ in 0..1000 {
                    let _request = worker.start();
                    worker.finished(Outcome::DiskHit, 206, 3, Duration::ZERO, Duration::ZERO);
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    check(
        &metrics,
        &[
            "substratum_requests_total{outcome=\"disk_hit\"} 4000",
            "substratum_response_body_bytes_total{outcome=\"disk_hit\"} 12000",
            "substratum_requests_in_flight 0",
        ],
    );
}

#[test]
fn in_flight_is_until_the_guard_is_gone() {
    let metrics = Metrics::new().unwrap();
    let one = metrics.request.start();
    let two = metrics.request.for_worker().start();
    check(&metrics, &["substratum_requests_in_flight 2"]);
    drop(one);
    drop(two);
    check(&metrics, &["substratum_requests_in_flight 0"]);
}
