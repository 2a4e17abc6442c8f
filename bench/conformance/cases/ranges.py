"""Parts: asked for by clients, answered from what is stored, and what comes of parts that the origin sends."""

from ..case import Group, answer, get, given
from ..checks import asked, body, has, lacks, mentions, reused, same, status, test

group = Group("ranges", "RFC 9110 §14, §13.1.5, RFC 9111 §3.3, §3.4: ranges")
TEN = b"0123456789"
FRESH = {"cc": "max-age=600", "body": TEN, "ranges": True, "etag": '"a"', "last_modified": "{now-86400}", "accept_ranges": "bytes"}
STORED = answer(**FRESH)
# So long that what lies between two ranges is not worth sending.
LONG = answer(**FRESH | {"body": TEN * 100})


def part(name, wanted, text, content_range, source="9110 §14.2", **request):
    """From the cache, as the RFC permits; whatever comes must be what was asked for or the whole."""
    group.may(
        source, name, get(given(status(200)), to=STORED), get(reused(), status(206), body(text), has("content-range", content_range), to=STORED, range=wanted, **request)
    )


def whole(name, source, wanted, kind=group.must, **request):
    kind(source, name, get(given(status(200)), to=STORED), get(status(200), body(TEN), lacks("content-range"), to=STORED, range=wanted, **request))


part("first-bytes", "bytes=0-3", b"0123", "bytes 0-3/10")
part("middle", "bytes=3-5", b"345", "bytes 3-5/10")
part("one-byte", "bytes=0-0", b"0", "bytes 0-0/10")
part("open", "bytes=7-", b"789", "bytes 7-9/10")
part("suffix", "bytes=-2", b"89", "bytes 8-9/10")
part("suffix-longer-than-all", "bytes=-20", TEN, "bytes 0-9/10")
part("beyond-the-end", "bytes=8-20", b"89", "bytes 8-9/10")
part("unit-case", "Bytes=0-3", b"0123", "bytes 0-3/10")
part("if-range-etag", "bytes=0-3", b"0123", "bytes 0-3/10", source="9110 §13.1.5", if_range='"a"')
for name, wanted in [("unsatisfiable", "bytes=10-"), ("unsatisfiable-closed", "bytes=20-30"), ("unsatisfiable-suffix-0", "bytes=-0")]:
    group.may(
        "9110 §15.5.17", name, get(given(status(200)), to=STORED), get(reused(), status(416), has("content-range", "bytes */10"), to=STORED, range=wanted)
    )
whole("if-range-other-etag", "9110 §13.1.5", "bytes=0-3", if_range='"b"')
whole("if-range-weak-etag", "9110 §13.1.5", "bytes=0-3", if_range='W/"a"')
whole("if-range-other-date", "9110 §13.1.5", "bytes=0-3", if_range="Sun, 06 Nov 1994 08:49:37 GMT")
whole("unknown-unit", "9110 §14.2", "lines=0-3")
whole("malformed-turned", "9110 §14.1.1", "bytes=5-3", kind=group.record)
whole("malformed-letters", "9110 §14.2", "bytes=a-b", kind=group.record)
whole("malformed-empty", "9110 §14.2", "bytes=", kind=group.record)
group.must(
    "9110 §13.1.5",
    "if-range-weak-stored",
    get(given(status(200)), to=answer(**FRESH | {"etag": 'W/"a"'})),
    get(status(200), body(TEN), to=answer(**FRESH | {"etag": 'W/"a"'}), range="bytes=0-3", if_range='W/"a"'),
)
group.must(
    "9110 §14.2",
    "head-is-no-range",
    get(given(status(200)), to=STORED),
    get(given(reused()), status(200), lacks("content-range"), method="HEAD", range="bytes=0-3"),
)
group.must(
    "9110 §13.2.2",
    "if-none-match-before-range",
    get(given(status(200)), to=STORED),
    get(given(reused()), status(304), range="bytes=0-3", if_none_match='"a"'),
)
group.must(
    "9110 §15.3.7",
    "206-has-the-fields-of-200",
    get(given(status(200)), to=answer(**FRESH, vary="X-A", expires="Fri, 31 Dec 2060 23:59:59 GMT", content_location="/y")),
    get(
        given(reused()), given(status(206)), same("date"), same("etag"), same("cache-control"), same("vary"), same("expires"), same("content-location"), range="bytes=0-3"
    ),
)
group.must(
    "9110 §15.3.7",
    "206-length-fits",
    get(given(status(200)), to=STORED),
    get(given(status(206)), test("Content-Length 4", lambda v: v.reply.fields.one("content-length") in (None, "4")), body(b"0123"), to=STORED, range="bytes=0-3"),
)
group.may(
    "9110 §14.6",
    "several",
    get(given(status(200)), to=LONG),
    get(
        reused(),
        status(206),
        mentions("content-type", "^multipart/byteranges"),
        lacks("content-range"),
        test("both parts", lambda v: b"bytes 0-1/1000" in v.reply.body.lower() and b"bytes 500-501/1000" in v.reply.body.lower()),
        to=LONG,
        range="bytes=0-1,500-501",
    ),
)
group.must(
    "9110 §14.2",
    "several-right-or-whole",
    get(given(status(200)), to=STORED),
    get(
        test(
            # RFC 9110 §15.3.7.2: ranges may be put together where the gap costs less than a further part.
            "200 with all, several parts, or one that holds them",
            lambda v: (v.reply.status == 200 and v.reply.body == TEN)
            or (v.reply.status == 206 and v.reply.body == TEN[:7] and v.reply.fields.one("content-range") == "bytes 0-6/10")
            or (v.reply.status == 206 and "multipart/byteranges" in (v.reply.fields.one("content-type") or "") and v.reply.fields.one("content-range") is None),
        ),
        to=answer(**FRESH | {"ranges": False}),
        range="bytes=0-1,5-6",
    ),
)
group.may(
    "9110 §14.2",
    "many-overlapping-are-not-obeyed",
    get(given(status(200)), to=STORED),
    get(test("no more than ten times the whole", lambda v: len(v.reply.body) < 100 * len(TEN)), to=answer(**FRESH | {"ranges": False}), range="bytes=" + ",".join(["0-"] * 200)),
)

