"""Three mirrors of the same objects, in a process of their own, that fail as a schedule tells them."""

import asyncio
import hashlib
import multiprocessing
import random
import socket
import time
from collections import Counter
from dataclasses import dataclass, field

REPOSITORY = "bench.test"
PROBED = f"/cvmfs/{REPOSITORY}/.cvmfspublished"
STATUSES = {404: "Not Found", 429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
            503: "Service Unavailable"}
# Every way to fail; each comes up equally often in a schedule.
FAULTS = ["stall before head", "never answer", "refuse", "stall after head", "stall in body", "drip", "reset", "truncate",
          "flip", "wrong length", *map(str, STATUSES)]
# Of a head that is late; clients leave after 5 s.
LATE_HEAD = 8
# Whoever is kept waiting is let go in the end.
LONGEST_STALL = 30
# Bytes at once, and pieces a second, of a mirror that drips.
DRIP = (10, 5)
# A kept-alive connection that says nothing is closed after so long, as Apache does.
KEEP_ALIVE = 5
PIECE = 64 << 10


class Objects:
    """Objects that are slices of one random block, so that thousands of them cost no memory."""

    def __init__(self, seed, block=32 << 20):
        self.draw = random.Random(f"objects {seed}")
        self.block = self.draw.randbytes(block)
        self.slices = {PROBED: (0, 400)}

    def add(self, size):
        """The path of a new object of so many bytes."""
        at = self.draw.randrange(len(self.block) - size)
        digest = hashlib.sha1(memoryview(self.block)[at : at + size]).hexdigest()
        path = f"/cvmfs/{REPOSITORY}/data/{digest[:2]}/{digest[2:]}"
        self.slices[path] = (at, size)
        return path

    def get(self, path):
        """The bytes under a path, or None."""
        if path not in self.slices:
            return None
        at, size = self.slices[path]
        return memoryview(self.block)[at : at + size]


@dataclass
class Act:
    """Who is in trouble for a while: mirror -> fault. Whoever is not named is well."""

    seconds: float
    faults: dict


@dataclass
class Counts:
    """What the mirrors were asked for."""

    requests: Counter = field(default_factory=Counter)
    probes: int = 0
    bytes: int = 0
    ranges: list = field(default_factory=list)
    # The mirror that was asked for an object before all others.
    first: int = -1


def draw_acts(seed, mirrors, faulty, seconds):
    """Acts in which `faulty` mirrors fail, each in its own way. Every fault comes `faulty` times, and every mirror is well
    equally often (to one), so that none is a good guess."""
    draw = random.Random(f"acts {seed}")
    while True:
        decks = []
        for _ in range(faulty):
            deck = FAULTS[:]
            draw.shuffle(deck)
            decks.append(deck)
        if all(len(set(faults)) == faulty for faults in zip(*decks)):
            break
    victims = []
    while len(victims) < len(FAULTS):
        turn = list(range(mirrors))
        draw.shuffle(turn)
        # The same constellation twice in a row would make a longer act of two.
        if victims and turn[0] == victims[-1]:
            continue
        victims += turn
    acts = []
    for first, *faults in zip(victims, *decks):
        chosen = [(first + n) % mirrors for n in range(faulty)]
        acts.append(Act(seconds, dict(zip(chosen, faults))))
    return acts


