#!/usr/bin/env python3
"""What clients see while strata fail: one drawn schedule of faults and requests, played to each server in turn. See README.md."""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from client import Client, Seen
from objects import log_normal
from peers import PEERS, Substratum
from servers import HERE
from strata import Objects, Strata, draw_acts

MIRRORS = 3
CLIENTS = 40
# Before the first act: probes and first connections.
WARM_UP = 3
# Of all requests, in percent: for objects asked before; by several clients in the same moment; for large objects.
AGAIN, TOGETHER, LARGE = 25, 8, 5
CROWD = 6
SMALL = {"median": 4 << 10, "sigma": 1.6, "longest": 200 << 10}
LARGE_SIZES = (512 << 10, 3 << 20)


@dataclass(frozen=True)
class Request:
    at: float
    client: int
    path: str
    size: int


def main():
    arguments = parse()
    Substratum.binary = arguments.binary.absolute()
    results = []
    for seed in arguments.seed or [1]:
        for name in arguments.server or PEERS:
            with folder_for_all() as folder:
                results.append(play(name, seed, Path(folder) / name, arguments))
            note(results, arguments.out, row)
    print(table(results))


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release/substratum")
    parser.add_argument("--server", action="append", choices=PEERS, help="may be repeated; default: all")
    parser.add_argument("--seed", type=int, action="append", help="of faults and requests; may be repeated; default: 1")
    parser.add_argument("--faulty", type=int, choices=[0, 1, 2], default=2, help="of three mirrors (default %(default)s)")
    parser.add_argument("--act", type=float, default=8, help="seconds between changes (default %(default)s)")
    parser.add_argument("--rate", type=float, default=30, help="requests a second (default %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "out/faults.json")
    return parser.parse_args()


def note(results, file, row):
    """Keeps what came so far, and shows the newest: a run takes long."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n")
    print(row(results[-1]), file=sys.stderr, flush=True)


def folder_for_all():
    """A temporary folder that servers without root's rights can reach, too."""
    folder = tempfile.TemporaryDirectory(prefix="bench-")
    Path(folder.name).chmod(0o755)
    return folder


def draw_requests(seed, objects, seconds, rate):
    """Who asks for what and when: the same for all servers."""
    draw = random.Random(f"requests {seed}")
    small = log_normal(64 << 20, seed=seed, **SMALL)
    known, requests, now = [], [], 0
    while now < seconds:
        now += draw.expovariate(rate)
        kind = draw.randrange(100)
        if known and kind < AGAIN:
            path, size = draw.choice(known)
            requests.append(Request(now, draw.randrange(CLIENTS), path, size))
            continue
        size = draw.randrange(*LARGE_SIZES) if kind >= 100 - LARGE else draw.choice(small)
        path = objects.add(size)
        known.append((path, size))
        crowd = CROWD if draw.randrange(100) < TOGETHER else 1
        requests += [Request(now, client, path, size) for client in draw.sample(range(CLIENTS), crowd)]
    return requests


def play(name, seed, folder, arguments):
    """One server through the whole schedule."""
    objects = Objects(seed)
    acts = draw_acts(seed, MIRRORS, arguments.faulty, arguments.act)
    requests = draw_requests(seed, objects, len(acts) * arguments.act, arguments.rate)
    strata = Strata(objects, MIRRORS, seed)
    try:
        with PEERS[name](name, folder, strata.ports) as server:
            begin = time.monotonic() + WARM_UP
            strata.play(acts, begin)
            seen, by_act, examples = asyncio.run(clients(server, strata.ports, requests, begin, acts))
    finally:
        counts = strata.stop()
    result = summary(name, seed, arguments, seen, by_act, counts, requests)
    return result | {"examples": examples}


async def clients(server, ports, requests, begin, acts):
    seen = Seen()
    hosts = [f"127.0.0.1:{port}" for port in ports]
    crew = [Client(server.port, hosts, number % len(hosts), seen) for number in range(CLIENTS)]
    spoiled = [0] * len(acts)
    examples = []

    async def one(request):
        begun = time.monotonic()
        first = await crew[request.client].fetch(request.path, request.size)
        if first != "ok":
            took = time.monotonic() - begun
            examples.append({"at": round(request.at, 2), "size": request.size, "first": first, "took": round(took, 2)})
            spoiled[min(len(acts) - 1, int(request.at / acts[0].seconds))] += 1

    tasks = []
    for request in requests:
        await asyncio.sleep(max(0, begin + request.at - time.monotonic()))
        tasks.append(asyncio.create_task(one(request)))
    await asyncio.gather(*tasks)
    by_act = [
        {"faults": {str(mirror): fault for mirror, fault in act.faults.items()}, "spoiled": count}
        for act, count in zip(acts, spoiled)
    ]
    return seen, by_act, examples[:MOST_EXAMPLES]


def quantile(values, share):
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 4) if ordered else None


def summary(name, seed, arguments, seen, by_act, counts, requests):
    return {
        "server": name,
        "seed": seed,
        "faulty": arguments.faulty,
        "act_seconds": arguments.act,
        "requests": seen.requests,
        "objects": len({request.path for request in requests}),
        "first": dict(seen.first),
        "last": dict(seen.last),
        "wrong_answers": seen.wrong,
        "late_answers": seen.late,
        "first_byte_s": {key: quantile(seen.first_byte, share) for key, share in QUANTILES.items()},
        "whole_s": {key: quantile(seen.whole, share) for key, share in QUANTILES.items()},
        "upstream_requests": sum(counts.requests.values()),
        "upstream_bytes": counts.bytes,
        "probes": counts.probes,
        "acts": by_act,
    }


# Spoiled requests of which the output tells when, what and how.
MOST_EXAMPLES = 100
QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1}


def row(result):
    first, last = result["first"], result["last"]
    host = sum(count for word, count in first.items() if is_host(word))
    wrong = first.get("wrong bytes", 0)
    proxy = result["requests"] - first.get("ok", 0) - host - wrong
    byte = result["first_byte_s"]
    cells = [
        result["server"], result["seed"], result["requests"], first.get("ok", 0), host, wrong, proxy,
        result["late_answers"], last.get("no stratum left", 0), last.get("left the proxy", 0),
        f"{1000 * byte['p50']:.0f} ms", f"{byte['p99']:.2f} s", f"{byte['max']:.2f} s", f"{result['whole_s']['max'] or 0:.1f} s",
        f"{result['upstream_requests'] / result['objects']:.2f}",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def is_host(word):
    return word.startswith("status") and (word >= "status 500" or word in ("status 400", "status 404", "status 429"))


def table(results):
    head = ["server", "seed", "requests", "right at once", "error of a stratum", "wrong bytes", "proxy at fault",
            "later than 5 s", "job failed: no stratum left", "job failed: left the proxy", "first byte, median", "99 %",
            "longest", "object, longest", "upstream requests per object"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + [row(result) for result in results])


if __name__ == "__main__":
    main()
