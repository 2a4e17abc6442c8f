"""Load from wrk, on its own core."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from servers import HERE, TICKS

LOAD_CORE = 1
# Longest time for asking each path once.
LONGEST = 300


def load(server, paths, connections, seconds=None, cores=LOAD_CORE, pause_ms=None):
    """Asks `server` for the paths in a file: in turn for so many seconds, each connection pausing between two requests; or each
    one once. What came of it, and the CPU that it took: in microseconds a request, of the server's whole process tree, and of the
    whole machine: who sends, the server or whoever acknowledges what was sent before, is the kernel's choice."""
    how = ["once"] if not seconds else [str(pause_ms)] if pause_ms else []
    before, busy = server.cpu(), machine()
    command = ["taskset", "-c", str(cores), "wrk", "-t1", f"-c{connections}", f"-d{seconds or LONGEST}s"]
    command += ["--timeout", "30s", "-s", str(HERE / "load.lua")]
    command += [f"http://127.0.0.1:{server.port}", "--", str(paths), *how]
    report = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    after, busy = server.cpu(), machine() - busy
    came = json.loads(report.splitlines()[-1])
    if came["failed"] or came["refused"] or not came["requests"]:
        sys.exit(f"{server.name}: requests failed: {came}")
    requests = came["requests"]
    user, system = (1e6 * (b - a) / requests for a, b in zip(before, after))
    rate = 1e6 * requests / came["microseconds"]
    cpu = {"user_us": user, "system_us": system, "cpu_us": user + system, "machine_us": 1e6 * busy / requests}
    return {**cpu, "rate": rate, **came}


def machine():
    """Seconds of CPU used so far by everything on this machine, interrupts included: what is neither idle nor somebody else's. Kernels
    measure idle time, and sample the rest (proc(5))."""
    _, _, _, idle, waiting, _, _, stolen = map(int, Path("/proc/stat").read_text().split()[1:9])
    return time.monotonic() * os.cpu_count() - (idle + waiting + stolen) / TICKS
