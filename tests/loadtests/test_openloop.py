"""Latencies count from when a request was meant to be sent, whatever holds it up."""

import csv
import math
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.openloop import (
    GROWTH,
    Generator,
    Outcome,
    Plan,
    class_of,
    is_complete,
    main,
    moments,
    percentile,
    request,
)

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
A_REQUEST = request("GET", "/")


@contextmanager
def server(answer: Callable[[int], bytes], listener: socket.socket | None = None) -> Iterator[str]:
    """Answers each request by its number; nothing hangs up."""
    listening = listener or socket.create_server(("127.0.0.1", 0))
    numbers = iter(range(1_000_000))

    def serve(connection: socket.socket) -> None:
        with connection:
            while connection.recv(65536):
                if not (said := answer(next(numbers))):
                    return
                connection.sendall(said)

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    with listening:
        thread.start()
        name = listening.getsockname()
        yield f"unix://{name}" if isinstance(name, str) else f"http://127.0.0.1:{name[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def plan(url: str, rate: float, seconds: float, connections: int = 16, drain: float = 5.0) -> Plan:
    return Plan(urls=[url], requests=[A_REQUEST], rate=rate, seconds=seconds, connections=connections, drain=drain)


def test_who_waits_behind_a_server_that_stands_still_counts() -> None:
    def stand_still(number: int) -> bytes:
        if number == 10:
            time.sleep(0.4)
        return ANSWER

    with server(stand_still) as url:
        outcome = Generator(plan(url, rate=100, seconds=0.6, connections=1)).run()
    assert outcome.statuses == {200: 60}
    slow = sum(count for number, count in outcome.latencies.items() if GROWTH**number * 1e-6 > 0.1)
    # A client that waited for each answer would have found one.
    assert slow >= 29
    assert outcome.highest >= 0.39


def test_what_was_due_while_the_generator_stood_still_is_sent_and_counts() -> None:
    def stand_still(number: int) -> bytes:
        if number == 2:
            signal.pthread_kill(generating, signal.SIGUSR1)
        return ANSWER

    generating = threading.get_ident()
    before = signal.signal(signal.SIGUSR1, lambda *_: time.sleep(0.5))
    try:
        with server(stand_still) as url:
            outcome = Generator(plan(url, rate=100, seconds=0.2, drain=0.2)).run()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert outcome.requests == 20
    assert outcome.highest >= 0.3


def test_over_a_unix_socket(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    with server(lambda _: ANSWER, listener) as url:
        outcome = Generator(plan(url, rate=200, seconds=0.2)).run()
    assert (outcome.requests, outcome.statuses, outcome.errors) == (40, {200: 40}, 0)


def test_errors_are_told_by_their_status() -> None:
    away = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    answers = {0: away, 1: b""}
    with server(lambda number: answers.get(number, ANSWER)) as url:
        outcome = Generator(plan(url, rate=100, seconds=0.1)).run()
    assert outcome.statuses == {503: 1, 0: 1, 200: 8}
    assert outcome.errors == 2


def test_what_has_no_answer_counts_with_the_time_until_the_end() -> None:
    never = threading.Event()
    with server(lambda _: ANSWER if never.wait(30) else b"") as url:
        outcome = Generator(plan(url, rate=50, seconds=0.1, connections=2, drain=0.2)).run()
        never.set()
    assert (outcome.requests, outcome.unanswered, outcome.connections) == (5, 5, 2)
    assert outcome.percentile(50) >= 0.2


def test_capacity_is_what_the_connections_carry() -> None:
    with server(lambda _: ANSWER) as url:
        outcome = Generator(plan(url, rate=0, seconds=1.0, connections=3)).run()
    assert outcome.connections == 3
    # Each asks again as soon as it has its answer.
    assert outcome.statuses[200] == outcome.answers > 10


@pytest.mark.parametrize(
    ("lag", "busy", "bound"),
    [(0.0005, 0.5, False), (0.0015, 0.5, False), (0.0025, 0.5, True), (0.0, 0.95, True)],
)
def test_the_generator_says_when_it_was_the_bottleneck(lag: float, busy: float, *, bound: bool) -> None:
    outcome = Outcome(
        offered=100,
        achieved=100,
        statuses={200: 100},
        unanswered=0,
        latencies={class_of(0.01): 100},
        highest=0.01,
        lag=lag,
        busy=busy,
        connections=1,
        seconds=1.0,
        answers=100,
    )
    assert outcome.is_generator_bound is bound


def test_the_command_writes_what_came_back(tmp_path: Path) -> None:
    told, histogram = tmp_path / "told.json", tmp_path / "histogram.csv"
    options = ["--rate", "100", "--seconds", "0.2", "--settle", "0", "--json", str(told), "--csv", str(histogram)]
    with server(lambda _: ANSWER) as url:
        done = subprocess.run(
            [sys.executable, "-m", "loadtests.openloop", url, *options], capture_output=True, text=True, check=False
        )
    assert "statuses {200: 20}, unanswered 0" in done.stdout
    # A machine that is busy with other things makes it say so.
    assert done.returncode == ("BOTTLENECK" in done.stdout)
    outcome = msgspec.json.decode(told.read_bytes(), type=Outcome, strict=False)
    with histogram.open() as file:
        classes = list(csv.DictReader(file))
    assert outcome.requests == sum(int(row["requests"]) for row in classes) == 20
    assert float(classes[-1]["seconds"]) == pytest.approx(outcome.highest, rel=0.04)


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        with pytest.raises(OSError, match="refused"):
            Generator(plan(f"unix://{tmp_path / 's'}", rate=1, seconds=1)).run()


def test_what_is_not_plain_http_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["openloop", "https://127.0.0.1"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "https://127.0.0.1 is neither" in capsys.readouterr().err


def test_moments_are_even_or_those_of_a_poisson_process() -> None:
    even = plan("", rate=100, seconds=2)
    assert [round(later - earlier, 9) for earlier, later in pairwise(moments(even))] == [0.01] * 199
    chance = Plan(urls=[], requests=[], rate=1000, seconds=10, poisson=True)
    found = list(moments(chance))
    gaps = [later - earlier for earlier, later in pairwise(found)]
    assert len(found) == pytest.approx(10_000, rel=0.05)
    # Of exponential gaps as many are shorter than their mean.
    assert sum(gap < 0.001 for gap in gaps) / len(gaps) == pytest.approx(1 - math.exp(-1), abs=0.03)


@given(st.lists(st.floats(1e-5, 100), min_size=1), st.floats(0.1, 100))
def test_percentiles_are_those_of_the_sorted_list(latencies: list[float], percent: float) -> None:
    exact = sorted(latencies)[max(1, math.ceil(len(latencies) * percent / 100 - 1e-9)) - 1]
    told = percentile(Counter(map(class_of, latencies)), percent)
    assert exact * (1 - 1e-9) <= told <= exact * GROWTH * (1 + 1e-9)


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 204 No Con", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True),
    ],
)
def test_whole_answers(data: bytes, *, whole: bool) -> None:
    assert is_complete(data) is whole
