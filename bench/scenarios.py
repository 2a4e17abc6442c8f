"""What is measured: sizes, tiers, goals. How, by kind: hits.py, misses.py, cold.py, footprint.py, restart.py, zipf.py."""

from dataclasses import dataclass, field

from caches import Setting

KIB = 1 << 10
MIB = 1 << 20
MEMORY = ["nginx", "nginx-nopush", "squid", "varnish", "trafficserver"]
DISK = ["nginx", "nginx-nopush", "squid", "varnish-file", "trafficserver"]
BYTES = ["nginx", "squid", "varnish", "trafficserver"]


@dataclass(frozen=True)
class Scenario:
    """One row of the table."""

    kind: str
    title: str
    # Our figure divided by that of the best peer; less is better.
    goal: float
    peers: list = field(default_factory=lambda: MEMORY)
    size: int = 8 * KIB
    objects: int = 400
    connections: int = 64
    setting: Setting = Setting()
    # Page cache dropped before each turn.
    cold: bool = False
    # Of each connection between two requests: the same load for all, less than any of them can take.
    pause_ms: int | None = None
    # The figure that is compared, and its unit.
    figure: str = "cpu_us"
    unit: str = "us a request"


MISSES = Setting(memory_mib=64, disk=True)
ON_BOTH = Setting(disk=True)
ON_DISK = Setting(memory_mib=0, disk=True)

SCENARIOS = {
    "memory-8k": Scenario("hits", "8 KiB from memory", 0.65),
    "memory-8k-512": Scenario("hits", "8 KiB from memory, 512 connections", 0.65, connections=512),
    "log-8k": Scenario("hits", "8 KiB from memory, access log", 0.75, setting=Setting(log=True)),
    "memory-1m": Scenario("hits", "1 MiB from memory", 0.65, size=MIB, objects=16, setting=Setting(disk=True)),
    "memory-10m": Scenario(
        "hits", "10 MiB from memory", 0.8, size=10 * MIB, objects=8, connections=16, setting=Setting(disk=True)
    ),
    "disk-8k": Scenario("hits", "8 KiB from disk, in the page cache", 0.7, DISK, setting=ON_DISK),
    "disk-8k-cold": Scenario(
        "hits", "8 KiB from disk, page cache dropped", 1.0, DISK, objects=12_000, setting=ON_DISK, cold=True
    ),
    "disk-100k": Scenario("hits", "100 KiB from disk, in the page cache", 0.95, DISK, 100 * KIB, 100, setting=ON_DISK),
    "disk-1m": Scenario("hits", "1 MiB from disk, in the page cache", 0.95, DISK, MIB, 16, setting=ON_DISK),
    "miss-8k": Scenario("misses", "8 KiB fetched, verified, stored", 0.85, DISK, objects=48_000, setting=MISSES),
    "miss-mixed": Scenario(
        "misses", "mixed sizes fetched, verified, stored", 1.0, DISK, 0, 9_000, setting=MISSES
    ),
    "memory": Scenario(
        "memory", "4 KiB objects in memory", 1.0, BYTES, 4 * KIB, 50_000, figure="bytes", unit="bytes of memory an object"
    ),
    "idle": Scenario(
        "idle", "10,000 idle connections", 1.0, BYTES, connections=10_000, figure="bytes", unit="bytes of memory each"
    ),
    "restart": Scenario(
        "restart", "restart with many objects on disk", 1.0,
        ["nginx", "squid", "squid-rock", "trafficserver"], 4 * KIB, 200_000,
        setting=ON_DISK, figure="ready_ms", unit="ms to the first hit",
    ),  # fmt: skip
    "herd": Scenario(
        "cold", "500 clients, one cold object of 10 MiB at 20 MB/s", 0.61, BYTES, 10 * MIB, connections=500, setting=ON_BOTH,
        figure="last_ms", unit="ms to the last byte",
    ),  # fmt: skip
    "zipf": Scenario(
        "trace", "Zipf 0.9, disk for 30 % of the bytes", 0.7, ["nginx", "squid", "varnish-file", "trafficserver"], 0, 12_000, 16,
        Setting(memory_mib=64, disk=True),
    ),  # fmt: skip
}
# The others take long, or room: they are asked for by name, or by --all.
DEFAULT = ["memory-8k", "memory-8k-512", "log-8k", "memory-1m", "memory-10m", "disk-8k", "disk-100k", "disk-1m", "miss-8k",
           "miss-mixed", "memory"]  # fmt: skip
# Beside the default ones, for a single question.
FURTHER = {
    "memory-1m-paced": Scenario(
        "hits", "1 MiB from memory, the same load for all", 0.65, size=MIB, objects=16, setting=Setting(disk=True), pause_ms=80
    ),  # fmt: skip
    "memory-10m-paced": Scenario(
        "hits", "10 MiB from memory, the same load for all", 0.8, size=10 * MIB, objects=8, connections=16,
        setting=Setting(disk=True), pause_ms=200,
    ),  # fmt: skip
    "disk-1m-paced": Scenario(
        "hits", "1 MiB from disk, the same load for all", 0.95, DISK, MIB, 16, setting=ON_DISK, pause_ms=80
    ),
    "open-files-8k": Scenario(
        "hits", "8 KiB from memory; nginx with open_file_cache", 0.75, ["nginx", "nginx-nopush"],
        setting=Setting(nginx_file_cache=True),
    ),  # fmt: skip
}
