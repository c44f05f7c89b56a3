"""What an operator is told of pools, passwords, news, imports and the log."""

import asyncio
import io
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import asyncpg
import httpx
import pytest
from prometheus_client import REGISTRY

from app.db.engine import WatchedPool
from app.gauges import drop_dead, write_gauges
from app.logs import LogWriter, writer
from app.plugin import IronTrackPlugin
from app.resources import Resources
from tests.actors import Actor
from tests.answers import problem
from tests.conftest import MakeApp
from tests.factories import PASSWORD, email
from tests.history.workouts import SESSIONS
from tests.servers import Database, TestValkey, driver_url
from tests.service import Service
from tests.waiting import eventually

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_LONG = 30.0
"""Far more seconds than anything takes on a machine of its own."""


def resources(service: Service) -> Resources:
    return service.litestar.plugins.get(IronTrackPlugin).resources


def gauge(service: Service, name: str, **labels: str) -> float:
    """What this app is at now; by itself it writes that each second, as every other app of this process does."""
    write_gauges(resources(service).watched)
    value = REGISTRY.get_sample_value(f"irontrack_{name}", labels)
    assert value is not None, name
    return value


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"irontrack_{name}", labels) or 0


def used_and_waiting(service: Service, pool: str) -> tuple[float, float]:
    return gauge(service, "connections_in_use", pool=pool), gauge(service, "connections_waiting", pool=pool)


