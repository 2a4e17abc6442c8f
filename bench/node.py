#!/usr/bin/env python3
"""What a node's cache takes from the jobs: memory when idle and under load, time to start. See README.md."""

import argparse
import json
import shutil
import statistics
import time
from pathlib import Path

from caches import Ours, Setting
from load import load
from objects import log_normal
from servers import HERE
from stage import stage

MIB = 1 << 20
SETTING = Setting(memory_mib=64, disk=True, disk_mib=5120)
SIZES = {"median": 3 << 10, "sigma": 2.0, "longest": 16 << 20}


class Node(Ours):
    """As config/node.toml."""

    template = "node.toml"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release/substratum")
    parser.add_argument("--bytes", type=int, default=600, help="of all objects, in MB (default %(default)s)")
    parser.add_argument("--connections", type=int, default=64, help="(default %(default)s)")
    parser.add_argument("--starts", type=int, default=11, help="(default %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="(default %(default)s)")
    arguments = parser.parse_args()
    Node.binary = arguments.binary.absolute()
    work = arguments.out / "work-node"
    shutil.rmtree(work, ignore_errors=True)
    with stage(work, log_normal(arguments.bytes * 10**6, **SIZES)) as (tree, paths, origin):
        with Node("node", work / "node", 0, origin, SETTING) as server:
            time.sleep(2)
            idle, _ = server.memory()
            for _ in range(2):
                load(server, paths, arguments.connections)
            loaded, most = server.memory()
            starts = [restart(server) for _ in range(arguments.starts)]
            again, _ = server.memory()
    result = {"idle": idle, "loaded": loaded, "most": most, "start_ms": starts, "restarted": again, "objects": len(tree.paths)}
    print("| idle | under load | at most | started again | start, median | slowest |\n|---|---|---|---|---|---|")
    memory = " | ".join(f"{bytes_ / MIB:.1f} MiB" for bytes_ in [idle, loaded, most, again])
    print(f"| {memory} | {statistics.median(starts):.1f} ms | {max(starts):.1f} ms |")
    (arguments.out / "node.json").write_text(json.dumps(result, indent=1) + "\n")
    shutil.rmtree(work)


def restart(server):
    """Milliseconds from the start of the process to the first connection, with what was stored before."""
    server.stop()
    begun = time.monotonic()
    server.start()
    return (time.monotonic() - begun) * 1000


if __name__ == "__main__":
    main()
