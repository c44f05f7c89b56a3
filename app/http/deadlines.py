"""The time limit of requests: one timer for all of them, since a timer for each costs as much as the routing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from prometheus_client import Counter

from app.db.transaction import Deadline, deadline

__all__ = ("Deadlines",)

_LOOK_EVERY = 0.1

_timed_out = Counter("irontrack_requests_timed_out_total", "Requests that took longer than REQUEST_TIMEOUT.")


class _Limit(Deadline):
    """The limit of one request."""

    __slots__ = ("due", "expired", "task")

    def __init__(self, task: "asyncio.Task[object] | None", due: float) -> None:
        self.task = task
        self.due = due
        self.expired = False

    def lift(self) -> None:
        """Let the request take as long as it needs from here on."""
        self.due = float("inf")


class Deadlines:
    """Cancels the requests of a worker that take too long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: dict[int, _Limit] = {}

    @property
    def running(self) -> int:
        """Requests that have not ended yet."""
        return len(self._running)

    def begin(self) -> _Limit:
        """Limit the current task; to be given back to `end`."""
        limit = _Limit(asyncio.current_task(), monotonic() + self._seconds)
        self._running[id(limit)] = limit
        deadline.set(limit)
        return limit

    def end(self, limit: _Limit) -> None:
        """The request has ended, in whatever way."""
        del self._running[id(limit)]

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look after the requests while the block runs."""
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            now = monotonic()
            for limit in [limit for limit in self._running.values() if limit.due <= now]:
                if limit.task is not None and not limit.expired:
                    limit.expired = True
                    _timed_out.inc()
                    limit.task.cancel()
