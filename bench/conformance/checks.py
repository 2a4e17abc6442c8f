"""The checks: each a sentence and a test of one exchange."""

import re

from .case import Check, body_of


def reused():
    return Check("answered from the cache", lambda v: v.is_reused())


def asked():
    return Check("the origin is asked", lambda v: bool(v.asked))


def not_asked():
    return Check("the origin is not asked", lambda v: not v.asked)


def asked_once():
    return Check("the origin is asked once", lambda v: len(v.asked) == 1)


def validated():
    return Check("the origin is asked with a condition", lambda v: v.conditional())


def unconditional():
    return Check("the origin is asked without a condition", lambda v: bool(v.asked) and not v.conditional())


def shows(number):
    return Check(f"the body is that of answer {number}", lambda v: v.reply.complete and v.reply.body == body_of(v.case, number))


def shows_not(number):
    """Broken off or replaced by an error, but not that body as if it were right."""
    return Check(
        f"the body of answer {number} is not passed off as right",
        lambda v: not (v.reply.complete and v.reply.status < 400 and v.reply.body == body_of(v.case, number)),
    )


def body(text):
    return Check(f"the body is {text!r}", lambda v: v.reply.complete and v.reply.body == text)


def no_body():
    return Check("there is no body", lambda v: v.reply.complete and not v.reply.body)


def status(*codes):
    words = " or ".join(map(str, codes))
    return Check(f"the status is {words}", lambda v: v.reply.complete and v.reply.status in codes)


def complete():
    return Check("the answer is complete", lambda v: v.reply.complete)


def fails():
    return Check(
        "an error of the proxy or a broken connection", lambda v: not v.reply.complete or v.reply.status >= 500
    )


def refused():
    """Status 400 (or a related refusal) or a closed connection, and nothing reached the origin."""
    return Check(
        "refused, and nothing is forwarded",
        lambda v: not v.asked and (v.reply.end == "none" or 400 <= v.reply.status < 600),
    )


def bad_request():
    """The RFC names 400; a more exact 4xx or 501 does as well, since it says and prevents the same."""
    return Check(
        "400 or the like, and nothing is forwarded",
        lambda v: not v.asked and (400 <= v.reply.status < 500 or v.reply.status == 501),
    )


def closed():
    return Check("the connection is closed", lambda v: v.reply.closed or not v.reply.complete)


def no_interim(*codes):
    words = " or ".join(map(str, codes)) or "interim"
    return Check(f"no {words} response", lambda v: not [i for i in v.reply.interim if not codes or i in codes])


def has(name, value=None):
    """Compares with all lines of the name, white space around commas aside."""
    if value is None:
        return Check(f"{name} is there", lambda v: v.reply.fields.one(name) is not None)
    return Check(f"{name}: {value}", lambda v: squeezed(v.reply.fields.one(name)) == squeezed(value))


def lacks(name):
    return Check(f"no {name}", lambda v: v.reply.fields.one(name) is None)


def once(name):
    return Check(f"one line of {name}", lambda v: len(v.reply.fields.all(name)) == 1)


def mentions(name, pattern):
    return Check(f"{name} has {pattern}", lambda v: re.search(pattern, v.reply.fields.one(name) or "") is not None)


def mentions_not(name, pattern):
    return Check(f"{name} has no {pattern}", lambda v: re.search(pattern, v.reply.fields.one(name) or "") is None)


def age(least, most=None):
    def test(view):
        value = view.reply.fields.one("age")
        return value is not None and value.isdigit() and least <= int(value) <= (least + 8 if most is None else most)

    return Check(f"Age from {least}" if most is None else f"Age from {least} to {most}", test)


def same(name):
    """As in the first exchange."""
    return Check(
        f"{name} as in the first answer", lambda v: v.reply.fields.one(name) == v.earlier[0].reply.fields.one(name)
    )


def upstream(name, value=None):
    """The origin got the field."""
    words = name if value is None else f"{name}: {value}"

    def test(view):
        got = [squeezed(request.fields.one(name)) for request in view.asked]
        return bool(got) and all(one is not None and (value is None or one == squeezed(value)) for one in got)

    return Check(f"upstream {words}", test)


def upstream_lacks(name):
    """No request that the origin got has it; also met when there is none."""
    return Check(f"upstream no {name}", lambda v: all(request.fields.one(name) is None for request in v.asked))


def upstream_mentions(name, pattern):
    return Check(
        f"upstream {name} has {pattern}",
        lambda v: bool(v.asked) and all(re.search(pattern, r.fields.one(name) or "") for r in v.asked),
    )


def upstream_raw_lacks(pattern, words):
    return Check(f"upstream {words}", lambda v: not any(re.search(pattern, request.head) for request in v.asked))


def test(words, function):
    return Check(words, function)


def squeezed(value):
    return None if value is None else re.sub(r"\s*,\s*", ",", value.strip())
