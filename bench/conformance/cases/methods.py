"""HEAD, other methods and what they make of stored answers; the URL as the key."""

from ..case import Group, answer, get, given
from ..checks import asked, no_body, reused, shows, status, test

group = Group("methods", "RFC 9111 §2, §4, §4.3.5, §4.4, RFC 9110 §9: methods and keys")
FRESH = answer(cc="max-age=600", etag='"a"')

group.may("9110 §9.3.2", "head-from-a-stored-get", get(given(status(200)), to=FRESH), get(reused(), status(200), method="HEAD", to=FRESH))
group.must("9110 §9.3.2", "head-has-no-body", get(status(200), no_body(), method="HEAD", to=FRESH))
group.must(
    "9110 §9.3.2",
    "head-says-the-length-of-get",
    get(given(status(200)), to=FRESH),
    get(given(reused()), no_body(), test("the length of the body or none", lambda v: v.reply.fields.one("content-length") in (None, str(len(v.earlier[0].reply.body)))), method="HEAD"),
)
group.must(
    "9111 §4",
    "head-does-not-fill-get",
    get(given(status(200)), method="HEAD", to=FRESH),
    get(status(200), test("a body", lambda v: bool(v.reply.body)), to=FRESH),
)
group.must(
    "9111 §4.3.5",
    "head-that-differs-invalidates",
    get(given(status(200)), to=answer(cc="max-age=1", etag='"a"', body=b"0123456789")),
    get(given(asked()), given(test("HEAD is passed on", lambda v: v.asked[0].method == "HEAD")), method="HEAD", to=answer(cc="max-age=600", etag='"b"', body=b"01234"), after=2.5),
    get(asked(), to=answer(cc="max-age=600", etag='"b"', body=b"01234")),
)
group.record(
    "9111 §4.3.5",
    "head-that-agrees-refreshes",
    get(to=answer(cc="max-age=1", etag='"a"', body=b"0123456789")),
    get(method="HEAD", to=answer(cc="max-age=600", etag='"a"', body=b"0123456789"), after=2.5),
    get(to=answer(cc="max-age=600", etag='"a"', body=b"0123456789")),
)
group.record("9111 §2", "head-is-cached-for-head", get(method="HEAD", to=FRESH), get(method="HEAD", to=FRESH))

for method in ["POST", "PUT", "DELETE", "PATCH"]:
    payload = b"" if method == "DELETE" else b"payload"
    group.must(
        "9111 §4.4",
        f"{method.lower()}-invalidates",
        get(given(status(200)), to=FRESH),
        get(given(asked()), given(status(200, 204)), method=method, body=payload, to=answer(204)),
        get(asked(), to=FRESH),
    )
    group.record("9110 §9", f"{method.lower()}-is-passed-on", get(method=method, body=payload))
    group.must(
        "9111 §4",
        f"{method.lower()}-answer-is-not-for-get",
        get(given(asked()), method=method, body=payload, to=answer(cc="max-age=600")),
        get(asked(), to=FRESH),
    )
group.may(
    "9111 §4.4",
    "failed-post-keeps",
    get(given(status(200)), to=FRESH),
    get(given(asked()), method="POST", body=b"payload", to=answer(500)),
    get(reused()),
)
group.must(
    "9111 §4.4",
    "unknown-method-invalidates",
    get(given(status(200)), to=FRESH),
    get(given(asked()), given(status(200)), method="FROB", to=answer(200)),
    get(asked(), to=FRESH),
)
group.record("9110 §9", "unknown-method-is-passed-on", get(method="FROB"))
for method in ["OPTIONS", "TRACE"]:
    group.record("9110 §9.3", f"{method.lower()}-is-passed-on", get(method=method))
group.must(
    "9110 §15.5.6",
    "a-405-says-what-is-allowed",
    get(given(status(405)), test("Allow", lambda v: bool(v.asked) or v.reply.fields.one("allow") is not None), method="POST", body=b"payload"),
)

# The key.
def differs(name, first, second):
    group.must("9111 §4", name, get(given(status(200)), to=FRESH, suffix=first), get(asked(), shows(1), to=FRESH, suffix=second))


differs("query-differs", "?a=1", "?a=2")
differs("query-or-none", "", "?a=1")
differs("query-order", "?a=1&b=2", "?b=2&a=1")
differs("query-case", "?a=x", "?a=X")
differs("path-case", "/a", "/A")
differs("path-trailing-slash", "/a", "/a/")
differs("query-encoded-ampersand", "?a=1&b", "?a=1%26b")
differs("encoded-slash", "/a/b", "/a%2Fb")
differs("double-slash", "/a/b", "/a//b")
differs("plus-or-space", "?a=1+2", "?a=1%202")
group.may("9111 §4", "query-same", get(given(status(200)), to=FRESH, suffix="?a=1"), get(reused(), to=FRESH, suffix="?a=1"))
group.record("9110 §4.2.3", "percent-case", get(to=FRESH, suffix="/%2d%7e"), get(to=FRESH, suffix="/%2D%7E"))
group.record("9110 §4.2.3", "percent-unreserved", get(to=FRESH, suffix="/%61"), get(to=FRESH, suffix="/a"))
group.record("9110 §4.2.3", "empty-query", get(to=FRESH, suffix="?"), get(to=FRESH))


def arrives(name, suffix):
    """No path is rewritten on its way (RFC 9110 §7.7)."""
    group.must("9110 §7.7", name, get(given(asked()), test(f"the target ends in {suffix}", lambda v: v.asked[0].target.endswith("x" + suffix)), suffix=suffix))


arrives("target-query-unchanged", "?a=1&b=%41+%2B;c")
arrives("target-escapes-unchanged", "/%2F%41%7e")
arrives("target-double-slash-unchanged", "//a//b")
arrives("target-odd-characters-unchanged", "/!$&'()*+,;=:@-._~")
arrives("target-empty-query-unchanged", "/a?")
