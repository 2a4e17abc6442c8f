"""Statuses other than 200, and lifetimes that nobody gave."""

from ..case import Group, answer, get, given
from ..checks import asked, has, no_body, reused, status

group = Group("statuses", "RFC 9111 §3, §4.2.2, RFC 9110 §15: statuses and heuristics")
WHERE = ("Location", "/elsewhere")
OLD = ("Last-Modified", "{now-8640000}")

# Redirections that a proxy passes on; authentication and upgrade statuses need more than a lifetime.
for code in [203, 204, 300, 301, 302, 303, 307, 308, 400, 403, 404, 405, 410, 414, 451, 500, 501, 502, 503, 504]:
    lines = [WHERE] if code in range(300, 400) else []
    group.may(
        "9111 §3",
        f"{code}-max-age",
        get(given(status(code)), to=answer(code, *lines, cc="max-age=600")),
        get(reused(), status(code)),
    )
for code in [201, 202, 302, 303, 307, 400, 401, 403, 409, 429, 500, 502, 503, 504]:
    lines = [WHERE] if code in range(300, 400) else []
    group.must(
        "9111 §4.2.2",
        f"{code}-no-heuristic",
        get(given(status(code)), to=answer(code, *lines, OLD)),
        get(asked()),
    )
for code in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]:
    lines = [WHERE] if code in range(300, 400) else []
    group.may(
        "9111 §4.2.2",
        f"{code}-heuristic",
        get(given(status(code)), to=answer(code, *lines, OLD)),
        get(reused(), status(code)),
    )
for code in [200, 404, 503]:
    group.record("9111 §4.2.2", f"{code}-nothing-said", get(to=answer(code)), get())
for code in [299, 499, 599]:
    group.may(
        "9111 §3", f"unknown-{code}-max-age", get(given(status(code)), to=answer(code, cc="max-age=600")), get(reused(), status(code))
    )
    group.must("9111 §4.2.2", f"unknown-{code}-no-heuristic", get(given(status(code)), to=answer(code, OLD)), get(asked()))
for code in [301, 302, 404, 410, 503]:
    lines = [WHERE] if code < 400 else []
    group.must(
        "9111 §5.2.2.5",
        f"{code}-no-store",
        get(given(status(code)), to=answer(code, *lines, cc="no-store, max-age=600")),
        get(asked()),
    )
    group.must("9111 §4.2", f"{code}-max-age-1", get(given(status(code)), to=answer(code, *lines, cc="max-age=1")), get(asked(), after=2.5))
group.must("9110 §15.3.5", "204-has-no-body", get(status(204), no_body(), to=answer(204, cc="max-age=600")))
group.must(
    "9110 §15.3.5", "204-from-the-cache-has-no-body", get(given(status(204)), to=answer(204, cc="max-age=600")), get(given(reused()), status(204), no_body())
)
group.must("9110 §15.4", "301-location-kept", get(status(301), has("location", "/elsewhere"), to=answer(301, WHERE, cc="max-age=600")))
group.must(
    "9111 §4.2.2",
    "heuristic-not-with-max-age-0",
    get(given(status(200)), to=answer(200, OLD, cc="max-age=0")),
    get(asked()),
)
group.must(
    "9111 §4.2.2", "heuristic-not-with-expires-past", get(given(status(200)), to=answer(200, OLD, expires="{now-1}")), get(asked())
)
group.may("9111 §4.2.2", "public-heuristic-403", get(given(status(403)), to=answer(403, OLD, cc="public")), get(reused()))
group.must("9110 §15.2", "unknown-status-passes", get(status(477), to=answer(477)))
