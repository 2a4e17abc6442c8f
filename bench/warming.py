#!/usr/bin/env python3
"""What clients notice while an image is brought into the tier: p99 of a client that asks steadily, without and with `warm` beside it.
See README.md."""

import argparse
import os
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from caches import Setting, build
from load import LOAD_CORE
from servers import HERE, Origin

FIXTURES = HERE.parent / "tests/fixtures/cvmfs"
REPOSITORY = "images.test.local"
# Of the objects there, so many are the client's.
OBJECTS = 100


class Client:
    """One connection that asks for a stored object so many times a second, and takes the time of each answer."""

    def __init__(self, port, paths):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.requests = [f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode() for path in paths]
        self.asked = 0

    def ask(self):
        begun = time.perf_counter()
        self.socket.sendall(self.requests[self.asked % len(self.requests)])
        self.asked += 1
        head, _, body = self.socket.recv(1 << 16).partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += self.socket.recv(1 << 16)
        return 1000 * (time.perf_counter() - begun)

    def steadily(self, rate, until):
        """Milliseconds of each answer."""
        times, due = [], time.perf_counter()
        while not until():
            times.append(self.ask())
            due = max(due + 1 / rate, time.perf_counter())
            time.sleep(max(0, due - time.perf_counter()))
        return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release/substratum")
    parser.add_argument("--rounds", type=int, default=10, help="(default %(default)s)")
    parser.add_argument("--requests", type=int, default=500, help="of the client, a second (default %(default)s)")
    parser.add_argument("--rate", default="1MB/s", help="of warm (default %(default)s)")
    arguments = parser.parse_args()
    quiet, warming = [], []
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            one, other = measure(Path(folder), arguments)
        quiet += one
        warming += other
    print("| | answers | p50 | p99 |\n|---|---|---|---|")
    for name, times in [("alone", quiet), ("beside warm", warming)]:
        cuts = statistics.quantiles(times, n=100)
        print(f"| {name} | {len(times)} | {cuts[49]:.3f} ms | {cuts[98]:.3f} ms |")


def go_first():
    """Lets this process run as soon as an answer is there: warm and the origin are on the same core, and to wait for those is not
    what is measured. What it starts is not so."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        print("not root: the client waits for warm and the origin on its own core, which counts as well")


def measure(folder, arguments):
    """Times without and with warming, of one new tier."""
    tree = folder / "tree"
    tree.mkdir()
    (tree / "cvmfs").symlink_to(FIXTURES)
    objects = sorted(FIXTURES.glob(f"{REPOSITORY}/data/*/*"))
    paths = ["/cvmfs/" + str(path.relative_to(FIXTURES)) for path in objects if len(path.name) == 38][:OBJECTS]
    with Origin(folder / "origin", LOAD_CORE, tree) as origin:
        with build(arguments.binary)("substratum", folder / "tier", 0, origin, Setting(memory_mib=256, disk=True)) as server:
            server.fetch_all(paths)
            client = Client(server.port, paths)
            go_first()
            end = time.perf_counter() + 2
            client.steadily(arguments.requests, lambda: time.perf_counter() > end - 1.5)
            quiet = client.steadily(arguments.requests, lambda: time.perf_counter() > end)
            command = ["taskset", "-c", str(LOAD_CORE), arguments.binary, "warm"]
            command += [f"http://127.0.0.1:{origin.port}/cvmfs/{REPOSITORY}", "--via", f"http://127.0.0.1:{server.port}"]
            command += ["--admin", f"127.0.0.1:{server.admin}", "--rate", arguments.rate]
            with open(folder / "warm", "wb") as said:
                warm = subprocess.Popen(command, stdout=said, stderr=said)
                times = client.steadily(arguments.requests, lambda: warm.poll() is not None)
            if warm.returncode:
                raise SystemExit((folder / "warm").read_text())
    return quiet, times


if __name__ == "__main__":
    main()
