"""A client that costs less than any server: ``python -m loadtests.client`` reads a plan and prints what came of it.

It runs in a process of its own. Each connection is kept alive and has one request under way.
"""

import itertools
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator

import msgspec
from msgspec import Struct


class Plan(Struct, frozen=True, kw_only=True):
    """What to send.

    Attributes:
        requests: whole requests, sent one after another and over again.
        connections: requests under way at the same time.
        seconds: how long.
        pause: seconds between an answer and the next request of its connection.
        once: send each request at most once.
    """

    port: int
    requests: list[bytes]
    connections: int = 16
    seconds: float = 3.0
    pause: float = 0.0
    once: bool = False


class Outcome(Struct, frozen=True, kw_only=True):
    """What came back.

    Attributes:
        statuses: answers by their status code.
        seconds: from the first request to the last answer.
        busy: the part of that time in which this client used its core; near 1 it was the bottleneck.
        latencies: seconds from each request to its answer, in their order.
    """

    statuses: dict[int, int]
    seconds: float
    busy: float
    latencies: list[float]

    @property
    def answers(self) -> int:
        """All answers."""
        return sum(self.statuses.values())


def drive(plan: Plan) -> Outcome:
    """Send the plan's requests.

    Raises:
        ConnectionError: the server hung up.
    """
    pending: Iterator[bytes] = iter(plan.requests) if plan.once else itertools.cycle(plan.requests)
    poller = select.epoll()
    connections: dict[int, socket.socket] = {}
    for _ in range(plan.connections):
        connection = socket.create_connection(("127.0.0.1", plan.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections[connection.fileno()] = connection
        poller.register(connection, select.EPOLLIN)
    statuses: Counter[bytes] = Counter()
    latencies: list[float] = []
    received: dict[int, bytes] = dict.fromkeys(connections, b"")
    sent_at: dict[int, float] = {}
    began, used = time.perf_counter(), time.process_time()
    end = began + plan.seconds
    for descriptor, connection in connections.items():
        _send_next(connection, descriptor, pending, sent_at)
    while sent_at:
        for descriptor, _ in poller.poll():
            connection = connections[descriptor]
            data = received[descriptor] + connection.recv(1 << 18)
            if not _complete(data):
                received[descriptor] = data
                continue
            received[descriptor] = b""
            now = time.perf_counter()
            statuses[data[9:12]] += 1
            latencies.append(now - sent_at.pop(descriptor))
            if now < end:
                if plan.pause:
                    time.sleep(plan.pause)
                _send_next(connection, descriptor, pending, sent_at)
    seconds = time.perf_counter() - began
    return Outcome(
        statuses={int(status): count for status, count in statuses.items()},
        seconds=seconds,
        busy=(time.process_time() - used) / seconds,
        latencies=latencies,
    )


def _send_next(connection: socket.socket, descriptor: int, pending: Iterator[bytes], sent_at: dict[int, float]) -> None:
    request = next(pending, None)
    if request is not None:
        sent_at[descriptor] = time.perf_counter()
        connection.sendall(request)


def _complete(data: bytes) -> bool:
    if not data:
        raise ConnectionError("The server hung up.")
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    length = data.find(b"content-length: ", 0, end)
    size = int(data[length + 16 : data.find(b"\r", length)]) if length >= 0 else 0
    return len(data) >= end + 4 + size


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(drive(msgspec.json.decode(sys.stdin.buffer.read(), type=Plan))))
