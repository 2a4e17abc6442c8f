//! Paths and methods: which answer a request gets, and the fields that all answers have.

use std::convert::Infallible;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;

use super::guard::Right;
use super::reports::{self, Report, Reports};
use super::{Admin, Readiness, log, missing, page, purge};

/// An answer, whole.
pub(super) type Answer = Response<Full<Bytes>>;

/// Answers a request. Where no body belongs, it is refused, not read.
pub(super) async fn answer<B>(
    admin: &Admin,
    reports: &Reports,
    peer: IpAddr,
    request: Request<B>,
) -> Result<Answer, Infallible>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Some(route) = Route::of(request.uri().path()) else {
        return Ok(text(
            StatusCode::NOT_FOUND,
            "not found: see /, /status, /history, /metrics, /log, /missing, /purge, /livez, /readyz",
        ));
    };
    let guard = admin.guard.load();
    let right = match &guard.token {
        _ if matches!(route, Route::Live | Route::Ready) => Right::See,
        Some(token) => token.right(request.headers()),
        None => Right::Change,
    };
    if right == Right::Nothing {
        admin.metrics.admin.unauthorized.inc();
        return Ok(unauthorized(
            "a token is needed here: `token_file` in [admin] names the file that has it",
        ));
    }
    if let Route::Missing = route {
        return Ok(match *request.method() {
            Method::POST => missing::answer(&*admin.status, request.into_body()).await,
            _ => not_allowed("POST"),
        });
    }
    let writes = matches!(route, Route::Log | Route::Purge) && *request.method() == Method::POST;
    if writes && right == Right::See {
        return Ok(unauthorized("what changes something needs the token as a bearer token"));
    }
    let reads = !matches!(route, Route::Purge) && matches!(*request.method(), Method::GET | Method::HEAD);
    if !writes && !reads {
        let allowed = match route {
            Route::Log => "GET, HEAD, POST",
            Route::Purge => "POST",
            _ => "GET, HEAD",
        };
        return Ok(not_allowed(allowed));
    }
    if !request.body().is_end_stream() {
        return Ok(text(StatusCode::BAD_REQUEST, "no request body is taken"));
    }
    Ok(match route {
        Route::Log if writes => {
            log::change(admin.filter.as_ref(), peer, request.uri().query(), request.headers())
        }
        Route::Purge if guard.token.is_none() => {
            text(StatusCode::FORBIDDEN, "nothing is purged without a token: `token_file` in [admin]")
        }
        Route::Purge => purge::purge(admin, request.uri().query()).await,
        Route::Log => log::tell(admin.filter.as_ref()),
        // Answered above.
        Route::Missing => not_allowed("POST"),
        Route::Live => text(StatusCode::OK, "ok"),
        Route::Ready => readiness(&admin.status.ready()),
        Route::Asset(asset) => typed(StatusCode::OK, asset.media_type, asset.text),
        Route::Metrics => reports::answer(reports, Report::Metrics).await,
        Route::Status => reports::answer(reports, Report::Status).await,
        Route::History => reports::answer(reports, Report::History).await,
        Route::Page => {
            let refresh = page::Refresh::from_query(request.uri().query());
            reports::answer(reports, Report::Page(refresh)).await
        }
    })
}

enum Route {
    Page,
    Asset(&'static page::Asset),
    Status,
    History,
    Metrics,
    Log,
    Missing,
    Purge,
    Live,
    Ready,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Page,
            "/history" => Self::History,
            "/status" => Self::Status,
            "/metrics" => Self::Metrics,
            "/log" => Self::Log,
            "/missing" => Self::Missing,
            "/purge" => Self::Purge,
            "/livez" => Self::Live,
            "/readyz" => Self::Ready,
            other => Self::Asset(page::ASSETS.iter().find(|asset| asset.path == other)?),
        })
    }
}

fn not_allowed(allowed: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, &format!("only {allowed}"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

fn unauthorized(line: &str) -> Answer {
    let mut answer = text(StatusCode::UNAUTHORIZED, line);
    for challenge in ["Bearer realm=\"substratum\"", "Basic realm=\"substratum\""] {
        answer.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    answer
}

fn readiness(readiness: &Readiness) -> Answer {
    let status = match readiness {
        Readiness::Ready => StatusCode::OK,
        Readiness::Starting(_) | Readiness::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    text(status, &readiness.words())
}

/// One line of plain text.
pub(super) fn text(status: StatusCode, line: &str) -> Answer {
    typed(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

/// An answer of some media type, never stored nor guessed at, and inert in a browser except for our own style and script.
pub(super) fn typed(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, POLICY),
    ] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    answer
}

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
