//! The layout of Bazel's remote cache over HTTP: `/<instance>/cas/<SHA-256>`, and results of actions, `/<instance>/ac/<SHA-256>`.
//!
//! What an action results in is a document: its key is that of the action, not of the result. GET and HEAD only: who fills
//! the cache does so at its server.
//! Source: bazel.build "Remote Caching", HTTP caching protocol.

use super::{Layout, NamedObject, is_plain_tree, sha256_behind};

/// In accounts, and among what mirrors serve.
pub const NAME: &str = "bazel";

/// The object that `path` names.
pub fn object(path: &str) -> Option<NamedObject<'_>> {
    let (instance, name) = sha256_behind(path, "/cas/")?;
    is_plain_tree(instance).then_some(NamedObject { name, layout: Layout::Bazel, repository: NAME })
}

/// Whether `path` is an entry of the cache: an object, or the result of an action.
pub fn is_entry(path: &str) -> bool {
    object(path).is_some() || sha256_behind(path, "/ac/").is_some_and(|(instance, _)| is_plain_tree(instance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let table = [
            ("/cas/HEX", true, true),
            ("/main/linux/cas/HEX", true, true),
            ("/ac/HEX", false, true),
            ("/main/ac/HEX", false, true),
            ("//cas/HEX", false, false),
            ("/../cas/HEX", false, false),
            ("cas/HEX", false, false),
            ("/cas/0HEX", false, false),
            ("/cas/HEX/", false, false),
            ("/ca/HEX", false, false),
            ("/HEX", false, false),
        ];
        for (path, is_object, is_served) in table {
            let path = path.replace("HEX", hex);
            assert_eq!(object(&path).is_some(), is_object, "{path}");
            assert_eq!(is_entry(&path), is_served, "{path}");
        }
    }
}
