#!/usr/bin/env python3
"""What a second worker costs the first: CPU of a hit with one worker and with two that share everything they share. See README.md.

Only the second figure has the load generator on the server's cores; so both are taken with it there, and once more apart."""

import argparse
import statistics
import tempfile
from pathlib import Path

from caches import Ours, Setting
from load import load
from objects import Tree
from servers import HERE, Origin

SIZE = 8 << 10
# The same few objects for all: the worst case for what is shared.
OBJECTS = {"400 objects": 400, "one object": 1}
# Workers, cores of the server, cores of the load.
WAYS = {
    "1 worker, load beside it": (1, "0", "1"),
    "1 worker, load among it": (1, "0-1", "0-1"),
    "2 workers, load among them": (2, "0-1", "0-1"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release/substratum")
    parser.add_argument("--rounds", type=int, default=5, help="(default %(default)s)")
    parser.add_argument("--seconds", type=int, default=2, help="(default %(default)s)")
    arguments = parser.parse_args()
    Ours.binary = arguments.binary.absolute()
    print("| asked for | " + " | ".join(WAYS) + " |\n|---" * 1 + "|---" * len(WAYS) + "|")
    for what, number in OBJECTS.items():
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            costs = measure(number, Path(folder), arguments)
        print(f"| {what} | " + " | ".join(f"{statistics.median(cost):.2f} us" for cost in costs.values()) + " |", flush=True)


def measure(number, folder, arguments):
    tree = Tree(folder / "tree", [SIZE] * number)
    paths = tree.list(folder / "paths")
    costs = {way: [] for way in WAYS}
    with Origin(folder / "origin", "1", tree.root) as origin:
        for _ in range(arguments.rounds):
            for way, (workers, cores, load_cores) in WAYS.items():
                kind = type("Workers", (Ours,), {"workers": workers})
                place = Path(tempfile.mkdtemp(dir=folder))
                with kind("substratum", place, cores, origin, Setting()) as server:
                    server.fill(origin, tree.paths)
                    costs[way].append(load(server, paths, 64, arguments.seconds, load_cores)["cpu_us"])
    return costs


if __name__ == "__main__":
    main()
