#!/usr/bin/env python3
"""Everything fails at random while real load runs: strata, caches, disks, clients. Nobody may notice.

    tests/chaos/run.py --minutes 10 --seed 7

A node below two sites, three strata of which two fail at any time, jobs that behave as CernVM-FS does and know every byte.
One cache at a time is killed, stopped, frozen; bits of its files flip, files are cut or removed, its disk is full. Fails
when a wrong byte was taken, when a job got an object from no proxy, when a process died by itself or panicked, or when
descriptors, threads, downloads or memory are left behind. Prints a report; `--keep` leaves the folder for inspection.
"""

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(Path(__file__).parent)]

from jobs import Catalogue, Crowd  # noqa: E402
from objects import log_normal  # noqa: E402
from strata import Objects, Strata, draw_acts  # noqa: E402
from tier import Cache, Disk, cut, flip, lose  # noqa: E402

MIRRORS = 3
# Together more than the disks hold, and far more than the memories do.
SIZES = {"total": 160 << 20, "median": 8 << 10, "sigma": 1.8, "longest": 4 << 20}
# At rest a process may hold so many descriptors, beside one for each segment and upstream connection.
DESCRIPTORS, THREADS, RESIDENT = 160, 60, 300 << 20
REST = 30


class FilesToo(Objects):
    """Objects that are slices, and files of the fixtures."""

    def __init__(self, seed):
        super().__init__(seed)
        self.files = {}

    def get(self, path):
        return memoryview(self.files[path]) if path in self.files else super().get(path)


class Mischief(threading.Thread):
    """What happens to caches and their disks, one thing at a time."""

    def __init__(self, caches, disks, seed, until):
        super().__init__(daemon=True)
        self.caches, self.disks, self.until = caches, disks, until
        self.draw = random.Random(f"mischief {seed}")
        self.done, self.slow_stops, self.error = Counter(), [], None

    def run(self):
        try:
            while time.monotonic() < self.until:
                time.sleep(self.draw.uniform(0.5, 3))
                kind = self.draw.choice(["kill", "kill", "stop", "freeze", "flip", "flip", "cut", "lose", "full disk"])
                number = self.draw.randrange(len(self.caches))
                if self.harm(kind, self.caches[number], self.disks[number]):
                    self.done[kind] += 1
                for cache in self.caches:
                    cache.check()
        except BaseException as error:
            self.error = error
            raise

    def harm(self, kind, cache, disk):
        if kind == "kill":
            cache.kill()
            time.sleep(self.draw.uniform(0, 1))
            cache.start()
        elif kind == "stop":
            seconds = cache.stop()
            if seconds > 25:
                self.slow_stops.append((cache.name, seconds))
            cache.start()
        elif kind == "freeze":
            cache.freeze()
            time.sleep(self.draw.uniform(0.5, 4))
            cache.thaw()
        elif kind == "full disk":
            if not disk.mounted:
                return False
            disk.fill()
            time.sleep(self.draw.uniform(1, 4))
            disk.empty()
        else:
            files = cache.segments()
            change = {"flip": flip, "cut": cut, "lose": lose}[kind]
            return bool(files) and change(self.draw.choice(files), self.draw)
        return True


