//! Whether the tier has room for what is to be warmed, as far as its status tells.
//!
//! Catalogs tell how long files are, not what they take when stored: so there is a most, and a usual.

use std::io::{self, Write};

use serde_json::Value;

use super::super::figures::bytes;
use super::super::visit::Visit;
use crate::config::Glob;

/// What holds objects, and how much of it there is for them.
pub struct Room(Option<(String, u64)>);

impl Room {
    /// Asks the running program; when it does not tell, nothing is known.
    pub fn ask(visit: &Visit) -> Self {
        let status = visit.inquiry.as_ref().and_then(|inquiry| inquiry.status().ok());
        Self(status.and_then(|status| of(&status, &visit.way.repository.name)))
    }

    /// Says what there is to say; whether to go on.
    pub fn tell(&self, most: u64, usual: u64, anyway: bool, out: &mut dyn Write) -> io::Result<bool> {
        let Some((what, room)) = &self.0 else { return Ok(true) };
        let (most, usual, room) = (most, most / usual, *room);
        if most <= room {
            return Ok(true);
        }
        let needs = format!("all of it takes about {}, {} at the most", bytes(usual), bytes(most));
        if usual <= room {
            writeln!(out, "{needs}; {what} has room for {}: it may not hold all", bytes(room))?;
            return Ok(true);
        }
        writeln!(out, "{needs}, but {what} has room for {} only", bytes(room))?;
        if !anyway {
            writeln!(out, "nothing was fetched; --anyway begins all the same")?;
        }
        Ok(anyway)
    }
}

/// From `/status`. The first quota that matches counts.
fn of(status: &Value, repository: &str) -> Option<(String, u64)> {
    let number = |value: &Value| value.as_u64();
    let disk = &status["disk"];
    if disk.is_null() {
        return number(&status["memory"]["capacity_bytes"])
            .map(|room| ("the memory of the tier".to_owned(), room));
    }
    let limit = number(&disk["limit_bytes"])?.min(number(&disk["capacity_bytes"])?);
    let quotas = disk["quotas"].as_array();
    let quota = quotas.into_iter().flatten().find(|quota| {
        quota["repository"].as_str().is_some_and(|pattern| Glob::new(pattern).matches(repository))
    });
    match quota.and_then(|quota| number(&quota["ceiling_bytes"])) {
        Some(ceiling) if ceiling < limit => Some((format!("the quota of {repository}"), ceiling)),
        _ => Some(("the disk of the tier".to_owned(), limit)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_known_is_said() {
        let memory = json!({ "memory": { "capacity_bytes": 7 } });
        assert_eq!(of(&memory, "a.b"), Some(("the memory of the tier".to_owned(), 7)));
        let quota = json!({ "repository": "a.*", "ceiling_bytes": 5 });
        let disk = json!({ "disk": { "capacity_bytes": 100, "limit_bytes": 90, "quotas": [quota] } });
        assert_eq!(of(&disk, "a.b"), Some(("the quota of a.b".to_owned(), 5)));
        assert_eq!(of(&disk, "c.b"), Some(("the disk of the tier".to_owned(), 90)));
        assert_eq!(of(&json!({ "disk": {} }), "a.b"), None);
    }

    #[test]
    fn what_cannot_be_held_is_not_begun() {
        let tell = |room: Option<u64>, anyway| {
            let mut out = Vec::new();
            let room = Room(room.map(|room| ("the disk".to_owned(), room)));
            let goes_on = room.tell(3_000, 3, anyway, &mut out).unwrap();
            (goes_on, String::from_utf8(out).unwrap())
        };
        assert_eq!(tell(None, false), (true, String::new()));
        assert_eq!(tell(Some(3_000), false), (true, String::new()));
        let needs = "all of it takes about 1.00 kB, 3.00 kB at the most";
        assert_eq!(
            tell(Some(1_000), false),
            (true, format!("{needs}; the disk has room for 1.00 kB: it may not hold all\n"))
        );
        let (goes_on, said) = tell(Some(999), false);
        assert!(
            !goes_on
                && said.starts_with(&format!("{needs}, but the disk has room for 999 B only\nnothing was"))
        );
        assert!(tell(Some(999), true).0);
    }
}
