"""Memory: of an object in the memory tier, of a connection that waits for its next request."""

import socket
import time
from contextlib import ExitStack

from load import load
from stage import stage

SERVER_CORE = 0
# Seconds after which every server has let go of what idle connections do not need.
SETTLED = 10


def objects(scenario, classes, work, _):
    """Resident memory that each object adds, its own bytes included. nginx keeps its bodies in the page cache, which is not
    counted."""
    samples = {}
    with stage(work, [scenario.size] * scenario.objects) as (tree, paths, origin):
        for name, kind in classes.items():
            with kind(name, work / name, SERVER_CORE, origin, scenario.setting) as server:
                server.fetch_all(tree.paths[:100])
                empty, _ = server.memory()
                load(server, paths, 16)
                full, _ = server.memory()
                before = origin.requests()
                load(server, paths, 16)
                kept = 1 - (origin.requests() - before) / len(tree.paths)
                samples[name] = [{"bytes": (full - empty) / len(tree.paths), "rss": full, "kept": kept}]
    return samples


def connections(scenario, classes, work, arguments):
    """Resident memory that each connection adds, and what a client notices of so many: its p99 before and with them."""
    samples = {}
    with stage(work, [scenario.size] * scenario.objects) as (tree, paths, origin):
        request = f"GET {tree.paths[0]} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
        for name, kind in classes.items():
            with kind(name, work / name, SERVER_CORE, origin, scenario.setting) as server, ExitStack() as idle:
                server.fill(origin, tree.paths)
                alone = load(server, paths, 16, arguments.seconds)
                before, _ = server.memory()
                for at in range(scenario.connections):
                    # More than one address: ports are 28,000 for each.
                    source = (f"127.0.0.{2 + at % 4}", 0)
                    client = idle.enter_context(socket.create_connection(("127.0.0.1", server.port), 10, source))
                    client.sendall(request)
                    left = scenario.size
                    while left > 0:
                        came = client.recv(1 << 16)
                        if not came:
                            raise RuntimeError(f"{name} closed connection {at} with {left} bytes to come")
                        left -= len(came)
                time.sleep(SETTLED)
                after, _ = server.memory()
                crowded = load(server, paths, 16, arguments.seconds)
                samples[name] = [{
                    "bytes": (after - before) / scenario.connections,
                    "p99_us_alone": alone["p99_us"], "p99_us_crowded": crowded["p99_us"],
                    "cpu_us_alone": alone["cpu_us"], "cpu_us_crowded": crowded["cpu_us"],
                }]  # fmt: skip
    return samples
