#!/usr/bin/env python3
"""Many clients at once want one cold object, and its stratum dies half-way; another one has it, too. See README.md."""

import argparse
import selectors
import socket
import statistics
import sys
import time
from pathlib import Path

from faults import folder_for_all, note
from peers import PEERS, Nginx, Peer, Substratum
from servers import HERE
from strata import Objects, Strata

MIRRORS = 2
# First answer, and how often a client that was cut, or told of a stratum's error, asks again.
TRIES = 4
LONGEST = 90
BUFFER = 256 << 10
# One in so many compares what it gets, the others count: the generator must not be what takes the time.
COMPARING = 50
SCRAP = bytearray(1 << 20)
SERVERS = ["substratum", "floor", "squid", "squid-peers", "nginx", "nginx-patient", "varnish"]


class Floor(Peer):
    """No cache: what the machine and the load generator take, whoever serves. See floor.py."""

    def __init__(self, name, folder, ports):
        super().__init__(name, folder, ports)
        self.run(sys.executable, HERE / "floor.py", self.port, *ports)


class NginxPatient(Nginx):
    """Whoever waits for another's transfer waits as long as it takes."""

    lock_timeout = "60s"


KINDS = PEERS | {"floor": Floor, "nginx-patient": NginxPatient}


class Member:
    """One client of the herd."""

    def __init__(self, herd, address, number):
        self.herd, self.address = herd, address
        self.compares = number % COMPARING == 0
        self.tries, self.host, self.first, self.done, self.words = 0, 0, None, None, []
        self.connect()

    def connect(self):
        self.socket = socket.create_connection(self.address, 10)
        self.socket.setblocking(False)
        self.head, self.at, self.left = b"", 0, None

    def ask(self):
        self.tries += 1
        host = self.herd.hosts[self.host]
        target = f"http://{host}{self.herd.path}" if self.herd.absolute else self.herd.path
        self.socket.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        self.herd.selector.register(self.socket, selectors.EVENT_READ, self)

    def read(self):
        """Takes what has come; the whole object ends in `done`."""
        try:
            if self.left is not None and not self.compares:
                return self.count(self.socket.recv_into(SCRAP, len(SCRAP), socket.MSG_TRUNC))
            data = self.socket.recv(BUFFER)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            return self.again("cut" if self.head else "no answer")
        if self.left is None:
            self.head += data
            head, end, data = self.head.partition(b"\r\n\r\n")
            if not end:
                return
            status = int(head.split(b" ", 2)[1])
            if status != 200:
                # A 5xx is the stratum's trouble to a CernVM-FS client: it asks for the next one.
                self.host = (self.host + 1) % len(self.herd.hosts)
                return self.again(f"status {status}")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            self.left = int(fields.get(b"content-length", len(self.herd.expected)))
            # The mirrors announce lengths; a server that hides them is not taken apart here, and shows as `chunked`.
            self.chunked = b"chunked" in fields.get(b"transfer-encoding", b"")
            if self.chunked:
                return self.again("chunked")
            if self.left != len(self.herd.expected):
                return self.again("wrong bytes")
        if data and self.first is None:
            self.first = time.monotonic()
        if not self.herd.expected.startswith(data, self.at):
            return self.again("wrong bytes")
        self.at += len(data)
        if self.at == len(self.herd.expected):
            self.done = time.monotonic()
            self.leave()

    def count(self, came):
        """Bytes that the kernel threw away for us (tcp(7))."""
        self.at += came
        if not came:
            self.again("cut")
        elif self.at > len(self.herd.expected):
            self.again("wrong bytes")
        elif self.at == len(self.herd.expected):
            self.done = time.monotonic()
            self.leave()

    def again(self, word):
        self.words.append(word)
        self.leave()
        if self.tries < TRIES:
            self.connect()
            self.ask()
        else:
            self.herd.given_up += 1

    def leave(self):
        self.herd.selector.unregister(self.socket)
        self.socket.close()


