"""A restart with many objects on disk: how long until the first one comes from there, and how many still do."""

import http.client
import subprocess
import time

from load import LOAD_CORE, load
from objects import Tree
from servers import Origin

SERVER_CORE = 0
PATIENCE = 60


def measure(scenario, classes, work, _):
    """One sample for each server."""
    tree = Tree(work / "tree", [scenario.size] * scenario.objects)
    paths = tree.list(work / "paths")
    samples = {}
    with Origin(work / "origin", LOAD_CORE, tree.root) as origin:
        for name, kind in classes.items():
            with kind(name, work / name, SERVER_CORE, origin, scenario.setting) as server:
                empty, _ = server.memory()
                stored = load(server, paths, 16)
                # Until the writing has caught up.
                load(server, paths, 16)
                full, _ = server.memory()
                server.stop()
                used = disk_bytes(server.folder)
                begun = time.monotonic()
                server.start()
                ready = first_hit(server, origin, tree.paths, begun)
                before = origin.requests()
                load(server, paths, 16)
                kept = 1 - (origin.requests() - before) / len(tree.paths)
                samples[name] = [{
                    "ready_ms": ready * 1000, "kept": kept, "memory_an_object": (full - empty) / len(tree.paths),
                    "memory_after": server.memory()[0], "disk_an_object": used / len(tree.paths),
                    "store_us": stored["cpu_us"],
                }]  # fmt: skip
    return samples


def first_hit(server, origin, paths, begun):
    """Seconds until an object was answered without the origin."""
    while time.monotonic() < begun + PATIENCE:
        for path in paths[::1000]:
            before = origin.requests()
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            try:
                connection.request("GET", path)
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                time.sleep(0.005)
                continue
            finally:
                connection.close()
            now = time.monotonic()
            if origin.requests() == before:
                return now - begun
    return float("inf")


def disk_bytes(folder):
    """Allocated by the server's files."""
    return int(subprocess.run(["du", "-s", "-B1", folder], capture_output=True, check=True).stdout.split()[0])
