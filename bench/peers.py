"""The servers before a group of strata: configured from config/mirrors-*, with time limits that suit clients who leave after 5 s."""

import os
import shutil
import subprocess

from servers import Server, free_port, user


class Peer(Server):
    """A server before the strata at these ports."""

    def __init__(self, name, folder, ports):
        super().__init__(name, folder, ",".join(map(str, sorted(os.sched_getaffinity(0)))))
        self.ports = ports


class Substratum(Peer):
    """A build of this project, with the defaults."""

    binary = None

    def __init__(self, name, folder, ports):
        super().__init__(name, folder, ports)
        urls = ", ".join(f'"http://127.0.0.1:{port}"' for port in ports)
        file = self.write("mirrors-substratum.toml", "substratum.toml", admin=free_port(), urls=urls)
        self.run(self.binary, "--config", file, "serve")


class Squid(Peer):
    """As sites run it: the client chooses the stratum."""

    # Half of the client's patience, so that the client hears in time whom to blame.
    limits = "connect_timeout 1 seconds\nread_timeout 3 seconds\nforward_timeout 4 seconds"
    kind = ""

    def __init__(self, name, folder, ports):
        super().__init__(name, folder, ports)
        peers = "\n".join(
            f"cache_peer 127.0.0.1 parent {port} 0 no-query originserver name=stratum{number} {self.kind}"
            f" connect-timeout=1 connect-fail-limit=2" for number, port in enumerate(ports)
        )
        if self.kind:
            peers += "\nnever_direct allow all\nretry_on_error on\nforward_max_tries 3"
        file = self.write("mirrors-squid.conf", "squid.conf", limits=self.limits, peers=peers if self.kind else "")
        if os.geteuid() == 0:
            # It drops root's rights for this user's, who must be able to reach the folder.
            shutil.chown(self.folder, "proxy", "proxy")
        subprocess.run(["squid", "-z", "-N", "-f", file], check=True, capture_output=True)
        self.run("squid", "-N", "-f", file)


class SquidUntuned(Squid):
    """squid's own time limits, as frontier-squid leaves them."""

    limits = ""


class SquidPeers(Squid):
    """The strata as its peers: squid chooses, whatever the client names."""

    limits = "connect_timeout 1 seconds\nread_timeout 2 seconds\nforward_timeout 4 seconds"
    kind = "round-robin"


class Nginx(Peer):
    """proxy_cache with proxy_next_upstream."""

    # Its own default. Whoever waits longer asks by himself.
    lock_timeout = "5s"

    def __init__(self, name, folder, ports):
        super().__init__(name, folder, ports)
        urls = "\n        ".join(f"server 127.0.0.1:{port} max_fails=2 fail_timeout=5s;" for port in ports)
        file = self.write("mirrors-nginx.conf", "nginx.conf", urls=urls, user=user(), lock_timeout=self.lock_timeout)
        self.run("nginx", "-e", self.folder / "error.log", "-c", file)


class Varnish(Peer):
    """A director with probes, and retries."""

    director = "round_robin"

    def __init__(self, name, folder, ports):
        super().__init__(name, folder, ports)
        backends = "\n".join(
            f'backend stratum{number} {{ .host = "127.0.0.1"; .port = "{port}"; .probe = stratum;'
            f" .connect_timeout = 1s; .first_byte_timeout = 1500ms; .between_bytes_timeout = 3s; }}"
            for number, port in enumerate(ports)
        )
        members = "\n    ".join(f"strata.add_backend(stratum{number});" for number in range(len(ports)))
        file = self.write("mirrors-varnish.vcl", "strata.vcl", backends=backends, members=members, director=self.director)
        command = ["varnishd", "-F", "-j", "none", "-n", self.folder / "work", "-f", file, "-s", "malloc,1G"]
        # Large enough for the herd, which is more than the default number of threads can wait for.
        self.run(*command, "-a", f"127.0.0.1:{self.port}", "-p", "thread_pool_max=2000", "-p", "thread_pool_min=600")


PEERS = {
    "substratum": Substratum,
    "squid": Squid,
    "squid-untuned": SquidUntuned,
    "squid-peers": SquidPeers,
    "nginx": Nginx,
    "varnish": Varnish,
}
