"""Age: what is said, and what is heard from caches further up."""

from ..case import Group, answer, get, given
from ..checks import age, asked, lacks, mentions, once, reused, same, status, test

group = Group("age", "RFC 9111 §4.2.3, §5.1: Age")


def reuse_says(name, source, least, *lines, after=0, **fields):
    group.must(
        source, name, get(given(status(200)), to=answer(200, *lines, **fields)), get(given(reused()), age(least), after=after)
    )


reuse_says("is-there", "9111 §5.1", 0, cc="max-age=600")
reuse_says("grows", "9111 §4.2.3", 2, cc="max-age=600", after=2.2)
reuse_says("adds-to-the-received", "9111 §4.2.3", 100, cc="max-age=600", age="100")
reuse_says("adds-and-grows", "9111 §4.2.3", 102, cc="max-age=600", age="100", after=2.2)
reuse_says("counts-from-date", "9111 §4.2.3", 100, ("Date", "{now-100}"), date=False, cc="max-age=600")
reuse_says("the-greater-of-date-and-age", "9111 §4.2.3", 200, ("Date", "{now-100}"), date=False, cc="max-age=600", age="200")
reuse_says("counts-the-delay", "9111 §4.2.3", 101, cc="max-age=600", age="100", delay=1.2)
reuse_says("date-in-the-future-is-zero", "9111 §4.2.3", 0, ("Date", "{now+300}"), date=False, cc="max-age=600")

group.must(
    "9111 §5.1",
    "one-value-on-reuse",
    get(given(status(200)), to=answer(cc="max-age=600", age="7")),
    get(given(reused()), once("age"), mentions("age", r"^\d+$")),
)
group.must(
    "9111 §4.2.3",
    "chain-does-not-lengthen",
    get(given(status(200)), to=answer(cc="max-age=61", age="60")),
    get(asked(), after=2.5),
)
group.must(
    "9111 §1.2.2",
    "huge-is-stale",
    get(given(status(200)), to=answer(cc="max-age=600", age="99999999999999999999")),
    get(asked()),
)
group.must(
    "9111 §1.2.2",
    "2-31-is-stale",
    get(given(status(200)), to=answer(cc="max-age=600", age="2147483648")),
    get(asked()),
)
group.must(
    "9111 §4.3.4",
    "starts-anew-after-validation",
    get(given(status(200)), to=answer(cc="max-age=1", etag='"a"')),
    get(given(asked()), to=answer(cc="max-age=600", etag='"a"', if_conditional=answer(304, cc="max-age=600", etag='"a"')), after=2.5),
    get(given(reused()), age(0, 1)),
)
group.must(
    "9111 §4.3.4",
    "of-the-304-counts",
    get(given(status(200)), to=answer(cc="max-age=1", etag='"a"')),
    get(given(asked()), to=answer(cc="max-age=600", etag='"a"', if_conditional=answer(304, cc="max-age=600", etag='"a"', age="100")), after=2.5),
    get(given(reused()), test("the 304's Age, if it was asked so", lambda v: not v.earlier[1].conditional() or int(v.reply.fields.one("age") or 0) >= 100)),
)
group.must(
    "9111 §5.1",
    "in-304-to-the-client",
    get(given(status(200)), to=answer(cc="max-age=600", etag='"a"', age="50")),
    get(given(reused()), given(status(304)), age(50), if_none_match='"a"'),
)
group.must(
    "9110 §6.6.1",
    "date-stays-the-origins",
    get(given(status(200)), to=answer(200, ("Date", "{now-50}"), date=False, cc="max-age=600")),
    get(given(reused()), same("date"), after=1.2),
)
group.record("9111 §5.1", "on-a-miss", get(lacks("age"), to=answer(cc="max-age=600")))
for name, value in [
    ("garbage", "old"),
    ("negative", "-100"),
    ("decimal", "601.5"),
    ("number-then-letters", "601s"),
    ("quoted", '"601"'),
    ("empty", ""),
    ("list-great-first", "601, 0"),
    ("list-small-first", "0, 601"),
]:
    group.record("9111 §5.1", f"received-{name}", get(to=answer(cc="max-age=600", age=value)), get())
group.record("9111 §5.1", "received-two-lines", get(to=answer(200, ("Age", "601"), ("Age", "0"), cc="max-age=600")), get())
