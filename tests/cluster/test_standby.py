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

pytestmark = [pytest.mark.timeout(600)]

_UNITS = "/api/v1/training-units"


def answered_by(server: str) -> float:
    """How many reads that a standby may answer this server has answered."""
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
    """One pair of servers for all that may happen to them, since they take seconds to make."""
    primary, standby = pair
    written = {await write(nodes.a)}
    await eventually(lambda: used(nodes.b), 30)
    assert await names(nodes.b) == written
    await _lags(standby, nodes, written)
    await _takes_no_writes(standby, nodes, make_app)
    await eventually(lambda: used(nodes.b), 30)
    assert await names(nodes.b) == written
    await _is_away(standby, nodes, written)
    await eventually(lambda: used(nodes.a), 30)
    await _is_promoted(standby, nodes, written)
    await _comes_back_with_another_history(primary, standby, nodes, make_app)


async def _lags(standby: PostgresNode, nodes: Nodes, written: set[str]) -> None:
    await standby.ask("SELECT pg_wal_replay_pause()")
    await eventually(lambda: paused(standby), 30)
    for writer, reader in ((nodes.a, nodes.a), (nodes.a, nodes.b), (nodes.b, nodes.a)):
        written.add(await write(writer))
        assert await names(reader) == written
        assert (await reader.get("/api/v1/training-sessions/statistics")).status_code == 200
    assert await standby.ask("SELECT count(*) FROM training_units") == 1
    await standby.ask("SELECT pg_wal_replay_resume()")


async def paused(standby: PostgresNode) -> bool:
    return bool(await standby.ask("SELECT pg_get_wal_replay_pause_state() = 'paused'"))


async def _takes_no_writes(standby: PostgresNode, nodes: Nodes, make_app: MakeApp) -> None:
    """As behind a pooler that has been told of the wrong server."""
    wrong = (await make_app(DATABASE_URL=standby.url)).client()
    wrong.cookies.update(nodes.a.cookies)
    answer = await wrong.post(_UNITS, json={"name": "Legs", "exercises": []})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"


async def _is_away(standby: PostgresNode, nodes: Nodes, written: set[str]) -> None:
    await standby.kill()
    written.add(await write(nodes.a))
    before = answered_by("primary")
    # Its connections are broken at first; then it is left alone for a while.
    assert [await names(client) for client in (nodes.a, nodes.a, nodes.b)] == [written] * 3
    assert answered_by("primary") == before + 3
    await standby.server.start()


async def _is_promoted(standby: PostgresNode, nodes: Nodes, written: set[str]) -> None:
    assert await standby.ask("SELECT pg_promote(wait_seconds => 30)")
    written.add(await write(nodes.a))
    assert await names(nodes.a) == await names(nodes.b) == written
    assert not await used(nodes.a)


async def _comes_back_with_another_history(
    primary: PostgresNode, promoted: PostgresNode, nodes: Nodes, make_app: MakeApp
) -> None:
    """The former primary follows nobody, and is further than the new one on a timeline that has ended."""
    await primary.ask("SELECT pg_logical_emit_message(false, '', repeat('x', 10000000))")
    await primary.server.stop()
    (primary.folder / "postgres" / "standby.signal").touch()
    await primary.server.start()
    node = (await make_app(DATABASE_URL=promoted.url, DATABASE_STANDBY_URL=primary.url)).client()
    node.cookies.update(nodes.a.cookies)
    name = await write(node)
    assert name in await names(node)
