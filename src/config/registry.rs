//! `[[registries]]`.

use super::{Glob, ServerUrl};

/// A registry of container images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// `name`: what clients call it; unique.
    pub name: String,
    /// `url`: where it is asked.
    pub url: ServerUrl,
    /// `hosts`: names of this cache under which it is meant.
    pub hosts: Vec<Glob>,
    /// `anonymous`: whether tokens that everybody gets are obtained for clients that show none.
    pub anonymous: bool,
}
