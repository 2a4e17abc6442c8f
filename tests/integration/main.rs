//! The integration tests: plays with an origin, the tier and clients on loopback sockets, a file a behaviour.
//!
//! No sleeps, no fixed ports, no outside network: a play waits for counters and requests, and every wait is bounded.

mod fixture_tree;
mod support;