def main():
    arguments = parse()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        report = play(folder, arguments)
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report, indent=1))
    if report["complaints"]:
        sys.exit(f"seed {arguments.seed}: " + "; ".join(report["complaints"]))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/substratum")
    parser.add_argument("--minutes", type=float, default=5, help="(default %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="drawn, and printed, unless given")
    parser.add_argument("--rate", type=float, default=150, help="requests a second (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=60, help="(default %(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the folder")
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().randrange(1 << 32)
    return arguments


def play(folder, arguments):
    seed = arguments.seed
    print(f"seed {seed}, {folder}", file=sys.stderr, flush=True)
    objects = FilesToo(seed)
    catalogue = Catalogue(objects, log_normal(seed=seed, **SIZES), ROOT / "tests/fixtures/cvmfs", random.Random(seed))
    strata = Strata(objects, MIRRORS, seed)
    disks = [Disk(folder / name, "96m") for name in ["site-a", "site-b", "node"]]
    caches = []
    try:
        binary = arguments.binary.absolute()
        for name in ["site-a", "site-b"]:
            caches.append(Cache(binary, name, folder / name / "files", strata.ports))
        node = Cache(binary, "node", folder / "node" / "files", strata.ports, parents=caches, memory="8 MiB", disk="24 MiB")
        caches.append(node)
        report = storm(caches, disks, strata, catalogue, arguments)
    finally:
        for cache in caches:
            cache.kill()
        strata.stop()
        for disk in disks:
            disk.close()
    return report


def storm(caches, disks, strata, catalogue, arguments):
    begin = time.monotonic() + 1
    until = begin + 60 * arguments.minutes
    act, acts = 6, []
    while len(acts) * act < 60 * arguments.minutes:
        acts += draw_acts(arguments.seed + len(acts), MIRRORS, 2, act)
    acts = acts[: int(60 * arguments.minutes / act)]
    strata.play(acts, begin)
    mischief = Mischief(caches, disks, arguments.seed, until)
    # The node first, then the sites, as a job's list of proxies has them.
    crowd = Crowd(caches[::-1], strata.ports, catalogue, arguments.seed, arguments.jobs, arguments.rate)
    mischief.start()
    asyncio.run(crowd.run(until))
    mischief.join()
    complaints = judge(crowd, mischief, caches)
    for cache in caches:
        complaints += at_rest(cache)
    after = Crowd(caches[::-1], strata.ports, catalogue, arguments.seed, 1, 1)
    asyncio.run(everything(after.jobs[0], catalogue))
    complaints += [f"after the storm: {path}: {words}" for _, path, words in after.jobs[0].failed]
    if after.jobs[0].seen.first != Counter(ok=len(catalogue.known)):
        complaints.append(f"after the storm not all was right at once: {dict(after.jobs[0].seen.first)}")
    seen = [job.seen for job in crowd.jobs]
    return {
        "seed": arguments.seed,
        "requests": sum(s.requests for s in seen),
        "jobs_served": sum(job.done for job in crowd.jobs),
        # One mirror of three is well at any time, so that each of these is one too many.
        "jobs_failed_with_a_healthy_mirror": sum(len(job.failed) for job in crowd.jobs),
        "wrong_bytes": wrong_paths(crowd).total(),
        "altered_documents": sum(client.unsigned for job in crowd.jobs for client in job.clients),
        "wrong_paths": dict(wrong_paths(crowd)),
        "first_answers": dict(sum((s.first for s in seen), Counter()).most_common()),
        "later_than_5_s": sum(s.late for s in seen),
        "faults": {
            "strata": dict(Counter(fault for act in acts for fault in act.faults.values())),
            "caches and disks": dict(mischief.done),
            "clients": dict(crowd.misbehaved),
        },
        "at_rest": {cache.name: cache.use() | left_behind(cache) for cache in caches},
        "complaints": complaints,
    }


def wrong_paths(crowd):
    """What came wrong, and how often."""
    return sum((client.wrong for job in crowd.jobs for client in job.clients), Counter())


def judge(crowd, mischief, caches):
    wrong = wrong_paths(crowd).total()
    failed = [failure for job in crowd.jobs for failure in job.failed]
    complaints = list(crowd.complaints)
    if wrong:
        complaints.append(f"{wrong} answers with wrong bytes: {dict(wrong_paths(crowd))}")
    if failed:
        complaints.append(f"{len(failed)} objects came from no proxy, such as {failed[0][1:]}")
    if mischief.error:
        complaints.append(f"the mischief ended: {mischief.error!r}")
    complaints += [f"{name} took {seconds:.0f} s to stop" for name, seconds in mischief.slow_stops]
    for cache in caches:
        complaints += [f"{cache.name} ended by itself: {code}" for code in cache.deaths]
        complaints += [f"{cache.name}: {line}" for line in cache.panics()]
    return complaints


def left_behind(cache):
    """What tasks are there for."""
    names = ["connections", "requests_in_flight", "fills", "fills_waiting", "fill_readers", "fill_memory_bytes"]
    return {name: int(cache.metric(f"substratum_{name}")) for name in names}


def at_rest(cache):
    """What is left when everybody has gone."""
    deadline = time.monotonic() + REST
    while True:
        busy = left_behind(cache) | {"upstream_idle_connections": cache.metric("substratum_upstream_idle_connections")}
        if not any(busy.values()):
            break
        if time.monotonic() > deadline:
            return [f"{cache.name} is not at rest after {REST} s: {busy}"]
        time.sleep(0.2)
    use, segments = cache.use(), cache.metric("substratum_disk_segments")
    limits = {"descriptors": DESCRIPTORS + segments, "threads": THREADS, "resident": RESIDENT}
    return [f"{cache.name} holds {use[what]} {what} at rest" for what, most in limits.items() if use[what] > most]


async def everything(job, catalogue):
    for path in catalogue.known:
        await job.fetch(path)


if __name__ == "__main__":
    main()
