#!/usr/bin/env python3
"""Instructions in user space per request, counted by callgrind: the same in every run, whatever else the machine does.
`--check` compares with bench/instructions.json and fails beyond its tolerance; with another compiler, or on a processor of another
kind, for which libraries choose other code, it compares nothing and says so. See README.md."""

import argparse
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from objects import Tree
from servers import HERE, Origin, Substratum

KEPT = HERE / "instructions.json"
SIZE = 8 << 10
# A part in a hundred of itself is what one count differs from the next by; a step of code is more than this.
TOLERANCE = 0.05


@dataclass(frozen=True)
class Kind:
    """What one request meets: how often the objects were asked for before, and the tier that has them."""

    objects: int
    requests: int
    times_before: int
    memory: str = "256 MiB"
    disk: bool = False
    log: bool = False


KINDS = {
    "memory hit": Kind(100, 4000, 3),
    "memory hit, access log": Kind(100, 4000, 3, log=True),
    "disk hit": Kind(100, 2000, 6, memory="0", disk=True),
    "miss": Kind(1000, 1000, 0),
    "miss, kept on disk": Kind(1000, 1000, 0, disk=True),
}


class Counted(Substratum):
    """A server under callgrind, which counts only between `start` and `stop_counting`."""

    def run(self, *command):
        self.counts = self.folder / "callgrind.out"
        tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self.counts}"]
        super().run(*tool, *command)

    def control(self, *words):
        subprocess.run(["callgrind_control", *words, str(self.process.pid)], check=True, capture_output=True)

    def count(self, work):
        """Instructions while `work` runs."""
        self.control("-z")
        self.control("--instr=on")
        work()
        self.control("--instr=off")
        self.control("-d")
        # One file for each dump; each names its own sum.
        return sum(
            int(line.split()[1])
            for dump in self.folder.glob("callgrind.out*")
            for line in dump.read_text().splitlines()
            if line.startswith("totals:")
        )


def main():
    arguments = parse()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        counts = {name: count(kind, Path(folder) / name.replace(" ", "-"), arguments) for name, kind in KINDS.items()}
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    ground = what_it_stands_on()
    if arguments.keep:
        KEPT.write_text(json.dumps(counts | {"counted with": ground}, indent=1) + "\n")
    comparable = kept.get("counted with") == ground
    worse = []
    print("| instructions per request | now | kept | change |\n|---|---|---|---|")
    for name, now in counts.items():
        before = kept.get(name, now)
        print(f"| {name} | {now:,} | {before:,} | {100 * (now / before - 1):+.1f} % |")
        if now > before * (1 + TOLERANCE):
            worse.append(name)
    if not comparable:
        print(f"not comparable: kept with {kept.get('counted with')}, counted with {ground}")
    elif arguments.check and worse:
        sys.exit(
            f"more instructions than kept in {KEPT.name}: {', '.join(worse)}."
            " If what they buy is worth it, keep the new counts with --keep and say why in the commit."
        )


def what_it_stands_on():
    """What decides which instructions there are, beside the source."""
    compiler = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True, cwd=HERE).stdout.strip()
    flags = set(re.search(r"flags\s*:(.*)", Path("/proc/cpuinfo").read_text())[1].split())
    # Of those that valgrind knows.
    chosen = " ".join(sorted(flags & {"avx2", "bmi2", "erms", "pclmulqdq"}))
    return f"{compiler}, {chosen}"


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release/substratum")
    parser.add_argument("--check", action="store_true", help=f"fail when a count is more than {TOLERANCE:.0%} above the kept one")
    parser.add_argument("--keep", action="store_true", help=f"write the counts to {KEPT.name}")
    arguments = parser.parse_args()
    for tool in ["nginx", "valgrind", "callgrind_control"]:
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: apt-get install nginx-light valgrind")
    arguments.binary = arguments.binary.absolute()
    return arguments


def count(kind, folder, arguments):
    folder.mkdir()
    tree = Tree(folder / "tree", [SIZE] * kind.objects)
    with Origin(folder / "origin", 1, tree.root) as origin:
        with Counted("substratum", folder / "substratum", 0, origin, kind, arguments.binary) as server:
            for _ in range(kind.times_before):
                server.fetch_all(tree.paths)
            if kind.times_before:
                words = server.fetch_all(tree.paths)
                if words != {server.hit: kind.objects}:
                    sys.exit(f"not all come from {server.hit}: {words}")
            paths = [tree.paths[turn % kind.objects] for turn in range(kind.requests)]
            with Asking(server.port) as asking:
                return round(server.count(lambda: asking.ask(paths)) / kind.requests)


class Asking:
    """One kept-alive connection, opened before the counting begins; one request after the other."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.buffer = bytearray(SIZE + 4096)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, paths):
        for path in paths:
            # What a CernVM-FS client sends.
            self.socket.sendall(
                f"GET {path} HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: cvmfs Fuse 2.11.2\r\nAccept: */*\r\n"
                "Connection: Keep-Alive\r\n\r\n".encode()
            )
            got = 0
            while True:
                got += self.socket.recv_into(memoryview(self.buffer)[got:])
                head = self.buffer.find(b"\r\n\r\n", 0, got)
                if head >= 0 and got >= head + 4 + SIZE:
                    break
            if not self.buffer.startswith(b"HTTP/1.1 200"):
                sys.exit(f"{path}: {bytes(self.buffer[:head])}")


if __name__ == "__main__":
    main()
