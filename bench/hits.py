"""CPU of a hit: every object is fetched until all come from the tier in question, then the servers take turns."""

import os
from contextlib import ExitStack
from pathlib import Path

from load import LOAD_CORE, load
from objects import Tree
from servers import Origin

SERVER_CORE = 0


def start(scenario, classes, work, origin, stack):
    """All servers of a scenario, on the same core: only one of them is asked at a time."""
    servers = []
    for name, kind in classes.items():
        servers.append(stack.enter_context(kind(name, work / name, SERVER_CORE, origin, scenario.setting)))
    return servers


def measure(scenario, classes, work, arguments):
    """A list of samples for each server."""
    tree = Tree(work / "tree", [scenario.size] * scenario.objects)
    paths = tree.list(work / "paths")
    # Cold objects are asked for once each, others each turn.
    slices = tree.slices(work, arguments.rounds) if scenario.cold else None
    samples = {name: [] for name in classes}
    with Origin(work / "origin", LOAD_CORE, tree.root) as origin, ExitStack() as stack:
        servers = start(scenario, classes, work, origin, stack)
        for server in servers:
            server.fill(origin, tree.paths)
        for turn in range(arguments.rounds):
            # Who comes first changes, so that no server always runs in the other's wake.
            for server in servers if turn % 2 == 0 else reversed(servers):
                if scenario.cold:
                    drop_page_cache()
                    sample = load(server, slices[turn], scenario.connections)
                else:
                    sample = load(server, paths, scenario.connections, arguments.seconds, pause_ms=scenario.pause_ms)
                samples[server.name].append(sample)
    return samples


def drop_page_cache():
    """Needs root. What is not yet written stays, so it is written first."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("1")