class Herd:
    """All of them, in one thread."""

    def __init__(self, number, address, hosts, path, expected, absolute=True):
        self.hosts, self.path, self.expected, self.absolute = hosts, path, expected, absolute
        self.selector, self.given_up = selectors.DefaultSelector(), 0
        self.members = [Member(self, address, n) for n in range(number)]

    def run(self):
        """Seconds until each had the object."""
        begun = self.begun = time.monotonic()
        for member in self.members:
            member.ask()
        while self.selector.get_map() and time.monotonic() < begun + LONGEST:
            for key, _ in self.selector.select(1):
                key.data.read()
        return [member.done - begun for member in self.members if member.done]


def main():
    arguments = parse()
    Substratum.binary = arguments.binary.absolute()
    results = []
    for round in range(arguments.rounds):
        for rate in arguments.rate or [20, 2]:
            for name in arguments.server or SERVERS:
                with folder_for_all() as folder:
                    results.append(play(name, Path(folder) / name, rate * 1e6, round, arguments))
                note(results, arguments.out, row)
    print(table(results))


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release/substratum")
    parser.add_argument("--server", action="append", choices=KINDS, help="may be repeated; default: seven of them")
    parser.add_argument("--clients", type=int, default=500, help="(default %(default)s)")
    parser.add_argument("--size", type=float, default=10, help="of the object, in MiB (default %(default)s)")
    parser.add_argument("--rate", type=float, action="append", help="of each mirror, in MB/s; default: 20, then 2")
    parser.add_argument("--rounds", type=int, default=2, help="(default %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "out/herd.json")
    return parser.parse_args()


def play(name, folder, rate, round, arguments):
    """A cold herd, and a warm one to know what the machine takes for handing out so many bytes."""
    size = int(arguments.size * (1 << 20))
    objects = Objects(round)
    path = objects.add(size)
    expected = bytes(objects.get(path))
    options = {"rate": rate, "dies_after": size // 2}
    strata = Strata(objects, MIRRORS, options=lambda _: options)
    try:
        with KINDS[name](name, folder, strata.ports) as server:
            # Probes begin their work.
            time.sleep(2)
            address = ("127.0.0.1", server.port)
            hosts = [f"127.0.0.1:{port}" for port in strata.ports]
            cold = Herd(arguments.clients, address, hosts, path, expected)
            before = server.cpu()
            times = cold.run()
            after = server.cpu()
            warm = Herd(arguments.clients, address, hosts[::-1], path, expected).run()
    finally:
        counts = strata.stop()
    words = [word for member in cold.members for word in member.words]
    return {
        "server": name,
        "rate": rate,
        "clients": arguments.clients,
        "bytes": size,
        "ideal_s": size / rate,
        "at_once": sum(member.done is not None and not member.words for member in cold.members),
        "after_retry": sum(member.done is not None and bool(member.words) for member in cold.members),
        "never": sum(member.done is None for member in cold.members),
        "words": {word: words.count(word) for word in set(words)},
        "last_s": max(times, default=None),
        "median_s": statistics.median(times) if times else None,
        "warm_s": max(warm, default=None),
        "cpu_s": sum(after) - sum(before),
        "upstream": [counts.requests[number] for number in range(MIRRORS)],
        "first": counts.first,
        "ranges": counts.ranges,
    }


def row(result):
    ratio = f"{result['last_s'] / result['ideal_s']:.2f}" if result["last_s"] else "-"
    upstream = [result["upstream"][result["first"]], result["upstream"][1 - result["first"]]]
    cells = [
        result["server"], f"{result['rate'] / 1e6:.0f} MB/s", f"{upstream[0]} + {upstream[1]}", result["at_once"],
        result["after_retry"], result["never"], f"{result['ideal_s']:.2f} s", seconds(result["last_s"]), ratio,
        seconds(result["warm_s"]),
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def seconds(value):
    return f"{value:.2f} s" if value else "-"


def table(results):
    head = ["server", "mirrors", "upstream requests", "complete at once", "after asking again", "never", "ideal",
            "last byte", "of the ideal", "the same from the cache"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + [row(result) for result in results])


if __name__ == "__main__":
    main()
