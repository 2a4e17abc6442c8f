"""Stale answers: when they may be used, and when never."""

from ..case import Group, answer, get, given
from ..checks import age, fails, shows, shows_not, status, test

group = Group("stale", "RFC 9111 §4.2.4, RFC 5861: stale answers")
LATER = 2.5
GONE = answer(drop=True)


def shown(number):
    return test(f"the body of answer {number}", lambda v: v.reply.complete and v.reply.status == 200 and f"answer {number}".encode() in v.reply.body)


def forbids(name, source, cc, then=GONE, /, kind=group.must, **request):
    """Stale and not to be confirmed: an error is right, the old body is not."""
    kind(source, name, get(given(status(200)), to=answer(cc=cc, etag='"a"')), get(fails(), shows_not(0), to=then, after=LATER, **request))


def allows(name, source, cc, then, /, **request):
    group.may(source, name, get(given(status(200)), to=answer(cc=cc, etag='"a"')), get(shows(0), status(200), to=then, after=LATER, **request))


for name, cc in [
    ("must-revalidate", "max-age=1, must-revalidate"),
    ("proxy-revalidate", "max-age=1, proxy-revalidate"),
    ("s-maxage", "s-maxage=1"),
    ("no-cache", "no-cache"),
    ("must-revalidate-max-age-0", "max-age=0, must-revalidate"),
    ("must-revalidate-case", "max-age=1, MUST-Revalidate"),
    ("must-revalidate-with-stale-if-error", "max-age=1, must-revalidate, stale-if-error=600"),
    ("s-maxage-with-stale-if-error", "s-maxage=1, stale-if-error=600"),
]:
    forbids(f"{name}-origin-closes", "9111 §4.2.4", cc)
for code in [500, 503]:
    forbids(f"must-revalidate-origin-{code}", "9111 §5.2.2.2", "max-age=1, must-revalidate", answer(code))
# Request directives are advisory (§5.2.1), and a disconnected cache may serve stale what nothing forbids (§4.2.4).
forbids("request-no-cache-origin-closes", "9111 §5.2.1.4", "max-age=600", kind=group.record, cc="no-cache")
forbids("request-max-age-0-origin-closes", "9111 §5.2.1.1", "max-age=600", kind=group.record, cc="max-age=0")
forbids("stale-if-error-0", "5861 §4", "max-age=1, stale-if-error=0", kind=group.record)
forbids("stale-if-error-over", "5861 §4", "max-age=1, stale-if-error=1", kind=group.record)
group.must(
    "5861 §3",
    "stale-while-revalidate-over",
    get(given(status(200)), to=answer(cc="max-age=1, stale-while-revalidate=1")),
    get(shown(1), to=answer(cc="max-age=600"), after=4),
)
group.must(
    "9111 §4.2.4",
    "must-revalidate-with-stale-while-revalidate",
    get(given(status(200)), to=answer(cc="max-age=1, must-revalidate, stale-while-revalidate=600")),
    get(shown(1), to=answer(cc="max-age=600"), after=LATER),
)
group.must(
    "9111 §4.2.4",
    "a-working-origin-is-asked",
    get(given(status(200)), to=answer(cc="max-age=1")),
    get(shown(1), after=LATER),
)
group.must(
    "9111 §4.2.4",
    "stale-if-error-only-for-errors",
    get(given(status(200)), to=answer(cc="max-age=1, stale-if-error=600")),
    get(shown(1), to=answer(cc="max-age=600"), after=LATER),
)
group.must(
    "5861 §4",
    "stale-if-error-not-for-404",
    get(given(status(200)), to=answer(cc="max-age=1, stale-if-error=600")),
    get(status(404), to=answer(404), after=LATER),
)

SIE = "max-age=1, stale-if-error=600"
allows("stale-if-error-origin-closes", "5861 §4", SIE, GONE)
for code in [500, 502, 503, 504]:
    allows(f"stale-if-error-origin-{code}", "5861 §4", SIE, answer(code))
allows("stale-if-error-truncated", "5861 §4", SIE, answer(body=b"x" * 1000, cut=100))
allows("request-stale-if-error-origin-closes", "5861 §4", "max-age=1", GONE, cc="stale-if-error=600")
allows("request-stale-if-error-origin-503", "5861 §4", "max-age=1", answer(503), cc="stale-if-error=600")
group.record(
    "9111 §4.2.4", "nothing-said-origin-closes", get(to=answer(cc="max-age=1", etag='"a"')), get(shows(0), to=GONE, after=LATER)
)
group.record("9111 §4.2.4", "nothing-said-origin-503", get(to=answer(cc="max-age=1")), get(shows(0), to=answer(503), after=LATER))
group.must(
    "9111 §5.1",
    "stale-answers-have-age",
    get(given(status(200)), to=answer(cc=SIE, age="0")),
    get(given(shows(0)), age(2, 4), to=GONE, after=LATER),
)
group.may(
    "5861 §4",
    "error-does-not-replace-the-good-copy",
    get(given(status(200)), to=answer(cc=SIE)),
    get(given(shows(0)), to=answer(503, cc="max-age=600"), after=LATER),
    get(shows(0), to=answer(503, cc="max-age=600")),
)
group.must(
    "5861 §4",
    "a-mended-origin-is-heard",
    get(given(status(200)), to=answer(cc=SIE)),
    get(given(shows(0)), to=answer(503), after=LATER),
    get(shown(2), to=answer(cc="max-age=600"), after=6),
)
group.may(
    "5861 §3",
    "stale-while-revalidate",
    get(given(status(200)), to=answer(cc="max-age=1, stale-while-revalidate=600")),
    get(shows(0), to=answer(cc="max-age=600"), after=LATER),
    get(shows(1), after=1),
)
group.may(
    "5861 §3",
    "stale-while-revalidate-does-not-wait",
    get(given(status(200)), to=answer(cc="max-age=1, stale-while-revalidate=600")),
    get(shows(0), to=answer(cc="max-age=600", delay=1.5), after=LATER),
    get(shows(0), to=answer(cc="max-age=600")),
)
group.must(
    "5861 §3",
    "stale-while-revalidate-updates-at-last",
    get(given(status(200)), to=answer(cc="max-age=1, stale-while-revalidate=600")),
    get(given(shows(0)), to=answer(cc="max-age=600"), after=LATER),
    get(to=answer(cc="max-age=600"), after=1),
    get(test("no longer the first body", lambda v: b"answer 0" not in v.reply.body), after=0.5),
)
