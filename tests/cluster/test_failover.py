"""The primary dies under load, and the standby is promoted by hand."""

import asyncio
from collections import Counter
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.cluster.conftest import Pair
from tests.cluster.postgres import PostgresNode
from tests.conftest import MakeApp

pytestmark = [pytest.mark.xdist_group("cluster"), pytest.mark.timeout(120)]

_UNITS = "/api/v1/training-units"
_PASSWORD = "Deadlift1!"
_WRITERS = 4
_BEFORE, _AFTER = 40, 20
"""Writes that are acknowledged before the primary dies, and after the service works again."""


class Ledger:
    """Writes of several clients at once, and what each was answered.

    Attributes:
        acknowledged: names whose write was answered with 201, and how often each id was.
        refused: answers that were none, by status.
        open: names whose write was answered by an error, so that it may have been stored or not.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.acknowledged: dict[str, str] = {}
        self.refused: Counter[int] = Counter()
        self.open: set[str] = set()
        self._client = client
        self._more = asyncio.Condition()

    async def write(self) -> None:
        """Write until cancelled."""
        while True:
            name = uuid4().hex
            self.open.add(name)
            answer = await self._client.post(_UNITS, json={"name": name, "exercises": []})
            if answer.status_code == 201:
                self.open.discard(name)
                self.acknowledged[name] = answer.json()["id"]
                async with self._more:
                    self._more.notify_all()
            else:
                assert answer.headers["content-type"] == "application/problem+json", answer.text
                self.refused[answer.status_code] += 1
                await asyncio.sleep(0.02)

    async def reach(self, count: int) -> None:
        """Wait until so many writes are acknowledged."""
        async with self._more:
            await self._more.wait_for(lambda: len(self.acknowledged) >= count)


async def signed_in(client: httpx.AsyncClient) -> None:
    """Make an account and use it."""
    email = f"{uuid4().hex}@example.org"
    account = {"email": email, "password": _PASSWORD, "confirmPassword": _PASSWORD}
    assert (await client.post("/api/v1/access/signup", json=account)).status_code == 201
    answer = await client.post("/api/v1/access/signin", json={"email": email, "password": _PASSWORD})
    assert answer.status_code == 204


async def stored(node: PostgresNode) -> Counter[tuple[str, str]]:
    """Names and ids of the rows."""
    connection = await asyncpg.connect(node.url)
    try:
        rows = await connection.fetch("SELECT name, id FROM training_units")
    finally:
        await connection.close()
    return Counter((row["name"], str(row["id"])) for row in rows)


async def test_a_promoted_standby_has_every_acknowledged_write_once(pair: Pair, make_app: MakeApp) -> None:
    primary, standby = pair
    await primary.acknowledge_on(standby)
    login = primary.url.rpartition("@")[0]
    service = await make_app(DATABASE_URL=f"{login}@{primary.place},{standby.place}/irontrack")
    client = service.client()
    await signed_in(client)
    ledger = Ledger(client)
    async with asyncio.timeout(90), asyncio.TaskGroup() as group:
        writers = [group.create_task(ledger.write()) for _ in range(_WRITERS)]
        await ledger.reach(_BEFORE)
        await primary.kill()
        promised = dict(ledger.acknowledged)
        assert await standby.ask("SELECT pg_promote(wait_seconds => 30)")
        await ledger.reach(len(promised) + _AFTER)
        for writer in writers:
            writer.cancel()
    rows = await stored(standby)
    assert set(rows.values()) == {1}
    assert set(ledger.acknowledged.items()) <= set(rows)
    assert {name for name, _ in rows} <= set(ledger.acknowledged) | ledger.open
    assert len({name for name, _ in rows}) == len(rows), "no write was done twice"
    assert set(ledger.refused) <= {503}
