"""People who write without a pause, and a ledger of what they were told is stored."""

import asyncio
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import cycle
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import asyncpg
import httpx
from msgspec import Struct

from app.db.base import uuid7
from tests.stack.running import Person, Stack

_PAUSE = 0.02
"""Between two requests of a client: leaves some of the processor to what is started again."""
_PATIENCE = 0.1
"""Before another try."""
_AWAY = {502, 503}
_PROBLEM = {"type", "title", "status", "detail", "instance", "requestId"}
_STORED = """
SELECT name AS marker, id, 0::bigint AS sets FROM training_units WHERE name LIKE $1
UNION ALL
SELECT notes, s.id, count(set.id) FROM training_sessions s
LEFT JOIN training_session_exercises e ON e.training_session_id = s.id
LEFT JOIN training_session_sets set ON set.session_exercise_id = e.id
WHERE notes LIKE $1 GROUP BY s.id
"""


class Failure(Struct, frozen=True):
    """A request that was not served.

    Attributes:
        status: None where the connection was cut.
        kept: the connection had served others before.
    """

    begun: float
    ended: float
    status: int | None
    kept: bool


class Ledger:
    """What was tried, what was acknowledged, and what failed.

    Attributes:
        tried: writes by their markers, each with the sets that it has.
        acknowledged: the ids that were answered, by markers.
        broken: when something was broken.
        served: requests.
        slowest: seconds that one of them took.
    """

    def __init__(self) -> None:
        self.name = uuid4().hex[:12]
        self.tried: dict[str, int] = {}
        self.acknowledged: dict[str, set[str]] = defaultdict(set)
        self.failures: list[Failure] = []
        self.broken: list[float] = []
        self.served = 0
        self.slowest = 0.0

    @property
    def cut(self) -> list[Failure]:
        """Requests whose connection was cut."""
        return [failure for failure in self.failures if failure.status is None]

    @property
    def outages(self) -> list[float]:
        """For each failure, the seconds from what was broken last before it."""
        found = (failure.ended for failure in self.failures)
        return [ended - self.broken[bisect_right(self.broken, ended) - 1] for ended in found]

    def __str__(self) -> str:
        away = max(self.outages, default=0.0)
        return (
            f"broken {len(self.broken)} times, {self.served} requests served (the slowest {self.slowest:.1f} s), "
            f"{len(self.acknowledged)} writes acknowledged, {len(self.failures)} requests failed up to {away:.1f} s "
            f"after the break, {len(self.cut)} of them cut"
        )

    def marker(self, sets: int = 0) -> str:
        """What tells a write from all others.

        Args:
            sets: that are stored with it.
        """
        marker = f"{self.name} {len(self.tried)}"
        self.tried[marker] = sets
        return marker

    async def verify(self, url: str) -> None:
        """All that was acknowledged is stored under its id, and nothing twice.

        Args:
            url: of the database itself.
        """
        connection = await asyncpg.connect(url)
        try:
            rows = await connection.fetch(_STORED, f"{self.name} %")
        finally:
            await connection.close()
        stored = {row["marker"]: str(row["id"]) for row in rows}
        assert [marker for marker, times in Counter(row["marker"] for row in rows).items() if times > 1] == []
        assert [row["marker"] for row in rows if row["sets"] != self.tried[row["marker"]]] == []
        wrong = {marker: ids for marker, ids in self.acknowledged.items() if ids != {stored.get(marker)}}
        assert wrong == {}
        assert len({identity for ids in self.acknowledged.values() for identity in ids}) == len(self.acknowledged)


