#!/usr/bin/env python3
"""A long line, for kernels that cannot make one (netem): relays connections to a port of this machine as if it were so many
milliseconds away and lost one segment in so many. What TCP makes of that is modelled: the handshake, slow start, slow start
after idle times, a lost segment that holds up what follows for a round trip and halves the window (RFC 5681, RFC 6928)."""

import argparse
import asyncio
import random
from collections import deque

SEGMENT = 1460
INITIAL = 10 * SEGMENT
# Idle for longer than this, the window is the initial one again (RFC 5681 §4.1).
RETRANSMISSION_TIMEOUT = 0.25
# Bytes under way in one direction of one connection.
MOST = 8 << 20


class Direction:
    """One direction of one connection."""

    def __init__(self, delay, loss, draw):
        self.delay, self.loss, self.draw = delay, loss, draw
        self.window, self.threshold = INITIAL, float("inf")
        self.under_way = deque()
        self.bytes = 0
        self.sent = self.arrived = 0.0

    def arrival(self, now, length):
        """When a segment that is handed to TCP at `now` can be read at the other end."""
        now = max(now, self.sent)
        if now - self.sent > RETRANSMISSION_TIMEOUT + 2 * self.delay:
            self.window = min(self.window, INITIAL)
        while self.under_way and (self.under_way[0][0] <= now or self.bytes + length > self.window):
            acknowledged, bytes_ = self.under_way.popleft()
            now = max(now, acknowledged)
            self.bytes -= bytes_
            self.window += bytes_ if self.window < self.threshold else bytes_ * SEGMENT / self.window
        self.sent = now
        arrives = now + self.delay
        if self.draw.random() < self.loss:
            arrives += 2 * self.delay
            self.threshold = self.window = max(self.window / 2, 2 * SEGMENT)
        # In order.
        self.arrived = max(self.arrived, arrives)
        self.under_way.append((self.arrived + self.delay, length))
        self.bytes += length
        return self.arrived


async def relay(reader, writer, direction, begin):
    """Hands on what comes, each segment at its time."""
    loop = asyncio.get_running_loop()
    waiting = asyncio.Queue()
    room = asyncio.Semaphore(MOST // SEGMENT)

    async def deliver():
        while (segment := await waiting.get()) is not None:
            at, data = segment
            await asyncio.sleep(max(0, at - loop.time()))
            room.release()
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    delivery = asyncio.create_task(deliver())
    try:
        while data := await reader.read(1 << 16):
            for start in range(0, len(data), SEGMENT):
                segment = data[start : start + SEGMENT]
                await room.acquire()
                waiting.put_nowait((direction.arrival(max(loop.time(), begin), len(segment)), segment))
        waiting.put_nowait(None)
        await delivery
    except OSError:
        delivery.cancel()


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("to", type=int)
    parser.add_argument("--delay", type=float, default=0.025, help="one way, in seconds (default %(default)s)")
    parser.add_argument("--loss", type=float, default=0.001, help="share of segments (default %(default)s)")
    arguments = parser.parse_args()
    draw = random.Random(1)

    async def connected(reader, writer):
        # The client believes itself connected at once; the handshake takes a round trip.
        begin = asyncio.get_running_loop().time() + 2 * arguments.delay
        there = await asyncio.open_connection("127.0.0.1", arguments.to)
        ways = [(reader, there[1]), (there[0], writer)]
        directions = [Direction(arguments.delay, arguments.loss, draw) for _ in ways]
        await asyncio.gather(*(relay(*way, each, begin) for way, each in zip(ways, directions)))
        for end in [writer, there[1]]:
            end.close()

    server = await asyncio.start_server(connected, "127.0.0.1", arguments.port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
