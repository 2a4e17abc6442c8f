"""The five programs, each configured for caching and otherwise as its makers ship it; see ../config."""

import os
import re
import shutil
import subprocess

from servers import Server, free_port, lay_out_traffic_server, user

CORES = "0-%d" % (os.cpu_count() - 1)
# A proxy is asked in absolute form, a program that only stands for a server in origin form.
FORWARD, REVERSE = "forward", "reverse"


class Program(Server):
    """One of the compared programs before one origin."""

    form = FORWARD

    def __init__(self, folder, origin):
        super().__init__(type(self).__name__.lower(), folder, CORES)
        self.values |= {"origin": origin.port, "user": user()}


class Substratum(Program):
    def __init__(self, folder, origin, binary):
        super().__init__(folder, origin)
        self.binary = binary
        self.values["admin"] = free_port()
        self.run(binary, "--config", self.write("conformance.toml", "substratum.toml"), "serve")

    @staticmethod
    def version(binary):
        return said(binary, "--version")


class Squid(Program):
    def __init__(self, folder, origin, _):
        super().__init__(folder, origin)
        self.run("squid", "-N", "-f", self.write("squid.conf", "squid.conf"))

    @staticmethod
    def version(_):
        return "squid " + re.search(r"Version (\S+)", said("squid", "-v"))[1]


class Nginx(Program):
    form = REVERSE

    def __init__(self, folder, origin, _):
        super().__init__(folder, origin)
        file = self.write("conformance-nginx.conf", "nginx.conf")
        self.run("nginx", "-e", self.folder / "error.log", "-c", file)

    @staticmethod
    def version(_):
        return said("nginx", "-v").removeprefix("nginx version: ").replace("/", " ")


class Varnish(Program):
    """Without a VCL of its own: the built-in one."""

    form = REVERSE

    def __init__(self, folder, origin, _):
        super().__init__(folder, origin)
        listen, backend = f"127.0.0.1:{self.port}", f"127.0.0.1:{origin.port}"
        self.run("varnishd", "-F", "-j", "none", "-T", "none", "-n", self.folder / "work",
                 "-s", "malloc,64m", "-a", listen, "-b", backend)  # fmt: skip

    @staticmethod
    def version(_):
        return re.search(r"varnish-\S+", said("varnishd", "-V"))[0].replace("-", " ")


class TrafficServer(Program):
    def __init__(self, folder, origin, _):
        super().__init__(folder, origin)
        self.run(*lay_out_traffic_server(self, ["trafficserver"]))

    @staticmethod
    def version(_):
        return "trafficserver " + re.search(r"Traffic Server (\S+)", said("traffic_server", "-V"))[1]


PROGRAMS = {one.__name__.lower(): one for one in [Substratum, Squid, Nginx, Varnish, TrafficServer]}
COMMANDS = {"squid": "squid", "nginx": "nginx", "varnish": "varnishd", "trafficserver": "traffic_server"}


def is_installed(name):
    return name not in COMMANDS or shutil.which(COMMANDS[name]) is not None


def said(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else "?"