class Writer:
    """One client that writes and reads, the next request when the last one was answered."""

    def __init__(self, person: Person, ledger: Ledger, *, kept: bool) -> None:
        """
        Args:
            kept: it keeps its connection; else each request has a new one.
        """
        self.person = person
        self.ledger = ledger
        self._kept = kept
        self._last = "access/me"

    async def write_once(self) -> bool:
        """Make something without a word by which it would be known again, so it is never sent again."""
        marker = self.ledger.marker()
        answer = await self._send("POST", "training-units", {"name": marker, "exercises": []})
        return self._took(marker, "training-units", answer, {201})

    async def write_keyed(self) -> bool:
        """Make something with a key, as often as it takes; tell whether the first try did."""
        marker = self.ledger.marker()
        body = {"notes": marker, "userTimezone": "UTC"}
        return await self._until_taken(marker, "POST", "training-sessions", body, {"Idempotency-Key": uuid4().hex})

    async def write_named(self) -> bool:
        """Make something whose id is ours, as often as it takes; tell whether the first try did."""
        marker = self.ledger.marker(sets=1)
        done = {"weight": 80, "repsCompleted": 5}
        exercise = {"exerciseName": "Squat", "mode": "reps", "sets": [done]}
        body = {
            "notes": marker,
            "userTimezone": "UTC",
            "status": "in_progress",
            "startTime": "2026-03-01T10:00:00Z",
            "exercises": [exercise],
        }
        return await self._until_taken(marker, "PUT", f"training-sessions/{uuid7()}", body, {})

    async def read(self) -> bool:
        """Look for the last thing that was acknowledged."""
        answer = await self._send("GET", self._last)
        assert answer is None or answer.status_code == 200, answer.text
        return answer is not None

    async def _until_taken(
        self, marker: str, method: str, path: str, body: dict[str, Any], headers: dict[str, str]
    ) -> bool:
        tries = 0
        while True:
            tries += 1
            answer = await self._send(method, path, body, headers)
            # The first one may still be at work, in a node that has not heard yet that nobody waits for it.
            still_at_work = tries > 1 and answer is not None and answer.status_code == 409
            if not still_at_work and self._took(marker, "training-sessions", answer, {200, 201}):
                return tries == 1
            await asyncio.sleep(_PATIENCE)

    def _took(self, marker: str, kind: str, answer: httpx.Response | None, expected: set[int]) -> bool:
        if answer is None:
            return False
        assert answer.status_code in expected, answer.text
        identity = answer.json()["id"]
        self.ledger.acknowledged[marker].add(identity)
        self._last = f"{kind}/{identity}"
        return True

    async def _send(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response | None:
        """The answer; None when the service was away."""
        begun = time.monotonic()
        more = {} if self._kept else {"Connection": "close"}
        try:
            answer = await self.person.client.request(
                method, f"/api/v1/{path}", json=body, headers={**self.person.headers, **(headers or {}), **more}
            )
        except httpx.TransportError:
            self._failed(begun, None)
            return None
        self.ledger.slowest = max(self.ledger.slowest, time.monotonic() - begun)
        if answer.status_code in _AWAY:
            assert_problem(answer)
            self._failed(begun, answer.status_code)
            return None
        self.ledger.served += 1
        return answer

    def _failed(self, begun: float, status: int | None) -> None:
        self.ledger.failures.append(Failure(begun, time.monotonic(), status, self._kept))


def assert_problem(answer: httpx.Response) -> None:
    """An error is told as a problem document, with the id of its request."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem.keys() >= _PROBLEM, problem
    assert problem["status"] == answer.status_code
    assert problem["requestId"] == answer.headers["x-request-id"]


class Load:
    """Clients at work on a stack.

    Attributes:
        probe: a client of whoever breaks something, not at work by itself.
    """

    def __init__(self, stack: Stack, clients: int = 4) -> None:
        self.ledger = Ledger()
        self._stack = stack
        self._clients = clients
        self._exits = AsyncExitStack()
        self._ended = asyncio.Event()

    async def __aenter__(self) -> Self:
        writers = []
        for number in range(self._clients + 1):
            client = await self._exits.enter_async_context(self._stack.client())
            person = await Person.signed_in(client)
            writers.append(Writer(person, self.ledger, kept=number % 2 == 0))
        self.probe, *at_work = writers
        group = await self._exits.enter_async_context(asyncio.TaskGroup())
        for writer in at_work:
            group.create_task(self._work(writer))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._ended.set()
        await self._exits.__aexit__(kind, error, where)

    async def works(self) -> None:
        """Wait until a write is acknowledged."""
        while not await self.probe.write_once():
            await asyncio.sleep(_PATIENCE)

    async def _work(self, writer: Writer) -> None:
        steps: cycle[Callable[[], Any]] = cycle(
            (writer.write_once, writer.read, writer.write_keyed, writer.read, writer.write_named)
        )
        while not self._ended.is_set():
            served = await next(steps)()
            await asyncio.sleep(_PAUSE if served else _PATIENCE)
