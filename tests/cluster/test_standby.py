"""Reads that a standby may answer."""

from uuid import uuid4

import httpx
import pytest
from prometheus_client import REGISTRY

from tests.cluster.conftest import Pair
from tests.cluster.postgres import PostgresNode
from tests.cluster.test_failover import signed_in
from tests.conftest import MakeApp
from tests.waiting import eventually

pytestmark = [pytest.mark.xdist_group("cluster"), pytest.mark.timeout(120)]

_UNITS = "/api/v1/training-units"


def answered_by(server: str) -> float:
    """How many reads that a standby may answer this server has."""
    return REGISTRY.get_sample_value("irontrack_standby_reads_total", {"server": server}) or 0.0


async def names(client: httpx.AsyncClient) -> set[str]:
    answer = await client.get(_UNITS, params={"pageSize": 100})
    assert answer.status_code == 200, answer.text
    return {item["name"] for item in answer.json()["items"]}


async def write(client: httpx.AsyncClient) -> str:
    name = uuid4().hex
    assert (await client.post(_UNITS, json={"name": name, "exercises": []})).status_code == 201
    return name


class Nodes:
    """Two nodes of the same primary and standby, and one person signed in at both."""

    def __init__(self, a: httpx.AsyncClient, b: httpx.AsyncClient) -> None:
        self.a = a
        self.b = b


@pytest.fixture
async def nodes(pair: Pair, make_app: MakeApp) -> Nodes:
    primary, standby = pair
    variables = {"DATABASE_URL": primary.url, "DATABASE_STANDBY_URL": standby.url}
    a, b = [(await make_app(**variables)).client() for _ in range(2)]
    await signed_in(a)
    b.cookies.update(a.cookies)
    return Nodes(a, b)


async def used(client: httpx.AsyncClient) -> bool:
    """Whether the standby answers at the moment."""
    before = answered_by("standby")
    await names(client)
    return answered_by("standby") == before + 1


async def test_a_standby_answers_what_it_knows_and_nothing_else(pair: Pair, nodes: Nodes, make_app: MakeApp) -> None:
    _, standby = pair
    written = {await write(nodes.a)}
    await eventually(lambda: used(nodes.b), 30)
    assert await names(nodes.b) == written
    await standby.ask("SELECT pg_wal_replay_pause()")
    await eventually(lambda: paused(standby))
    for writer, reader in ((nodes.a, nodes.a), (nodes.a, nodes.b), (nodes.b, nodes.a)):
        written.add(await write(writer))
        assert await names(reader) == written
        assert (await reader.get("/api/v1/training-sessions/statistics")).status_code == 200
    assert await standby.ask("SELECT count(*) FROM training_units") == 1
    # As behind a pooler that has been told of the wrong server.
    wrong = (await make_app(DATABASE_URL=standby.url)).client()
    wrong.cookies.update(nodes.a.cookies)
    answer = await wrong.post(_UNITS, json={"name": "Legs", "exercises": []})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    await standby.ask("SELECT pg_wal_replay_resume()")
    await eventually(lambda: used(nodes.b), 30)
    assert await names(nodes.b) == written


async def paused(standby: PostgresNode) -> bool:
    return bool(await standby.ask("SELECT pg_get_wal_replay_pause_state() = 'paused'"))


async def test_a_standby_that_is_away_or_promoted_is_not_missed(pair: Pair, nodes: Nodes) -> None:
    _, standby = pair
    written = {await write(nodes.a)}
    await eventually(lambda: used(nodes.a), 30)
    assert await standby.ask("SELECT pg_promote(wait_seconds => 30)")
    written.add(await write(nodes.a))
    assert await names(nodes.a) == await names(nodes.b) == written
    await standby.kill()
    written.add(await write(nodes.a))
    assert await names(nodes.a) == await names(nodes.b) == written
    assert not await used(nodes.b)
