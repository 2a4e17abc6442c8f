#!/usr/bin/env python3
"""Ten thousand idle connections and a thousand slow ones: what does a client that works notice?

    bench/crowd.py --rounds 5

Half of the slow ones send a head of a request byte by byte, and connect again when they are cut; the others ask for a large
object and take 2 KiB of it a second. An active client asks for objects from memory, alone and with all of them, in turn; what
counts is the median over the rounds of the ratio of its 99th percentiles. Fails above --most.
"""

import argparse
import http.client
import json
import os
import random
import re
import resource
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from load import load
from objects import Tree
from servers import HERE, Origin, Server, free_port

IDLE, SLOW = 10_000, 1_000
SIZE, OBJECTS, LARGE = 8 << 10, 400, 16 << 20
SETTLES = 5


class Tier(Server):
    """The program by `config/endure.toml`."""

    def __init__(self, binary, folder, core, origin, values, workers=2):
        super().__init__("substratum", folder, core)
        self.admin = free_port()
        values = {**values, "admin": self.admin, "origin": origin.port, "workers": workers}
        file = self.write("endure.toml", "substratum.toml", **values)
        self.run(binary.absolute(), "--config", file, "serve")

    def metrics(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def metric(self, name):
        found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self.metrics(), re.MULTILINE)
        return sum(map(float, found))

    def outcomes(self):
        found = re.findall(r'^substratum_requests_total{outcome="(\w+)"} (\d+)$', self.metrics(), re.MULTILINE)
        return {name: int(count) for name, count in found if int(count)}

    def use(self):
        """What the process holds: bytes resident, descriptors, threads."""
        proc = Path(f"/proc/{self.process.pid}")
        threads = int(re.search(r"Threads:\s+(\d+)", (proc / "status").read_text())[1])
        return {"resident": self.memory()[0], "descriptors": len(os.listdir(proc / "fd")), "threads": threads}

    def at_rest(self, patience):
        """The same once nothing is in progress."""
        deadline = time.monotonic() + patience
        names = ["connections", "requests_in_flight", "fills", "fill_readers", "fill_memory_bytes"]
        while any(busy := {name: self.metric(f"substratum_{name}") for name in names}.values()):
            if time.monotonic() > deadline:
                sys.exit(f"not at rest after {patience} s: {busy}")
            time.sleep(0.2)
        return self.use()

    def complaints(self):
        text = (self.folder / "output").read_text(errors="replace")
        return [line for line in text.splitlines() if "panicked" in line or " ERROR " in line]


class Slow(threading.Thread):
    """A thousand slow clients, in one thread."""

    def __init__(self, port, path, count):
        super().__init__(daemon=True)
        self.port, self.going, self.cut = port, True, 0
        self.head = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 10_000
        self.ask = f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
        self.senders = [[self.connect(at), 0] for at in range(count // 2)]
        self.readers = [self.reader(at) for at in range(count - count // 2)]

    def connect(self, at):
        client = socket.socket()
        # Before it connects, so that the window never grows.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.bind((f"127.0.1.{1 + at % 4}", 0))
        client.connect(("127.0.0.1", self.port))
        client.setblocking(False)
        return client

    def reader(self, at):
        client = self.connect(at)
        client.send(self.ask)
        return client

    def run(self):
        # The active client has the same core, and goes first. And no two of these act at the same time: they do not know of each
        # other.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        acts = [(self.send, at) for at in range(len(self.senders))] + [(self.take, at) for at in range(len(self.readers))]
        random.Random(1).shuffle(acts)
        begun, number = time.monotonic(), 0
        while self.going:
            act, at = acts[number % len(acts)]
            act(at)
            number += 1
            time.sleep(max(0, begun + number / len(acts) - time.monotonic()))

    def send(self, at):
        sender = self.senders[at]
        try:
            sender[1] += sender[0].send(self.head[sender[1] : sender[1] + 1])
        except (BrokenPipeError, ConnectionResetError):
            sender[0].close()
            sender[:] = [self.connect(at), 0]
            self.cut += 1

    def take(self, at):
        try:
            if not self.readers[at].recv(2048):
                raise ConnectionResetError
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.readers[at].close()
            self.readers[at] = self.reader(at)
            self.cut += 1

    def end(self):
        self.going = False
        self.join()
        for client in [*self.readers, *(sender[0] for sender in self.senders)]:
            client.close()


def idle(port, count, path):
    """Connections that asked for one small object and then for nothing."""
    ask = f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
    clients = []
    for at in range(count):
        # More than one address: ports are 28,000 for each.
        client = socket.create_connection(("127.0.0.1", port), 10, (f"127.0.0.{2 + at % 4}", 0))
        client.sendall(ask)
        left = SIZE
        while left > 0:
            left -= len(client.recv(1 << 16))
        clients.append(client)
    return clients


def main():
    arguments = parse()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="crowd-") as folder:
        folder = Path(folder)
        tree = Tree(folder / "tree", [SIZE] * OBJECTS)
        large = Tree(folder / "tree", [LARGE], seed=2).paths[0]
        paths = tree.list(folder / "paths")
        with Origin(folder / "origin", arguments.load_core, tree.root) as origin:
            values = {"memory": "64 MiB", "disk": "128 MiB"}
            with Tier(arguments.binary, folder / "tier", arguments.core, origin, values, workers=1) as tier:
                tier.fetch_all([*tree.paths, large])
                rounds = [play(tier, tree.paths[0], paths, large, arguments) for _ in range(arguments.rounds)]
                complaints = tier.complaints()
    ratio = statistics.median(one["crowd_p99_us"] / one["alone_p99_us"] for one in rounds)
    print(json.dumps({"rounds": rounds, "ratio": round(ratio, 2), "complaints": complaints}, indent=1))
    if ratio > arguments.most:
        complaints.append(f"p99 of the active client is {ratio:.2f} times what it is alone")
    sys.exit("; ".join(complaints) or None)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release/substratum")
    parser.add_argument("--rounds", type=int, default=5, help="(default %(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="of load in each half of a round (default %(default)s)")
    parser.add_argument("--idle", type=int, default=IDLE, help="(default %(default)s)")
    parser.add_argument("--slow", type=int, default=SLOW, help="(default %(default)s)")
    parser.add_argument("--clients", type=int, default=1, help="connections of the active client (default %(default)s)")
    parser.add_argument("--most", type=float, default=2, help="the ratio above which it fails (default %(default)s)")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    return parser.parse_args()


def play(tier, small, paths, large, arguments):
    measure = lambda: load(tier, paths, arguments.clients, arguments.seconds, arguments.load_core)  # noqa: E731
    alone, before = measure(), tier.use()
    waiting = idle(tier.port, arguments.idle, small)
    slow = Slow(tier.port, large, arguments.slow)
    slow.start()
    try:
        # The answers to the slow ones begin at once: several hundred megabytes for the kernel to take.
        time.sleep(SETTLES)
        crowd, during = measure(), tier.use()
        connections = int(tier.metric("substratum_connections"))
    finally:
        slow.end()
        for client in waiting:
            client.close()
    after = tier.at_rest(30)
    return {
        "alone_p99_us": alone["p99_us"], "crowd_p99_us": crowd["p99_us"], "alone_p50_us": alone["p50_us"], "crowd_p50_us": crowd["p50_us"],
        "connections": connections, "cut": slow.cut, "before": before, "during": during, "after": after,
    }


if __name__ == "__main__":
    main()
