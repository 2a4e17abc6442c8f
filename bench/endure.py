#!/usr/bin/env python3
"""Ten million requests of all kinds: is anything left behind?

    bench/endure.py --requests 10e6

Hits, misses that evict, documents, ranges, conditions, names that nobody has, refusals, malformed heads, connections that end after
one request, and, beside that, clients that leave in the middle of large answers and connections that never ask. After each slice
it waits until nothing is in progress, and samples resident memory, descriptors and threads. Fails when the later half of
the slices holds more than the earlier one.
"""

import argparse
import hashlib
import json
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from crowd import Tier
from objects import Tree, log_normal
from servers import HERE, Origin

MIB = 1 << 20
# Some three times what memory and disk hold together, but for the first few, which are the ones asked for often.
HOT, SMALL, COLD = 200, 8 << 10, {"total": 300 * MIB, "median": 8 << 10, "sigma": 1.2, "longest": MIB}
LARGE = 4 * MIB
REST = 60
# Later slices may hold this much more than earlier ones.
GROWTH = 1.05


class Leavers(threading.Thread):
    """Clients that leave in the middle, and such that only connect."""

    def __init__(self, port, path):
        super().__init__(daemon=True)
        self.port, self.path, self.going, self.counts = port, path, True, Counter()
        self.draw = random.Random(1)

    def run(self):
        while self.going:
            with socket.create_connection(("127.0.0.1", self.port), 10) as client:
                if self.draw.random() < 0.3:
                    self.counts["connected only"] += 1
                    continue
                client.sendall(f"GET {self.path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
                client.recv(self.draw.randrange(1, 200_000))
                # A reset.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.counts["left in the body"] += 1
            time.sleep(0.005)


def main():
    arguments = parse()
    with tempfile.TemporaryDirectory(prefix="endure-") as folder:
        folder = Path(folder)
        sizes = [SMALL] * HOT + log_normal(**COLD)
        tree = Tree(folder / "tree", sizes)
        large = Tree(folder / "tree", [LARGE], seed=2).paths[0]
        (folder / "tree/cvmfs/bench.test/.cvmfspublished").write_bytes(published())
        paths = tree.list(folder / "paths")
        with Origin(folder / "origin", arguments.load_core, tree.root) as origin:
            values = {"memory": "32 MiB", "disk": "64 MiB"}
            with Tier(arguments.binary, folder / "tier", arguments.core, origin, values) as tier:
                report = endure(tier, paths, large, arguments)
    print(json.dumps(report, indent=1))
    sys.exit("; ".join(report["complaints"]) or None)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release/substratum")
    parser.add_argument("--requests", type=lambda text: int(float(text)), default=10_000_000, help="(default %(default)s)")
    parser.add_argument("--slice", type=int, default=15, help="seconds of load between two samples (default %(default)s)")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    return parser.parse_args()


def published():
    """A manifest that no client would take, but with the fields and the checksum that this tier looks at."""
    text = b"C600230b0ba7620426f2e898f1e1f43c5466efe59\nB1024\nRd41d8cd98f00b204e9800998ecf8427e\nD240\nS1\nNbench.test\nT1700000000\n"
    return text + b"--\n" + hashlib.sha1(text).hexdigest().encode() + b"\n"


def endure(tier, paths, large, arguments):
    total, made, samples, refused, begun = 0, Counter(), [], 0, time.monotonic()
    leavers = Counter()
    while total < arguments.requests:
        left = Leavers(tier.port, large)
        left.start()
        command = ["taskset", "-c", str(arguments.load_core), "wrk", "-t1", "-c64", f"-d{arguments.slice}s", "--timeout", "30s"]
        command += ["-s", HERE / "endure.lua", f"http://127.0.0.1:{tier.port}", "--", paths, str(len(samples))]
        came = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True, text=True).stdout
        left.going = False
        left.join()
        came = json.loads(came.splitlines()[-1])
        total += came["requests"]
        refused += came["refused"]
        made.update(came["made"])
        leavers.update(left.counts)
        samples.append(tier.at_rest(REST))
        print(f"{total:,} requests: {samples[-1]}", file=sys.stderr, flush=True)
    half = len(samples) // 2
    complaints = []
    # The first quarter fills caches, tables and the allocator.
    for what in ["resident", "descriptors", "threads"]:
        before = statistics.median(sample[what] for sample in samples[half // 2 : half] or samples[:1])
        after = statistics.median(sample[what] for sample in samples[half:])
        if after > before * GROWTH + (0 if what == "resident" else 3):
            complaints.append(f"{what}: {before:,} and then {after:,}")
    complaints += tier.complaints()
    return {
        "requests": total,
        "seconds": round(time.monotonic() - begun),
        "not 2xx": refused,
        "asked": dict(made),
        "beside": dict(leavers),
        "outcomes": tier.outcomes(),
        "samples": samples,
        "complaints": complaints,
    }


if __name__ == "__main__":
    main()
