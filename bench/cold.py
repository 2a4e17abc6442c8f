"""Many clients at once want one cold object that comes at a limited rate: when the first and the last of them have it, and what that
costs. `herd.py` has the same with strata that fail."""

import os
import statistics
from types import SimpleNamespace

from herd import Herd
from load import LOAD_CORE
from strata import Objects, Strata

SERVER_CORE = 0
# Bytes a second.
RATE = 20e6
GB = 1e9


def measure(scenario, classes, work, arguments):
    """A list of samples for each server; each turn has an object of its own."""
    objects = Objects(scenario.size)
    paths = [objects.add(scenario.size) for _ in range(arguments.rounds)]
    samples = {name: [] for name in classes}
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CORE})
    strata = Strata(objects, 1, options=lambda _: {"rate": RATE})
    try:
        origin = SimpleNamespace(port=strata.ports[0])
        for turn, path in enumerate(paths):
            for name in classes if turn % 2 == 0 else reversed(classes):
                with classes[name](name, work / f"{name}-{turn}", SERVER_CORE, origin, scenario.setting) as server:
                    samples[name].append(play(server, path, bytes(objects.get(path)), scenario.connections))
    finally:
        strata.stop()
        os.sched_setaffinity(0, before)
    return samples


def play(server, path, expected, clients):
    herd = Herd(clients, ("127.0.0.1", server.port), ["bench"], path, expected, absolute=False)
    before = sum(server.cpu())
    times = herd.run()
    cpu = sum(server.cpu()) - before
    firsts = [member.first - herd.begun for member in herd.members if member.first]
    return {
        "last_ms": 1000 * max(times),
        "median_ms": 1000 * statistics.median(times),
        "first_byte_ms": 1000 * max(firsts),
        "cpu_ms_per_gb": 1000 * cpu / (len(times) * len(expected) / GB),
        "complete": len(times),
    }
