#!/usr/bin/env python3
"""What the machine takes for a herd, whoever serves it: a sender that knows nothing but one object. Not a cache and not a proxy.

It fetches the first object it is asked for from the first of its strata, goes on at the second when that one breaks off,
and hands what came to all who ask, from two threads. Used by herd.py as the server `floor`."""

import argparse
import re
import selectors
import socket
import threading

THREADS = 2
CHUNK = 256 << 10


class Transfer:
    """The object while it comes: all senders read from one buffer."""

    def __init__(self, ports, senders):
        self.ports, self.senders = ports, senders
        self.asked = threading.Lock()
        self.started = False
        self.len, self.came, self.buffer = None, 0, None

    def start(self, path):
        with self.asked:
            if not self.started:
                self.started = True
                threading.Thread(target=self.fetch, args=[path], daemon=True).start()

    def fetch(self, path):
        for port in self.ports:
            with socket.create_connection(("127.0.0.1", port)) as stratum:
                fields = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                fields += f"Range: bytes={self.came}-\r\n" if self.came else ""
                stratum.sendall(f"{fields}\r\n".encode())
                self.read(stratum)
            if self.came == self.len:
                return

    def read(self, stratum):
        head = b""
        while b"\r\n\r\n" not in head:
            more = stratum.recv(CHUNK)
            if not more:
                return
            head += more
        head, _, first = head.partition(b"\r\n\r\n")
        if self.buffer is None:
            self.len = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
            self.buffer = memoryview(bytearray(self.len))
        self.buffer[self.came : self.came + len(first)] = first
        told = self.came
        self.came += len(first)
        while self.came < self.len:
            try:
                n = stratum.recv_into(self.buffer[self.came :])
            except OSError:
                n = 0
            if not n:
                break
            self.came += n
            if self.came - told >= CHUNK or told == 0:
                told = self.came
                self.tell()
        self.tell()

    def tell(self):
        for sender in self.senders:
            sender.wake.send(b"1")


class Sender:
    """Some of the clients, in a thread of its own."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.wake, self.woken = socket.socketpair()
        self.woken.setblocking(False)
        self.new = []
        self.waiting = set()

    def add(self, client):
        self.new.append(client)
        self.wake.send(b"1")

    def run(self, transfer):
        self.selector.register(self.woken, selectors.EVENT_READ)
        while True:
            for key, events in self.selector.select():
                if key.fileobj is self.woken:
                    self.woken.recv(4096)
                    while self.new:
                        client = self.new.pop()
                        client.setblocking(False)
                        self.selector.register(client, selectors.EVENT_READ, {"at": None, "head": b""})
                    for client in list(self.waiting):
                        self.send(client, self.selector.get_key(client).data, transfer)
                elif events & selectors.EVENT_WRITE:
                    self.send(key.fileobj, key.data, transfer)
                else:
                    self.read(key.fileobj, key.data, transfer)

    def read(self, client, state, transfer):
        data = client.recv(4096)
        if not data:
            self.selector.unregister(client)
            self.waiting.discard(client)
            client.close()
            return
        state["head"] += data
        if state["head"].endswith(b"\r\n\r\n"):
            target = state["head"].split(b" ", 2)[1].decode()
            state["head"] = b""
            state["at"] = None
            transfer.start("/" + target.split("/", 3)[3] if "://" in target else target)
            self.send(client, state, transfer)

    def send(self, client, state, transfer):
        """As much as came and the client takes; then one of the two is waited for."""
        if transfer.buffer is None:
            self.waiting.add(client)
            return
        try:
            if state["at"] is None:
                client.send(f"HTTP/1.1 200 OK\r\nContent-Length: {transfer.len}\r\n\r\n".encode(), socket.MSG_MORE)
                state["at"] = 0
            while state["at"] < transfer.came:
                state["at"] += client.send(transfer.buffer[state["at"] : min(transfer.came, state["at"] + CHUNK)])
        except BlockingIOError:
            self.waiting.discard(client)
            self.selector.modify(client, selectors.EVENT_WRITE, state)
            return
        except OSError:
            self.selector.unregister(client)
            self.waiting.discard(client)
            return
        if self.selector.get_key(client).events != selectors.EVENT_READ:
            self.selector.modify(client, selectors.EVENT_READ, state)
        if state["at"] == transfer.len:
            self.waiting.discard(client)
        else:
            self.waiting.add(client)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("strata", type=int, nargs="+", help="their ports")
    arguments = parser.parse_args()
    senders = [Sender() for _ in range(THREADS)]
    transfer = Transfer(arguments.strata, senders)
    for sender in senders:
        threading.Thread(target=sender.run, args=[transfer], daemon=True).start()
    with socket.create_server(("127.0.0.1", arguments.port), backlog=1024) as listener:
        # Without BBR's pauses, which are no necessity.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        turn = 0
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            senders[turn % THREADS].add(client)
            turn += 1


if __name__ == "__main__":
    main()
