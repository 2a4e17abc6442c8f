"""What may be stored, and what may be used again without asking."""

from ..case import Group, answer, get, given
from ..checks import asked, has, reused, shows, status

LASTING = "max-age=600"

group = Group("storing", "RFC 9111 §3, §5.2.2: what may be stored")


def never(name, source, *lines, request=(), **fields):
    """Fresh by its lifetime, and yet not for a second client."""
    to = answer(200, *lines, **fields)
    group.must(source, name, get(given(status(200)), to=to, lines=request), get(asked(), lines=request))


def may(name, source, *lines, request=(), again=(), **fields):
    to = answer(200, *lines, **fields)
    group.may(source, name, get(given(status(200)), to=to, lines=request), get(reused(), shows(0), lines=again))


CC = "Cache-Control"
never("no-store", "9111 §5.2.2.5", cc="no-store, max-age=600")
never("no-store-case", "9111 §5.2", cc="No-StOrE, max-age=600")
never("no-store-last", "9111 §5.2.2.5", cc="max-age=600, no-store")
never("no-store-second-line", "9110 §5.3", (CC, LASTING), (CC, "no-store"))
never("no-store-after-unknown", "9111 §5.2.3", cc="a=b, no-store, max-age=600")
never("no-store-after-quoted", "9111 §5.2", cc='max-age=600, ext="a, b", no-store')
never("no-store-after-empty-members", "9110 §5.6.1", cc=", ,no-store, ,max-age=600")
never("no-store-expires", "9111 §5.2.2.5", cc="no-store", expires="{now+600}")
never("private", "9111 §5.2.2.7", cc="private, max-age=600")
never("private-case", "9111 §5.2", cc="PRIVATE, max-age=600")
never("private-s-maxage", "9111 §5.2.2.7", cc="private, s-maxage=600")
never("private-expires", "9111 §5.2.2.7", cc="private", expires="{now+600}")
never("private-field", "9111 §5.2.2.7", cc='private="cache-control", max-age=600')
never("private-and-public", "9111 §3", cc="public, private, max-age=600")
never("no-cache", "9111 §5.2.2.4", cc="no-cache, max-age=600")
never("no-cache-case", "9111 §5.2", cc="No-Cache, max-age=600")
never("no-cache-expires", "9111 §5.2.2.4", cc="no-cache", expires="{now+600}")
never("no-cache-s-maxage", "9111 §5.2.2.4", cc="s-maxage=600, no-cache")
never("no-cache-with-etag", "9111 §5.2.2.4", cc="no-cache, max-age=600", etag='"a"')
never("authorization", "9111 §3.5", cc=LASTING, request=[("Authorization", "Basic eDp5")])
never("authorization-expires", "9111 §3.5", expires="{now+600}", request=[("Authorization", "Basic eDp5")])
never("authorization-proxy-revalidate", "9111 §3.5", cc="max-age=600, proxy-revalidate", request=[("Authorization", "Basic eDp5")])
never("vary-star", "9111 §4.1", cc=LASTING, vary="*")

group.must(
    "9111 §5.2.2.3",
    "must-understand-unknown-status",
    get(given(status(299)), to=answer(299, cc="must-understand, max-age=600, no-store")),
    get(asked()),
)
group.must(
    "9111 §3.5",
    "authorization-then-anonymous",
    get(given(status(200)), to=answer(cc=LASTING), lines=[("Authorization", "Basic eDp5")]),
    get(asked()),
)
group.may(
    "9111 §5.2.1.5",
    "request-no-store-is-not-stored",
    get(given(status(200)), to=answer(cc=LASTING), cc="no-store"),
    get(asked()),
)
group.must(
    "9111 §3",
    "no-store-replaces-nothing-older",
    get(given(status(200)), to=answer(cc="max-age=1", etag='"a"')),
    get(given(asked()), to=answer(cc="no-store", etag='"b"'), after=2.4),
    get(asked(), to=answer(cc="no-store")),
)
group.must(
    "9111 §5.2.2.4",
    "no-cache-is-validated-each-time",
    get(given(status(200)), to=answer(cc="no-cache", etag='"a"')),
    get(asked(), to=answer(cc="no-cache", etag='"a"')),
    get(asked(), to=answer(cc="no-cache", etag='"a"')),
)