class Mirror:
    """One stratum. Each answer is sent at `rate`, bytes a second. With `dies_after`, it dies for good after so many bytes of its
    first object, if it is the mirror that is asked first."""

    def __init__(self, number, objects, counts, seed=0, rate=None, dies_after=None):
        self.number, self.objects, self.counts, self.seed = number, objects, counts, seed
        self.rate, self.dies_after = rate, dies_after
        self.fault, self.act = None, 0
        # Bound but not listening: keeps the port while connections are refused.
        self.holder = self.bind()
        self.port = self.holder.getsockname()[1]
        self.server = None
        self.open = set()

    def bind(self, port=0):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", port))
        return sock

    async def turn_to(self, act, fault):
        """A new act begins."""
        self.act, self.fault = act, fault
        if fault == "refuse":
            if self.server:
                self.server.close()
                self.server = None
            for writer in list(self.open):
                writer.transport.abort()
        elif self.server is None:
            self.server = await asyncio.start_server(self.serve, sock=self.bind(self.port), backlog=1024)

    async def serve(self, reader, writer):
        self.open.add(writer)
        try:
            writer.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), KEEP_ALIVE)
                if not await self.answer(reader, writer, head.decode("latin-1")) or b"onnection: close" in head:
                    break
        except (OSError, EOFError, asyncio.TimeoutError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()

    async def answer(self, reader, writer, head):
        """One answer; whether the connection may be used again."""
        lines = head.split("\r\n")
        method, target = lines[0].split(" ")[:2]
        path = "/" + target.split("/", 3)[3] if "://" in target else target
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if path == PROBED:
            self.counts.probes += 1
        else:
            self.counts.requests[self.number] += 1
            if self.counts.first < 0:
                self.counts.first = self.number
        fault = self.fault
        if fault == "never answer":
            await self.stall(reader)
            return False
        if fault == "stall before head":
            await self.stall(reader, LATE_HEAD)
            fault = None
        if fault and fault.isdigit():
            return await self.refuse(writer, int(fault))
        data = self.objects.get(path)
        if data is None:
            return await self.refuse(writer, 404)
        # The same request meets the same fault in the same act, whoever asks.
        draw = random.Random(f"{self.seed} {self.act} {self.number} {path}")
        at = draw.randrange(len(data))
        if fault == "flip":
            data = bytearray(data)
            data[at] ^= 1 << draw.randrange(8)
            data = memoryview(data)
        elif fault == "wrong length":
            data = data[: len(data) - 1 - draw.randrange(min(len(data), 100))]
        total, start = len(data), 0
        requested = fields.get("range", "")
        status = "200 OK"
        answer = "Content-Type: application/octet-stream\r\nCache-Control: max-age=259200\r\n"
        if requested.startswith("bytes=") and requested.endswith("-"):
            start = int(requested[6:-1])
            self.counts.ranges.append((self.number, start))
            if start >= total:
                return await self.refuse(writer, 416, "Range Not Satisfiable")
            status = "206 Partial Content"
            answer += f"Content-Range: bytes {start}-{total - 1}/{total}\r\n"
        data = data[start:]
        writer.write(f"HTTP/1.1 {status}\r\n{answer}Content-Length: {len(data)}\r\n\r\n".encode())
        if method == "HEAD":
            return True
        if fault == "stall after head":
            await self.stall(reader)
            return False
        if fault == "drip":
            return await self.drip(writer, data)
        if fault in ("stall in body", "reset", "truncate"):
            await self.send(writer, data[: min(at, len(data))])
            if fault == "stall in body":
                await self.stall(reader)
            elif fault == "reset":
                # Some of what was sent is lost with the connection, as it is when a host goes.
                writer.transport.abort()
            return False
        if self.dies_after is not None and self.counts.first == self.number and path != PROBED:
            await self.send(writer, data[: max(0, self.dies_after - start)])
            await self.turn_to(0, "refuse")
            return False
        await self.send(writer, data)
        return True

    async def refuse(self, writer, status, reason=None):
        body = f"{status}\n"
        reason = reason or STATUSES[status]
        writer.write(f"HTTP/1.1 {status} {reason}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        return True

    async def send(self, writer, data):
        begun, sent = time.monotonic(), 0
        while sent < len(data):
            piece = data[sent : sent + PIECE]
            writer.write(piece)
            sent += len(piece)
            self.counts.bytes += len(piece)
            await writer.drain()
            if self.rate:
                # Against the clock, so that late wake-ups do not add up.
                await asyncio.sleep(max(0, begun + sent / self.rate - time.monotonic()))

    async def drip(self, writer, data):
        size, pieces = DRIP
        for at in range(0, len(data), size):
            writer.write(data[at : at + size])
            await writer.drain()
            await asyncio.sleep(1 / pieces)
        return True

    async def stall(self, reader, seconds=LONGEST_STALL):
        """Says nothing, until the other side leaves."""
        try:
            await asyncio.wait_for(reader.read(1), seconds)
        except asyncio.TimeoutError:
            return
        raise EOFError


class Strata:
    """The mirrors, in a child process."""

    def __init__(self, objects, number=3, seed=0, options=lambda number: {}):
        self.counts = Counts()
        self.mirrors = [Mirror(n, objects, self.counts, seed, **options(n)) for n in range(number)]
        self.ports = [mirror.port for mirror in self.mirrors]
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(target=self.run, args=(theirs,), daemon=True)
        self.process.start()
        self.pipe.recv()

    def play(self, acts, begin):
        """Acts follow each other from `begin` on, on the monotonic clock that all processes share."""
        self.pipe.send((acts, begin))

    def stop(self):
        """Ends the process; what the mirrors were asked for."""
        self.pipe.send(None)
        counts = self.pipe.recv()
        self.process.join(10)
        return counts

    def run(self, pipe):
        asyncio.run(self.stage(pipe))

    async def stage(self, pipe):
        for mirror in self.mirrors:
            await mirror.turn_to(0, None)
        pipe.send("ready")
        loop, playing = asyncio.get_running_loop(), None
        while order := await loop.run_in_executor(None, pipe.recv):
            playing = asyncio.create_task(self.follow(*order))
        if playing:
            playing.cancel()
        pipe.send(self.counts)

    async def follow(self, acts, begin):
        for number, act in enumerate([*acts, Act(0, {})]):
            await asyncio.sleep(begin - time.monotonic())
            for mirror in self.mirrors:
                await mirror.turn_to(number, act.faults.get(mirror.number))
            begin += act.seconds
