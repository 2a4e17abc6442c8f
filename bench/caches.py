"""The caches that are compared, each as a server before one origin, on one core, with tiers of the same size. A further one is a
class here and a line in `CACHES`."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from servers import HERE, Nginx, Server, Substratum, lay_out_traffic_server

MIB = 1 << 20


@dataclass(frozen=True)
class Setting:
    """What a server is to have."""

    # MiB of the memory tier; 0: none.
    memory_mib: int = 512
    disk: bool = False
    # An access log in squid's form.
    log: bool = False
    # nginx keeps its files open.
    nginx_file_cache: bool = False
    # Of the disk tier.
    disk_mib: int = 4096

    @property
    def memory(self):
        """As Substratum's configuration says it."""
        return f"{self.memory_mib} MiB" if self.memory_mib else "0"


class Cache(Server):
    """A peer with configuration files in `config/reverse-*`."""

    def __init__(self, name, folder, core, origin, setting):
        super().__init__(name, folder, core)
        self.setting = setting
        self.values["origin"] = origin.port


class Squid(Cache):
    """One process. `-N` keeps it in the foreground; without shared memory there is no difference otherwise."""

    store = "ufs"
    store_options = "16 256"

    def __init__(self, name, folder, core, origin, setting):
        super().__init__(name, folder, core, origin, setting)
        log = f"access_log stdio:{self.folder}/access.log squid" if setting.log else "access_log none"
        store = f"cache_dir {self.store} {self.folder}/cache {setting.disk_mib} {self.store_options}"
        store = store if setting.disk else ""
        self.file = self.write("reverse-squid.conf", "squid.conf", log=log, store=store, memory=setting.memory_mib)
        if os.geteuid() == 0:
            # It drops root's rights for this user's.
            shutil.chown(self.folder, "proxy", "proxy")
        subprocess.run(["squid", "-z", "-N", "-f", self.file], check=True, capture_output=True)
        self.start()

    def start(self):
        return self.run("squid", "-N", "-f", self.file)


class SquidRock(Squid):
    store, store_options = "rock", ""


class Varnish(Cache):
    """Objects in memory, or in a file that it maps."""

    storage = "malloc,{memory}m"

    def __init__(self, name, folder, core, origin, setting):
        super().__init__(name, folder, core, origin, setting)
        self.file = self.write("reverse-varnish.vcl", "origin.vcl")
        self.start()

    def start(self):
        storage = self.storage.format(
            memory=self.setting.memory_mib, disk=self.setting.disk_mib, file=self.folder / "store"
        )
        work = self.folder / "work"
        command = ["varnishd", "-F", "-j", "none", "-n", work, "-f", self.file, "-s", storage, "-T", "none"]
        command += ["-p", "timeout_idle=1200", "-p", "thread_pool_max=1000"]
        # With the usual 50 it refuses a large object for which more small ones would have to go.
        command += ["-p", "nuke_limit=10000"]
        self.run(*command, "-a", f"127.0.0.1:{self.port}")
        if self.setting.log:
            command = ["taskset", "-c", str(self.core), "varnishncsa", "-n", work, "-w", self.folder / "access.log"]
            self.helpers = [subprocess.Popen(command, stderr=subprocess.DEVNULL)]
        return self


class VarnishFile(Varnish):
    storage = "file,{file},{disk}m"


class TrafficServer(Cache):
    """Its memory is a cache of what lies on its disk, so it always has one."""

    def __init__(self, name, folder, core, origin, setting):
        super().__init__(name, folder, core, origin, setting)
        # 0 would mean "by the size of the disk".
        values = {"memory": setting.memory_mib * MIB or 1, "disk": setting.disk_mib, "log": 3 if setting.log else 0}
        self.command = lay_out_traffic_server(self, ["reverse-trafficserver", "trafficserver"], **values)
        self.start()

    def start(self):
        return self.run(*self.command)

    def settle(self):
        # Once a minute it writes its directory (cache.dir.sync_frequency), and not when it is stopped.
        time.sleep(65)


class NginxNopush(Nginx):
    """Head and body in one packet, which small answers gain from."""

    def __init__(self, name, folder, core, origin, setting):
        super().__init__(name, folder, core, origin, setting, "on")


class NginxPlain(Nginx):
    """As shipped: large answers gain from it."""

    def __init__(self, name, folder, core, origin, setting):
        super().__init__(name, folder, core, origin, setting, "off")


class Ours(Substratum):
    """A build of this project."""

    binary = HERE.parent / "target/release/substratum"

    def __init__(self, name, folder, core, origin, setting):
        super().__init__(name, folder, core, origin, setting, self.binary)


PEERS = {
    "nginx": NginxPlain,
    "nginx-nopush": NginxNopush,
    "squid": Squid,
    "squid-rock": SquidRock,
    "varnish": Varnish,
    "varnish-file": VarnishFile,
    "trafficserver": TrafficServer,
}


class BareCopy(Server):
    """No cache: what the machine takes, whoever sends. See bare.py."""

    how = "copy"

    def __init__(self, name, folder, core, origin, setting):
        super().__init__(name, folder, core)
        self.run(sys.executable, HERE / "bare.py", self.port, origin.port, self.how)


class BareSendfile(BareCopy):
    how = "sendfile"


BARE = {"bare-copy": BareCopy, "bare-sendfile": BareSendfile}


def build(binary):
    """The class for a further build of this project."""
    return type("Ours", (Ours,), {"binary": Path(binary).absolute()})
