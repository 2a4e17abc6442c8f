"""Vary: which of the stored answers is the one."""

from ..case import Group, answer, get, given
from ..checks import asked, has, reused, shows, status

group = Group("vary", "RFC 9111 §4.1, RFC 9110 §12.5.5: Vary")


def play(add, name, outcome, stored, asked_with, *vary, kind_source="9111 §4.1"):
    lines = [("Vary", value) for value in vary]
    add(kind_source, name, get(given(status(200)), to=answer(200, *lines, cc="max-age=600"), lines=stored), get(*outcome, lines=asked_with))


def other(name, stored, asked_with, *vary):
    play(group.must, name, [asked(), shows(1)], stored, asked_with, *vary)


def match(name, stored, asked_with, *vary):
    play(group.may, name, [reused(), shows(0)], stored, asked_with, *vary)


A1, A2, B1, B2 = ("X-A", "1"), ("X-A", "2"), ("X-B", "1"), ("X-B", "2")
other("value-differs", [A1], [A2], "X-A")
other("field-missing-now", [A1], [], "X-A")
other("field-missing-then", [], [A1], "X-A")
other("name-case", [A1], [A2], "x-a")
other("second-name-differs", [A1, B1], [A1, B2], "X-A, X-B")
other("second-line-differs", [A1, B1], [A1, B2], "X-A", "X-B")
other("star", [A1], [A1], "*")
other("star-in-list", [A1], [A1], "X-A, *")
other("star-on-second-line", [A1], [A1], "X-A", "*")
other("after-empty-member", [A1], [A2], ", X-A")
other("more-lines-now", [A1], [A1, A2], "X-A")
other("accept-encoding-differs", [("Accept-Encoding", "gzip")], [("Accept-Encoding", "br")], "Accept-Encoding")
other("accept-encoding-missing", [("Accept-Encoding", "gzip")], [], "Accept-Encoding")
other("cookie-differs", [("Cookie", "a=1")], [("Cookie", "a=2")], "Cookie")
other("user-agent-differs", [("User-Agent", "a")], [("User-Agent", "b")], "User-Agent")
match("same-value", [A1], [A1], "X-A")
match("none-both-times", [], [], "X-A")
match("other-field-differs", [A1, B1], [A1, B2], "X-A")
match("field-order", [A1, B1], [B1, A1], "X-A, X-B")
match("request-name-case", [("x-a", "1")], [("X-A", "1")], "X-A")
match("names-in-other-order", [A1, B1], [A1, B1], "X-B, X-A")
match("name-twice", [A1], [A1], "X-A, X-A")
match("empty-vary", [A1], [A2], "")
match("white-space-around-members", [("X-A", "1, 2")], [("X-A", "1,2")], "X-A")
match("lines-or-list", [("X-A", "1, 2")], [A1, A2], "X-A")
match("accept-encoding-same", [("Accept-Encoding", "gzip")], [("Accept-Encoding", "gzip")], "Accept-Encoding")

VARY = answer(cc="max-age=600", vary="X-A")
group.may(
    "9111 §4.1",
    "two-variants-kept",
    get(given(status(200)), to=VARY, lines=[A1]),
    get(given(asked()), to=VARY, lines=[A2]),
    get(reused(), shows(0), lines=[A1]),
    get(reused(), shows(1), lines=[A2]),
)
group.must(
    "9111 §4.1",
    "two-variants-not-mixed",
    get(given(status(200)), to=VARY, lines=[A1]),
    get(shows(1), to=VARY, lines=[A2]),
    get(asked(), shows(2), to=VARY, lines=[("X-A", "3")]),
)
group.must("9110 §12.5.5", "is-passed-on", get(has("vary", "X-A"), to=VARY), get(given(reused()), has("vary", "X-A")))
group.must(
    "9111 §4.1",
    "newer-answer-without-vary-does-not-match-the-old",
    get(given(status(200)), to=VARY, lines=[A1]),
    get(given(asked()), to=answer(cc="max-age=600", vary="X-A, X-B"), lines=[A2, B1]),
    get(asked(), shows(2), lines=[A2, B2]),
)
group.record("9111 §4.1", "value-case", get(to=VARY, x_a="Abc"), get(x_a="abc"))
group.record("9111 §4.1", "list-order", get(to=VARY, x_a="1, 2"), get(x_a="2, 1"))
group.record("9111 §4.1", "value-spaces", get(to=VARY, x_a="1 2"), get(x_a="1  2"))
group.may(
    "9111 §4.3.1",
    "other-variants-etags-are-offered",
    get(given(status(200)), to=answer(cc="max-age=600", vary="X-A", etag='"a"'), lines=[A1]),
    get(given(asked()), to=answer(cc="max-age=600", vary="X-A", etag='"b"', if_conditional=answer(304, etag='"a"', vary="X-A")), lines=[A2]),
    get(reused(), lines=[A2]),
)
