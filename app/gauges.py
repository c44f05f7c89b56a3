"""What a worker is at, in numbers that go up and down: written down each second, wherever it may be scraped.

A scrape reaches one worker of a machine, which reads what the others have left in the shared folder. So each leaves its
state there by itself, and what must not be believed when it hangs is an instant, not an age.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.engine import WatchedPool
from app.db.reader import Reader
from app.http.deadlines import Deadlines
from app.logs import LogWriter
from app.security.broadcast import Broadcast
from app.security.invalidations import InvalidationRing
from app.security.passwords import Passwords

__all__ = ("Watched", "drop_dead", "watch_gauges", "write_gauges")

_EVERY: Final = 1.0

Mode = Literal["livesum", "livemin", "livemax"]


class Watched(NamedTuple):
    """The parts of a worker whose state is told."""

    engine: AsyncEngine
    readers: Sequence[Reader]
    deadlines: Deadlines
    passwords: Passwords
    broadcast: Broadcast
    ring: InvalidationRing
    writer: LogWriter


@cache
def _gauge(name: str, description: str, mode: Mode, labels: tuple[str, ...] = ()) -> Gauge:
    # Made in the worker that sets it: the process that it is forked from would leave a zero for the lowest of all.
    return Gauge(f"irontrack_{name}", description, labels, multiprocess_mode=mode)


@cache
def _counter(name: str, description: str) -> Counter:
    return Counter(f"irontrack_{name}", description)


async def watch_gauges(watched: Watched) -> None:
    """Write the state of this worker down, for as long as it lives."""
    _set("loop_lag_seconds", _LAG, "livemax", 0)
    growing = _growing(watched)
    while True:
        write_gauges(watched)
        for grow in growing:
            grow()
        due = time.monotonic() + _EVERY
        await asyncio.sleep(_EVERY)
        _set("loop_lag_seconds", _LAG, "livemax", time.monotonic() - due)


_HEARTBEAT: Final = "Unix seconds up to which the news of other machines have been heard; of the worker that is last."
_LAG: Final = "How late the event loop came back to a timer."


def write_gauges(watched: Watched) -> None:
    """Write the state of a worker down as it is now."""
    broadcast, passwords, unread = watched.broadcast, watched.passwords, watched.ring.behind
    _set("workers", "Worker processes that live.", "livesum", 1)
    _set("requests_in_flight", "Requests that are being answered.", "livesum", watched.deadlines.running)
    _set("hashes_waiting", "Passwords that wait for a turn to be hashed.", "livesum", passwords.waiting)
    _set("hashes_working", "Passwords that are being hashed.", "livesum", passwords.working)
    _set("news_sure", "Whether all workers hear the news of other machines.", "livemin", broadcast.sure)
    _set("news_unsent", "News that other machines have not been told yet.", "livesum", broadcast.unsent)
    _set("news_unread", "News of this machine that a worker reads before its next answer.", "livemax", unread)
    _set("heartbeat_timestamp_seconds", _HEARTBEAT, "livemin", broadcast.heard_at)
    _write_pools(watched)


def _write_pools(watched: Watched) -> None:
    pool = watched.engine.pool
    pools = {reader.pool: (reader.size, reader.lent, reader.waiting) for reader in watched.readers}
    if isinstance(pool, WatchedPool):
        pools["transactions"] = (pool.size(), pool.checkedout(), pool.waiting)
    for name, (size, used, waiting) in pools.items():
        labels = {"pool": name}
        _set("connections_max", "Connections to PostgreSQL that may be open.", "livesum", size, labels)
        _set("connections_in_use", "Connections to PostgreSQL in use.", "livesum", used, labels)
        _set("connections_waiting", "Who waits for a connection to PostgreSQL.", "livesum", waiting, labels)


def _set(name: str, description: str, mode: Mode, value: float, labels: Mapping[str, str] | None = None) -> None:
    gauge = _gauge(name, description, mode, tuple(labels or ()))
    (gauge.labels(**labels) if labels else gauge).set(value)


def _growing(watched: Watched) -> Iterable[Callable[[], None]]:
    """What the parts count by themselves, from now on."""

    def follow(counter: Counter, read: Callable[[], int]) -> Callable[[], None]:
        known = read()

        def grow() -> None:
            nonlocal known
            now = read()
            counter.inc(now - known)
            known = now

        return grow

    failures = _counter("news_failures_total", "News that did not reach Valkey at once.")
    lost = _counter("log_lines_lost_total", "Lines of the log that could not be written.")
    return (
        follow(failures, lambda: watched.broadcast.failures),
        follow(lost, lambda: watched.writer.lost),
    )


def drop_dead(folder: Path) -> None:
    """Drop what workers that have ended have left of their state; what they counted stays."""
    for file in folder.glob("gauge_live*_*.db"):
        process = int(file.stem.rpartition("_")[2])
        if not _lives(process):
            file.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