may("max-age", "9111 §5.2.2.1", cc=LASTING)
may("s-maxage", "9111 §5.2.2.10", cc="s-maxage=600")
may("expires", "9111 §5.3", expires="{now+600}")
may("public-max-age", "9111 §5.2.2.9", cc="public, max-age=600")
may("must-revalidate-fresh", "9111 §5.2.2.2", cc="max-age=600, must-revalidate")
may("proxy-revalidate-fresh", "9111 §5.2.2.8", cc="max-age=600, proxy-revalidate")
may("no-transform", "9111 §5.2.2.6", cc="max-age=600, no-transform")
may("immutable", "8246 §2", cc="max-age=600, immutable")
may("unknown-directive", "9111 §5.2.3", cc="max-age=600, unheard-of")
may("unknown-directive-with-value", "9111 §5.2.3", cc='unheard-of="no-store, private", max-age=600')
may("no-store-inside-quotes", "9111 §5.2", cc='max-age=600, ext="a, no-store, b"')
may("no-store-within-a-name", "9111 §5.2", cc="max-age=600, x-no-store-x")
may("set-cookie", "9111 §7.3", cc="public, max-age=600", set_cookie="a=b")
may("pragma-in-response", "9111 §5.4", cc=LASTING, pragma="no-cache")
may("cookie-in-request", "9111 §4", cc=LASTING, request=[("Cookie", "a=b")], again=[("Cookie", "a=c")])
may("chunked", "9112 §7.1", cc=LASTING, framing="chunked")
may("close-delimited", "9112 §6.3", cc=LASTING, framing="close")
may("empty-body", "9111 §3", cc=LASTING, body=b"")
may("no-date", "9110 §6.6.1", cc=LASTING, date=False)
may("authorization-public", "9111 §3.5", cc="public, max-age=600", request=[("Authorization", "Basic eDp5")])
may("authorization-s-maxage", "9111 §3.5", cc="s-maxage=600", request=[("Authorization", "Basic eDp5")])
may("authorization-must-revalidate", "9111 §3.5", cc="max-age=600, must-revalidate", request=[("Authorization", "Basic eDp5")])
may("must-understand-known-status", "9111 §5.2.2.3", cc="must-understand, no-store, max-age=600")
may("large", "9111 §3", cc=LASTING, body=b"0123456789abcdef" * 16384)
may("request-fields-differ", "9111 §4", cc=LASTING, request=[("User-Agent", "a")], again=[("User-Agent", "b"), ("cvmfs-info", "x")])

group.may(
    "9111 §4.1",
    "authorized-client-gets-the-anonymous-copy",
    get(given(status(200)), to=answer(cc="public, max-age=600")),
    get(reused(), lines=[("Authorization", "Basic eDp5")]),
)
group.record(
    "9111 §5.2.2.4",
    "no-cache-field",
    get(to=answer(cc='no-cache="x-a", max-age=600', x_a="1")),
    get(),
)
group.record("9111 §5.2.2.5", "cdn-cache-control", get(to=answer(cc="no-store", cdn_cache_control=LASTING)), get())
group.record("9111 §5.2.2.5", "surrogate-control", get(to=answer(cc="no-store", surrogate_control=LASTING)), get())
group.may(
    "9110 §5.1",
    "fields-of-the-stored-answer",
    get(given(status(200)), to=answer(cc=LASTING, x_unknown="a, b", content_language="de")),
    get(given(reused()), has("x-unknown", "a, b"), has("content-language", "de")),
)
