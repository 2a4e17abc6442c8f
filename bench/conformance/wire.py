"""HTTP/1.1 as bytes: a client that sends what it is told, also what is wrong, and hides nothing of what comes back."""

import re
import socket
import time
from dataclasses import dataclass, field
from email.utils import formatdate

PATIENCE = 8
LONGEST_HEAD = 1 << 20


def http_date(seconds):
    return formatdate(seconds, usegmt=True)


def dated(text):
    """Replaces `{now}`, `{now-60}` and the like by the date they mean at this moment."""
    return re.sub(r"\{now([+-]\d+)?\}", lambda found: http_date(int(time.time()) + int(found[1] or 0)), text)


class Fields(list):
    """Pairs of name and value in the order of the wire."""

    def all(self, name):
        return [value for one, value in self if one.lower() == name.lower()]

    def one(self, name):
        """All lines of the name, joined as a list; None without any."""
        values = self.all(name)
        return ", ".join(values) if values else None

    def tokens(self, name):
        return [word.strip().lower() for word in (self.one(name) or "").split(",") if word.strip()]


@dataclass
class Reply:
    """What a client got: `end` tells how it ended."""

    status: int = 0
    fields: Fields = field(default_factory=Fields)
    body: bytes = b""
    # "complete", "broken" (closed within the body or a bad chunk), "none" (closed without an answer), "silent"
    end: str = "none"
    interim: list = field(default_factory=list)
    trailers: Fields = field(default_factory=Fields)
    # Whether the peer closed the connection (within a short while) after a complete answer.
    closed: bool = False
    head: bytes = b""

    @property
    def complete(self):
        return self.end == "complete"


class Broken(Exception):
    """The peer closed, or sent what is no HTTP."""


class Reader:
    """Bytes of a connection, as they are asked for."""

    def __init__(self, connection):
        self.connection = connection
        self.held = b""

    def more(self):
        try:
            received = self.connection.recv(65536)
        except ConnectionError as error:
            raise Broken from error
        if not received:
            raise Broken
        self.held += received

    def until(self, mark):
        while mark not in self.held:
            if len(self.held) > LONGEST_HEAD:
                raise Broken
            self.more()
        found, _, self.held = self.held.partition(mark)
        return found

    def exactly(self, size):
        while len(self.held) < size:
            self.more()
        found, self.held = self.held[:size], self.held[size:]
        return found

    def head(self):
        """The first line and the fields."""
        text = self.until(b"\r\n\r\n")
        lines = text.decode("latin-1").split("\r\n")
        fields = Fields()
        for line in lines[1:]:
            name, _, value = line.partition(":")
            fields.append((name, value.strip(" \t")))
        return text, lines[0], fields


def ask(port, data, method):
    """Sends a whole request; returns what comes back."""
    reply = Reply()
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        reader = Reader(connection)
        try:
            connection.sendall(data)
        except ConnectionError:
            pass  # Refused early: the answer may be there all the same.
        try:
            read_head(reader, reply)
            reply.end = "broken"  # unless its end is seen
            read_body(reader, reply, method)
            reply.end = "complete"
            reply.closed = is_closed(reader)
        except Broken:
            pass
        except TimeoutError:
            reply.end = "silent"
        except ValueError:
            reply.end = "broken"
    return reply


def read_head(reader, reply):
    while True:
        reply.head, line, fields = reader.head()
        found = re.match(r"HTTP/\d\.\d (\d{3})(?!\d)", line)
        if not found:
            raise Broken
        status = found[1]
        if status.startswith("1"):
            reply.interim.append(int(status))
            continue
        reply.status, reply.fields = int(status), fields
        return


def read_body(reader, reply, method):
    fields = reply.fields
    if method == "HEAD" or reply.status in (204, 304):
        return
    if "chunked" in fields.tokens("transfer-encoding"):
        while True:
            size = int(reader.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            reply.body += reader.exactly(size)
            if reader.exactly(2) != b"\r\n":
                raise ValueError
        while line := reader.until(b"\r\n"):
            name, _, value = line.decode("latin-1").partition(":")
            reply.trailers.append((name, value.strip()))
    elif (length := fields.one("content-length")) is not None:
        wanted = int(length)
        while len(reader.held) < wanted:
            try:
                reader.more()
            except Broken:
                reply.body = reader.held
                raise
        reply.body = reader.exactly(wanted)
    else:
        # Up to the end of the connection: a clean end and a lost one look the same, except for a reset.
        while True:
            try:
                received = reader.connection.recv(65536)
            except ConnectionError as error:
                raise Broken from error
            if not received:
                break
            reader.held += received
        reply.body = reader.held


def is_closed(reader):
    reader.connection.settimeout(0.3)
    try:
        return reader.connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True
