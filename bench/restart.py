"""Restarts with many objects on disk, after sudden death and after a clean stop: how long until the first object comes from the disk,
and how many still do."""

import http.client
import subprocess
import time

from load import load
from stage import stage

SERVER_CORE = 0
PATIENCE = 60
# Of each kind; the quickest counts, since whatever else the machine does only makes them slower.
STARTS = 4


def measure(scenario, classes, work, arguments):
    """One sample for each server."""
    samples = {}
    with stage(work, [scenario.size] * (arguments.objects or scenario.objects)) as (tree, paths, origin):
        for name, kind in classes.items():
            with kind(name, work / name, SERVER_CORE, origin, scenario.setting) as server:
                empty, _ = server.memory()
                stored = load(server, paths, 16)
                # Until the writing has caught up.
                load(server, paths, 16)
                full, _ = server.memory()
                # Death first: straight after what it may cost.
                server.settle()
                killed_ready, killed_kept = restarts(server, server.kill, origin, tree.paths, paths)
                # Until what was lost is there again.
                load(server, paths, 16)
                server.settle()
                ready, kept = restarts(server, server.stop, origin, tree.paths, paths)
                after, _ = server.memory()
                server.stop()
                samples[name] = [{
                    "ready_ms": ready * 1000, "kept": kept, "killed_ready_ms": killed_ready * 1000, "killed_kept": killed_kept,
                    "memory_an_object": (full - empty) / len(tree.paths), "memory_after_mib": after / (1 << 20),
                    "disk_overhead": disk_bytes(server.folder) / tree.bytes, "store_us": stored["cpu_us"],
                }]  # fmt: skip
                server.start()
    return samples


def restarts(server, end, origin, paths, file):
    """The least seconds to the first hit of several starts after such ends, and the share of the objects that the first kept."""
    least, kept = float("inf"), None
    for start in range(STARTS):
        end()
        begun = time.monotonic()
        server.start()
        # Each asks for others: what was lost has been fetched again since.
        least = min(least, first_hit(server, origin, paths[start::97], begun))
        if kept is None:
            before = origin.requests()
            load(server, file, 16)
            kept = 1 - (origin.requests() - before) / len(paths)
    return least, kept


def first_hit(server, origin, paths, begun):
    """Seconds until an object was answered without the origin, none of them asked for twice."""
    for path in paths:
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
        if now > begun + PATIENCE:
            break
        # The few paths of a small run shall last.
        time.sleep(0.002)
    return float("inf")


def disk_bytes(folder):
    """Allocated by the server's files."""
    return int(subprocess.run(["du", "-s", "-B1", folder], capture_output=True, check=True).stdout.split()[0])
