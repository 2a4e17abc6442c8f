//! Bringing what jobs will read into the tier before they start: the objects under a path, through the tier itself.
//!
//! It is a client of the tier like any other, only that it knows what a repository consists of, asks for what is missing alone, and
//! can wait. Nothing is stored here: breaking off costs nothing, and beginning anew goes on.
//!
//! Codemap: `client` asks over a `line`, `repository` reads what comes first, `presence` knows what is there, `fetch` and `pace` bring the
//! rest.

mod client;
mod fetch;
pub mod line;
mod pace;
mod presence;
mod repository;
mod surveyor;

pub use client::{Lane, Tier, Trouble, Way, shown, within};
pub use fetch::{Board, Brought, Wanted, bring};
pub use pace::Pace;
pub use presence::{Presence, PresenceError};
pub use repository::{Repository, RepositoryError, Trust};
pub use surveyor::{Surveyed, Surveyor};
