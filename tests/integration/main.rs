//! The integration tests: plays with an origin, the tier and clients on loopback sockets, a file a behaviour.
//!
//! No sleeps, no fixed ports, no outside network: a play waits for counters and requests, and every wait is bounded.

#![allow(clippy::unwrap_used, reason = "a play that cannot go on has failed")]

mod absence;
mod access;
mod admin;
mod browser;
mod catalogs;
mod changes;
mod clients;
mod collapsing;
mod commands;
mod containerd;
mod crowding;
mod demo;
mod descriptors;
mod documents;
mod documents_on_disk;
mod ephemeral;
mod failing_disk;
mod fairness;
mod fixture_tree;
mod headers;
mod health;
mod hedging;
mod herd;
mod hierarchy;
mod import_squid;
mod kills;
mod layouts;
mod malformed;
mod memory_limit;
mod mirrors;
mod monitoring;
mod newcomer;
mod one_copy;
mod operators;
mod patience;
mod peers;
mod pinning;
mod quotas;
mod ranges;
mod registries;
mod registry_tokens;
mod reload;
mod repositories;
mod restart;
mod revisions;
mod rules;
mod scaling;
mod schedule;
mod service_manager;
mod snmp;
mod spellings;
mod storage;
mod support;
mod tidy;
mod tls;
mod tunnels;
mod units;
mod verification;
mod warming;
