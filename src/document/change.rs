//! Requests that may change a document: passed on, and what is stored of what they may have changed is forgotten (RFC 9111
//! §4.4).

use std::future::Future;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use http::{Response, Uri};
use http_body::Body;

use super::body::{AnswerBody, PassBody};
use super::clock::Clock;
use super::key::DocumentKey;
use super::refresh::{UpstreamRequest, passed_on};
use super::{Answer, DocumentRequest, Documents, Failure, hop};
use crate::config::{Scheme, ServerUrl};
use crate::outcome::Outcome;
use crate::reason::Reason;
use crate::response::cache_status::{CacheStatus, Forward};

/// Fields that name other documents that were changed as well.
const NAMING: [HeaderName; 2] = [header::LOCATION, header::CONTENT_LOCATION];

impl<E> Documents<E>
where
    E: Clone + Send + Sync + 'static,
{
    /// Passes a request on that may change what `request.key` names, on `server` if the request named it. `fetch` is
    /// called once.
    ///
    /// # Errors
    /// [`Failure`] when there is no answer; nothing is forgotten then.
    pub async fn change<F, Fut, B>(
        &self,
        request: DocumentRequest,
        server: Option<&ServerUrl>,
        fetch: F,
        now: SystemTime,
    ) -> Result<Answer<B, E>, Failure<E>>
    where
        F: FnOnce(UpstreamRequest) -> Fut,
        Fut: Future<Output = Result<Response<B>, E>>,
        B: Body<Data = Bytes> + Unpin,
    {
        let clock = Clock::starting_at(now);
        let DocumentRequest { method, key, headers, .. } = request;
        let outgoing = UpstreamRequest { method, headers: hop::forwardable_request(headers) };
        let (head, body) = fetch(outgoing).await.map_err(Failure::Upstream)?.into_parts();
        let mut forgotten = 0;
        if head.status.is_success() || head.status.is_redirection() {
            for target in changed(server, key.target(), &head.headers) {
                // What the server's own clients ask for by path alone is the same document.
                for key in [DocumentKey::at(server, &target), DocumentKey::at(None, &target)] {
                    forgotten += usize::from(self.shelf.forget(&key));
                }
            }
        }
        let mut why = Reason::Change;
        if forgotten > 0 {
            self.shelf.metrics.invalidations.inc();
            why = Reason::Invalidated;
        }
        let cache_status = CacheStatus::forwarded(Forward::Method, Some(head.status)).because(why);
        let response = passed_on(head, PassBody::new(body), clock.now());
        Ok(Answer {
            response: response.map(AnswerBody::Passing),
            outcome: Outcome::DocumentChange,
            cache_status,
        })
    }
}

/// Path and query of all that an answer says was changed: the target itself, and what it names on the same server.
fn changed(server: Option<&ServerUrl>, target: &str, answer: &HeaderMap) -> Vec<String> {
    let mut all = vec![target.to_owned()];
    for value in NAMING.iter().flat_map(|name| answer.get_all(name)) {
        all.extend(value.to_str().ok().and_then(|text| resolved(server, target, text)));
    }
    all
}

/// A reference as it stands in an answer about `target` -> path and query on the same server; `None` for another origin, which
/// nobody but itself may speak for.
fn resolved(server: Option<&ServerUrl>, target: &str, reference: &str) -> Option<String> {
    let reference = reference.split_once('#').map_or(reference, |(before, _)| before);
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let folder = &path[..=path.rfind('/')?];
    match reference.as_bytes() {
        [] => Some(target.to_owned()),
        [b'/', b'/', ..] => None,
        [b'/', ..] => Some(reference.to_owned()),
        [b'?', ..] => Some(format!("{path}{reference}")),
        // RFC 3986 §5.2.4, which answers hardly ever need: such a reference names nothing that is known by that name here.
        _ if reference.split(['/', '?']).any(|segment| matches!(segment, "." | "..")) => None,
        _ if !reference.split('/').next()?.contains(':') => Some(format!("{folder}{reference}")),
        _ => {
            let uri: Uri = reference.parse().ok()?;
            let scheme = match uri.scheme_str()? {
                "http" => Scheme::Http,
                "https" => Scheme::Https,
                _ => return None,
            };
            let named = ServerUrl::from_authority(scheme, uri.authority()?.as_str()).ok()?;
            let target = uri.path_and_query().map_or("/", |target| target.as_str());
            (server == Some(&named)).then(|| target.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let server = ServerUrl::from_authority(Scheme::Http, "a.test:8000").unwrap();
        let table = [
            ("/x?y", Some("/x?y")),
            ("z", Some("/b/z")),
            ("z/c?d", Some("/b/z/c?d")),
            ("?d", Some("/b/c?d")),
            ("", Some("/b/c?q=/e/")),
            ("#f", Some("/b/c?q=/e/")),
            ("/x#f", Some("/x")),
            ("http://a.test:8000/x", Some("/x")),
            ("http://A.TEST:8000", Some("/")),
            ("https://a.test:8000/x", None),
            ("http://a.test/x", None),
            ("http://b.test:8000/x", None),
            ("//a.test:8000/x", None),
            ("../x", None),
            ("mailto:x", None),
        ];
        for (reference, expected) in table {
            assert_eq!(resolved(Some(&server), "/b/c?q=/e/", reference).as_deref(), expected, "{reference}");
        }
        assert_eq!(resolved(None, "/b/c", "http://a.test:8000/x"), None);
        assert_eq!(resolved(None, "/b/c", "/x").as_deref(), Some("/x"));
    }
}
