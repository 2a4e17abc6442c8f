"""The caches that are tried: a node below two sites, each a real process with a folder of its own that outlives it."""

import http.client
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from servers import free_port

# Small, so that segments are reclaimed all the time.
CONFIGURATION = """\
[listen]
proxy = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"
name = "{name}"
workers = 2
idle_timeout = "5 s"

[access]
clients = ["127.0.0.0/8"]

[memory]
capacity = "{memory}"

[disk]
path = "{folder}/cache"
capacity = "{disk}"
free_reserve = "0"
segment = "1 MiB"

[objects]
window = "1 MiB"

[[mirrors]]
name = "strata"
urls = [{urls}]
{parents}
"""
PATIENCE = 20


class Cache:
    """One process after the other on the same folder and ports."""

    def __init__(self, binary, name, folder, strata, parents=(), memory="16 MiB", disk="48 MiB"):
        self.binary, self.name, self.folder = binary, name, Path(folder)
        (self.folder / "cache").mkdir(parents=True)
        self.port, self.admin = free_port(), free_port()
        urls = ", ".join(f'"http://127.0.0.1:{port}"' for port in strata)
        tables = "".join(f'\n[[parents]]\nurl = "http://127.0.0.1:{parent.port}"\n' for parent in parents)
        text = CONFIGURATION.format(
            port=self.port, admin=self.admin, name=name, memory=memory, disk=disk, folder=self.folder, urls=urls, parents=tables
        )
        self.file = self.folder / "substratum.toml"
        self.file.write_text(text)
        self.output = open(self.folder / "output", "ab")
        self.process, self.deaths = None, []
        self.start()

    def start(self):
        command = [self.binary, "--config", self.file, "serve", "--wait"]
        self.process = subprocess.Popen(list(map(str, command)), stdout=self.output, stderr=self.output)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.get("/metrics")
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{self.name} does not start; see {self.folder}/output") from None
                time.sleep(0.02)

    def check(self):
        """Notes a process that ended by itself, and starts it again."""
        if self.process.poll() is not None:
            self.deaths.append(self.process.returncode)
            self.start()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """As an operator would. Returns the seconds it took."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return time.monotonic() - begun

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def metric(self, name):
        """The sum over all labels."""
        found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self.get("/metrics"), re.MULTILINE)
        return sum(map(float, found))

    def use(self):
        """What the process holds now: descriptors, threads, bytes resident."""
        proc = Path(f"/proc/{self.process.pid}")
        status = (proc / "status").read_text()
        return {
            "descriptors": len(os.listdir(proc / "fd")),
            "threads": int(re.search(r"Threads:\s+(\d+)", status)[1]),
            "resident": int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024,
        }

    def panics(self):
        return [line for line in (self.folder / "output").read_text(errors="replace").splitlines() if "panicked" in line]

    def segments(self):
        return sorted(path for path in (self.folder / "cache").rglob("*") if path.is_file() and path.stat().st_size > 4096)


class Disk:
    """A file system of its own for a cache's folder, which can be filled up. Needs the right to mount."""

    def __init__(self, folder, size):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "chaos", str(self.folder)]
        self.mounted = subprocess.run(mount, capture_output=True).returncode == 0
        self.ballast = self.folder / "ballast"

    def fill(self):
        """Leaves no room for anybody else."""
        with open(self.ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
            except OSError:
                pass

    def empty(self):
        self.ballast.unlink(missing_ok=True)

    def close(self):
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def flip(path, draw):
    """One bit of a file in use."""
    try:
        with open(path, "r+b") as file:
            at = draw.randrange(os.path.getsize(path))
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1 << draw.randrange(8)]))
    except (OSError, ValueError, IndexError):
        return False
    return True


def cut(path, draw):
    """The end of a file in use is lost."""
    try:
        os.truncate(path, draw.randrange(os.path.getsize(path)))
    except (OSError, ValueError):
        return False
    return True


def lose(path, _draw):
    """A file in use is removed."""
    try:
        path.unlink()
    except OSError:
        return False
    return True
