"""Requests at a constant rate, whatever becomes of them: ``python -m loadtests.openloop URL --path … --rate …``.

People do not wait for each other's answers, so a server that stands still for a second has a second's requests waiting
afterwards. A client that sends the next request only after the last answer leaves those out. Here each request has a
moment at which it is meant to be sent, and its latency counts from that moment: also while it waits for a free
connection, and also when we were late ourselves, which is told.
"""

import contextlib
import csv
import gc
import itertools
import json
import math
import os
import random
import select
import socket
import sys
import time
from argparse import ArgumentParser
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9, 100.0)
LEAST_LAG: Final = 0.001
"""Seconds by which requests may be sent late before it matters."""
MOST_LAG: Final = 0.2
"""The part of the latency that may be our own lag, of both the 99th percentile."""
MOST_BUSY: Final = 0.9
"""Part of a core that we may use."""
GROWTH: Final = 1.03
"""From one class of a histogram to the next one."""
_CUT: Final = 0
"""The status of a request whose connection ended before the answer."""


class Plan(Struct, frozen=True, kw_only=True):
    """What to send.

    Attributes:
        urls: ``http://host:port`` or ``unix:///path``; connections take turns with them.
        requests: whole requests, sent one after another and over again.
        rate: requests a second; 0: as many as the connections carry, which tells the capacity and no honest latency.
        seconds: how long.
        connections: at most; they are opened when they are needed.
        settle: seconds at the beginning that are not counted.
        drain: seconds to wait for the last answers, from the end or from when the last request was sent late.
        poisson: intervals are exponential rather than equal.
        start: the number of the request to begin with.
    """

    urls: list[str]
    requests: list[bytes]
    rate: float
    seconds: float
    connections: int = 128
    settle: float = 0.0
    drain: float = 2.0
    poisson: bool = False
    start: int = 0


class Outcome(Struct, frozen=True, kw_only=True):
    """What came back.

    Attributes:
        offered: requests a second that were meant to be sent.
        achieved: answers a second.
        statuses: answers by their status; 0: the connection ended first.
        unanswered: requests that had no answer at the end; their latency is the time until then, and counted.
        latencies: of all of them, as a histogram: the number of each class, by its index.
        highest: the longest latency.
        lag: seconds by which 99 of 100 requests were sent late by ourselves at most, although a connection was free.
        busy: the part of a core that we used.
        connections: that were open at the same time.
        seconds: from the first moment that counts to the last.
        answers: all of them, also those that do not count.
    """

    offered: float
    achieved: float
    statuses: dict[int, int]
    unanswered: int
    latencies: dict[int, int]
    highest: float
    lag: float
    busy: float
    connections: int
    seconds: float
    answers: int

    @property
    def requests(self) -> int:
        """All that were meant to be sent and count."""
        return sum(self.latencies.values())

    @property
    def errors(self) -> int:
        """Those that had no answer, or one of 400 and above."""
        return self.unanswered + sum(count for status, count in self.statuses.items() if not 200 <= status < 400)

    @property
    def is_generator_bound(self) -> bool:
        """Whether we were the bottleneck."""
        is_late = bool(self.latencies) and self.lag > max(LEAST_LAG, MOST_LAG * self.percentile(99.0))
        return is_late or self.busy > MOST_BUSY

    def percentile(self, percent: float) -> float:
        """The latency in seconds that so many of a hundred requests did not exceed."""
        return min(percentile(self.latencies, percent), self.highest)


def class_of(latency: float) -> int:
    """The class of a latency: each is 3 % wide, from a microsecond on."""
    return max(0, math.ceil(math.log(max(latency, 1e-6) / 1e-6, GROWTH)))


def percentile(histogram: dict[int, int], percent: float) -> float:
    """The upper end of the class in which so many of a hundred are reached; too high by 3 % at most.

    Raises:
        ValueError: the histogram is empty.
    """
    rank = max(1, math.ceil(sum(histogram.values()) * percent / 100 - 1e-9))
    for number, reached in zip(
        sorted(histogram), itertools.accumulate(histogram[n] for n in sorted(histogram)), strict=True
    ):
        if reached >= rank:
            return float(1e-6 * GROWTH**number)
    raise ValueError("There are no latencies.")


def moments(plan: Plan) -> Iterator[float]:
    """When to send, in seconds from the beginning: evenly, or as a Poisson process, the same one each time."""
    if not plan.poisson:
        yield from (number / plan.rate for number in range(int(plan.rate * plan.seconds)))
        return
    chance = random.Random(1)
    moment = chance.expovariate(plan.rate)
    while moment < plan.seconds:
        yield moment
        moment += chance.expovariate(plan.rate)


