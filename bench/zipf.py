"""A trace in which few objects are asked for often: hit ratio within a limit of bytes, and the CPU that it takes."""

import random
from bisect import bisect
from collections import OrderedDict
from dataclasses import replace
from itertools import accumulate

from load import LOAD_CORE, load
from objects import Tree, log_normal
from restart import disk_bytes
from servers import Origin

SERVER_CORE = 0
SKEW = 0.9
REQUESTS = 100_000
SHARE = 0.3
SIZES = {"median": 24 << 10, "sigma": 1.2, "longest": 4 << 20}


def measure(scenario, classes, work, _):
    """One sample for each server, and one of an exact LRU, which is computed."""
    tree = Tree(work / "tree", log_normal(scenario.objects * 48_000, **SIZES))
    asked = draw(tree.paths)
    paths = work / "trace"
    paths.write_text("".join(path + "\n" for path in asked))
    limit = int(tree.bytes * SHARE)
    setting = replace(scenario.setting, disk_mib=limit >> 20)
    sizes = {path: (tree.root / path[1:]).stat().st_size for path in tree.paths}
    samples = {"exact LRU": [{"hits": least_recent(asked, sizes, limit)}]}
    with Origin(work / "origin", LOAD_CORE, tree.root) as origin:
        for name, kind in classes.items():
            with kind(name, work / name, SERVER_CORE, origin, setting) as server:
                before = origin.requests()
                sample = load(server, paths, scenario.connections)
                sample["hits"] = 1 - (origin.requests() - before) / len(asked)
                sample["disk_of_limit"] = disk_bytes(server.folder) / limit
                samples[name] = [sample]
    return samples


def draw(paths):
    """Which object each request is for: the k-th most popular with a weight of k^-SKEW."""
    random.seed(1)
    order = random.sample(paths, len(paths))
    weights = list(accumulate(1 / rank**SKEW for rank in range(1, len(order) + 1)))
    return [order[bisect(weights, random.random() * weights[-1])] for _ in range(REQUESTS)]


def least_recent(asked, sizes, limit):
    """Hit ratio of a cache of `limit` bytes that throws out whatever was not asked for the longest."""
    kept, used, hits = OrderedDict(), 0, 0
    for path in asked:
        if path in kept:
            kept.move_to_end(path)
            hits += 1
            continue
        kept[path] = sizes[path]
        used += sizes[path]
        while used > limit:
            used -= kept.popitem(last=False)[1]
    return hits / len(asked)
