#!/usr/bin/env python3
"""What the machine takes for an answer, whoever sends it: no cache, no checks, no parser to speak of. Fetches what it is asked for from
the origin once, keeps it, and sends it: `copy` from its memory, `sendfile` from a file. Used by run.py, `--bare`."""

import argparse
import http.client
import os
import selectors
import socket
import tempfile

# The most that is handed to the kernel at once.
PIECE = 1 << 20


class Bare:
    """One thread, one selector."""

    def __init__(self, origin, how):
        self.origin, self.how = origin, how
        self.selector, self.objects = selectors.DefaultSelector(), {}

    def run(self, listener):
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, events in self.selector.select():
                if key.fileobj is listener:
                    client, _ = listener.accept()
                    client.setblocking(False)
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.selector.register(client, selectors.EVENT_READ, {})
                elif events & selectors.EVENT_WRITE:
                    self.attend(self.send, key.fileobj, key.data, selectors.EVENT_WRITE)
                else:
                    self.attend(self.read, key.fileobj, key.data)

    def attend(self, step, client, *arguments):
        try:
            step(client, *arguments)
        except ConnectionError:
            self.selector.unregister(client)
            client.close()

    def read(self, client, state):
        request = client.recv(4096)
        if not request:
            raise ConnectionResetError
        path = request.split(b" ", 2)[1].decode()
        if path not in self.objects:
            self.objects[path] = self.fetch(path)
        state["object"], state["at"] = self.objects[path], 0
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % state["object"][1], socket.MSG_MORE)
        self.send(client, state, selectors.EVENT_READ)

    def fetch(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.origin, timeout=10)
        connection.request("GET", path)
        body = connection.getresponse().read()
        if self.how == "copy":
            return memoryview(body), len(body)
        file = tempfile.TemporaryFile(dir=".")
        file.write(body)
        file.flush()
        return file, len(body)

    def send(self, client, state, registered):
        source, length = state["object"]
        wanted = selectors.EVENT_READ
        try:
            while state["at"] < length:
                if self.how == "copy":
                    state["at"] += client.send(source[state["at"] : state["at"] + PIECE])
                else:
                    state["at"] += os.sendfile(client.fileno(), source.fileno(), state["at"], PIECE)
        except BlockingIOError:
            wanted = selectors.EVENT_WRITE
        if wanted != registered:
            self.selector.modify(client, wanted, state)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("origin", type=int, help="its port")
    parser.add_argument("how", choices=["copy", "sendfile"])
    arguments = parser.parse_args()
    with socket.create_server(("127.0.0.1", arguments.port), backlog=1024) as listener:
        # Without BBR's pauses, which are no necessity.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        Bare(arguments.origin, arguments.how).run(listener)


if __name__ == "__main__":
    main()
