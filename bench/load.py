"""Load from wrk, on its own core."""

import json
import subprocess
import sys

from servers import HERE

LOAD_CORE = 1
# Longest time for asking each path once.
LONGEST = 300


def load(server, paths, connections, seconds=None, cores=LOAD_CORE, pause_ms=None):
    """Asks `server` for the paths in a file: in turn for so many seconds, each connection pausing between two requests; or each
    one once. What came of it, and the CPU that it took: in microseconds a request, of the server's whole process tree."""
    how = ["once"] if not seconds else [str(pause_ms)] if pause_ms else []
    before = server.cpu()
    command = ["taskset", "-c", str(cores), "wrk", "-t1", f"-c{connections}", f"-d{seconds or LONGEST}s"]
    command += ["--timeout", "30s", "-s", str(HERE / "load.lua")]
    command += [f"http://127.0.0.1:{server.port}", "--", str(paths), *how]
    report = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    after = server.cpu()
    came = json.loads(report.splitlines()[-1])
    if came["failed"] or came["refused"] or not came["requests"]:
        sys.exit(f"{server.name}: requests failed: {came}")
    requests = came["requests"]
    user, system = (1e6 * (b - a) / requests for a, b in zip(before, after))
    rate = 1e6 * requests / came["microseconds"]
    return {"user_us": user, "system_us": system, "cpu_us": user + system, "rate": rate, **came}
