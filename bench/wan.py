#!/usr/bin/env python3
"""How long a job waits that reads many small objects for the first time, with its stratum 50 ms away: through a node's and a site's
cache, and without any. See README.md."""

import argparse
import json
import os
import shutil
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path

from caches import PEERS, Setting, build
from hits import SERVER_CORE
from load import LOAD_CORE, load
from objects import log_normal
from servers import HERE, Server
from stage import stage

SETTING = Setting(memory_mib=256, disk=True)
SIZES = {"median": 3 << 10, "sigma": 1.3, "longest": 1 << 20}


class Line(Server):
    """A long line to the stratum, see line.py."""

    def __init__(self, folder, core, stratum, arguments):
        super().__init__("line", folder, core)
        options = ["--delay", arguments.rtt / 2000, "--loss", arguments.loss / 100, "--control", arguments.control]
        self.run(sys.executable, HERE / "line.py", self.port, stratum.port, *options)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release/substratum")
    parser.add_argument("--objects", type=int, default=3500, help="(default %(default)s)")
    parser.add_argument("--connections", type=int, default=16, help="of the client (default %(default)s)")
    parser.add_argument("--rtt", type=float, default=50, help="to the stratum, in ms (default %(default)s)")
    parser.add_argument("--loss", type=float, default=0.1, help="of packets, in percent (default %(default)s)")
    parser.add_argument("--control", default="cubic", help="of congestion on the line, see tcp(7) (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="(default %(default)s)")
    arguments = parser.parse_args()
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun") or not shutil.which("ip"):
        sys.exit("the line to the stratum is a network device: it needs root, /dev/net/tun and `ip` (iproute2)")
    chains = {"direct": None, "squid": PEERS["squid"], "nginx": PEERS["nginx-nopush"], "substratum": build(arguments.binary)}
    work = arguments.out / "work-wan"
    shutil.rmtree(work, ignore_errors=True)
    sizes = log_normal(arguments.objects * 7_000, **SIZES)[: arguments.objects]
    times = {name: [] for name in chains}
    with stage(work, sizes) as (tree, paths, origin):
        for turn in range(arguments.rounds):
            for name, kind in chains.items():
                times[name].append(read(kind, work / f"{name}.{turn}", origin, paths, arguments))
    least = statistics.median(time["seconds"] for time in times["direct"])
    print(f"{len(tree.paths)} objects, {tree.bytes / 1e6:.1f} MB, {arguments.connections} connections, "
          f"{arguments.rtt} ms, {arguments.loss} % lost, TCP {arguments.control}")  # fmt: skip
    print("| through | first read | of direct | p99 of a request | second read |\n|---|---|---|---|---|")
    for name, turns in times.items():
        median = {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
        print(f"| {name} | {median['seconds']:.1f} s | {median['seconds'] / least:.2f} | {median['p99_ms']:.0f} ms "
              f"| {median['again']:.2f} s |")  # fmt: skip
    (arguments.out / "wan.json").write_text(json.dumps(times, indent=1) + "\n")
    shutil.rmtree(work)


def read(kind, folder, origin, paths, arguments):
    """Seconds for all objects, cold and then again, through a node's cache and a site's."""
    with ExitStack() as stack:
        last = stack.enter_context(Line(folder / "line", LOAD_CORE, origin, arguments))
        for place in ["site", "node"] if kind else []:
            last = stack.enter_context(kind(place, folder / place, SERVER_CORE, last, SETTING))
        cold = load(last, paths, arguments.connections)
        again = load(last, paths, arguments.connections)
    return {"seconds": cold["microseconds"] / 1e6, "p99_ms": cold["p99_us"] / 1e3, "again": again["microseconds"] / 1e6}


if __name__ == "__main__":
    main()