class Connection:
    """One connection, with at most one request under way.

    Attributes:
        intended: when that request was meant to be sent.
    """

    __slots__ = ("intended", "received", "socket")

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(parts.path)
        else:
            self.socket = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 80))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.intended = 0.0
        self.received = b""

    def receive(self) -> bytes | None:
        """The whole answer, None while more of it has to come.

        Raises:
            ConnectionError: the server has closed the connection.
        """
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("The server hung up.")
        data = self.received + data
        if is_complete(data):
            self.received = b""
            return data
        self.received = data
        return None


def is_complete(data: bytes) -> bool:
    """Whether this is a whole answer of HTTP/1.1."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = data[: end + 2].lower()
    found = head.find(b"\r\ncontent-length:")
    if found >= 0:
        return len(data) >= end + 4 + int(head[found + 17 : head.find(b"\r", found + 2)])
    return b"\r\ntransfer-encoding: chunked" not in head or data.endswith(b"0\r\n\r\n")


class Generator:
    """Sends a plan's requests, and takes down what comes of them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._urls = itertools.cycle(plan.urls)
        shift = plan.start % len(plan.requests)
        self._requests = itertools.cycle(plan.requests[shift:] + plan.requests[:shift])
        self._poller = select.epoll()
        self._open: dict[int, Connection] = {}
        self._idle: list[Connection] = []
        self._waiting: deque[float] = deque()
        self._under_way: set[Connection] = set()
        self._latencies = array("d")
        self._lags = array("d")
        self._statuses: Counter[int] = Counter()
        self._answered_in_time = 0
        self._answers = 0
        self._most_open = 0
        self._counts_from = 0.0
        self._end = 0.0

    def run(self) -> Outcome:
        """Send everything.

        Raises:
            OSError: nobody listens there.
        """
        self._idle.append(self._connect())
        begin = time.perf_counter()
        self._counts_from, self._end = begin + self._plan.settle, begin + self._plan.seconds
        if self._plan.rate == 0:
            for _ in range(self._plan.connections):
                self._send(begin)
            due: Iterator[float] = iter(())
        else:
            due = (begin + moment for moment in moments(self._plan))
        used = self._loop(due)
        return self._outcome(time.perf_counter(), used)

    def _loop(self, due: Iterator[float]) -> float:
        """Send what is due and take what comes; our CPU seconds since the moment that counts."""
        upcoming, used, limit = next(due, math.inf), None, math.inf
        # All that was due is sent, also when we stood still beyond the end.
        while (now := time.perf_counter()) < limit:
            if used is None and now >= self._counts_from:
                used = time.process_time()
            while upcoming <= now:
                self._offer(upcoming)
                upcoming = next(due, math.inf)
                now = time.perf_counter()
            if limit == upcoming == math.inf:
                limit = max(now, self._end) + self._plan.drain
            if now >= self._end and not self._under_way:
                break
            until = min(upcoming, limit if self._under_way else max(now, self._end))
            # An epoll object waits for whole milliseconds only.
            if select.select([self._poller], [], [], max(0.0, until - now))[0]:
                for descriptor, _ in self._poller.poll(0):
                    self._receive(self._open[descriptor])
        return time.process_time() - (used or 0.0)

    def _offer(self, intended: float) -> None:
        if self._idle or len(self._open) < self._plan.connections:
            self._send(intended)
            if intended >= self._counts_from:
                self._lags.append(time.perf_counter() - intended)
        else:
            self._waiting.append(intended)

    def _send(self, intended: float) -> None:
        try:
            connection = self._idle.pop() if self._idle else self._connect()
        except OSError:
            self._take_down(intended, time.perf_counter(), _CUT)
            return
        connection.intended = intended
        self._under_way.add(connection)
        try:
            connection.socket.sendall(next(self._requests))
        except OSError:
            self._drop(connection)

    def _connect(self) -> Connection:
        connection = Connection(next(self._urls))
        self._open[connection.socket.fileno()] = connection
        self._most_open = max(self._most_open, len(self._open))
        self._poller.register(connection.socket, select.EPOLLIN)
        return connection

    def _receive(self, connection: Connection) -> None:
        try:
            answer = connection.receive()
        except OSError:
            self._drop(connection)
            return
        if answer is None:
            return
        now = time.perf_counter()
        self._under_way.remove(connection)
        self._take_down(connection.intended, now, int(answer[9:12]))
        if b"\r\nconnection: close" in answer[:2048].lower():
            self._close(connection)
        else:
            self._idle.append(connection)
        self._go_on(now)

    def _go_on(self, now: float) -> None:
        if self._waiting:
            self._send(self._waiting.popleft())
        elif self._plan.rate == 0 and now < self._end:
            self._send(now)

    def _take_down(self, intended: float, now: float, status: int) -> None:
        if intended >= self._counts_from:
            self._latencies.append(now - intended)
            self._statuses[status] += 1
        if status != _CUT:
            self._answers += 1
            self._answered_in_time += self._counts_from <= now < self._end

    def _drop(self, connection: Connection) -> None:
        """The server has closed it: while it was idle, which it may, or under a request."""
        self._close(connection)
        if connection in self._under_way:
            self._under_way.remove(connection)
            self._take_down(connection.intended, now := time.perf_counter(), _CUT)
            self._go_on(now)
        else:
            self._idle.remove(connection)

    def _close(self, connection: Connection) -> None:
        del self._open[connection.socket.fileno()]
        connection.socket.close()

    def _outcome(self, now: float, used: float) -> Outcome:
        left = [*(connection.intended for connection in self._under_way), *self._waiting]
        unanswered = [now - intended for intended in left if intended >= self._counts_from]
        self._latencies.extend(unanswered)
        for connection in self._open.values():
            connection.socket.close()
        self._poller.close()
        seconds = self._plan.seconds - self._plan.settle
        lags = Counter(map(class_of, self._lags))
        return Outcome(
            offered=len(self._latencies) / seconds,
            achieved=self._answered_in_time / seconds,
            statuses=dict(self._statuses),
            unanswered=len(unanswered),
            latencies=dict(Counter(map(class_of, self._latencies))),
            highest=max(self._latencies, default=0.0),
            lag=percentile(lags, 99.0) if lags else 0.0,
            busy=used / (now - self._counts_from),
            connections=self._most_open,
            seconds=seconds,
            answers=self._answers,
        )


