//! What `[[warm]]` may not say.

use super::super::Config;
use super::super::error::Place;
use super::super::keys;
use super::Findings;

/// Most `[[warm]]`: each is looked at now and then, and its names are kept in memory.
const MAX_WARM: usize = 100;

/// Contradictions.
pub(super) fn contradictions(config: &Config, found: &mut Findings) {
    let place = |i| Place::nth(&keys::warm::REPOSITORY, i);
    for (i, warm) in config.warm.iter().enumerate() {
        let name = &warm.repository.name;
        let is_served = config.mirrors.iter().any(|group| group.serves.iter().any(|glob| glob.matches(name)));
        if warm.repository.server.is_none() && !is_served {
            found
                .at(place(i), format!("no group of [[mirrors]] serves {name}: write its URL, with a server"));
        }
    }
    if config.warm.len() > MAX_WARM {
        found.at(place(MAX_WARM), format!("these are more than {MAX_WARM} entries"));
    }
}
