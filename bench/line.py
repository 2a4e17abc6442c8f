#!/usr/bin/env python3
"""A long line, also for kernels that cannot make one (netem): relays connections to a port of this machine over TCP that crosses a
network device (tun), where each packet takes so many milliseconds and one in so many is lost. What TCP makes of that is the kernel's.

The device throws back what is sent to `THERE`, with sender and receiver exchanged: it comes to `OURS` as if from there (checksums
of IP and TCP are sums, so they stay right). A packet may take a millisecond more: so coarse are timers."""

import argparse
import asyncio
import fcntl
import os
import random
import socket
import struct
import subprocess
from collections import deque

# Of a network that is meant for measuring (RFC 2544, appendix C.2.2).
OURS, THERE = "198.18.0.1", "198.18.0.2"
# The kernel refuses a second device of this name: one line at a time.
NAME = b"longline"
# linux/if_tun.h
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
PACKET = 1 << 16
# In IPv4's head: who sends, who receives (RFC 791 §3.1).
SENDER, RECEIVER, BEHIND = 12, 16, 20
PIECE = 1 << 16


class Line:
    """The device."""

    def __init__(self, delay, loss):
        self.delay, self.loss, self.draw = delay, loss, random.Random(1)
        self.under_way = deque()
        self.loop = asyncio.get_running_loop()
        self.device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.device, TUNSETIFF, struct.pack("16sH22x", NAME, IFF_TUN | IFF_NO_PI))
        subprocess.run(["ip", "address", "add", f"{OURS}/30", "dev", NAME], check=True)
        subprocess.run(["ip", "link", "set", NAME, "txqueuelen", "10000", "up"], check=True)

    def begin(self):
        """From now on, packets pass."""
        self.loop.add_reader(self.device, self.take)

    def take(self):
        """What was sent: each packet arrives later, or never."""
        idle = not self.under_way
        while True:
            try:
                packet = os.read(self.device, PACKET)
            except BlockingIOError:
                break
            if packet[RECEIVER:BEHIND] == socket.inet_aton(THERE) and self.draw.random() >= self.loss:
                back = packet[:SENDER] + packet[RECEIVER:BEHIND] + packet[SENDER:RECEIVER] + packet[BEHIND:]
                self.under_way.append((self.loop.time() + self.delay, back))
        if idle and self.under_way:
            self.loop.call_at(self.under_way[0][0], self.deliver)

    def deliver(self):
        """All that is due."""
        try:
            while self.under_way and self.under_way[0][0] <= self.loop.time():
                os.write(self.device, self.under_way.popleft()[1])
        finally:
            if self.under_way:
                self.loop.call_at(self.under_way[0][0], self.deliver)


async def hand_on(reader, writer):
    """One direction of one connection, to its end."""
    try:
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


async def relay(port, address, to, control):
    """Listens on a port of `address[0]`, gives each connection one of its own to `address[1]`, and returns the port."""

    async def connected(reader, writer):
        # asyncio sends without delay what says that it is TCP.
        further = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        further.setblocking(False)
        further.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control)
        try:
            await asyncio.get_running_loop().sock_connect(further, (address[1], to))
        except OSError:
            further.close()
            writer.transport.abort()
            return
        there = await asyncio.open_connection(sock=further)
        await asyncio.gather(hand_on(reader, there[1]), hand_on(there[0], writer))
        for end in [writer, there[1]]:
            end.close()

    server = await asyncio.start_server(connected, address[0], port, backlog=1024)
    listener = server.sockets[0]
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control)
    return listener.getsockname()[1]


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("to", type=int)
    parser.add_argument("--delay", type=float, default=0.025, help="one way, in seconds (default %(default)s)")
    parser.add_argument("--loss", type=float, default=0.001, help="share of packets (default %(default)s)")
    parser.add_argument("--control", default="cubic", help="of congestion, see tcp(7) (default %(default)s)")
    arguments = parser.parse_args()
    Line(arguments.delay, arguments.loss).begin()
    control = arguments.control.encode()
    far = await relay(0, (OURS, "127.0.0.1"), arguments.to, control)
    await relay(arguments.port, ("127.0.0.1", THERE), far, control)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
