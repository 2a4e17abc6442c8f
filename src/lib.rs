//! Substratum: an HTTP caching proxy tier for immutable, content-addressed objects.

pub mod access;
pub mod access_log;
pub mod admin;
pub mod app;
pub mod cache;
pub mod cli;
pub mod config;
pub mod digest;
pub mod document;
pub mod fetch;
pub mod layout;
pub mod metrics;
pub mod outcome;
pub mod request;
pub mod response;
pub mod server;
pub mod service;
pub mod tally;
pub mod upstream;
