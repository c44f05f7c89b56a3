"""The crowd's tables and its verdict; the crowd itself needs a service."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from app.domain.imports.reading import read_file
from loadtests.crowd.connections import target_of
from loadtests.crowd.habits import BUDGETS, FEWEST, HABITS, budget_of
from loadtests.crowd.people import address
from loadtests.crowd.recordings import KINDS, recorded
from loadtests.crowd.verdict import Seen, judge

ROOT = Path(__file__).parents[2]


def seen(requests: int = 100, failures: int = 0, p95: float | None = 100, name: str = "/plans") -> Seen:
    return Seen("GET", name, requests, failures, p95)


class TestHabits:
    def test_a_lifter_logs_a_set_every_minute_or_two(self) -> None:
        habit = HABITS["Lifter"]
        share = habit.tasks["log_set"] / sum(habit.tasks.values())
        assert 60 <= sum(habit.pause) / 2 / share <= 120

    def test_every_class_does_what_the_table_says(self) -> None:
        locust = [sys.executable, "-m", "locust", "--config", "loadtests/locust.conf"]
        told = subprocess.run(
            [*locust, "--show-task-ratio-json", "--skip-log-setup"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=50,
            check=True,
        )
        ratios = json.loads(told.stdout)["per_class"]
        assert {
            name: {task: round(ratio["ratio"] * 100) for task, ratio in user["tasks"].items()}
            for name, user in ratios.items()
        } == {name: dict(habit.tasks) if name != "Storm" else {"come_and_go": 100} for name, habit in HABITS.items()}

    def test_addresses_are_those_of_this_machine_and_nobody_shares_one(self) -> None:
        addresses = {address(number) for number in (0, 1, 255, 256, 100_000, 300_000)}
        assert len(addresses) == 6
        assert all(ip_address(one).is_loopback for one in addresses)


class TestBudgets:
    def test_the_first_that_fits_counts(self) -> None:
        assert budget_of("POST", "/access/signin").p95 > budget_of("POST", "/training-plans").p95
        assert budget_of("GET", "/runs/{id} (304)").errors == 0
        assert budget_of("GET", "/runs/{id}") == budget_of("GET", "/plans")
        assert budget_of("DELETE", "/plans/{id}") == BUDGETS[-1]

    def test_every_request_has_one(self) -> None:
        assert (BUDGETS[-1].method, BUDGETS[-1].name) == ("*", "*")


class TestVerdict:
    def test_what_is_within_the_budget_is_good(self) -> None:
        allowed = budget_of("GET", "/plans")
        assert judge([seen(p95=allowed.p95, failures=1)])[0].broken == []

    def test_too_many_failures(self) -> None:
        assert judge([seen(failures=2)])[0].broken == ["2 of 100 failed, 1.0% may"]

    def test_one_failure_of_few(self) -> None:
        assert judge([seen(requests=3, failures=1, p95=None)])[0].broken

    def test_too_slow(self) -> None:
        assert judge([seen(p95=1000)])[0].broken == ["p95 is 1000 ms, 250 ms are allowed"]

    def test_few_requests_have_no_percentile(self) -> None:
        assert judge([seen(requests=FEWEST - 1, p95=1000)])[0].broken == []

    def test_a_slower_machine_is_given_more_time_but_no_more_errors(self) -> None:
        (judged,) = judge([seen(p95=1000, failures=5)], slack=4)
        assert judged.allowed_p95 == 1000
        assert judged.broken == ["5 of 100 failed, 1.0% may"]


class TestTargets:
    def test_a_unix_socket(self) -> None:
        target = target_of("unix:///run/irontrack/node.sock")
        assert (target.socket, target.url) == ("/run/irontrack/node.sock", "http://localhost")
        assert target.headers("127.1.0.1") == {"X-Real-IP": "127.1.0.1"}
        assert target.connections("127.1.0.1") is not None

    @pytest.mark.parametrize(
        ("host", "is_local"),
        [
            ("http://127.0.0.1:8000", True),
            ("https://127.0.0.1", False),
            ("http://192.0.2.1", False),
            ("http://x", False),
        ],
    )
    def test_own_addresses_are_for_plain_http_on_this_machine(self, host: str, *, is_local: bool) -> None:
        target = target_of(host)
        assert (target.connections("127.1.0.1") is not None) is is_local
        assert target.headers("127.1.0.1") == {}

    @pytest.mark.parametrize("host", [None, "", "localhost:8000", "ftp://x"])
    def test_anything_else_is_refused(self, host: str | None) -> None:
        with pytest.raises(ValueError, match="--host"):
            target_of(host)


@pytest.mark.parametrize("kind", KINDS)
def test_recordings_are_half_an_hour_at_three_metres_a_second(kind: str) -> None:
    [run] = read_file(recorded(kind, datetime(2026, 6, 1, 6, tzinfo=UTC))).runs
    assert run.figures
    assert run.figures.distance_km == pytest.approx(5.4, abs=0.01)
    assert run.figures.moving_seconds == 1800
