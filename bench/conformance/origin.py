"""The origin: says what the case's script has for the exchange that is under way, and writes down what it was asked."""

import re
import socket
import threading
import time
from dataclasses import dataclass, field

from .case import View, body_of
from .wire import Broken, Fields, Reader, dated

IDLE = 30


@dataclass
class Received:
    """A request as it came."""

    method: str
    target: str
    fields: Fields
    head: bytes
    body: bytes


@dataclass
class Scene:
    """A case while it is played."""

    case: object
    number: int = 0
    received: list = field(default_factory=list)


class Origin:
    """One thread a connection; a path `/<case id>/...` belongs to the scene of that case."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.scenes = {}
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        connection.settimeout(IDLE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            reader = Reader(connection)
            try:
                while self.exchange(connection, reader):
                    pass
            except (Broken, OSError, ValueError):
                pass

    def exchange(self, connection, reader):
        """Answers one request; returns whether the connection stays open."""
        request = receive(reader, connection)
        path = re.sub(r"^http://[^/]*", "", request.target)
        scene = self.scenes.get("/".join(path.split("/")[1:3]))
        if scene is None:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return True
        number = scene.number
        scene.received.append((number, request))
        answer = scene.case.exchanges[number].answer
        if answer.if_conditional and is_conditional(request) and answer.matching in (request.fields.one("if-none-match") or ""):
            answer = answer.if_conditional
        if answer.delay:
            time.sleep(answer.delay)
        if answer.drop:
            return False
        return say(connection, request, answer, body_of(scene.case, number))

    def view(self, scene, reply, earlier):
        asked = [request for number, request in scene.received if number == scene.number]
        return View(scene.case, scene.number, reply, asked, list(earlier))


def receive(reader, connection):
    head, line, fields = reader.head()
    method, _, rest = line.partition(" ")
    if "100-continue" in fields.tokens("expect"):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = b""
    if "chunked" in fields.tokens("transfer-encoding"):
        while size := int(reader.until(b"\r\n").split(b";")[0], 16):
            body += reader.exactly(size)
            reader.exactly(2)
        while reader.until(b"\r\n"):
            pass
    elif length := fields.one("content-length"):
        body = reader.exactly(int(length))
    return Received(method, rest.rpartition(" ")[0], fields, head, body)


def is_conditional(request):
    return any(request.fields.one(name) is not None for name in ("if-none-match", "if-modified-since"))


def say(connection, request, answer, body):
    if answer.raw is not None:
        raw = answer.raw.replace(b"{body}", body).replace(b"{length}", str(len(body)).encode())
        connection.sendall(dated(raw.decode("latin-1")).encode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        return False
    status, fields = answer.status, list(answer.fields)
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.fields.one("range") or "")
    if answer.ranges and status == 200 and wanted and request.method == "GET":
        status, fields, body = part(wanted, fields, body)
    bodiless = status in (204, 304)
    lines = [f"HTTP/1.1 {status} Scripted"]
    lines += [f"{name}: {dated(value)}" for name, value in fields]
    if answer.date:
        lines.append(dated("Date: {now}"))
    if not bodiless:
        framing = {"length": f"Content-Length: {len(body)}", "chunked": "Transfer-Encoding: chunked", "close": "Connection: close"}
        lines.append(framing[answer.framing])
    if answer.trailers:
        lines.append("Trailer: " + ", ".join(name for name, _ in answer.trailers))
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    silent = request.method == "HEAD" or bodiless
    connection.sendall(answer.interim + head + (b"" if silent else framed(answer, body)))
    return answer.cut is None and answer.framing != "close"


def framed(answer, body):
    sent = body if answer.cut is None else body[: answer.cut]
    if answer.framing != "chunked":
        return sent
    chunk = b"%x\r\n%b\r\n" % (len(sent), sent) if sent else b""
    if answer.cut is not None:
        return chunk
    trailers = "".join(f"{name}: {value}\r\n" for name, value in answer.trailers)
    return chunk + b"0\r\n" + trailers.encode() + b"\r\n"


def part(wanted, fields, body):
    """206 with what was asked for, or 416."""
    first, last = wanted.groups()
    if first == "":
        start, end = max(len(body) - int(last or 0), 0), len(body)
    else:
        start, end = int(first), min(int(last) + 1 if last else len(body), len(body))
    if start >= end:
        return 416, [("Content-Range", f"bytes */{len(body)}")], b""
    return 206, [*fields, ("Content-Range", f"bytes {start}-{end - 1}/{len(body)}")], body[start:end]
