//! What an answer's head says about who gave it.
//!
//! A stratum speaks for itself. A parent may speak for the stratum behind it: then asking elsewhere may help, but the
//! parent is well, and leaving it alone would send everybody's requests over the wide area network for one dead server.
//! Parents tell the two apart by `Proxy-Status` (RFC 9209 §2.3), as our own caches do, or `X-Squid-Error`. Where nothing is
//! told, a status that no stratum has a reason for is the parent's own. Pure.

use http::{HeaderMap, HeaderName, StatusCode};

use super::{Role, UpstreamOutcome};

static PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
static X_SQUID_ERROR: HeaderName = HeaderName::from_static("x-squid-error");

/// Whom an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Parent,
    Behind,
}

/// How a request that got this head ended, if nothing is wrong with the body.
pub(super) fn of_head(role: Role, status: StatusCode, headers: &HeaderMap) -> UpstreamOutcome {
    if role != Role::Parent {
        return UpstreamOutcome::of_status(status);
    }
    let about = || told(headers);
    match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::MISDIRECTED_REQUEST => UpstreamOutcome::CannotServe,
        // Its rules forbid us, unless it says that they forbid the server behind it.
        StatusCode::FORBIDDEN if about() != Some(About::Behind) => UpstreamOutcome::CannotServe,
        status if status.is_server_error() => match about() {
            Some(About::Parent) => UpstreamOutcome::CannotServe,
            Some(About::Behind) => UpstreamOutcome::Behind,
            None => UpstreamOutcome::ServerError,
        },
        status => UpstreamOutcome::of_status(status),
    }
}

fn told(headers: &HeaderMap) -> Option<About> {
    let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
    // The last member is the nearest cache's.
    let status = headers.get_all(&PROXY_STATUS).iter().filter_map(text).next_back();
    let told = status.and_then(|status| by_proxy_status(&status));
    told.or_else(|| headers.get(&X_SQUID_ERROR).and_then(text).and_then(|error| by_squid_error(&error)))
}

/// The error of the last member that has one.
fn by_proxy_status(value: &str) -> Option<About> {
    let error_of = |member: &str| {
        let mut parameters = split_unquoted(member, ';').into_iter().skip(1);
        parameters.find_map(|parameter| Some(parameter.trim().strip_prefix("error=")?.to_owned()))
    };
    let error = split_unquoted(value, ',').into_iter().rev().find_map(error_of)?;
    Some(match error.as_str() {
        "proxy_internal_response"
        | "proxy_internal_error"
        | "proxy_configuration_error"
        | "proxy_loop_detected"
        | "connection_limit_reached"
        | "http_request_denied" => About::Parent,
        // All others are about the connection to the next hop, or its answer.
        _ => About::Behind,
    })
}

/// Squid's page names, followed by an error number (squid `src/err_type.h`).
fn by_squid_error(value: &str) -> Option<About> {
    match value.split_ascii_whitespace().next()? {
        "ERR_CONNECT_FAIL"
        | "ERR_SECURE_CONNECT_FAIL"
        | "ERR_DNS_FAIL"
        | "ERR_CANNOT_FORWARD"
        | "ERR_READ_TIMEOUT"
        | "ERR_READ_ERROR"
        | "ERR_WRITE_ERROR"
        | "ERR_LIFETIME_EXP"
        | "ERR_ZERO_SIZE_OBJECT"
        | "ERR_INVALID_RESP"
        | "ERR_GATEWAY_FAILURE" => Some(About::Behind),
        error if error.starts_with("ERR_") => Some(About::Parent),
        _ => None,
    }
}

