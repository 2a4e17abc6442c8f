//! Substratum: an HTTP caching proxy tier for immutable, content-addressed objects.

pub mod access;
pub mod access_log;
pub mod admin;
pub mod cache;
pub mod config;
pub mod digest;
pub mod document;
pub mod layout;
pub mod metrics;
pub mod outcome;
pub mod response;
pub mod upstream;
