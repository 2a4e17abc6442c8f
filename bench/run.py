#!/usr/bin/env python3
"""CPU and memory of Substratum beside squid, nginx, varnish and Traffic Server, in one run: the servers take turns, so that what
disturbs the machine disturbs all. Called by `run`, which installs what is missing. See README.md."""

import argparse
import json
import os
import platform
import re
import resource
import shutil
import statistics
import sys
from pathlib import Path

import cold
import footprint
import hits
import misses
import restart
import zipf
from caches import BARE, PEERS, build
from scenarios import DEFAULT, FURTHER, SCENARIOS
from servers import HERE

KINDS = {
    "hits": hits.measure,
    "misses": misses.measure,
    "memory": footprint.objects,
    "idle": footprint.connections,
    "restart": restart.measure,
    "cold": cold.measure,
    "trace": zipf.measure,
}
ALL = SCENARIOS | FURTHER
# What all of them write; nothing is deleted before the end.
NEEDED = 50 << 30


def main():
    arguments = parse()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536)), hard))
    out = arguments.out
    out.mkdir(exist_ok=True)
    work = out / "work"
    ours = {"substratum": build(arguments.binary)}
    for also in arguments.also:
        name, _, binary = also.partition("=")
        ours[name] = build(binary)
    results, lines = {}, [circumstances(), ""]
    for key in arguments.scenario or (list(SCENARIOS) if arguments.all else DEFAULT):
        scenario = ALL[key]
        peers = [peer for peer in scenario.peers if peer in arguments.peer] if arguments.peer else scenario.peers
        set_aside(work, out)
        work.mkdir()
        beside = BARE if arguments.bare and scenario.kind == "hits" else {}
        measured = {name: PEERS[name] for name in peers} | ours | beside
        samples = KINDS[scenario.kind](scenario, measured, work, arguments)
        results[key] = {"title": scenario.title, "goal": scenario.goal, "samples": samples}
        results[key]["compared"] = compare(scenario, samples, peers, ours | beside)
        lines += table(key, scenario, samples, results[key]["compared"])
        print("\n".join(table(key, scenario, samples, results[key]["compared"])), flush=True)
        (out / "run.json").write_text(json.dumps(results, indent=1) + "\n")
        (out / "run.md").write_text("\n".join(lines + summary(results)) + "\n")
    print("\n".join([circumstances(), "", *summary(results)]))
    set_aside(work, out)
    for old in out.glob("old-*"):
        shutil.rmtree(old)


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release/substratum")
    parser.add_argument(
        "--also", action="append", default=[], metavar="NAME=BINARY", help="a further build to measure in the same run"
    )
    parser.add_argument("--bare", action="store_true", help="also senders that do nothing but send: what the machine takes (hits only)")
    parser.add_argument("--scenario", action="append", choices=ALL, help="may be repeated; default: the usual ones")
    parser.add_argument("--all", action="store_true", help="also those that take long, or room")
    parser.add_argument("--peer", action="append", choices=PEERS, help="may be repeated; default: all of a scenario")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=2, help="length of a turn (default %(default)s)")
    parser.add_argument("--objects", type=int, help="how many, for the restart (default: as the scenario says)")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="for run.json and run.md (default %(default)s)")
    arguments = parser.parse_args()
    for tool in ["nginx", "squid", "varnishd", "traffic_server", "wrk", "taskset"]:
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: use bench/run, or install nginx-light squid varnish trafficserver wrk util-linux")
    if os.cpu_count() < 2:
        sys.exit("two cores are needed: one for the server, one for the load")
    room = shutil.disk_usage(arguments.out.parent).free
    if arguments.all and room < NEEDED:
        sys.exit(f"all scenarios together write {NEEDED >> 30} GiB below {arguments.out}, where {room >> 30} are free: choose another --out")
    return arguments


def set_aside(work, out):
    """Deleting many files makes creating others slow for minutes on ext4: they are moved away, and deleted at the end."""
    if work.exists():
        work.rename(out / f"old-{len(list(out.glob('old-*')))}")


def compare(scenario, samples, peers, ours):
    """Medians of the ratios within each round, to the peer that is best by its median."""

    def cost(name):
        return statistics.median(turn[scenario.figure] for turn in samples[name])

    best = min(peers, key=cost)
    ratios = {}
    for name in ours:
        each = [turn[scenario.figure] / best_turn[scenario.figure] for turn, best_turn in zip(samples[name], samples[best])]
        ratios[name] = {"median": statistics.median(each), "least": min(each), "most": max(each)}
    return {"to": best, "ratios": ratios}


def table(key, scenario, samples, compared):
    """All that was measured, medians over the rounds."""
    columns = list(next(reversed(samples.values()))[0])
    lines = [f"## {key}: {scenario.title}", "", "| | " + " | ".join(columns) + " | ratio |", "|---" * (len(columns) + 2) + "|"]
    for name, turns in samples.items():
        cells = [number(turns, column) for column in columns]
        ratio = compared["ratios"].get(name)
        cells.append(f"{ratio['median']:.2f} ({ratio['least']:.2f}-{ratio['most']:.2f})" if ratio else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def circumstances():
    """What the figures depend on beside the servers."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    control = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    control += " (Substratum reno)" if control == "bbr" else ""
    return f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), Linux {platform.release()}, TCP {control}."


def number(turns, column):
    values = [turn[column] for turn in turns if column in turn]
    if not values:
        return "-"
    value = statistics.median(values)
    return f"{value:.3f}" if abs(value) < 2 else f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"


def summary(results):
    """A line for each scenario: ours, the best peer's, the ratio, the goal."""
    lines = ["| scenario | Substratum | best peer | ratio | aim |", "|---|---|---|---|---|"]
    for key, result in results.items():
        scenario, samples, best = ALL[key], result["samples"], result["compared"]["to"]
        ratio = result["compared"]["ratios"]["substratum"]["median"]
        mine, theirs = (number(samples[name], scenario.figure) for name in ["substratum", best])
        lines.append(f"| {result['title']} | {mine} {scenario.unit} | {best} {theirs} | {ratio:.2f} | {result['goal']} |")
    return lines


if __name__ == "__main__":
    main()
