"""What a client says about what it will take."""

from ..case import Group, answer, get, given
from ..checks import asked, not_asked, reused, shows, status, validated

group = Group("client", "RFC 9111 §5.2.1, §5.4: client directives")
FRESH = answer(cc="max-age=600")


def demands(name, source, stored=FRESH, after=0, kind=group.may, **request):
    """RFC 9111 §5.2.1: request directives are advisory, a cache may but need not heed them."""
    kind(source, name, get(given(status(200)), to=stored), get(asked(), shows(1), to=FRESH, after=after, **request))


def takes(name, source, stored=FRESH, after=0, **request):
    group.may(source, name, get(given(status(200)), to=stored), get(reused(), shows(0), after=after, **request))


demands("no-cache", "9111 §5.2.1.4", cc="no-cache")
demands("no-cache-case", "9111 §5.2", cc="No-Cache")
demands("no-cache-in-list", "9111 §5.2.1.4", cc="max-age=600, no-cache")
demands("max-age-0", "9111 §5.2.1.1", cc="max-age=0")
demands("max-age-less-than-age", "9111 §5.2.1.1", stored=answer(cc="max-age=600", age="100"), cc="max-age=50")
demands("max-age-1-after-2-seconds", "9111 §5.2.1.1", after=2.5, cc="max-age=1")
demands("min-fresh-more-than-left", "9111 §5.2.1.3", cc="min-fresh=700")
demands("min-fresh-with-age", "9111 §5.2.1.3", stored=answer(cc="max-age=600", age="500"), cc="min-fresh=200")
demands("pragma-no-cache", "9111 §5.4", pragma="no-cache")
demands("max-stale-exceeded", "9111 §5.2.1.2", stored=answer(cc="max-age=1"), after=4, kind=group.must, cc="max-stale=1")
demands("max-stale-against-must-revalidate", "9111 §4.2.4", stored=answer(cc="max-age=1, must-revalidate"), after=2.5, kind=group.must, cc="max-stale=600")
demands("max-stale-against-proxy-revalidate", "9111 §4.2.4", stored=answer(cc="max-age=1, proxy-revalidate"), after=2.5, kind=group.must, cc="max-stale=600")
demands("max-stale-against-s-maxage", "9111 §5.2.2.10", stored=answer(cc="s-maxage=1"), after=2.5, kind=group.must, cc="max-stale=600")
demands("max-stale-against-no-cache", "9111 §5.2.2.4", stored=answer(cc="no-cache"), kind=group.must, cc="max-stale=600")
takes("max-age-more-than-age", "9111 §5.2.1.1", cc="max-age=60")
takes("min-fresh-less-than-left", "9111 §5.2.1.3", cc="min-fresh=60")
takes("max-stale-while-fresh", "9111 §5.2.1.2", cc="max-stale=60")
takes("max-stale-enough", "9111 §5.2.1.2", stored=answer(cc="max-age=1"), after=2.5, cc="max-stale=600")
takes("max-stale-without-value", "9111 §5.2.1.2", stored=answer(cc="max-age=1"), after=2.5, cc="max-stale")
takes("no-store-while-fresh", "9111 §5.2.1.5", cc="no-store")
takes("no-transform", "9111 §5.2.1.6", cc="no-transform")
takes("unknown-directive", "9111 §5.2.3", cc="unheard-of=1")
takes("pragma-unknown", "9111 §5.4", pragma="unheard-of")
takes("pragma-beside-cache-control", "9111 §5.4", cc="max-age=600", pragma="no-cache")
takes("only-if-cached-fresh", "9111 §5.2.1.7", cc="only-if-cached")
group.may("9111 §5.2.1.7", "only-if-cached-miss", get(not_asked(), status(504), to=FRESH, cc="only-if-cached"))
group.may(
    "9111 §5.2.1.7",
    "only-if-cached-stale",
    get(given(status(200)), to=answer(cc="max-age=1")),
    get(not_asked(), status(504), to=FRESH, cc="only-if-cached", after=2.5),
)
group.may(
    "9111 §5.2.1.4",
    "no-cache-replaces",
    get(given(status(200)), to=FRESH),
    get(given(shows(1)), to=FRESH, cc="no-cache"),
    get(reused(), shows(1)),
)
group.may(
    "9111 §5.2.1.1",
    "max-age-0-validates",
    get(given(status(200)), to=answer(cc="max-age=600", etag='"a"')),
    get(validated(), shows(0), to=answer(cc="max-age=600", if_conditional=answer(304, cc="max-age=600", etag='"a"')), cc="max-age=0"),
)
for name, value in [("max-age-garbage", "max-age=x"), ("max-age-quoted-0", 'max-age="0"'), ("min-fresh-garbage", "min-fresh=x")]:
    group.record("9111 §5.2.1", name, get(to=FRESH), get(to=FRESH, cc=value))
