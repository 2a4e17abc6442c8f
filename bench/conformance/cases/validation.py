"""Conditional requests: from clients, to the origin, and what a 304 changes."""

from ..case import Group, answer, get, given
from ..checks import asked, has, no_body, reused, shows, status, test, unconditional, upstream, validated

group = Group("validation", "RFC 9111 §4.3, RFC 9110 §13: validation")
T0, T1, T2 = "{now-3000}", "{now-2000}", "{now-1000}"
SOON = 2.5

# To the origin.
STALE = {"cc": "max-age=1"}


def renewed(**fields):
    """304 to a condition, else a new answer."""
    return answer(**fields, if_conditional=answer(304, **fields))


group.may(
    "9111 §4.3.1",
    "etag-is-offered",
    get(given(status(200)), to=answer(**STALE, etag='"a"')),
    get(upstream("if-none-match", '"a"'), status(200), shows(0), to=renewed(**STALE, etag='"a"'), after=SOON),
)
group.may(
    "9111 §4.3.1",
    "weak-etag-is-offered",
    get(given(status(200)), to=answer(**STALE, etag='W/"a"')),
    get(upstream("if-none-match", 'W/"a"'), status(200), shows(0), to=renewed(**STALE, etag='W/"a"'), after=SOON),
)
group.may(
    "9111 §4.3.1",
    "last-modified-is-offered",
    get(given(status(200)), to=answer(**STALE, last_modified="Sun, 06 Nov 1994 08:49:37 GMT")),
    get(
        upstream("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        status(200),
        shows(0),
        to=renewed(**STALE, last_modified="Sun, 06 Nov 1994 08:49:37 GMT"),
        after=SOON,
    ),
)
group.may(
    "9111 §4.3.1",
    "both-are-offered",
    get(given(status(200)), to=answer(**STALE, etag='"a"', last_modified="Sun, 06 Nov 1994 08:49:37 GMT")),
    get(
        upstream("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        upstream("if-none-match", '"a"'),
        to=renewed(**STALE, etag='"a"'),
        after=SOON,
    ),
)
group.record(
    "9111 §4.3.1",
    "without-validator-unconditional",
    get(given(status(200)), to=answer(**STALE)),
    get(given(asked()), unconditional(), shows(1), after=SOON),
)
group.must(
    "9111 §4.3.3",
    "changed-is-shown",
    get(given(status(200)), to=answer(**STALE, etag='"a"')),
    get(shows(1), to=answer(cc="max-age=600", etag='"b"'), after=SOON),
)
group.may(
    "9111 §4.3.3",
    "changed-is-stored",
    get(given(status(200)), to=answer(**STALE, etag='"a"')),
    get(given(shows(1)), to=answer(cc="max-age=600", etag='"b"'), after=SOON),
    get(reused(), shows(1)),
)
group.may(
    "9111 §4.3.1",
    "no-cache-is-validated",
    get(given(status(200)), to=answer(cc="no-cache", etag='"a"')),
    get(validated(), status(200), shows(0), to=renewed(cc="no-cache", etag='"a"')),
)
group.may(
    "9111 §4.3.1",
    "must-revalidate-is-validated",
    get(given(status(200)), to=answer(cc="max-age=1, must-revalidate", etag='"a"')),
    get(validated(), shows(0), to=renewed(cc="max-age=1, must-revalidate", etag='"a"'), after=SOON),
)
group.may(
    "9111 §4.3.4",
    "304-makes-fresh",
    get(given(status(200)), to=answer(**STALE, etag='"a"')),
    get(given(validated()), to=renewed(cc="max-age=600", etag='"a"'), after=SOON),
    get(reused(), shows(0)),
)
group.record(
    "9111 §4.3.1",
    "unquoted-etag",
    get(to=answer(**STALE, etag="abc")),
    get(to=renewed(**STALE, etag="abc"), after=SOON),
)


def updates(name, source, first, second, *checks, kind=group.must):
    """What the 304 says, in its own answer and from then on."""
    kind(
        source,
        name,
        get(given(status(200)), to=answer(**STALE, etag='"a"', **first)),
        get(given(validated()), given(status(200)), to=answer(etag='"a"', if_conditional=answer(304, etag='"a"', cc="max-age=600", **second)), after=SOON),
        get(given(reused()), *checks),
    )


updates("304-updates-unknown-field", "9111 §3.2", {"x_test": "old"}, {"x_test": "new"}, has("x-test", "new"))
updates("304-adds-field", "9111 §3.2", {}, {"x_test": "new"}, has("x-test", "new"))
updates("304-keeps-other-fields", "9111 §3.2", {"x_test": "old"}, {}, has("x-test", "old"))
updates("304-updates-cache-control", "9111 §3.2", {}, {}, has("cache-control", "max-age=600"))
updates("304-updates-expires", "9111 §3.2", {"expires": "Fri, 31 Dec 2060 23:59:59 GMT"}, {"expires": "Sat, 31 Dec 2061 23:59:59 GMT"}, has("expires", "Sat, 31 Dec 2061 23:59:59 GMT"))
updates("304-updates-content-type", "9111 §3.2", {"content_type": "text/plain"}, {"content_type": "text/html"}, has("content-type", "text/html"))
updates("304-updates-content-language", "9111 §3.2", {"content_language": "de"}, {"content_language": "fr"}, has("content-language", "fr"))
updates("304-updates-set-cookie", "9111 §3.2", {"set_cookie": "a=1"}, {"set_cookie": "a=2"}, has("set-cookie", "a=2"))
updates("304-keeps-content-encoding", "9111 §3.2", {"content_encoding": "x-a"}, {"content_encoding": "x-b"}, has("content-encoding", "x-a"), kind=group.record)
updates("304-keeps-content-length", "9111 §3.2", {}, {"content_length": "0"}, shows(0), test("Content-Length fits the body", lambda v: v.reply.fields.one("content-length") in (None, str(len(v.reply.body)))))
group.must(
    "9111 §3.2",
    "304-fields-show-at-once",
    get(given(status(200)), to=answer(**STALE, etag='"a"', x_test="old")),
    get(given(validated()), given(status(200)), has("x-test", "new"), to=answer(if_conditional=answer(304, etag='"a"', cc="max-age=600", x_test="new")), after=SOON),
)
group.must(
    "9111 §4.3.4",
    "304-with-no-store-is-not-reused",
    get(given(status(200)), to=answer(**STALE, etag='"a"')),
    get(given(validated()), to=renewed(cc="no-store", etag='"a"'), after=SOON),
    get(asked()),
)
group.must(
    "9111 §4.3.4",
    "304-with-max-age-0-stays-stale",
    get(given(status(200)), to=answer(**STALE, etag='"a"')),
    get(given(validated()), to=renewed(cc="max-age=0", etag='"a"'), after=SOON),
    get(asked()),
)
group.must(
    "9111 §4.3.4",
    "304-about-another-etag",
    get(given(status(200)), to=answer(**STALE, etag='"a"')),
    get(given(validated()), to=answer(if_conditional=answer(304, etag='"other"', cc="max-age=600")), after=SOON),
    get(asked(), to=answer(cc="max-age=600", etag='"other"')),
)
group.must(
    "9110 §15.4.5",
    "304-unasked-is-not-an-empty-200",
    get(
        test("no successful answer without content", lambda v: not (v.reply.complete and v.reply.status == 200)),
        to=answer(304, cc="max-age=600", etag='"a"'),
    ),
)
# From clients, about what is stored.
FRESH = {"cc": "max-age=600"}


def from_cache(name, kind, source, stored, *checks, **request):
    """A condition on a fresh stored answer."""
    kind(source, name, get(given(status(200)), to=answer(**FRESH, **stored)), get(given(reused()), *checks, **request))


def not_modified(name, source, stored, **request):
    """304 may be answered from the cache; an optimisation, since 200 is right as well."""
    group.may(
        source,
        name,
        get(given(status(200)), to=answer(**FRESH, **stored)),
        get(reused(), status(304), no_body(), to=answer(**FRESH, **stored, if_conditional=answer(304)), **request),
    )


def modified(name, source, stored, **request):
    """The client has something else: it must get the whole."""
    group.must(
        source,
        name,
        get(given(status(200)), to=answer(**FRESH, **stored)),
        get(status(200), test("a body", lambda v: bool(v.reply.body)), to=answer(**FRESH, **stored), **request),
    )


ETAG, WEAK = {"etag": '"a"'}, {"etag": 'W/"a"'}
DATED = {"last_modified": "Sun, 06 Nov 1994 08:49:37 GMT"}
not_modified("if-none-match", "9110 §13.1.2", ETAG, if_none_match='"a"')
not_modified("if-none-match-list", "9110 §13.1.2", ETAG, if_none_match='"b", "a"')
not_modified("if-none-match-list-without-spaces", "9110 §13.1.2", ETAG, if_none_match='"b","a"')
not_modified("if-none-match-two-lines", "9110 §5.3", ETAG, lines=[("If-None-Match", '"b"'), ("If-None-Match", '"a"')])
not_modified("if-none-match-star", "9110 §13.1.2", ETAG, if_none_match="*")
not_modified("if-none-match-star-without-etag", "9110 §13.1.2", {}, if_none_match="*")
not_modified("if-none-match-weak-of-strong", "9110 §13.1.2", ETAG, if_none_match='W/"a"')
not_modified("if-none-match-strong-of-weak", "9110 §13.1.2", WEAK, if_none_match='"a"')
not_modified("if-none-match-weak-of-weak", "9110 §13.1.2", WEAK, if_none_match='W/"a"')
not_modified("if-none-match-comma-within", "9110 §8.8.3", {"etag": '"a,b"'}, if_none_match='"a,b"')
not_modified("if-modified-since-same", "9110 §13.1.3", DATED, if_modified_since="Sun, 06 Nov 1994 08:49:37 GMT")
not_modified("if-modified-since-later", "9110 §13.1.3", DATED, if_modified_since="Sun, 06 Nov 1994 08:49:38 GMT")
not_modified("if-modified-since-rfc850", "9110 §5.6.7", DATED, if_modified_since="Sunday, 06-Nov-94 08:49:37 GMT")
not_modified("if-none-match-decides", "9110 §13.2.2", ETAG | DATED, if_none_match='"a"', if_modified_since="Sun, 06 Nov 1994 08:49:36 GMT")
modified("if-none-match-other", "9110 §13.1.2", ETAG, if_none_match='"b"')
modified("if-none-match-unquoted", "9110 §8.8.3", ETAG, if_none_match="a")
modified("if-none-match-part", "9110 §8.8.3.2", {"etag": '"abc"'}, if_none_match='"ab"')
modified("if-none-match-case", "9110 §8.8.3.2", ETAG, if_none_match='"A"')
modified("if-none-match-without-etag", "9110 §13.1.2", {}, if_none_match='"a"')
modified("if-none-match-comma-splits", "9110 §8.8.3", {"etag": '"b"'}, if_none_match='"a,"b"')
modified("if-modified-since-earlier", "9110 §13.1.3", DATED, if_modified_since="Sun, 06 Nov 1994 08:49:36 GMT")
modified("if-modified-since-garbage", "9110 §13.1.3", DATED, if_modified_since="yesterday")
modified("if-none-match-decides-against-date", "9110 §13.1.3", ETAG | DATED, if_none_match='"b"', if_modified_since="Sun, 06 Nov 1994 08:49:38 GMT")
from_cache("304-has-the-etag", group.must, "9110 §15.4.5", ETAG, given(status(304)), has("etag", '"a"'), has("cache-control"), has("date"), if_none_match='"a"')
from_cache("304-has-vary-and-expires", group.must, "9110 §15.4.5", ETAG | {"vary": "X-A", "expires": "Fri, 31 Dec 2060 23:59:59 GMT"}, given(status(304)), has("vary", "X-A"), has("expires"), if_none_match='"a"')
from_cache("304-has-content-location", group.must, "9110 §15.4.5", ETAG | {"content_location": "/y"}, given(status(304)), has("content-location", "/y"), if_none_match='"a"')
group.must(
    "9110 §13.1.2",
    "condition-on-404-is-ignored",
    get(given(status(404)), to=answer(404, **FRESH, **ETAG)),
    get(given(reused()), status(404), if_none_match='"a"'),
)
group.must(
    "9110 §13.1.1",
    "if-match-other-is-not-answered-200",
    get(given(status(200)), to=answer(**FRESH, **ETAG)),
    get(status(412), to=answer(412), if_match='"b"'),
)
group.must(
    "9110 §13.1.4",
    "if-unmodified-since-earlier-is-not-answered-200",
    get(given(status(200)), to=answer(**FRESH, **DATED)),
    get(status(412), to=answer(412), if_unmodified_since="Sun, 06 Nov 1994 08:49:36 GMT"),
)
group.must(
    "9111 §4.3.2",
    "client-condition-on-a-miss",
    get(status(304, 200), to=answer(**FRESH, **ETAG, if_conditional=answer(304, **FRESH, **ETAG)), if_none_match='"a"'),
    get(status(200), to=answer(**FRESH, **ETAG)),
)
group.record(
    "9111 §4.3.2",
    "client-condition-on-a-miss-fills",
    get(to=answer(**FRESH, **ETAG, if_conditional=answer(304, **FRESH, **ETAG)), if_none_match='"a"'),
    get(reused()),
)
group.must(
    "9111 §4.3.2",
    "client-condition-when-stale-and-changed",
    get(given(status(200)), to=answer(**STALE, **ETAG)),
    get(status(200), shows(1), to=answer(**FRESH, etag='"b"'), if_none_match='"a"', after=SOON),
)
group.must(
    "9111 §4.3.3",
    "client-condition-when-stale-and-confirmed",
    get(given(status(200)), to=answer(**STALE, **ETAG)),
    get(status(304, 200), to=renewed(**FRESH, **ETAG), if_none_match='"a"', after=SOON),
    get(status(200), shows(0), to=renewed(**FRESH, **ETAG)),
)
group.must(
    "9111 §4.3.4",
    "client-etag-confirmed-that-is-not-the-stored-one",
    get(given(status(200)), to=answer(**STALE, **ETAG)),
    # The origin has "b", which the client holds and the cache does not.
    get(
        test("304, or the new body", lambda v: v.reply.status == 304 or v.reply.body.endswith(b"answer 1\n")),
        to=answer(**FRESH, etag='"b"', if_conditional=answer(304, **FRESH, etag='"b"'), matching='"b"'),
        if_none_match='"b"',
        after=SOON,
    ),
    get(test("not the old body as fresh", lambda v: not (v.reply.status == 200 and b"answer 0" in v.reply.body and not v.asked)), to=answer(**FRESH, etag='"b"')),
)
