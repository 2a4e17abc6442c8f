"""Fields on their way: which stay, which go, which are added."""

from ..case import Group, answer, get, given
from ..checks import (
    asked,
    has,
    lacks,
    mentions,
    mentions_not,
    once,
    reused,
    status,
    test,
    upstream,
    upstream_lacks,
    upstream_mentions,
)

group = Group("fields", "RFC 9110 §5, §6.6, §7.6, RFC 9211: fields")
PASS = {"cc": "max-age=600"}

# From the origin to the client, at once and from the cache.
group.must("9110 §5.1", "unknown-response-field", get(has("x-unheard-of", "a"), to=answer(**PASS, x_unheard_of="a")))
group.must("9110 §5.3", "response-lines-kept-in-order", get(test("1 before 2", lambda v: v.reply.fields.one("x-many") == "1, 2"), to=answer(200, ("X-Many", "1"), ("X-Many", "2"), **PASS)))
group.must("6265 §3", "set-cookie-lines-not-joined", get(test("two lines", lambda v: v.reply.fields.all("set-cookie") == ["a=1", "b=2"]), to=answer(200, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))))
group.must("9110 §5.5", "response-value-bytes-kept", get(has("x-value", 'a;b="c,  d" (e) \t f'), to=answer(x_value='a;b="c,  d" (e) \t f')))
group.must("9110 §5.5", "response-value-obs-text-kept", get(has("x-value", "caf\xe9"), to=answer(x_value="caf\xe9")))
group.must("9110 §5.5", "empty-value-kept", get(has("x-empty", ""), to=answer(x_empty="")))
group.must("9110 §8.4", "content-encoding-untouched", get(has("content-encoding", "x-foo"), to=answer(content_encoding="x-foo")))
group.must("9110 §7.7", "no-transform-untouched", get(has("content-type", "text/plain"), lacks("content-encoding"), to=answer(cc="no-transform", content_type="text/plain", body=b"a" * 5000), accept_encoding="gzip"))
group.must("9110 §8.8.3", "etag-untouched", get(has("etag", 'W/"a:b"'), to=answer(etag='W/"a:b"')))
group.must("9110 §7.6.1", "connection-named-response-field", get(given(status(200)), lacks("x-hop"), to=answer(200, ("Connection", "X-Hop"), ("X-Hop", "1"), **PASS)))
group.must("9111 §3.1", "connection-named-not-from-cache", get(given(status(200)), to=answer(200, ("Connection", "X-Hop"), ("X-Hop", "1"), **PASS)), get(given(reused()), lacks("x-hop")))
group.must("9110 §7.6.1", "connection-named-two-lines", get(given(status(200)), lacks("x-hop"), lacks("x-hip"), to=answer(200, ("Connection", "X-Hop"), ("Connection", "X-Hip"), ("X-Hop", "1"), ("X-Hip", "1"))))
group.must("9110 §7.6.1", "connection-named-case", get(given(status(200)), lacks("x-hop"), to=answer(200, ("Connection", "x-hOP"), ("X-Hop", "1"))))
group.must("9110 §7.6.1", "keep-alive-removed", get(given(status(200)), mentions_not("keep-alive", "timeout=77"), to=answer(200, ("Keep-Alive", "timeout=77"))))
group.must("9110 §7.6.1", "proxy-connection-removed", get(given(status(200)), mentions_not("proxy-connection", "x-scripted"), to=answer(200, ("Proxy-Connection", "x-scripted"))))
group.must("9110 §7.8", "upgrade-removed", get(given(status(200)), mentions_not("upgrade", "x-scripted"), to=answer(200, ("Upgrade", "x-scripted"), ("Connection", "upgrade"))))
group.must("9111 §3.1", "proxy-authenticate-not-stored", get(given(status(200)), to=answer(200, ("Proxy-Authentication-Info", "x"), **PASS)), get(given(reused()), lacks("proxy-authentication-info")))
group.must("9110 §7.6.1", "connection-naming-cache-control-does-not-free", get(given(status(200)), to=answer(200, ("Connection", "Cache-Control"), cc="no-store", expires="{now+600}")), get(asked()))
group.must("9110 §7.6.3", "via-on-the-response", get(mentions("via", r"1\.1 \S+"), to=answer(**PASS)))
group.must("9110 §7.6.3", "via-appended", get(mentions("via", r"^1\.0 first(,| ).*1\.1 \S+"), to=answer(via="1.0 first")))
group.must("9110 §6.6.1", "date-kept", get(has("date", "Sun, 06 Nov 1994 08:49:37 GMT"), to=answer(200, ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"), date=False)))
group.must("9110 §6.6.1", "date-added", get(has("date"), once("date"), to=answer(**PASS, date=False)))
group.record("9110 §10.2.4", "server-kept", get(has("server", "scripted/1"), to=answer(server="scripted/1")))
group.record("9110 §5.1", "x-accel-and-the-like", get(has("x-accel-expires", "0"), has("x-accel-redirect", "/y"), to=answer(x_accel_expires="0", x_accel_redirect="/y")))
group.record("9211", "cache-status-miss", get(mentions("cache-status", "fwd="), to=answer(**PASS)))
group.may("9211 §2.2", "cache-status-fwd", get(mentions("cache-status", "fwd="), to=answer(**PASS)))
group.may("9211 §2.1", "cache-status-hit", get(given(status(200)), to=answer(**PASS)), get(given(reused()), mentions("cache-status", "; ?hit")))
group.may("9211 §2.4", "cache-status-ttl", get(given(status(200)), to=answer(**PASS)), get(given(reused()), mentions("cache-status", r"ttl=(59\d|600)")))
group.must("9211 §2", "cache-status-of-the-origin-kept-first", get(given(mentions("cache-status", ",")), mentions("cache-status", "^first; hit, "), to=answer(cache_status="first; hit")))
group.record("9209 §2", "proxy-status-on-own-error", get(mentions("proxy-status", "error="), to=answer(drop=True)))
group.must("9110 §15.6", "origin-closes-is-502-or-504", get(status(502, 503, 504), to=answer(drop=True)))

# From the client to the origin.
group.must("9110 §5.1", "unknown-request-field", get(upstream("x-unheard-of", "a"), x_unheard_of="a"))
group.must("9110 §5.3", "request-lines-kept-in-order", get(upstream("x-many", "1, 2"), lines=[("X-Many", "1"), ("X-Many", "2")]))
group.must("9110 §7.6.1", "connection-named-request-field", get(given(asked()), upstream_lacks("x-hop"), lines=[("Connection", "X-Hop"), ("X-Hop", "1")]))
group.must("9110 §7.6.1", "connection-named-among-others", get(given(asked()), upstream_lacks("x-hop"), lines=[("Connection", "keep-alive, X-Hop"), ("X-Hop", "1")]))
group.must("9110 §7.6.1", "request-proxy-connection-removed", get(given(asked()), upstream_lacks("proxy-connection"), lines=[("Proxy-Connection", "keep-alive")]))
group.must("9110 §7.6.1", "request-keep-alive-removed", get(given(asked()), test("not passed on", lambda v: all("77" not in (r.fields.one("keep-alive") or "") for r in v.asked)), lines=[("Connection", "keep-alive"), ("Keep-Alive", "timeout=77")]))
group.must("9110 §10.1.4", "te-removed", get(given(asked()), test("not passed on", lambda v: all("x-scripted" not in (r.fields.one("te") or "") for r in v.asked)), lines=[("TE", "x-scripted"), ("Connection", "TE")]))
group.must("9110 §7.8", "request-upgrade-removed", get(given(asked()), test("not passed on", lambda v: all("x-scripted" not in (r.fields.one("upgrade") or "") for r in v.asked)), lines=[("Upgrade", "x-scripted"), ("Connection", "Upgrade")]))
group.must("9110 §7.6.3", "request-via", get(given(asked()), upstream_mentions("via", r"1\.1 \S+")))
group.must("9110 §7.6.3", "request-via-appended", get(given(asked()), upstream_mentions("via", r"^1\.0 first(,| ).*1\.1 \S+"), via="1.0 first"))
group.must("9110 §11.6.2", "authorization-passed-on", get(upstream("authorization", "Basic eDp5"), authorization="Basic eDp5"))
group.must("9110 §11.7.2", "proxy-authorization-consumed", get(given(asked()), upstream_lacks("proxy-authorization"), proxy_authorization="Basic eDp5"))
group.must("9110 §12.5.3", "accept-encoding-not-invented", get(given(asked()), upstream_lacks("accept-encoding")))
group.must("9110 §5.5", "request-value-bytes-kept", get(upstream("x-value", 'a;b="c,  d" (e)'), x_value='a;b="c,  d" (e)'))
group.must("9110 §5.1", "cookie-passed-on", get(upstream("cookie", "a=b; c=d"), cookie="a=b; c=d"))
group.must("9110 §10.1.5", "user-agent-passed-on", get(upstream("user-agent", "scripted/1 (x)"), user_agent="scripted/1 (x)"))
group.must("9110 §7.6.2", "max-forwards-on-get-passed-on", get(given(asked()), max_forwards="0"))
group.must("9110 §7.2", "one-host-upstream", get(test("one Host", lambda v: bool(v.asked) and all(len(r.fields.all("host")) == 1 for r in v.asked))))
group.record("7239", "x-forwarded-for", get(upstream("x-forwarded-for")))
group.record("9111 §5.2.1", "cache-control-added-upstream", get(upstream("cache-control")))