def generate(plan: Plan) -> Outcome:
    """Send a plan's requests, before anybody else has the processor where we may say so.

    We stand for people on machines of their own. The process keeps its priority, and collects no garbage any more: it
    had better be one of its own.

    Raises:
        OSError: nobody listens there.
    """
    gc.disable()
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    return Generator(plan).run()


def request(method: str, path: str, headers: Iterable[str] = (), body: bytes = b"") -> bytes:
    """A request, with ``Name: value`` lines as headers."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Accept: application/json", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def table(outcome: Outcome) -> str:
    """The outcome for a person."""
    shown = [
        f"offered {outcome.offered:.1f}/s, answered {outcome.achieved:.1f}/s over {outcome.connections} connections",
        f"statuses {outcome.statuses}, unanswered {outcome.unanswered}",
    ]
    if outcome.latencies:
        names = ("max" if percent == 100 else f"p{percent:g}" for percent in PERCENTILES)
        values = (f"{outcome.percentile(percent) * 1e3:.2f} ms" for percent in PERCENTILES)
        shown.append("  ".join(f"{name} {value}" for name, value in zip(names, values, strict=True)))
    shown.append(f"the generator: {outcome.busy:.0%} of a core, p99 of its own lag {outcome.lag * 1e3:.2f} ms")
    if outcome.is_generator_bound:
        shown.append("THE GENERATOR WAS THE BOTTLENECK: these latencies are its own.")
    return "\n".join(shown)


def write_csv(outcome: Outcome, file: Path) -> None:
    """The histogram of latencies: the upper end of each class in seconds, and how many are in it."""
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(("seconds", "requests"))
        writer.writerows(
            (f"{1e-6 * GROWTH**number:.6f}", outcome.latencies[number]) for number in sorted(outcome.latencies)
        )


def main() -> None:
    """Run from the command line; fails when the generator was the bottleneck."""
    parser = ArgumentParser(description="Requests at a constant rate, their latencies from when they were to be sent.")
    parser.add_argument("urls", nargs="*", help="http://host:port or unix:///path (http://127.0.0.1:8000)")
    parser.add_argument("--path", default="/health/live", help="(default: %(default)s)")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--header", action="append", default=[], help="such as 'Cookie: access_token=…'")
    parser.add_argument("--body", default="", help="JSON")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second; 0: what the connections carry")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--settle", type=float, default=1.0, help="seconds at the beginning that are not counted")
    parser.add_argument("--connections", type=int, default=128, help="at most")
    parser.add_argument("--poisson", action="store_true", help="exponential intervals rather than equal ones")
    parser.add_argument("--json", type=Path, help="where the outcome goes")
    parser.add_argument("--csv", type=Path, help="where the histogram goes")
    options = parser.parse_args()
    urls = options.urls or ["http://127.0.0.1:8000"]
    if unknown := [url for url in urls if urlsplit(url).scheme not in {"http", "unix"}]:
        parser.error(f"{unknown[0]} is neither http://… nor unix://…: there is no TLS here")
    plan = Plan(
        urls=urls,
        requests=[request(options.method, options.path, options.header, options.body.encode())],
        rate=options.rate,
        seconds=options.settle + options.seconds,
        settle=options.settle,
        connections=options.connections,
        poisson=options.poisson,
    )
    try:
        outcome = generate(plan)
    except OSError as error:
        parser.exit(1, f"Error: {error}\n")
    print(table(outcome))
    if options.json:
        options.json.write_text(json.dumps(msgspec.to_builtins(outcome), indent=1) + "\n")
    if options.csv:
        write_csv(outcome, options.csv)
    sys.exit(1 if outcome.is_generator_bound and options.rate else 0)


if __name__ == "__main__":
    main()
