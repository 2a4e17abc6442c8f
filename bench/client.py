"""A client that behaves as CernVM-FS's does, and tells what it saw.

5xx, 400, 404 and 429 make it ask the next stratum through the same proxy; wrong bytes make it ask once more with `no-cache`, then
the next stratum; a broken or late answer makes it ask once more, and any other 4xx, or a second one broken, leave the proxy.
"""

import asyncio
import hashlib
import time
from collections import Counter, deque
from dataclasses import dataclass, field

# Seconds for a connection, the first byte, and each kilobyte after it.
PATIENCE = 5
LEAST_RATE = 1024
HOST_ERRORS = {400, 404, 429}
IDLE_CONNECTIONS = 16


class Trouble(Exception):
    """An answer that is of no use; its word is counted."""


class Host(Trouble):
    """To be blamed on the stratum."""


class Proxy(Trouble):
    """To be blamed on the proxy."""


class Wrong(Trouble):
    """Wrong bytes in an answer that ended well."""


@dataclass
class Seen:
    """What all clients saw."""

    requests: int = 0
    first: Counter = field(default_factory=Counter)
    last: Counter = field(default_factory=Counter)
    late: int = 0
    wrong: int = 0
    first_byte: list = field(default_factory=list)
    whole: list = field(default_factory=list)
    # Fault of the mirrors at the time -> first answers that were of no use.
    when: Counter = field(default_factory=Counter)


class Client:
    """One mount: it stays with a stratum until that one fails."""

    def __init__(self, port, strata, first, seen):
        self.port, self.strata, self.host, self.seen = port, strata, first, seen
        self.idle = []

    async def fetch(self, path, size):
        """Fetches an object as the file system would; whether the job gets it, and how its first answer was."""
        seen, begun = self.seen, time.monotonic()
        seen.requests += 1
        first, hosts_left, retries, reload, outcome = None, len(self.strata), 1, False, None
        while outcome is None:
            try:
                await self.ask(path, size, reload, first is None)
                word, outcome = "ok", "ok"
            except Wrong as trouble:
                word = str(trouble)
                if not reload:
                    reload = True
                    first = first or word
                    continue
                hosts_left -= 1
                self.next_host()
            except Host as trouble:
                word = str(trouble)
                hosts_left -= 1
                self.next_host()
            except Proxy as trouble:
                word = str(trouble)
                retries -= 1
                if retries < 0 or word.startswith("status"):
                    outcome = "left the proxy"
            first, reload = first or word, False
            if outcome is None and hosts_left == 0:
                outcome = "no stratum left"
        seen.first[first] += 1
        seen.last[outcome] += 1
        if outcome == "ok":
            seen.whole.append(time.monotonic() - begun)
        return first

    def next_host(self):
        self.host = (self.host + 1) % len(self.strata)

    async def ask(self, path, size, reload, is_first):
        """One request; raises what came of it unless the bytes are right."""
        begun = time.monotonic()
        heard = []
        try:
            reused = bool(self.idle)
            try:
                await self.exchange(path, reload, begun, heard)
            except (OSError, EOFError):
                # As curl: a kept-alive connection that ends unanswered says nothing.
                if not reused or heard:
                    raise
                self.idle.clear()
                await self.exchange(path, reload, begun, heard)
        except asyncio.TimeoutError:
            word = "too slow" if heard else "first byte late"
            if not heard:
                self.seen.late += 1
            raise Proxy(word) from None
        except (OSError, EOFError):
            raise Proxy("cut" if heard else "no answer") from None
        finally:
            if is_first:
                self.seen.first_byte.append(heard[0] - begun if heard else time.monotonic() - begun)

    def right(self, path, digest):
        """Whether bytes with this SHA-1 belong to the path."""
        return digest == path[-41:].replace("/", "")

    async def exchange(self, path, reload, begun, heard):
        if self.idle:
            reader, writer = self.idle.pop()
        else:
            reader, writer = await asyncio.wait_for(
                asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20), PATIENCE
            )
        keep = False
        try:
            host = self.strata[self.host]
            more = "Pragma: no-cache\r\nCache-Control: no-cache\r\n" if reload else ""
            writer.write(
                f"GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nProxy-Connection: Keep-Alive\r\n"
                f"Connection: Keep-Alive\r\nUser-Agent: cvmfs Fuse 2.12.0\r\n{more}\r\n".encode()
            )
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), begun + PATIENCE - time.monotonic())
            status, fields = parse(head)
            if status != 200:
                heard.append(time.monotonic())
                word = f"status {status}"
                raise Host(word) if status >= 500 or status in HOST_ERRORS else Proxy(word)
            digest = hashlib.sha1()
            async for piece in body(reader, fields, begun, heard):
                digest.update(piece)
            if not heard:
                heard.append(time.monotonic())
            keep = fields.get("connection", "").lower() != "close"
            if not self.right(path, digest.hexdigest()):
                self.seen.wrong += 1
                raise Wrong("wrong bytes")
        finally:
            if keep and len(self.idle) < IDLE_CONNECTIONS:
                self.idle.append((reader, writer))
            else:
                writer.close()


def parse(head):
    lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return int(lines[0].split(" ")[1]), fields


async def body(reader, fields, begun, heard):
    """The pieces of a body, however it is framed."""
    pace = Pace(begun, heard)
    if fields.get("transfer-encoding", "").lower() == "chunked":
        while True:
            line = await pace.wait(reader.readuntil(b"\r\n"))
            left = int(line.split(b";")[0], 16)
            async for piece in exactly(reader, left, pace):
                yield piece
            await pace.wait(reader.readexactly(2))
            if left == 0:
                return
    elif "content-length" in fields:
        async for piece in exactly(reader, int(fields["content-length"]), pace):
            yield piece
    else:
        while piece := await pace.wait(reader.read(256 << 10)):
            pace.took(len(piece))
            yield piece


async def exactly(reader, left, pace):
    while left:
        piece = await pace.wait(reader.read(min(left, 256 << 10)))
        if not piece:
            raise EOFError
        left -= len(piece)
        pace.took(len(piece))
        yield piece


class Pace:
    """Gives up on less than a kilobyte a second over five seconds, the wait for the first byte included."""

    def __init__(self, begun, heard):
        self.heard, self.taken, self.samples = heard, 0, deque([(begun, 0)])

    def took(self, count):
        now = time.monotonic()
        if not self.heard:
            self.heard.append(now)
        self.taken += count
        # One sample for each half second is fine enough.
        if now - self.samples[-1][0] >= 0.5:
            self.samples.append((now, self.taken))
        while len(self.samples) > 1 and self.samples[1][0] <= now - PATIENCE:
            self.samples.popleft()
        since, before = self.samples[0]
        if now - since >= PATIENCE and self.taken - before < LEAST_RATE * PATIENCE:
            raise asyncio.TimeoutError

    async def wait(self, reading):
        now = time.monotonic()
        since = self.samples[-1][0] if self.taken else self.samples[0][0]
        return await asyncio.wait_for(reading, max(0.001, since + PATIENCE - now) if not self.taken else PATIENCE)
