#!/usr/bin/env python3
"""CPU per request of Substratum beside nginx, in one run: the servers take turns, so that what disturbs the machine
disturbs both. See README.md."""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from objects import Tree
from servers import HERE, Nginx, Origin, Substratum

KIB = 1 << 10
MIB = 1 << 20
SERVER_CORE, LOAD_CORE = 0, 1
# Neither setting is better for all sizes: both take part, and the ratio is to the better one.
NGINX = {"nginx": "off", "nginx-nopush": "on"}


@dataclass(frozen=True)
class Scenario:
    """What is asked for, by how many connections, from which tier."""

    title: str
    size: int
    objects: int
    connections: int
    memory: str = "256 MiB"
    disk: bool = False
    log: bool = False
    nginx_file_cache: bool = False


SCENARIOS = {
    "memory-8k": Scenario("8 KiB from memory", 8 * KIB, 400, 64),
    "memory-8k-512": Scenario("8 KiB from memory", 8 * KIB, 400, 512),
    "memory-1m": Scenario("1 MiB from memory", MIB, 16, 64),
    "disk-8k": Scenario("8 KiB from disk", 8 * KIB, 400, 64, memory="0", disk=True),
    "log-8k": Scenario("8 KiB from memory, access log", 8 * KIB, 400, 64, log=True),
    # Not among the default ones: nginx keeping its files open, which its proxy_cache is seldom configured for.
    "open-files-8k": Scenario("8 KiB, nginx with open_file_cache", 8 * KIB, 400, 64, nginx_file_cache=True),
    "disk-100k": Scenario("100 KiB from disk", 100 * KIB, 100, 64, memory="0", disk=True),
    "disk-1m": Scenario("1 MiB from disk", MIB, 16, 64, memory="0", disk=True),
}
DEFAULT = ["memory-8k", "memory-8k-512", "memory-1m", "disk-8k", "log-8k"]


def main():
    arguments = parse()
    out = HERE / "out"
    work = out / "work"
    shutil.rmtree(work, ignore_errors=True)
    binaries = {"substratum": arguments.binary}
    for also in arguments.also:
        name, _, binary = also.partition("=")
        binaries[name] = Path(binary)
    results = []
    for key in arguments.scenario or DEFAULT:
        results.append(measure(SCENARIOS[key], binaries, work, arguments))
        shutil.rmtree(work, ignore_errors=True)
        print_result(key, SCENARIOS[key], results[-1])
        out.mkdir(exist_ok=True)
        (out / "run.json").write_text(json.dumps(results, indent=1) + "\n")


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release/substratum")
    parser.add_argument(
        "--also", action="append", default=[], metavar="NAME=BINARY", help="a further build to measure in the same run"
    )
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="may be repeated; default: five of them")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=2, help="length of a turn (default %(default)s)")
    arguments = parser.parse_args()
    for tool in ["nginx", "wrk", "taskset"]:
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: apt-get install nginx-light wrk util-linux")
    return arguments


def measure(scenario, binaries, work, arguments):
    """All turns of one scenario: a list of samples for each server."""
    tree = Tree(work / "tree", [scenario.size] * scenario.objects)
    paths = tree.list(work / "paths")
    with Origin(work / "origin", LOAD_CORE, tree.root) as origin:
        servers = []
        try:
            for name, nopush in NGINX.items():
                servers.append(Nginx(name, work / name, SERVER_CORE, origin, scenario, nopush))
            for name, binary in binaries.items():
                servers.append(Substratum(name, work / name, SERVER_CORE, origin, scenario, binary))
            for server in servers:
                fill(server, tree)
            samples = {server.name: [] for server in servers}
            for turn in range(arguments.rounds):
                # Who comes first changes, so that no server always runs in the other's wake.
                for server in servers if turn % 2 == 0 else reversed(servers):
                    samples[server.name].append(take_turn(server, scenario, paths, arguments.seconds))
        finally:
            for server in servers:
                server.stop()
    return {"scenario": scenario.title, "connections": scenario.connections, "samples": samples}


def fill(server, tree):
    """Fetches every object until all come from the tier that is to be measured."""
    for _ in range(20):
        words = server.fetch_all(tree.paths)
        if words == {server.hit: len(tree.paths)}:
            return
    sys.exit(f"{server.name} does not answer from its cache: {words}")


def take_turn(server, scenario, paths, seconds):
    """Load for so many seconds; CPU in microseconds a request."""
    before = server.cpu()
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{scenario.connections}", f"-d{seconds}s"]
    command += ["-s", str(HERE / "load.lua"), f"http://127.0.0.1:{server.port}", "--", str(paths)]
    report = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    after = server.cpu()
    load = json.loads(report.splitlines()[-1])
    if load["failed"] or load["refused"] or not load["requests"]:
        sys.exit(f"{server.name}: requests failed: {load}")
    requests = load["requests"]
    user, system = (1e6 * (b - a) / requests for a, b in zip(before, after))
    rate = 1e6 * requests / load["microseconds"]
    return {"user_us": user, "system_us": system, "cpu_us": user + system, "rate": rate, **load}


def print_result(key, scenario, result):
    """Medians; the ratio is the median over the rounds of the ratio within each round, to the better nginx."""
    samples = result["samples"]

    def cost(name):
        return statistics.median(turn["cpu_us"] for turn in samples[name])

    yardstick = min(NGINX, key=cost)
    print(f"{key}: {scenario.title}, {scenario.connections} connections, {scenario.objects} objects")
    print(f"  {'':14}{'CPU us/req':>11}{'least':>7}{'user':>7}{'system':>8}{'req/s':>9}{'p99 ms':>8}{'ratio':>8}   spread")
    for name, turns in samples.items():
        median = {field: statistics.median(turn[field] for turn in turns) for field in turns[0]}
        ratios = [ours["cpu_us"] / theirs["cpu_us"] for ours, theirs in zip(turns, samples[yardstick])]
        result.setdefault("ratio", {})[name] = {
            "to": yardstick, "median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)
        }
        print(
            f"  {name:14}{median['cpu_us']:11.2f}{min(turn['cpu_us'] for turn in turns):7.2f}"
            f"{median['user_us']:7.2f}{median['system_us']:8.2f}{median['rate']:9.0f}{median['p99_us'] / 1000:8.2f}"
            f"{statistics.median(ratios):8.3f}   {min(ratios):.3f}-{max(ratios):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
