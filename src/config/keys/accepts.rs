//! What values a key may have, as a range or in words.

use std::fmt;
use std::time::Duration;

use crate::config::quantity::{exact_duration, exact_size};
use crate::config::units::ByteSize;

/// The values a key may have. Displayed as what stands behind "expected".
#[derive(Debug)]
pub enum Accepts {
    /// A size; both ends included.
    Size(ByteSize, ByteSize),
    /// A duration; both ends included.
    Duration(Duration, Duration),
    /// A whole number; both ends included.
    Count(usize, usize),
    /// `true` or `false`.
    Switch,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// A string, described.
    Text(&'static str),
    /// A list of strings that are all like this, perhaps none.
    List(&'static Accepts),
    /// A list of strings that are all like this, at least one.
    NonEmptyList(&'static Accepts),
}

impl Accepts {
    /// Whether this is a range of sizes that contains `size`.
    pub fn admits_size(&self, size: ByteSize) -> bool {
        matches!(self, Self::Size(min, max) if (min..=max).contains(&&size))
    }

    /// Whether this is a range of durations that contains `duration`.
    pub fn admits_duration(&self, duration: Duration) -> bool {
        matches!(self, Self::Duration(min, max) if (min..=max).contains(&&duration))
    }

    /// Whether this is a range of whole numbers that contains `count`.
    pub fn admits_count(&self, count: usize) -> bool {
        matches!(self, Self::Count(min, max) if (min..=max).contains(&&count))
    }
}

impl fmt::Display for Accepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(min, max) => {
                write!(f, "a size from {} to {}, such as \"64 MiB\"", exact_size(*min), exact_size(*max))
            }
            Self::Duration(min, max) => {
                let (min, max) = (exact_duration(*min), exact_duration(*max));
                write!(f, "a duration from {min} to {max}, such as \"1500 ms\" or \"5 s\"")
            }
            Self::Count(min, max) => write!(f, "a whole number from {min} to {max}"),
            Self::Switch => f.write_str("true or false"),
            Self::OneOf(names) => {
                for (i, name) in names.iter().enumerate() {
                    let joint = match i {
                        0 => "",
                        _ if i + 1 == names.len() => " or ",
                        _ => ", ",
                    };
                    write!(f, "{joint}\"{name}\"")?;
                }
                Ok(())
            }
            Self::Text(description) => f.write_str(description),
            Self::List(element) => write!(f, "a list, each {element}"),
            Self::NonEmptyList(element) => write!(f, "a list of at least one, each {element}"),
        }
    }
}
