//! A request to a registry of container images that this proxy stands before (`[[registries]]`). Pure.
//!
//! Which registry is meant: the one that an absolute-form target names; else the one that containerd tells in the query
//! (`?ns=docker.io`), which is taken out; else the one that goes by this cache's name in `Host`; else the first.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};
use http::uri::PathAndQuery;

use super::{Asked, Refusal, Target, Verb};
use crate::access::{Access, Denial};
use crate::config::{Registry, ServerUrl};
use crate::layout::oci::{self, Content, Resource};

/// What a registry names by its checksum.
#[derive(Debug, PartialEq, Eq)]
pub struct Guarded<'r> {
    /// What clients call the registry.
    pub registry: &'r str,
    /// The blob or manifest.
    pub content: Content<'r>,
}

impl Guarded<'_> {
    /// The name under which it is accounted for, such as `docker.io/library/debian`.
    pub fn image(&self) -> String {
        format!("{}/{}", self.registry, self.content.image)
    }
}

/// The request, if a registry is asked; `None` leaves it to the rules for everything else.
pub(super) fn asked<'r>(
    verb: Verb,
    named: Option<&ServerUrl>,
    headers: &HeaderMap,
    path: &'r PathAndQuery,
    access: &'r Access,
) -> Result<Option<Asked<'r>>, Refusal> {
    let registries = access.registries();
    let Some(resource) = oci::resource(path.path()).filter(|_| !registries.is_empty()) else {
        return Ok(None);
    };
    let (registry, path) = match named {
        Some(named) => match registries.iter().find(|registry| registry.url == *named) {
            Some(registry) => (registry, Cow::Borrowed(path)),
            None => return Ok(None),
        },
        None => match path.query().and_then(oci::namespace) {
            Some((name, rest)) => {
                let named = registries.iter().find(|registry| registry.name.eq_ignore_ascii_case(&name));
                (named.ok_or(Denial::Registry)?, Cow::Owned(with_query(path.path(), &rest)?))
            }
            None => (by_host(registries, headers), Cow::Borrowed(path)),
        },
    };
    let shows_none = !headers.contains_key(AUTHORIZATION) && !matches!(verb, Verb::Write(_));
    let anonymous = (registry.anonymous && shows_none).then_some(match resource {
        Resource::Content(content) => content.image,
        Resource::Document(image) => image,
    });
    let target = match resource {
        Resource::Content(_) if matches!(verb, Verb::Write(_)) => return Err(Refusal::Immutable),
        Resource::Content(content) if path.query().is_none() => {
            Target::Guarded(Guarded { registry: &registry.name, content })
        }
        _ => Target::Document(None),
    };
    Ok(Some(Asked { verb, named: Some(registry.url.clone()), path, target, anonymous }))
}

/// The registry that is meant by the name under which the client reached this cache.
fn by_host<'a>(registries: &'a [Registry], headers: &HeaderMap) -> &'a Registry {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    let goes_by = |registry: &&Registry| registry.hosts.iter().any(|glob| glob.matches(host));
    registries.iter().find(goes_by).unwrap_or(&registries[0])
}

fn with_query(path: &str, query: &str) -> Result<PathAndQuery, Refusal> {
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    PathAndQuery::try_from(target).map_err(|_| Refusal::Malformed("the query is malformed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Glob};

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn access() -> Access {
        let registry = |name: &str, url: &str, host: &str| Registry {
            name: name.to_owned(),
            url: url.parse().unwrap(),
            hosts: vec![Glob::new(host)],
            anonymous: false,
        };
        let registries = [
            registry("docker.io", "https://registry-1.docker.test", "hub.cache.test"),
            registry("own.test:5000", "http://own.test:5000", "own.*.test"),
        ];
        Access::new(&config::Access::default(), &[], &[], &[]).before(&registries)
    }

    /// Server, path, and the image or nothing.
    fn told(verb: Verb, target: &str, host: &str) -> String {
        let access = access();
        let request = http::Request::get(target).header("host", host).body(()).unwrap();
        let named = request.uri().authority().map(|a| format!("http://{a}").parse().unwrap());
        let path = request.uri().path_and_query().unwrap();
        match asked(verb, named.as_ref(), request.headers(), path, &access) {
            Ok(None) => "not a registry".to_owned(),
            Ok(Some(asked)) => {
                let image = match &asked.target {
                    Target::Guarded(guarded) => format!(" {}", guarded.image()),
                    _ => String::new(),
                };
                format!("{}{}{image}", asked.named.unwrap(), asked.path)
            }
            Err(refusal) => format!("{:?}", refusal.reason()),
        }
    }

    #[test]
    fn which_registry_is_meant() {
        let blob = format!("/v2/debian/blobs/{DIGEST}");
        let hub = format!("https://registry-1.docker.test{blob} docker.io/debian");
        let own = format!("http://own.test:5000{blob} own.test:5000/debian");
        let table = [
            (blob.clone(), "cache.test:3128", hub.clone()),
            (blob.clone(), "own.cache.test:3128", own.clone()),
            (blob.clone(), "[::1]:3128", hub.clone()),
            (format!("{blob}?ns=docker.io"), "own.cache.test", hub),
            (format!("{blob}?ns=own.test%3A5000"), "cache.test", own.clone()),
            (format!("http://own.test:5000{blob}"), "own.test:5000", own),
            (format!("http://other.test{blob}"), "other.test", "not a registry".to_owned()),
            (format!("{blob}?ns=other.test"), "cache.test", "RegistryNotServed".to_owned()),
            (format!("{blob}?x=1"), "cache.test", format!("https://registry-1.docker.test{blob}?x=1")),
            (
                "/v2/a/tags/list?n=5&ns=own.test:5000".to_owned(),
                "cache.test",
                "http://own.test:5000/v2/a/tags/list?n=5".to_owned(),
            ),
            ("/v2/".to_owned(), "cache.test", "https://registry-1.docker.test/v2/".to_owned()),
            ("/cvmfs/a.b/.cvmfspublished".to_owned(), "cache.test", "not a registry".to_owned()),
            ("/v2/a/blobs/uploads/".to_owned(), "cache.test", "not a registry".to_owned()),
        ];
        for (target, host, expected) in table {
            assert_eq!(told(Verb::Get, &target, host), expected, "{target} at {host}");
        }
        let write = Verb::Write(config::WriteMethod::Delete);
        assert_eq!(told(write, &blob, "cache.test"), "Method");
    }
}
