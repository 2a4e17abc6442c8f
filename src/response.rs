//! What goes back to a client: the pure parts that objects and documents share.

pub mod cache_status;
pub mod conditional;
pub mod date;
pub mod entity_tag;
pub mod range;
