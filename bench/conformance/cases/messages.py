"""Answers of the origin as messages: interim ones, trailers, and those that are broken, short, long or contradictory."""

from ..case import Group, answer, get, given
from ..checks import asked, body, fails, lacks, no_interim, reused, shows, status, test

group = Group("messages", "RFC 9112, RFC 9110 §15.2, RFC 9111 §3.3: answers as messages")
HEAD = b"HTTP/1.1 200 OK\r\nDate: {now}\r\nCache-Control: max-age=600\r\n"
THEN = answer(cc="max-age=600")


def raw(text):
    return answer(raw=text)


# A complete answer of 1000 bytes: nothing shorter may look complete.
def not_whole():
    return test("not passed off as complete", lambda v: not (v.reply.complete and v.reply.status < 400))


LONG = b"y" * 1000
for name, to in [
    ("truncated-length", answer(cc="max-age=600", body=LONG, cut=500)),
    ("truncated-at-once", answer(cc="max-age=600", body=LONG, cut=0)),
    ("truncated-chunked", answer(cc="max-age=600", body=LONG, cut=500, framing="chunked")),
    ("chunked-without-last-chunk", raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n")),
    ("chunk-cut-within", raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc")),
    ("chunk-size-not-hex", raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nabcde\r\n0\r\n\r\n")),
    ("chunk-size-negative", raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nabcde\r\n0\r\n\r\n")),
    ("chunk-size-huge", raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nabcde\r\n0\r\n\r\n")),
    ("chunk-longer-than-its-size", raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcde\r\n0\r\n\r\n")),
    ("chunk-size-0x", raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n")),
    ("two-differing-lengths", raw(HEAD + b"Content-Length: 5\r\nContent-Length: 3\r\n\r\nabcde")),
    ("length-list-differing", raw(HEAD + b"Content-Length: 5, 3\r\n\r\nabcde")),
    ("length-negative", raw(HEAD + b"Content-Length: -5\r\n\r\nabcde")),
    ("length-plus", raw(HEAD + b"Content-Length: +5\r\n\r\nabcde")),
    ("length-hex", raw(HEAD + b"Content-Length: 0x5\r\n\r\nabcde")),
    ("length-not-a-number", raw(HEAD + b"Content-Length: five\r\n\r\nabcde")),
    ("length-huge", raw(HEAD + b"Content-Length: 99999999999999999999\r\n\r\nabcde")),
]:
    group.must("9112 §6.3, §7.1, §8", name, get(given(asked()), not_whole(), to=to))
    group.must("9111 §3.3", f"{name}-not-stored", get(given(asked()), to=to), get(asked(), shows(1), to=THEN))

group.must("9112 §6.3", "truncated-close-delimited-is-what-it-is", get(given(asked()), body(b"abc"), to=raw(HEAD + b"\r\nabc")))
group.must("9112 §6.3", "longer-than-its-length", get(given(asked()), test("five bytes or an error", lambda v: v.reply.body == b"abcde" or v.reply.status >= 500 or not v.reply.complete), to=raw(HEAD + b"Content-Length: 5\r\n\r\nabcdefgh")))
group.must("9112 §6.3", "what-follows-is-no-answer", get(given(asked()), to=raw(HEAD + b"Content-Length: 5\r\n\r\nabcdeHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxyz")), get(test("not the smuggled answer", lambda v: v.reply.body != b"xyz"), suffix="?2", to=THEN))
group.must("9112 §6.3", "chunked-and-length", get(given(asked()), test("the chunks, or an error", lambda v: v.reply.body == b"abcde" or v.reply.status >= 500 or not v.reply.complete), test("not both framings", lambda v: not (v.reply.fields.one("content-length") and v.reply.fields.one("transfer-encoding"))), to=raw(HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n")))
group.record("9112 §6.3", "same-length-twice", get(body(b"abcde"), to=raw(HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde")))
group.record("9112 §6.3", "length-list-same", get(body(b"abcde"), to=raw(HEAD + b"Content-Length: 5, 5\r\n\r\nabcde")))
group.must("9112 §7.1.1", "chunk-extensions-ignored", get(given(asked()), body(b"abcde"), to=raw(HEAD + b'Transfer-Encoding: chunked\r\n\r\n5;a=b;c="d"\r\nabcde\r\n0\r\n\r\n')))
group.must("9112 §7.1", "chunk-size-leading-zeros", get(given(asked()), body(b"abcde"), to=raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0005\r\nabcde\r\n000\r\n\r\n")))
group.must("9112 §7.1", "chunked-case", get(given(asked()), body(b"abcde"), to=raw(HEAD + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n")))
group.record("9112 §6.1", "unknown-transfer-coding", get(to=raw(HEAD + b"Transfer-Encoding: unheard-of\r\n\r\nabcde")))
group.record("9112 §6.1", "chunked-twice", get(to=raw(HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n")))
group.record("9112 §7.1", "chunk-line-ends-with-lf", get(to=raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\nabcde\n0\n\n")))
group.must("9110 §6.4.1", "204-with-length-has-no-body", get(given(status(204)), test("no body and no framing", lambda v: not v.reply.body and v.reply.fields.one("transfer-encoding") is None), to=raw(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nabcde")))
group.must("9110 §8.6", "204-has-no-length", get(given(status(204)), lacks("content-length"), to=raw(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")))

# Heads.
group.must("9112 §5.1", "space-before-colon-is-not-passed-on", get(test("removed or refused", lambda v: b"X-Test :" not in v.reply.head), to=raw(HEAD + b"X-Test : a\r\nContent-Length: 5\r\n\r\nabcde")))
group.must("9112 §5.1", "space-before-colon-hides-no-directive", get(to=raw(b"HTTP/1.1 200 OK\r\nDate: {now}\r\nExpires: {now+600}\r\nCache-Control : no-store\r\nContent-Length: 5\r\n\r\nabcde")), get(asked(), to=THEN))
group.must("9112 §5.2", "obs-fold-is-not-passed-on", get(test("replaced or refused", lambda v: b"\n " not in v.reply.head), to=raw(HEAD + b"X-Test: a\r\n b\r\nContent-Length: 5\r\n\r\nabcde")))
group.must("9112 §2.2", "bare-cr-is-not-passed-on", get(test("replaced or refused", lambda v: b"\r" not in v.reply.head.replace(b"\r\n", b"")), to=raw(HEAD + b"X-Test: a\rb\r\nContent-Length: 5\r\n\r\nabcde")))
group.must("9110 §5.5", "nul-is-not-passed-on", get(test("replaced or refused", lambda v: b"\0" not in v.reply.head), to=raw(HEAD + b"X-Test: a\0b\r\nContent-Length: 5\r\n\r\nabcde")))
group.record("9112 §2.2", "lines-end-with-lf", get(to=raw(HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 5\n\nabcde")))
group.must("9112 §4", "no-reason-phrase", get(status(200), body(b"abcde"), to=raw(b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nabcde")))
group.record("9112 §4", "no-space-after-status", get(to=raw(b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nabcde")))
group.must("9112 §4", "garbage-is-502", get(status(502, 503, 504), to=raw(b"this is no HTTP\r\n\r\n")))
group.must("9112 §4", "status-of-two-digits", get(test("refused", lambda v: v.reply.status != 20 and (v.reply.status >= 500 or not v.reply.complete)), to=raw(b"HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nabcde")))
group.record("9112 §2.3", "http-2.0-in-text", get(to=raw(b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nabcde")))
group.must("9112 §2.3", "http-1.0", get(status(200), body(b"abcde"), test("our own version", lambda v: v.reply.head.startswith(b"HTTP/1.1")), to=raw(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nabcde")))
group.record("9112 §6.1", "http-1.0-chunked", get(to=raw(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n")))
group.must("9110 §5.4", "head-without-end", get(fails(), to=raw(b"HTTP/1.1 200 OK\r\nX-Test: a")))
group.record("9110 §5.4", "200-kib-of-fields", get(to=raw(HEAD + b"".join(b"X-%d: %s\r\n" % (n, b"z" * 1000) for n in range(200)) + b"Content-Length: 5\r\n\r\nabcde")))
group.record("9110 §5.4", "12-kib-of-fields", get(status(200), to=raw(HEAD + b"".join(b"X-%d: %s\r\n" % (n, b"z" * 1000) for n in range(12)) + b"Content-Length: 5\r\n\r\nabcde")))
group.record("9110 §5.4", "150-fields", get(status(200), to=raw(HEAD + b"".join(b"X-%d: z\r\n" % n for n in range(150)) + b"Content-Length: 5\r\n\r\nabcde")))

# Interim responses and trailers.
for code, reason in [(100, "Continue"), (102, "Processing"), (103, "Early Hints"), (199, "Unheard Of")]:
    early = f"HTTP/1.1 {code} {reason}\r\nX-Early: 1\r\n\r\n".encode()
    group.must("9110 §15.2", f"{code}-then-200", get(status(200), shows(0), to=answer(cc="max-age=600", interim=early)))
    group.must("9110 §15.2", f"{code}-is-not-stored", get(given(status(200)), to=answer(cc="max-age=600", interim=early)), get(status(200), lacks("x-early"), to=THEN))
group.must("9110 §15.2.1", "100-unasked-is-not-passed-on", get(given(status(200)), no_interim(100), to=answer(interim=b"HTTP/1.1 100 Continue\r\n\r\n")))
group.record("9110 §15.2", "103-is-not-passed-on", get(no_interim(), to=answer(interim=b"HTTP/1.1 103 Early Hints\r\nLink: </y>\r\n\r\n")))
group.must("9110 §15.2", "several-interim", get(status(200), shows(0), to=answer(interim=b"HTTP/1.1 103 A\r\n\r\n" * 3)))
group.record("9110 §15.2.2", "101-unasked", get(to=raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")))
TRAILED = answer(cc="max-age=600", framing="chunked", trailers=(("X-Trailer", "1"),))
group.must("9110 §6.5", "trailers-do-not-hurt", get(status(200), shows(0), to=TRAILED))
group.must("9110 §6.5.1", "trailers-are-not-merged", get(given(status(200)), lacks("x-trailer"), to=TRAILED), get(given(reused()), lacks("x-trailer"), shows(0)))
group.must("9110 §6.5.1", "trailer-directive-does-not-count", get(given(status(200)), to=answer(cc="no-store", framing="chunked", trailers=(("Cache-Control", "max-age=600"),))), get(asked()))
group.record("9110 §6.5", "trailers-are-passed-on", get(test("the trailer", lambda v: v.reply.trailers.one("x-trailer") == "1"), to=TRAILED, lines=[("TE", "trailers"), ("Connection", "TE")]))
group.must("9112 §7.1", "chunked-for-http-1.0-clients", get(test("no chunks", lambda v: v.reply.fields.one("transfer-encoding") is None and b"answer 0" in v.reply.body), raw=b"GET {target} HTTP/1.0\r\nHost: {host}\r\n\r\n", to=answer(framing="chunked")))
group.must("9112 §9.3", "slow-answer-arrives", get(status(200), shows(0), to=answer(delay=2)))
