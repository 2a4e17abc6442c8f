"""Requests as messages: what is ambiguous or malformed must not reach the origin in a form that it reads differently."""

from ..case import Group, get
from ..checks import bad_request, closed, refused, shows, status, test, upstream_raw_lacks

group = Group("requests", "RFC 9112 §2, §3, §5, §6, §7, RFC 9110 §7.2, §10.1.1: requests as messages")
G = b"GET {target} HTTP/1.1\r\nHost: {host}\r\n"
P = b"POST {target} HTTP/1.1\r\nHost: {host}\r\n"


def one(number):
    """Reached the origin at most as one request."""
    return test(f"at most {number} request upstream", lambda v: len(v.asked) <= number)


def must_refuse(name, source, raw, *checks):
    """The RFC says 400."""
    group.must(source, name, get(bad_request(), *checks, raw=raw))


def must_not_pass(name, source, raw, pattern, words, *checks):
    """Refused, or mended before it is passed on."""
    group.must(source, name, get(test("answered or refused", lambda v: v.reply.end in ("complete", "none")), upstream_raw_lacks(pattern, words), one(1), *checks, raw=raw))


must_refuse("no-host", "9112 §3.2", b"GET {path} HTTP/1.1\r\nX-A: 1\r\n\r\n")
must_refuse("two-hosts", "9112 §3.2", b"GET {path} HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n")
must_refuse("two-differing-hosts", "9112 §3.2", b"GET {path} HTTP/1.1\r\nHost: {host}\r\nHost: elsewhere\r\n\r\n")
must_refuse("host-malformed", "9112 §3.2", b"GET {path} HTTP/1.1\r\nHost: a b\r\n\r\n")
must_refuse("space-before-colon", "9112 §5.1", G + b"X-A : 1\r\n\r\n")
must_refuse("tab-before-colon", "9112 §5.1", G + b"X-A\t: 1\r\n\r\n")
must_refuse("space-before-colon-of-length", "9112 §5.1", P + b"Content-Length : 5\r\n\r\nabcde", closed())
must_refuse("lengths-differ", "9112 §6.3", P + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", closed())
must_refuse("length-list-differs", "9112 §6.3", P + b"Content-Length: 5, 6\r\n\r\nabcdef", closed())
must_refuse("length-negative", "9112 §6.3", P + b"Content-Length: -5\r\n\r\nabcde", closed())
must_refuse("length-plus", "9112 §6.3", P + b"Content-Length: +5\r\n\r\nabcde", closed())
must_refuse("length-hex", "9112 §6.3", P + b"Content-Length: 0x5\r\n\r\nabcde", closed())
must_refuse("length-letters", "9112 §6.3", P + b"Content-Length: 5a\r\n\r\nabcde", closed())
must_refuse("length-empty", "9112 §6.3", P + b"Content-Length:\r\n\r\n", closed())
must_refuse("chunked-not-last", "9112 §6.3", P + b"Transfer-Encoding: chunked, identity\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", closed())
group.must("9112 §6.1", "chunked-twice", get(refused(), raw=P + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"))
group.must("9112 §6.1", "unknown-coding-alone", get(refused(), closed(), raw=P + b"Transfer-Encoding: unheard-of\r\n\r\nabcde"))
for name, chunks in [
    ("chunk-size-not-hex", b"xyz\r\nabcde\r\n0\r\n\r\n"),
    ("chunk-size-0x", b"0x5\r\nabcde\r\n0\r\n\r\n"),
    ("chunk-size-negative", b"-5\r\nabcde\r\n0\r\n\r\n"),
    ("chunk-size-huge", b"10000000000000005\r\nabcde\r\n0\r\n\r\n"),
    ("chunk-longer-than-its-size", b"3\r\nabcde\r\n0\r\n\r\n"),
]:
    group.must("9112 §7.1", name, get(test("never a whole request upstream", lambda v: not v.asked), raw=P + b"Transfer-Encoding: chunked\r\n\r\n" + chunks))

BOTH = rb"(?is)(?=.*\ncontent-length:)(?=.*\ntransfer-encoding:)"
must_not_pass("chunked-and-length", "9112 §6.1", P + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", BOTH, "not both framings", closed())
must_not_pass("get-chunked-and-length", "9112 §6.1", G + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BOTH, "not both framings")
SMUGGLED = b"GET {target}?smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"
group.must("9112 §6.3", "get-with-length-hides-nothing", get(test("the body is not taken for a request", lambda v: not any("smuggled" in r.target for r in v.asked)), raw=G + b"Content-Length: 26\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"))
must_not_pass("transfer-encoding-with-vertical-tab", "9112 §6.1", P + b"Transfer-Encoding: \x0bchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", rb"\x0b", "no vertical tab in a framing field")
must_not_pass("obs-fold", "9112 §5.2", G + b"X-A: 1\r\n 2\r\n\r\n", rb"\n[ \t]", "no folded line")
must_not_pass("obs-fold-first", "9112 §2.2", b"GET {target} HTTP/1.1\r\n Host: elsewhere\r\nHost: {host}\r\n\r\n", rb"\n[ \t]", "no line that begins with white space")
must_not_pass("bare-cr", "9112 §2.2", G + b"X-A: 1\rX-B: 2\r\n\r\n", rb"\r[^\n]", "no bare CR")
must_not_pass("nul", "9110 §5.5", G + b"X-A: 1\0002\r\n\r\n", rb"\x00", "no NUL")
must_not_pass("nul-in-name", "9110 §5.1", G + b"X\0A: 1\r\n\r\n", rb"\x00", "no NUL")
must_not_pass("line-without-colon", "9112 §5", G + b"no colon here\r\n\r\n", rb"no colon here\r\n", "no such line")
must_not_pass("name-with-space", "9110 §5.1", G + b"X A: 1\r\n\r\n", rb"X A:", "no such name")
must_not_pass("empty-name", "9110 §5.1", G + b": 1\r\n\r\n", rb"\n:", "no empty name")
must_not_pass("space-in-target", "9112 §3", b"GET {target} b HTTP/1.1\r\nHost: {host}\r\n\r\n", rb"^GET \S+ b", "no space in the target")
must_not_pass("absolute-form-wins-over-host", "9112 §3.2.2", b"GET http://{host}{path} HTTP/1.1\r\nHost: elsewhere\r\n\r\n", rb"(?i)\nhost: elsewhere", "not the Host that differs")
must_not_pass("fragment-in-target", "9112 §3.2", b"GET {target}#f HTTP/1.1\r\nHost: {host}\r\n\r\n", rb"^GET \S+#f", "no fragment")
group.record("9112 §2.2", "lines-end-with-lf", get(raw=G.replace(b"\r\n", b"\n") + b"\n"))
group.may("9112 §2.2", "empty-line-before", get(status(200), shows(0), raw=b"\r\n" + G + b"\r\n"))
group.must("9112 §3", "method-case-counts", get(test("not taken for GET", lambda v: not v.asked or v.asked[0].method == "get"), raw=b"get {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
group.must("9112 §2.3", "http-1.0", get(status(200), closed(), shows(0), raw=b"GET {target} HTTP/1.0\r\nHost: {host}\r\n\r\n"))
group.must("9112 §2.3", "http-1.9", get(test("served or refused", lambda v: v.reply.status in (200, 400, 505)), raw=b"GET {target} HTTP/1.9\r\nHost: {host}\r\n\r\n"))
group.record("9112 §2.3", "http-3.0", get(status(505, 400), raw=b"GET {target} HTTP/3.0\r\nHost: {host}\r\n\r\n"))
group.must("9112 §2.3", "version-malformed", get(refused(), raw=b"GET {target} HTTP/1.x\r\nHost: {host}\r\n\r\n"))
group.record("9112 §2.3", "http-0.9", get(raw=b"GET {target}\r\n\r\n"))
group.must("9112 §9.6", "connection-close-is-obeyed", get(status(200), shows(0), closed(), raw=G + b"Connection: close\r\n\r\n"))
group.may("9112 §9.3", "connection-stays", get(status(200), test("open", lambda v: not v.reply.closed), raw=G + b"\r\n"))
group.must("9112 §9.3.2", "pipelined-both-in-order", get(status(200), test("the first answer first", lambda v: b"answer 0" in v.reply.body), raw=G + b"\r\n" + SMUGGLED))
group.record("9110 §5.4", "12-kib-of-fields", get(status(200), raw=G + b"".join(b"X-%d: %s\r\n" % (n, b"z" * 1000) for n in range(12)) + b"\r\n"))
group.record("9110 §5.4", "120-fields", get(status(200), raw=G + b"".join(b"X-%d: z\r\n" % n for n in range(120)) + b"\r\n"))
group.must("9110 §5.4", "2-mib-of-fields-refused", get(refused(), raw=G + b"".join(b"X-%d: %s\r\n" % (n, b"z" * 1000) for n in range(2000)) + b"\r\n"))
group.record("9112 §3", "8-kib-target", get(status(200), raw=b"GET {target}?" + b"q" * 8000 + b" HTTP/1.1\r\nHost: {host}\r\n\r\n"))
group.record("9110 §10.1.1", "expect-100-continue-on-get", get(status(200), raw=G + b"Expect: 100-continue\r\n\r\n"))
group.must("9110 §10.1.1", "unknown-expectation", get(status(417, 200, 400), raw=G + b"Expect: unheard-of\r\n\r\n"))
group.record("9110 §9.3.6", "connect", get(raw=b"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n", method="CONNECT"))
group.record("9112 §3.2.4", "asterisk-form-get", get(raw=b"GET * HTTP/1.1\r\nHost: {host}\r\n\r\n"))
group.must("9110 §4.2.4", "userinfo-is-not-passed-in-host", get(upstream_raw_lacks(rb"(?i)\nhost: *\S*@", "no user in Host"), raw=b"GET http://user:word@{host}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