# On a miss.
group.must(
    "9110 §14.2",
    "miss-is-answered",
    get(test("the part or the whole", lambda v: (v.reply.status, v.reply.body) in [(206, b"0123"), (200, TEN)]), to=STORED, range="bytes=0-3"),
)
group.must(
    "9111 §3.3",
    "206-is-not-the-whole",
    get(given(status(206, 200)), to=STORED, range="bytes=0-3"),
    get(status(200), body(TEN), to=STORED),
)
group.must(
    "9111 §3.3",
    "206-is-not-another-part",
    get(given(status(206, 200)), to=STORED, range="bytes=0-3"),
    get(test("those bytes or the whole", lambda v: (v.reply.status, v.reply.body) in [(206, b"456"), (200, TEN)]), to=STORED, range="bytes=4-6"),
)
group.must(
    "9111 §3.4",
    "parts-of-different-etags-are-not-combined",
    get(given(status(206, 200)), to=STORED, range="bytes=0-4"),
    get(test("not mixed", lambda v: v.reply.body in (b"FGHIJ", b"ABCDEFGHIJ", b"56789", TEN)), to=answer(**FRESH | {"etag": '"b"', "body": b"ABCDEFGHIJ"}), range="bytes=5-9"),
    get(test("one or the other", lambda v: v.reply.body in (b"ABCDEFGHIJ", TEN)), to=answer(**FRESH | {"etag": '"b"', "body": b"ABCDEFGHIJ"})),
)
group.may(
    "9111 §3.3",
    "206-is-stored",
    get(given(status(206, 200)), to=STORED, range="bytes=0-3"),
    get(reused(), status(206), body(b"0123"), to=STORED, range="bytes=0-3"),
)
group.may(
    "9111 §3.4",
    "206-are-combined",
    get(given(status(206, 200)), to=STORED, range="bytes=0-4"),
    get(given(status(206)), to=STORED, range="bytes=5-9"),
    get(reused(), body(TEN), to=STORED),
)
group.record("9111 §3.3", "miss-fills-the-whole", get(to=STORED, range="bytes=0-3"), get(reused(), to=STORED))
group.record("9110 §14.2", "miss-asks-for", get(test("the range is passed on", lambda v: all(r.fields.one("range") for r in v.asked)), to=STORED, range="bytes=0-3"))
group.must(
    "9110 §14.4",
    "206-unasked-is-not-the-whole",
    get(test("not 200 with a part", lambda v: not (v.reply.complete and v.reply.status == 200)), to=answer(206, cc="max-age=600", content_range="bytes 0-4/10", body=b"01234")),
    get(status(200), body(TEN), to=STORED),
)
group.must(
    "9110 §14.4",
    "206-of-other-bytes-is-not-trusted-as-whole",
    get(to=answer(206, cc="max-age=600", etag='"a"', content_range="bytes 5-9/10", body=b"56789"), range="bytes=0-4"),
    get(status(200), body(TEN), to=STORED),
)
group.must(
    "9111 §4.3.3",
    "stale-range-is-validated-or-fetched",
    get(given(status(200)), to=answer(**FRESH | {"cc": "max-age=1"})),
    get(
        asked(),
        test("of the new one", lambda v: v.reply.body in (b"ABCD", b"ABCDEFGHIJ")),
        to=answer(**FRESH | {"etag": '"b"', "body": b"ABCDEFGHIJ"}),
        range="bytes=0-3",
        after=2.5,
    ),
)
group.must(
    "9110 §15.3.7",
    "416-from-the-origin-is-not-reused-for-the-whole",
    get(to=STORED, range="bytes=50-"),
    get(status(200), body(TEN), to=STORED),
)
group.must("9110 §14.3", "accept-ranges-kept", get(given(status(200)), has("accept-ranges", "bytes"), to=STORED))
