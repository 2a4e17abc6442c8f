"""What the check of packages needs around them: a stratum, clients that never rest, and somebody who holds the sockets.

The holder stands in for systemd's socket units: it opens the port, starts the program on it as systemd would
(sd_listen_fds(3)), and starts it anew on the same socket.
"""

import http.server
import os
import signal
import socket
import subprocess
import threading
import urllib.request


class Stratum:
    """Serves a folder as a stratum does, and counts."""

    def __init__(self, folder):
        self.requests = 0

        class Handler(http.server.SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __init__(handler, *arguments):
                super().__init__(*arguments, directory=folder)

            def do_GET(handler):
                self.requests += 1
                super().do_GET()

            def log_message(handler, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Service:
    """The program in a root folder, as its own user, on a socket that outlives it."""

    def __init__(self, root, config):
        self.root, self.config, self.process = root, config, None
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.socket.getsockname()[1]

    def start(self):
        # The process that is started becomes the program: LISTEN_PID is its own.
        script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec setpriv --reuid=substratum --regid=substratum --clear-groups "
        script += "/usr/bin/substratum --config %s 3<&0 0</dev/null" % self.config
        self.process = subprocess.Popen(
            ["chroot", self.root, "/bin/sh", "-c", script],
            stdin=self.socket,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            text=True,
        )
        said = []
        for line in self.process.stderr:
            said.append(line)
            if line.startswith("listening on"):
                break
        else:
            raise SystemExit("the program does not start:\n" + "".join(said))
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        if self.process:
            self.process.terminate()
            if self.process.wait(60) != 0:
                raise SystemExit("it stops with %d" % self.process.returncode)
            self.process = None

    def restart(self):
        self.stop()
        self.start()

    def running(self):
        """The program as the kernel has it open."""
        return os.readlink("/proc/%d/exe" % self.process.pid)


class Load:
    """Clients that connect anew for each request, through `proxy`, and compare what they get."""

    def __init__(self, proxy, wanted, clients=4):
        self.answered, self.failures, self.resting = 0, [], threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.ask, args=(proxy, wanted)) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def ask(self, proxy, wanted):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))
        while not self.resting.is_set():
            for url, content in wanted:
                try:
                    with opener.open(url, timeout=30) as answer:
                        failure = None if answer.read() == content else "other bytes from " + url
                except OSError as error:
                    failure = "%s: %s" % (url, error)
                with self.lock:
                    self.answered += 1
                    if failure:
                        self.failures.append(failure)

    def more(self, n):
        """Waits for so many more answers."""
        with self.lock:
            until = self.answered + n
        while self.answered < until:
            self.resting.wait(0.01)

    def end(self):
        self.resting.set()
        for thread in self.threads:
            thread.join()
        return self.answered, self.failures
