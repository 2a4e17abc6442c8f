"""How long a response is fresh."""

from ..case import Group, answer, get, given
from ..checks import asked, reused, shows, status

group = Group("freshness", "RFC 9111 §4.2, §5.2.2, §5.3: freshness")
CC = "Cache-Control"


def stale(name, source, *lines, **fields):
    """Stale on arrival: the second client must not get it unasked."""
    group.must(source, name, get(given(status(200)), to=answer(200, *lines, **fields)), get(asked()))


def fresh(name, source, *lines, **fields):
    group.may(source, name, get(given(status(200)), to=answer(200, *lines, **fields)), get(reused(), shows(0)))


def expires_in_time(name, source, **fields):
    """Fresh for a second: asked for again after 2.5 s, so that rounding does not matter."""
    group.must(source, name, get(given(status(200)), to=answer(**fields)), get(asked(), after=2.5))


stale("max-age-0", "9111 §5.2.2.1", cc="max-age=0")
stale("s-maxage-0-before-max-age", "9111 §5.2.2.10", cc="s-maxage=0, max-age=600")
stale("s-maxage-0-after-max-age", "9111 §5.2.2.10", cc="max-age=600, s-maxage=0")
stale("s-maxage-0-case", "9111 §5.2", cc="max-age=600, S-MaxAge=0")
stale("max-age-0-over-expires", "9111 §5.3", cc="max-age=0", expires="{now+600}")
stale("max-age-0-case", "9111 §5.2", cc="MaX-aGe=0", expires="{now+600}")
stale("s-maxage-0-over-expires", "9111 §5.3", cc="s-maxage=0", expires="{now+600}")
stale("max-age-0-on-the-second-line", "9110 §5.3", (CC, "public"), (CC, "max-age=0"))
stale("max-age-0-with-space-before", "9110 §5.6.1", cc="  max-age=0", expires="{now+600}")
stale("max-age-less-than-age", "9111 §4.2", cc="max-age=60", age="61")
stale("expires-past", "9111 §5.3", expires="{now-60}")
stale("expires-equals-date", "9111 §4.2.1", expires="{now}")
stale("expires-0", "9111 §5.3", expires="0")
stale("expires-minus-1", "9111 §5.3", expires="-1")
stale("expires-garbage", "9111 §5.3", expires="soon")
stale("expires-two-past-first", "9111 §4.2.1", ("Expires", "{now-60}"), ("Expires", "{now-50}"))
stale("expires-before-date-in-future", "9111 §4.2.1", ("Date", "{now+60}"), date=False, expires="{now+50}")
stale("expires-long-past-2-digit-year", "9110 §5.6.7", expires="Sunday, 06-Nov-94 08:49:37 GMT")
stale("expires-past-asctime", "9110 §5.6.7", expires="Sun Nov  6 08:49:37 1994")
stale("date-old", "9111 §4.2.3", ("Date", "{now-100}"), date=False, cc="max-age=60")
stale("date-old-expires-past", "9111 §4.2.3", ("Date", "{now-100}"), date=False, expires="{now-40}")
stale("age-and-s-maxage", "9111 §4.2", cc="s-maxage=60, max-age=600", age="61")

expires_in_time("max-age-1", "9111 §4.2", cc="max-age=1")
expires_in_time("s-maxage-1-over-max-age", "9111 §5.2.2.10", cc="s-maxage=1, max-age=600")
expires_in_time("max-age-1-over-expires", "9111 §5.3", cc="max-age=1", expires="{now+600}")
expires_in_time("expires-1", "9111 §5.3", expires="{now+1}")
expires_in_time("max-age-with-age", "9111 §4.2.3", cc="max-age=600", age="599")
expires_in_time("max-age-with-old-date", "9111 §4.2.3", cc="max-age=600", date=False, Date="{now-599}")
expires_in_time("max-age-1-public", "9111 §5.2.2.9", cc="public, max-age=1")
expires_in_time("max-age-1-immutable", "8246 §2", cc="max-age=1, immutable")

