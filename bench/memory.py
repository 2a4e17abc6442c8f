#!/usr/bin/env python3
"""Memory of Substratum while its memory tier is full, for objects of one size and for realistic ones. See README.md."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from objects import Tree, log_normal
from servers import HERE, Origin, Substratum

KIB = 1 << 10
MIB = 1 << 20
CAPACITY = 256 * MIB
# More than fits, so that the tier also evicts.
OFFERED = CAPACITY * 13 // 10
# The tier counts as full above this; what is left is too small for the next object, or waits for its eviction.
FULL = 0.97
PATIENCE = 60

MIXES = {
    "4k": ("4 KiB each", lambda: [4 * KIB] * (OFFERED // (4 * KIB))),
    "lognormal": ("median 1.7 KiB, 1 % above 180 KiB", lambda: log_normal(OFFERED, 1.7 * KIB, 2.0, 16 * MIB)),
    "64k": ("64 KiB each", lambda: [64 * KIB] * (OFFERED // (64 * KIB))),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release/substratum")
    parser.add_argument("--disk", action="store_true", help="with a disk tier below")
    parser.add_argument("--mix", action="append", choices=MIXES, help="may be repeated; default: all")
    arguments = parser.parse_args()
    work = HERE / "out" / "work-memory"
    results = {}
    print(f"{'':12}{'objects':>9}{'MiB of objects':>16}{'empty MiB':>11}{'full MiB':>10}{'peak MiB':>10}{'B/object':>10}")
    for mix in arguments.mix or MIXES:
        shutil.rmtree(work, ignore_errors=True)
        results[mix] = measure(MIXES[mix][1](), work, arguments)
        shutil.rmtree(work)
        row = results[mix]
        print(
            f"{mix:12}{row['objects']:9}{row['object_bytes'] / MIB:16.1f}{row['empty'] / MIB:11.1f}"
            f"{row['full'] / MIB:10.1f}{row['peak'] / MIB:10.1f}{row['bytes_per_object']:10.0f}   {MIXES[mix][0]}",
            flush=True,
        )
        (HERE / "out" / "memory.json").write_text(json.dumps(results, indent=1) + "\n")


def measure(sizes, work, arguments):
    """Fills the tier from an origin under load, and reads what the kernel says is resident."""
    tree = Tree(work / "tree", sizes)
    paths = tree.list(work / "paths")
    setting = SimpleNamespace(memory=f"{CAPACITY // MIB} MiB", disk=arguments.disk, log=False)
    with Origin(work / "origin", 1, tree.root) as origin:
        with Substratum("substratum", work / "substratum", 0, origin, setting, arguments.binary) as server:
            empty, _ = server.memory()
            memory = fill(server, paths)
            full, peak = server.memory()
    objects = memory["objects"]
    # The tier weighs an object as its bytes and a constant.
    object_bytes = memory["used_bytes"] - objects * ENTRY_OVERHEAD
    return {
        "objects": objects,
        "object_bytes": object_bytes,
        "empty": empty,
        "full": full,
        "peak": peak,
        "bytes_per_object": (full - empty) / objects,
        "overhead_per_object": (full - empty - object_bytes) / objects,
    }


# src/cache/memory.rs
ENTRY_OVERHEAD = 600


def fill(server, paths):
    """Loads until every object was asked for and the tier is full; returns what the tier says of itself."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        command = ["taskset", "-c", "1", "wrk", "-t1", "-c16", "-d3s", "-s", str(HERE / "load.lua")]
        command += [f"http://127.0.0.1:{server.port}", "--", str(paths)]
        report = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
        load = json.loads(report.splitlines()[-1])
        if load["failed"] or load["refused"]:
            sys.exit(f"requests failed: {load}")
        memory = server.status()["memory"]
        if memory["used_bytes"] >= FULL * memory["capacity_bytes"]:
            return memory
    sys.exit(f"the memory tier does not become full: {memory}")


if __name__ == "__main__":
    main()
