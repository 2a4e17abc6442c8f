"""CPU of a miss: objects that nobody has asked for before, fetched from an origin on the load generator's core, and stored.

Before the first turn the memory tier is filled by other misses: memory that a process touches for the first time costs more
than the rest of a miss, and happens once."""

from contextlib import ExitStack

from hits import start
from load import LOAD_CORE, load
from objects import Tree, log_normal
from servers import Origin

# Sizes with a mean of about 78 KB.
MIXED = {"median": 11 << 10, "sigma": 2.0, "longest": 16 << 20}


def measure(scenario, classes, work, arguments):
    """A list of samples for each server; each turn has objects of its own."""
    sizes = [scenario.size] * scenario.objects if scenario.size else log_normal(scenario.objects * 78_000, **MIXED)
    tree = Tree(work / "tree", sizes)
    first, *slices = tree.slices(work, arguments.rounds + 1)
    samples = {name: [] for name in classes}
    with Origin(work / "origin", LOAD_CORE, tree.root) as origin, ExitStack() as stack:
        servers = start(scenario, classes, work, origin, stack)
        for server in servers:
            load(server, first, scenario.connections)
        for turn in range(arguments.rounds):
            for server in servers if turn % 2 == 0 else reversed(servers):
                before = origin.requests()
                sample = load(server, slices[turn], scenario.connections)
                sample["origin_requests"] = origin.requests() - before
                samples[server.name].append(sample)
        # What was stored is what was sent.
        for server in servers:
            server.fetch_all(tree.paths[:: max(1, len(tree.paths) // 500)])
    return samples
