"""What a case is made of: exchanges, each a client's request, the origin's scripted answer, and checks of what came of it.

A case is data. Its kind says what a failed check means: `MUST` a violation of the RFC, `MAY` an optional optimisation
that is missing, `RECORD` nothing (what happens is written down). A check wrapped in `given` is a precondition: where it
does not hold, the case says nothing about that program.
"""

from dataclasses import dataclass, field, replace
from typing import Callable

MUST, MAY, RECORD = "must", "may", "record"

ALL = {}


@dataclass(frozen=True)
class Answer:
    """What the origin says. `{now+60}` in a value is a date, 60 s after it is sent."""

    status: int = 200
    fields: tuple = ()
    # None: a text that names the case and the exchange, so that it shows whose body a client got.
    body: bytes | None = None
    # "length", "chunked" or "close"
    framing: str = "length"
    # Close after so many bytes of the body.
    cut: int | None = None
    # Bytes in place of all the above, `{body}` being the body; the connection is closed after them.
    raw: bytes | None = None
    # Seconds before the answer.
    delay: float = 0
    # Bytes sent before the head.
    interim: bytes = b""
    trailers: tuple = ()
    # Close without a word.
    drop: bool = False
    date: bool = True
    # Answer a single range with 206.
    ranges: bool = False
    # In answer to a conditional request; only to one that offers the tag `matching`, if that is given.
    if_conditional: "Answer | None" = None
    matching: str = ""


@dataclass(frozen=True)
class Check:
    text: str
    test: Callable
    given: bool = False


@dataclass(frozen=True)
class Exchange:
    answer: Answer = Answer()
    checks: tuple = ()
    method: str = "GET"
    fields: tuple = ()
    # Appended to the path.
    suffix: str = ""
    body: bytes = b""
    # Bytes in place of the request: `{target}` and `{host}` are filled in.
    raw: bytes | None = None
    # Seconds to wait before it.
    after: float = 0


@dataclass(frozen=True)
class Case:
    group: str
    name: str
    kind: str
    source: str
    exchanges: tuple

    @property
    def id(self):
        return f"{self.group}/{self.name}"


class Group:
    """Collects the cases of one part of the RFCs."""

    def __init__(self, name, title):
        self.name = name
        self.title = title
        self.cases = []
        if name in ALL:
            raise ValueError(f"two groups {name}")
        ALL[name] = self

    def add(self, kind, source, name, *exchanges):
        if any(case.name == name for case in self.cases):
            raise ValueError(f"two cases {self.name}/{name}")
        self.cases.append(Case(self.name, name, kind, source, exchanges))

    def must(self, source, name, *exchanges):
        self.add(MUST, source, name, *exchanges)

    def may(self, source, name, *exchanges):
        self.add(MAY, source, name, *exchanges)

    def record(self, source, name, *exchanges):
        self.add(RECORD, source, name, *exchanges)


def pairs(fields):
    """`cache_control="x"` and `("Name", "value")` alike."""
    return tuple((name.replace("_", "-"), value) for name, value in fields.items())


def answer(status=200, *lines, **options):
    """An answer: options of `Answer` by their names, anything else is a header field; `cc` is Cache-Control."""
    known = {name: options.pop(name) for name in list(options) if name in Answer.__dataclass_fields__}
    if "cc" in options:
        options["cache_control"] = options.pop("cc")
    return Answer(status=status, fields=pairs(options) + lines, **known)


def get(*checks, to=None, method="GET", suffix="", body=b"", raw=None, after=0, lines=(), **fields):
    """A request with these header fields, answered with `to`, and what must have come of it."""
    if "cc" in fields:
        fields["cache_control"] = fields.pop("cc")
    return Exchange(to or Answer(), checks, method, pairs(fields) + tuple(lines), suffix, body, raw, after)


def given(check):
    return replace(check, given=True)


def body_of(case, number):
    """The body of the origin's answer in exchange `number`."""
    scripted = case.exchanges[number].answer.body
    return f"{case.id} answer {number}\n".encode() if scripted is None else scripted


@dataclass
class View:
    """What a check looks at: one exchange, seen from both sides."""

    case: Case
    number: int
    reply: object
    # Requests that reached the origin during the exchange.
    asked: list = field(default_factory=list)
    earlier: list = field(default_factory=list)

    def is_reused(self):
        """The body of an earlier answer, without a question to the origin."""
        if self.asked or not self.reply.complete or self.number == 0:
            return False
        if not self.reply.body:
            return self.reply.status < 400 or self.reply.status == 416
        return self.reply.status == 206 or self.reply.body in [body_of(self.case, n) for n in range(self.number)]

    def conditional(self):
        return any(r.fields.one("if-none-match") or r.fields.one("if-modified-since") for r in self.asked)

    def in_words(self):
        if not self.reply.complete:
            return {"none": "no answer", "silent": "silence", "broken": f"{self.reply.status} broken"}[self.reply.end]
        if self.is_reused():
            way = "from the cache"
        elif not self.asked:
            way = "by itself"
        elif self.conditional():
            way = "validated"
        else:
            way = "from the origin" if len(self.asked) == 1 else f"from the origin, asked {len(self.asked)} times"
        return f"{self.reply.status} {way}"
