"""Runs that were stored before their sums were kept are added up when the database is upgraded."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import asyncpg

from app.db.base import uuid7
from tests.analytics.test_totals import INSERT, NOON, ZONES, assert_right
from tests.db.rows import Rows
from tests.db.test_migrations import commands
from tests.servers import driver_url


async def test_adds_up_what_is_there(make_database: Callable[[], Awaitable[str]]) -> None:
    url = await make_database()
    await asyncio.to_thread(commands(url).upgrade, "0008")
    connection = await asyncpg.connect(driver_url(url))
    users = [(await Rows(connection).add("user_account"))["id"] for _ in range(2)]
    plan = (await Rows(connection).add("running_plans", user_id=users[0]))["id"]
    for number in range(40):
        owner = users[number % 2]
        start = NOON + number * timedelta(days=5, hours=7)
        of = plan if number % 4 == 0 else None
        await connection.execute(INSERT, uuid7(), owner, of, start, ZONES[number % 3], 1 + number, 400 * (1 + number))
    await asyncio.to_thread(commands(url).upgrade, "0009")
    await assert_right(connection)
    assert await connection.fetchval("SELECT sum(runs) FROM run_totals WHERE period = 'ever'") == 40
    assert await connection.fetchval("SELECT runs FROM plan_run_totals") == 10
    await asyncio.to_thread(commands(url).downgrade, "0008")
    assert await connection.fetchval("SELECT count(*) FROM runs") == 40
    await asyncio.to_thread(commands(url).upgrade, "0009")
    await connection.close()
