"""The primary is lost under load, and the standby is promoted by hand."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.cluster.conftest import Pair
from tests.cluster.namespaces import Network, need_namespaces
from tests.cluster.postgres import PostgresNode
from tests.conftest import MakeApp

pytestmark = [pytest.mark.timeout(600)]

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
        longest_pause: seconds in which nothing was acknowledged.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.acknowledged: dict[str, str] = {}
        self.refused: Counter[int] = Counter()
        self.open: set[str] = set()
        self.longest_pause = 0.0
        self._last: float | None = None
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
                now = time.monotonic()
                self.longest_pause, self._last = max(self.longest_pause, now - (self._last or now)), now
                async with self._more:
                    self._more.notify_all()
            else:
                assert answer.headers["content-type"] == "application/problem+json", answer.text
                self.refused[answer.status_code] += 1
                await asyncio.sleep(0.02)

    async def check(self, url: str) -> None:
        """Every acknowledged write is there, and none twice, not even of those that were not acknowledged."""
        rows = await stored(url)
        assert self.acknowledged.items() <= rows.keys()
        assert {name for name, _ in rows} <= self.acknowledged.keys() | self.open
        assert len({name for name, _ in rows}) == rows.total()
        assert set(self.refused) <= {503}
        sys.stdout.write(f"\nnothing acknowledged for {self.longest_pause:.1f} s; refused: {dict(self.refused)}\n")

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


async def stored(url: str) -> Counter[tuple[str, str]]:
    """Names and ids of the rows."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT name, id FROM training_units")
    finally:
        await connection.close()
    return Counter((row["name"], str(row["id"])) for row in rows)


async def fail_over(pair: Pair, make_app: MakeApp, lose: Callable[[], Awaitable[None]]) -> Ledger:
    """Write, lose the primary, promote the standby by hand, and write on; what was acknowledged is there, once."""
    primary, standby = pair
    await primary.acknowledge_on(standby)
    login = primary.url.rpartition("@")[0]
    client = (await make_app(DATABASE_URL=f"{login}@{primary.place},{standby.place}/irontrack")).client()
    await signed_in(client)
    ledger = Ledger(client)
    async with asyncio.timeout(90), asyncio.TaskGroup() as group:
        writers = [group.create_task(ledger.write()) for _ in range(_WRITERS)]
        await ledger.reach(_BEFORE)
        await lose()
        assert await standby.ask("SELECT pg_promote(wait_seconds => 30)")
        await standby.ask("ALTER SYSTEM RESET synchronous_standby_names")
        await standby.ask("SELECT pg_reload_conf()")
        await ledger.reach(len(ledger.acknowledged) + _AFTER)
        for writer in writers:
            writer.cancel()
    await ledger.check(standby.url)
    return ledger


async def test_a_promoted_standby_has_every_acknowledged_write_once(pair: Pair, make_app: MakeApp) -> None:
    await fail_over(pair, make_app, pair[0].kill)


async def test_a_primary_whose_machine_vanishes_is_not_waited_for(template: Path, make_app: MakeApp) -> None:
    """Its connections are not closed, new ones are not refused, and it goes on as if it were the primary."""
    need_namespaces()
    with Network.of("app", "primary", "standby") as network, TemporaryDirectory(prefix="irontrack-test-") as name:
        folder = Path(name)
        primary = PostgresNode.copied(template, folder / "primary", network.address("primary"))
        standby: PostgresNode | None = None
        try:
            with network.inside("primary"):
                await primary.server.start()
            with network.inside("standby"):
                standby = await primary.standby(folder / "standby", network.address("standby"))

            async def vanish() -> None:
                network.unplug("primary")

            with network.inside("app"):
                ledger = await fail_over((primary, standby), make_app, vanish)
            with network.inside("primary"):
                alone = await stored(primary.url)
        finally:
            await asyncio.gather(*(node.server.stop() for node in (primary, standby) if node))
    # What the old one has beyond the new one was acknowledged to nobody.
    assert {name for name, _ in alone} <= set(ledger.acknowledged) | ledger.open