fresh("s-maxage-over-max-age-0", "9111 §5.2.2.10", cc="max-age=0, s-maxage=600")
fresh("max-age-over-expires-past", "9111 §5.3", cc="max-age=600", expires="{now-60}")
fresh("max-age-over-expires-0", "9111 §5.3", cc="max-age=600", expires="0")
fresh("max-age-over-expires-garbage", "9111 §5.3", cc="max-age=600", expires="soon")
fresh("max-age-case", "9111 §5.2", cc="MAX-AGE=600")
fresh("max-age-quoted", "9111 §5.2", cc='max-age="600"')
fresh("max-age-leading-zeros", "9111 §1.2.2", cc="max-age=000600")
fresh("max-age-2-31", "9111 §1.2.2", cc="max-age=2147483648")
fresh("max-age-2-31-minus-1", "9111 §1.2.2", cc="max-age=2147483647")
fresh("max-age-2-32-plus-1", "9111 §1.2.2", cc="max-age=4294967297")
fresh("max-age-huge", "9111 §1.2.2", cc="max-age=99999999999999999999")
fresh("max-age-on-the-second-line", "9110 §5.3", (CC, "public"), (CC, "max-age=600"))
fresh("max-age-after-empty-member", "9110 §5.6.1", cc=", max-age=600")
fresh("max-age-without-spaces", "9110 §5.6.1", cc="public,max-age=600")
fresh("max-age-same-twice", "9111 §4.2.1", cc="max-age=600, max-age=600")
fresh("expires-far-future", "9111 §5.3", expires="Fri, 31 Dec 9999 23:59:59 GMT")
fresh("expires-after-2038", "9111 §5.3", expires="Wed, 20 Jan 2106 03:14:08 GMT")
fresh("expires-asctime", "9110 §5.6.7", expires="Fri Dec 31 23:59:59 2060")
fresh("expires-rfc850", "9110 §5.6.7", expires="Friday, 31-Dec-60 23:59:59 GMT")
fresh("age-less-than-max-age", "9111 §4.2", cc="max-age=600", age="500")
fresh("date-in-the-future", "9111 §4.2.3", ("Date", "{now+300}"), date=False, cc="max-age=600")
fresh("date-garbage", "9110 §6.6.1", ("Date", "today"), date=False, cc="max-age=600")
fresh("expires-with-old-date", "9111 §4.2.1", ("Date", "{now-100}"), date=False, expires="{now+600}")
fresh("max-age-before-unterminated-quote", "9111 §5.2", cc='max-age=600, ext="a')

# §4.2.1 encourages to consider these stale, and lets a recipient choose otherwise.
for name, value in [
    ("max-age-negative", "max-age=-1"),
    ("max-age-not-a-number", "max-age=long"),
    ("max-age-empty", "max-age="),
    ("max-age-without-value", "max-age"),
    ("max-age-decimal", "max-age=600.0"),
    ("max-age-number-then-letters", "max-age=600s"),
    ("max-age-space-before-equals", "max-age =600"),
    ("max-age-space-after-equals", "max-age= 600"),
    ("max-age-single-quotes", "max-age='600'"),
    ("max-age-two-values", "max-age=0, max-age=600"),
    ("max-age-two-values-turned", "max-age=600, max-age=0"),
    ("max-age-semicolon", "max-age=600; public"),
    ("s-maxage-not-a-number", "s-maxage=long, max-age=600"),
]:
    group.record("9111 §4.2.1", name, get(to=answer(cc=value)), get())
for name, value in [
    ("expires-wrong-zone", "Fri, 31 Dec 2060 23:59:59 CET"),
    ("expires-wrong-weekday", "Mon, 31 Dec 2060 23:59:59 GMT"),
    ("expires-one-digit-day", "Thu, 1 Jan 2060 00:00:00 GMT"),
    ("expires-lower-case", "fri, 31 dec 2060 23:59:59 gmt"),
    ("expires-number", "86400"),
]:
    group.record("9110 §5.6.7", name, get(to=answer(expires=value)), get())
group.record("9111 §4.2.1", "expires-two", get(to=answer(200, ("Expires", "{now+600}"), ("Expires", "{now-60}"))), get())