/// The parts between separators that stand outside of quoted strings (RFC 9651 §3.3.3).
fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(|c| {
        let splits = !quoted && c == separator;
        (quoted, escaped) = match c {
            _ if escaped => (quoted, false),
            '\\' if quoted => (quoted, true),
            '"' => (!quoted, false),
            _ => (quoted, false),
        };
        splits
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use UpstreamOutcome::{Behind, CannotServe, ClientError, NotFound, NotModified, Ok, ServerError};

    use super::*;

    type Fields<'a> = &'a [(&'a HeaderName, &'a str)];

    fn verdict(role: Role, status: u16, fields: Fields<'_>) -> UpstreamOutcome {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        of_head(role, StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn a_parent_speaks_for_itself_or_for_the_stratum_behind_it() {
        let (ps, squid) = (&PROXY_STATUS, &X_SQUID_ERROR);
        let table: &[(u16, Fields<'_>, UpstreamOutcome)] = &[
            (200, &[], Ok),
            (206, &[], Ok),
            (304, &[], NotModified),
            (400, &[], ClientError),
            (429, &[], ClientError),
            // The parent had it from the stratum, or says itself that nobody has it.
            (404, &[], NotFound),
            (404, &[(ps, "p; error=destination_not_found")], NotFound),
            // No stratum answers these.
            (407, &[], CannotServe),
            (408, &[], CannotServe),
            (421, &[], CannotServe),
            (421, &[(ps, "p; error=proxy_internal_error")], CannotServe),
            (403, &[], CannotServe),
            (403, &[(ps, "p; error=http_request_denied")], CannotServe),
            (403, &[(squid, "ERR_ACCESS_DENIED 0")], CannotServe),
            (403, &[(ps, "p; error=destination_ip_prohibited")], ClientError),
            // Nothing is told.
            (500, &[], ServerError),
            (502, &[], ServerError),
            (504, &[(ps, "p")], ServerError),
            (504, &[(ps, "p; received-status=504")], ServerError),
            (503, &[(squid, "what?")], ServerError),
            // What our own caches say.
            (502, &[(ps, "p; error=destination_unavailable")], Behind),
            (502, &[(ps, "p; error=http_protocol_error")], Behind),
            (504, &[(ps, "p; error=http_response_timeout")], Behind),
            (502, &[(ps, "p; error=proxy_loop_detected")], CannotServe),
            // What others may say.
            (503, &[(ps, "p;error=connection_refused;details=\"a, b; error=c\"")], Behind),
            (503, &[(ps, r#"p; details="a \" b; error=proxy_internal_error, c"; error=dns_error"#)], Behind),
            (503, &[(ps, "p; error=connection_limit_reached")], CannotServe),
            (500, &[(ps, "p; error=proxy_internal_error")], CannotServe),
            // The nearest cache's word counts.
            (502, &[(ps, "far; error=proxy_internal_error, near; error=connection_timeout")], Behind),
            (
                502,
                &[(ps, "far; error=connection_timeout"), (ps, "near; error=proxy_internal_error")],
                CannotServe,
            ),
            (502, &[(ps, "far; error=connection_timeout, near")], Behind),
            // Squid.
            (503, &[(squid, "ERR_CONNECT_FAIL 111")], Behind),
            (503, &[(squid, "ERR_DNS_FAIL 0")], Behind),
            (504, &[(squid, "ERR_READ_TIMEOUT 0")], Behind),
            (502, &[(squid, "ERR_ZERO_SIZE_OBJECT 0")], Behind),
            (503, &[(squid, "ERR_SHUTTING_DOWN 0")], CannotServe),
            (500, &[(squid, "ERR_SOCKET_FAILURE 24")], CannotServe),
            (503, &[(squid, "ERR_ACCESS_DENIED 0")], CannotServe),
        ];
        for (status, fields, expected) in table {
            assert_eq!(verdict(Role::Parent, *status, fields), *expected, "{status} {fields:?}");
        }
    }

    #[test]
    fn a_stratum_speaks_for_itself() {
        for role in [Role::Mirror, Role::Named] {
            // Many strata have a squid in front of them.
            for field in [(&PROXY_STATUS, "p; error=connection_refused"), (&X_SQUID_ERROR, "ERR_DNS_FAIL 0")]
            {
                assert_eq!(verdict(role, 503, &[field]), ServerError);
            }
            for status in [403, 407, 408, 421] {
                assert_eq!(verdict(role, status, &[]), ClientError);
            }
        }
    }
}
