//! What `[[registries]]` may not say.

use super::super::Config;
use super::super::error::Place;
use super::super::keys;
use super::Findings;

/// Contradictions.
pub(super) fn contradictions(config: &Config, found: &mut Findings) {
    use keys::registries::{NAME, URL};
    for (i, registry) in config.registries.iter().enumerate() {
        let earlier = &config.registries[..i];
        if earlier.iter().any(|earlier| earlier.name == registry.name) {
            found.at(
                Place::nth(&NAME, i),
                format!("\"{}\" is the name of an earlier registry", registry.name),
            );
        }
        let url = &registry.url;
        if earlier.iter().any(|earlier| earlier.url == *url) {
            found.at(Place::nth(&URL, i), format!("{url} is the URL of an earlier registry"));
        }
        // Its group's other members would be sent what clients tell the registry, tokens included.
        if config.mirrors.iter().any(|group| group.urls.contains(url)) {
            let message = format!("{url} stands in [[mirrors]], too; a registry is nobody's mirror");
            found.between(Place::nth(&URL, i), &keys::mirrors::URLS, message);
        }
    }
}