async def scraped(client: httpx.AsyncClient, series: str) -> float:
    """One series, as Prometheus gets it."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    found = re.search(rf"^irontrack_{re.escape(series)} (\S+)$", answer.text, re.MULTILINE)
    return float(found[1]) if found else 0


async def test_latency_is_by_route_method_and_class_of_status(make_app: MakeApp) -> None:
    client = (await make_app()).client()
    labels = 'method="GET",route="/api/v1/training-sessions/{session_id}",status_class="4xx"'
    series = (f"request_seconds_count{{{labels}}}", f'request_seconds_bucket{{le="+Inf",{labels}}}')
    # The log's thread counts, now and then.
    writer.flush()
    before = [await scraped(client, one) for one in series]
    problem(await client.get(f"{SESSIONS}/{uuid4()}"), 401)
    writer.flush()
    assert [await scraped(client, one) for one in series] == [count + 1 for count in before]


async def test_who_waits_for_a_connection_is_told(make_app: MakeApp, athlete: Actor, connection: Connection) -> None:
    service = await make_app(MAX_POOL_SIZE="3")
    client = service.client(cookies=athlete.client.cookies)
    transactions = {"pool": "transactions"}
    pool, reader = resources(service).watched.engine.pool, resources(service).reader
    assert isinstance(pool, WatchedPool)
    # What opens the connections beforehand must not be taken for somebody who waits.
    await eventually(lambda: pool.checkedin() == 2 and len(reader._idle) == 1, _LONG)
    waits = counted("connection_wait_seconds_count", **transactions)
    assert gauge(service, "connections_max", **transactions) == 2
    assert gauge(service, "connections_max", pool="reads") == 1
    async with connection.transaction():
        await connection.execute("LOCK TABLE training_sessions")
        writes = [asyncio.create_task(client.post(SESSIONS, json={})) for _ in range(5)]
        await eventually(lambda: used_and_waiting(service, "transactions") == (2, 3))
        assert gauge(service, "requests_in_flight") == 5
        reads = [asyncio.create_task(client.get(SESSIONS)) for _ in range(3)]
        await eventually(lambda: used_and_waiting(service, "reads") == (1, 2))
        assert gauge(service, "requests_in_flight") == 8
    assert {(await write).status_code for write in writes} == {201}
    assert {(await read).status_code for read in reads} == {200}
    for name in ("transactions", "reads"):
        assert used_and_waiting(service, name) == (0, 0)
    assert gauge(service, "requests_in_flight") == 0
    assert counted("connection_wait_seconds_count", **transactions) >= waits + 3


async def test_connections_to_a_standby_are_a_pool_of_their_own(
    make_app: MakeApp, athlete: Actor, database: Database
) -> None:
    # A server that follows nobody is asked how far it is, and for nothing else.
    service = await make_app(MAX_POOL_SIZE="6", DATABASE_STANDBY_URL=database.url)
    waits = counted("connection_wait_seconds_count", pool="standby")
    client = service.client(cookies=athlete.client.cookies)
    assert (await client.get("/api/v1/training-units")).status_code == 200
    assert gauge(service, "connections_max", pool="standby") == 3
    assert gauge(service, "connections_in_use", pool="standby") == 0
    assert counted("connection_wait_seconds_count", pool="standby") > waits


async def test_connections_are_opened_beforehand_for_those_that_nobody_has(make_app: MakeApp) -> None:
    reader = resources(await make_app(MAX_POOL_SIZE="6")).reader
    await eventually(lambda: len(reader._idle) == 3, _LONG)
    async with reader.connection():
        reader._idle.pop()[0].terminate()
        await reader.warm()
        assert len(reader._idle) == 2
    assert len(reader._idle) == reader.size


async def test_a_full_hash_queue_is_told(make_app: MakeApp) -> None:
    service = await make_app(HASH_THREADS="1", HASH_WAIT="0.2")
    client = service.client()
    refused, waits, hashes = (
        counted(name) for name in ("hashes_refused_total", "hash_wait_seconds_count", "hash_seconds_count")
    )
    ending = threading.Event()
    long = asyncio.create_task(resources(service).passwords._work(ending.wait))
    try:
        await eventually(lambda: gauge(service, "hashes_working") == 1)
        body = {"email": email(), "password": PASSWORD}
        tries = [asyncio.create_task(client.post("/api/v1/access/signin", json=body)) for _ in range(3)]
        await eventually(lambda: gauge(service, "hashes_waiting") >= 1)
        assert {(await answer).status_code for answer in tries} == {503}
    finally:
        ending.set()
    await long
    assert (await client.post("/api/v1/access/signin", json=body)).status_code == 401
    assert counted("hashes_refused_total") == refused + 3
    assert counted("hash_wait_seconds_count") == waits + 5
    assert counted("hash_seconds_count") == hashes + 2
    assert gauge(service, "hashes_waiting") == gauge(service, "hashes_working") == 0


async def test_a_request_that_takes_too_long_is_counted(
    make_app: MakeApp, athlete: Actor, connection: Connection
) -> None:
    client = (await make_app(REQUEST_TIMEOUT="0.2")).client(cookies=athlete.client.cookies)
    before = counted("requests_timed_out_total")
    async with connection.transaction():
        await connection.execute("LOCK TABLE training_sessions")
        problem(await client.get(SESSIONS), 503)
    assert counted("requests_timed_out_total") == before + 1


@pytest.fixture
async def own_valkey() -> AsyncIterator[TestValkey]:
    server = TestValkey()
    await server.start()
    yield server
    await server.stop()


async def test_the_age_of_what_other_machines_said_grows_while_valkey_is_away(
    make_app: MakeApp, own_valkey: TestValkey
) -> None:
    service = await make_app(VALKEY_URL=own_valkey.url, RATE_LIMIT_READS="9")
    client = service.client()
    await eventually(lambda: gauge(service, "news_sure") == 1, _LONG)
    await eventually(lambda: time.time() - gauge(service, "heartbeat_timestamp_seconds") < 1.5, _LONG)
    await eventually(lambda: reaches(client, database=1, valkey=1), _LONG)
    await own_valkey.server.stop()
    stopped = time.time()
    await eventually(lambda: gauge(service, "news_sure") == 0, _LONG)
    failures, uncounted = counted("news_failures_total"), counted("rate_limit_unavailable_total")
    await resources(service).publish([uuid4()])
    assert gauge(service, "news_unsent") == 1
    await client.get(SESSIONS)
    assert counted("rate_limit_unavailable_total") == uncounted + 1
    await eventually(lambda: counted("news_failures_total") > failures, _LONG)
    await eventually(lambda: reaches(client, database=1, valkey=0), _LONG)
    assert gauge(service, "heartbeat_timestamp_seconds") < stopped
    await own_valkey.server.start()
    await eventually(lambda: gauge(service, "news_sure") == 1 and gauge(service, "news_unsent") == 0, _LONG)
    assert gauge(service, "heartbeat_timestamp_seconds") > stopped


async def reaches(client: httpx.AsyncClient, **dependencies: float) -> bool:
    """Whether it is said to reach these and not the others."""
    told = [await scraped(client, f'dependency_up{{dependency="{name}"}}') for name in dependencies]
    return told == list(dependencies.values())


async def test_imports_of_all_users_are_counted(
    make_app: MakeApp, athlete: Actor, connection: Connection, database: Database
) -> None:
    import_id, other, ended = uuid4(), uuid4(), uuid4()
    await connection.executemany(
        """
        INSERT INTO run_import (id, user_id, name, user_timezone, status, total, created_at, finished_at)
        VALUES ($1, $2, 'a.zip', 'UTC', $3::text, 9, now() - $4 * interval '1 minute',
            CASE $3::text WHEN 'completed' THEN now() END)
        """,
        [
            (import_id, athlete.id, "receiving", 60),
            (other, athlete.id, "receiving", 5),
            (ended, athlete.id, "completed", 600),
        ],
    )
    await connection.executemany(
        """
        INSERT INTO run_import_item (import_id, place, name, activity, leased_until, reason)
        VALUES ($1, $2, 'x', '{}', now() + $3 * interval '1 minute', $4)
        """,
        [
            (import_id, 1, 5, None),
            (import_id, 2, -5, None),
            (import_id, 3, None, None),
            (import_id, 4, None, "It could not be read."),
            (other, 1, None, None),
            (ended, 1, None, "It could not be read."),
        ],
    )
    async with connection.transaction(), asyncpg.create_pool(driver_url(database.url), min_size=1, max_size=1) as pool:
        # Every worker looks for runs when it begins, and passes over those that somebody holds.
        await connection.execute("SELECT FROM run_import_item FOR UPDATE")
        await pool.execute("UPDATE run_import SET status = 'running' WHERE status = 'receiving'")
        client = (await make_app()).client()

        async def are_counted() -> bool:
            series = ("archives", 'runs{state="leased"}', 'runs{state="waiting"}', "oldest_seconds")
            archives, leased, waiting, oldest = [await scraped(client, f"import_{name}") for name in series]
            return (archives, leased, waiting) == (2, 1, 3) and 3600 <= oldest < 3700

        await eventually(are_counted, _LONG)


async def test_nothing_is_said_about_imports_without_postgresql(make_app: MakeApp) -> None:
    service = await make_app(DATABASE_URL="postgresql://irontrack@127.0.0.1:1/irontrack")
    text = (await service.client().get("/metrics")).text
    assert 'irontrack_dependency_up{dependency="database"} 0.0' in text
    assert "irontrack_import" not in text


async def test_lines_that_can_not_be_written_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.TextIOWrapper(io.BytesIO())
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    writer = LogWriter()
    writer.add(b"one")
    writer.add(b"two")
    writer.stop()
    assert writer.lost == 2


def test_the_state_of_dead_workers_is_dropped_and_their_counts_are_not(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    kept = [tmp_path / f"gauge_livesum_{os.getpid()}.db", tmp_path / f"counter_{ended.pid}.db", tmp_path / "gauge.db"]
    for file in (*kept, tmp_path / f"gauge_livesum_{ended.pid}.db", tmp_path / f"gauge_livemin_{ended.pid}.db"):
        file.touch()
    drop_dead(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)
