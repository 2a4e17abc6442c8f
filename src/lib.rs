//! Substratum: an HTTP caching proxy tier for immutable, content-addressed objects.
//!
//! The name of an object is the checksum of its bytes. So one copy serves every host that has it, nothing expires, and no
//! byte needs to be believed. What has no such name (manifests, queries, lists) is a *document* and follows RFC 9111.
//!
//! # The way of the data
//!
//! ```text
//! client -> server -> service -> request, access         what is asked for, and may it be
//!                     service -> cache                   memory or disk: answered at once
//!                                cache::FillReader <- fill <- fetch <- upstream      else read along with a fill
//!                     service -> document -> fetch -> upstream                       documents
//!           client <- response <- tally                  heads, bodies; counted and logged when the body ends
//! ```
//!
//! Read [`service`] first: it is one request from start to end. Then [`cache`], [`fetch`], [`response`].
//!
//! # Codemap
//!
//! | module | its one job | does not know |
//! |---|---|---|
//! | [`cli`], [`app`] | commands; builds the parts and takes them down | |
//! | [`config`] | TOML -> [`config::Config`]: every key, default and cross-check | everything else |
//! | [`server`], [`service`] | connections; one request | how bytes are kept or fetched |
//! | [`syntax`] | what is wrong with the lines of a head, on either side; pure | what a field means |
//! | [`request`], [`access`], [`layout`] | a head -> object, document or refusal; pure | |
//! | [`cache`] | verified objects in memory and on disk; fills | HTTP, upstreams |
//! | [`page_cache`] | stretches of files that stay in memory, and leave uncopied | what they hold |
//! | [`allocator`] | has unused memory given back | who used it |
//! | [`document`] | RFC 9111, manifests that never go back | whom to ask |
//! | [`catalog`] | manifest -> catalogs -> the objects under a path | whom to ask |
//! | [`warm`] | brings what is under a path into the tier, as a client of it | caches |
//! | [`upstream`] | which server, connections, time limits | caches, digests |
//! | [`fetch`] | joins the two: source after source into one fill | clients |
//! | [`response`] | heads, ranges, bodies, THE table from errors to statuses | |
//! | [`digest`] | names and checksums | |
//! | [`outcome`], [`reason`] | how a request ended, and why, in one word each | |
//! | [`allowance`] | how much memory control groups allow | who uses it |
//! | [`metrics`], [`tally`], [`access_log`], [`admin`], [`diagnostics`] | what operators see | |
//!
//! # Invariants
//!
//! 1. An object can be found only after its checksum was verified.
//! 2. A reader ends with exactly the object's bytes, or with an error that cuts the connection.
//! 3. A fill has exactly one end; dropping its writer is failing it.
//! 4. Bytes on disk and bytes promised never exceed the capacity together.
//! 5. The cache knows no HTTP and no upstream; a test reads the sources for it.
//! 6. Eviction never disturbs a reader.
//! 7. Everything is bounded: memory, disk, queues, connections, waiters, time.
//! 8. No crash, full disk or flipped bit brings a wrong byte to a client.
//! 9. A manifest never goes back in time while a newer one counts.
//! 10. Our own trouble is never blamed on a stratum, nor a stratum's on us.
//!
//! `docs/design.md` says where each is kept and tested, and why things are as they are.
//!
//! # To change something
//!
//! | what | open |
//! |---|---|
//! | a configuration key | `src/config/keys.rs`: tests then name the files that lack it |
//! | what a reload may change | `src/config/change.rs` |
//! | a metric | `src/metrics.rs` and the part's file below it; then `docs/metrics.md` |
//! | which status an error gets | `src/response.rs` |
//! | a reason that operators read | `src/reason.rs`; then write `docs/reference.md` anew |
//! | how a request is classified or refused | `src/request.rs`, `src/access.rs` |
//! | another kind of content-addressed URL | `src/layout.rs`: one pure function from path to name; `docs/layouts.md` |
//! | what registries are asked before they are answered for | `src/service/registry.rs` |
//! | another checksum | `src/digest.rs` |
//! | whom to ask, in which order | `src/upstream/route.rs` |
//! | when to give up a source | `src/fetch.rs` |
//! | how much memory is given up under a limit | `src/cache/restraint.rs` |
//! | what goes when the disk is full | `src/cache/disk/replacement.rs` |
//! | a form of the access log | `src/access_log/line.rs` |
//! | who may use whom | `tests/integration/tidy/layers.rs` |

pub mod access;
pub mod access_log;
pub mod admin;
pub mod allocator;
pub mod allowance;
pub mod app;
pub mod cache;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod diagnostics;
pub mod digest;
pub mod document;
pub mod fetch;
pub mod layout;
pub mod metrics;
pub mod outcome;
pub mod page_cache;
pub mod reason;
pub mod request;
pub mod response;
pub mod server;
pub mod service;
pub mod syntax;
pub mod tally;
pub mod upstream;
pub mod warm;
