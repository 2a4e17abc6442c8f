"""The clients: jobs that behave as CernVM-FS does and know every byte, and others that behave as nobody should."""

import asyncio
import hashlib
import random
import time
from collections import Counter

from client import Client, Seen

# A job goes back to its first proxy after so long.
RESET = 10


class Named(Client):
    """A client that knows the bytes: of fixtures, objects have a letter behind their name, and documents no checksum."""

    def __init__(self, port, strata, first, seen, known):
        super().__init__(port, strata, first, seen)
        self.known, self.wrong, self.unsigned = known, Counter(), 0

    def right(self, path, digest):
        right = digest in self.known[path]
        if not right and "/data/" in path:
            self.wrong[path] += 1
        elif not right:
            # What was altered of a manifest or a whitelist, a client finds out by its signature; a cache has no keys.
            self.unsigned += 1
        return right


class Job:
    """Asks its proxies in turn, staying with the one that works."""

    def __init__(self, ports, strata, first, known):
        self.seen = Seen()
        self.clients = [Named(port, strata, first, self.seen, known) for port in ports]
        self.proxy, self.left_first = 0, None
        self.done, self.failed = 0, []

    async def fetch(self, path):
        if self.proxy and time.monotonic() > self.left_first + RESET:
            self.proxy = 0
        words = []
        for _ in self.clients:
            before = self.seen.last["ok"]
            words.append(await self.clients[self.proxy].fetch(path, 0))
            if self.seen.last["ok"] > before:
                self.done += 1
                return
            if self.proxy == 0:
                self.left_first = time.monotonic()
            self.proxy = (self.proxy + 1) % len(self.clients)
        self.failed.append((time.monotonic(), path, words))


async def leave(port, path, draw):
    """Asks, and goes while the answer comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    await reader.read(draw.randrange(1, 100_000))
    writer.transport.abort()


async def never_read(port, path, draw):
    """Asks for a lot and takes nothing."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    writer.transport.pause_reading()
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * draw.randrange(1, 50))
    await asyncio.sleep(draw.uniform(1, 10))
    writer.transport.abort()


async def dawdle(port, _path, draw):
    """Sends a head a few bytes at a time, and does not end it."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 30:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(draw.uniform(0, 0.3))
    writer.transport.abort()


async def babble(port, path, draw):
    """Sends what is no request, behind one that is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() + draw.randbytes(draw.randrange(1, 5000)))
    await asyncio.wait_for(reader.read(1 << 20), 5)
    writer.transport.abort()


async def ask_what_is_not_there(port, _path, draw):
    """Names no stratum has: nothing may be kept for them, and nobody else may wait for them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    digest = draw.randbytes(20).hex()
    writer.write(f"GET /cvmfs/bench.test/data/{digest[:2]}/{digest[2:]} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.transport.abort()
    if b" 200 " in head.split(b"\r\n")[0]:
        raise AssertionError("an object that nobody has was served")


MISBEHAVIOURS = {
    "leaves in the body": leave,
    "never reads": never_read,
    "dawdles over its head": dawdle,
    "babbles": babble,
    "asks for what is not there": ask_what_is_not_there,
}


class Crowd:
    """All of them until `until`."""

    def __init__(self, caches, strata_ports, catalogue, seed, jobs, rate):
        self.caches, self.catalogue, self.rate = caches, catalogue, rate
        self.draw = random.Random(f"crowd {seed}")
        hosts = [f"127.0.0.1:{port}" for port in strata_ports]
        ports = [cache.port for cache in caches]
        self.jobs = [Job(ports, hosts, n % len(hosts), catalogue.known) for n in range(jobs)]
        self.misbehaved, self.complaints = Counter(), []

    async def run(self, until):
        tasks = set()
        while time.monotonic() < until:
            await asyncio.sleep(self.draw.expovariate(self.rate))
            if self.draw.random() < 0.03:
                work = self.misbehave()
            else:
                work = self.draw.choice(self.jobs).fetch(self.catalogue.choose(self.draw))
            task = asyncio.create_task(work)
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    async def misbehave(self):
        kind = self.draw.choice(list(MISBEHAVIOURS))
        cache = self.draw.choice(self.caches)
        try:
            await MISBEHAVIOURS[kind](cache.port, self.catalogue.choose(self.draw), self.draw)
        except AssertionError as error:
            self.complaints.append(f"{cache.name}: {error}")
        except (OSError, EOFError, asyncio.TimeoutError, asyncio.LimitOverrunError):
            # It is being killed, or refuses us, as it should.
            pass
        self.misbehaved[kind] += 1


class Catalogue:
    """What may be asked for: path -> digests of the bytes that are right."""

    def __init__(self, objects, sizes, fixtures, draw):
        self.known, self.order = {}, []
        for size in sizes:
            path = objects.add(size)
            self.learn(path, objects.get(path))
        for file in sorted(fixtures.rglob("*")):
            path = f"/cvmfs/{file.relative_to(fixtures)}"
            if file.is_file() and "/data/" in path:
                objects.files[path] = file.read_bytes()
                self.learn(path, objects.files[path])
            elif file.is_file() and file.parent.parent == fixtures and file.name in (".cvmfspublished", ".cvmfswhitelist"):
                objects.files[path] = file.read_bytes()
                # Asked for more often than objects are.
                self.learn(path, objects.files[path])
        draw.shuffle(self.order)

    def learn(self, path, data):
        self.known[path] = {hashlib.sha1(data).hexdigest()}
        self.order.append(path)

    def choose(self, draw):
        """Few are asked for often."""
        return self.order[min(len(self.order) - 1, int(draw.paretovariate(0.6)) - 1)]

