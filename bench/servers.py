"""The servers that are compared: each is configured from a file in config/, started on one core, asked, and stopped."""

import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

# As the units in deploy/ start Substratum; no other server has that allocator.
os.environ.setdefault("MIMALLOC_ALLOW_THP", "0")
HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
START_PATIENCE = 10
TRAFFIC_SERVER_FILES = [
    *["records.config", "remap.config", "storage.config", "cache.config", "logging.yaml"],
    *["ip_allow.yaml", "plugin.config", "hosting.config"],
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fill_in(template, values):
    """Replaces `{key}` for the keys given; braces of the file's own syntax stay."""
    text = (HERE / "config" / template).read_text()
    return re.sub(r"\{([a-z_]+)\}", lambda key: str(values.get(key[1], key[0])), text)


class Server:
    """A process, its children, and the port it answers on."""

    def __init__(self, name, folder, core):
        self.name = name
        self.folder = Path(folder).absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.core = core
        self.port = free_port()
        # What every file that it is configured with may name.
        self.values = {"name": name, "folder": self.folder, "port": self.port}
        # Processes that belong to it without being its children.
        self.helpers = []

    def write(self, template, file, **values):
        """A file in its folder, made from one in config/."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fill_in(template, self.values | values))
        return path

    def run(self, *command):
        with open(self.folder / "output", "wb") as output:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(self.core), *map(str, command)], stdout=output, stderr=output
            )
        deadline = time.monotonic() + START_PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    text = (self.folder / "output").read_text(errors="replace")
                    raise SystemExit(f"{self.name} does not start: {text}")
                time.sleep(0.002)

    def stop(self):
        for process in [*self.helpers, self.process]:
            process.terminate()
            process.wait(60)
        self.helpers = []

    def settle(self):
        """Waits until what was stored will outlast the process."""

    def kill(self):
        """Sudden death of the whole tree."""
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        for process in [*self.helpers, self.process]:
            process.wait(60)
        self.helpers = []
        # Those that are not our children: they hold the port until the kernel is done with them.
        deadline = time.monotonic() + START_PATIENCE
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)):
                    return
            time.sleep(0.002)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def processes(self):
        """The process and all that descend from it."""
        tree = [process.pid for process in [self.process, *self.helpers]]
        for pid in tree:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                tree.extend(map(int, children.read_text().split()))
        return tree

    def cpu(self):
        """Seconds of CPU used so far by the whole tree: (user, system)."""
        user = system = 0
        for pid in self.processes():
            # The name, in parentheses, may hold anything.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            user += int(fields[11])
            system += int(fields[12])
        return user / TICKS, system / TICKS

    def memory(self):
        """Bytes resident in the whole tree: (now, at most)."""
        now = most = 0
        for pid in self.processes():
            status = Path(f"/proc/{pid}/status").read_text()
            now += int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024
            most += int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024
        return now, most

    def fetch_all(self, paths):
        """Fetches and checks each object; the heads' fields that tell where it came from, with their counts."""
        words = {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        for path in paths:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or hashlib.sha1(body).hexdigest() != path[-41:].replace("/", ""):
                raise SystemExit(f"{self.name}: {path}: {answer.status}, {len(body)} bytes")
            word = self.cache_word(answer)
            words[word] = words.get(word, 0) + 1
        connection.close()
        return words

    def fill(self, origin, paths):
        """Fetches every object until all are answered, with the right bytes, from the tier that is to be measured."""
        for _ in range(20):
            before = origin.requests()
            words = self.fetch_all(paths)
            if origin.requests() == before and self.is_hit(words):
                return
            time.sleep(0.5)
        raise SystemExit(f"{self.name} does not answer from its cache: {words}")

    def cache_word(self, _):
        """Where an answer came from, if it can be told."""
        return "-"

    def is_hit(self, _):
        """Whether answers with these words came from the right tier. That none cost the origin a request is known."""
        return True


class Origin(Server):
    """nginx serving a tree of files."""

    def __init__(self, folder, core, tree):
        super().__init__("origin", folder, core)
        file = self.write("origin.conf", "nginx.conf", tree=tree.absolute(), user=user())
        self.run("nginx", "-e", self.folder / "error.log", "-c", file)

    def requests(self):
        """Requests answered so far, this question not counted."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/requests")
        total = int(connection.getresponse().read().split()[9])
        connection.close()
        self.asked = getattr(self, "asked", 0) + 1
        return total - self.asked


class Nginx(Server):
    """nginx with proxy_cache on disk; what it reads comes from the page cache. `nopush`: "on" sends head and body in one
    packet, which small answers gain from and large ones lose by."""

    def __init__(self, name, folder, core, origin, setting, nopush):
        super().__init__(name, folder, core)
        log = "access_log off;"
        if setting.log:
            log = (
                "log_format native '$msec $request_time $remote_addr $upstream_cache_status/$status"
                " $bytes_sent $request_method $scheme://$http_host$request_uri - HIER_NONE/- $sent_http_content_type';"
                f" access_log {self.folder}/access.log native buffer=32k flush=1s;"
            )
        file_cache = "open_file_cache max=10000; open_file_cache_valid 60s;" if setting.nginx_file_cache else ""
        values = {
            "origin": origin.port,
            "log": log,
            "file_cache": file_cache,
            "nopush": nopush,
            "disk": getattr(setting, "disk_mib", 4096),
            "user": user(),
        }
        self.file = self.write("nginx.conf", "nginx.conf", **values)
        self.start()

    def start(self):
        return self.run("nginx", "-e", self.folder / "error.log", "-c", self.file)


class Substratum(Server):
    """A release build of this project."""

    template = "substratum.toml"
    workers = 1

    def __init__(self, name, folder, core, origin, setting, binary):
        super().__init__(name, folder, core)
        self.hit = "disk" if setting.memory == "0" else "memory"
        self.admin = free_port()
        disk = f'[disk]\npath = "{self.folder}/cache"\ncapacity = "{getattr(setting, "disk_mib", 4096)} MiB"\n' if setting.disk else ""
        log = f'[log]\naccess = "squid"\npath = "{self.folder}/access.log"\n' if setting.log else ""
        values = {
            "admin": self.admin,
            "origin": origin.port,
            "memory": setting.memory,
            "workers": self.workers,
            "disk": disk,
            "log": log,
        }
        self.file = self.write(self.template, "substratum.toml", **values)
        self.command = [binary, "--config", self.file, "serve"]
        self.start()

    def start(self):
        return self.run(*self.command)

    def cache_word(self, answer):
        """The tier: `Cache-Status: bench; hit; detail=memory`."""
        return (answer.getheader("Cache-Status") or "-").rpartition("=")[2]

    def is_hit(self, words):
        return set(words) == {self.hit}

    def status(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        for path in ["/metrics", "/status"]:  # a scrape refreshes what is sampled
            connection.request("GET", path)
            text = connection.getresponse().read()
        return json.loads(text)


def lay_out_traffic_server(server, templates, **values):
    """The folders of a Traffic Server and all its files, each from the first of these folders of config/ that has it, else empty: it
    wants them all. Returns the command that starts it."""
    for place in ["run", "log", "cache", "etc"]:
        (server.folder / place).mkdir()
    for file in TRAFFIC_SERVER_FILES:
        places = [f"{folder}/{file}" for folder in templates if (HERE / "config" / folder / file).exists()]
        if places:
            server.write(places[0], f"etc/{file}", **values)
        else:
            (server.folder / "etc" / file).touch()
    runroot = server.write("trafficserver/runroot.yaml", "runroot.yaml")
    return ["env", f"TS_RUNROOT={runroot}", "traffic_server"]


def user():
    """nginx drops root's rights unless told otherwise, and then cannot read what root put into its own folder."""
    return "user root;" if os.geteuid() == 0 else ""
