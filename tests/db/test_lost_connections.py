"""Connections that end with a word which nobody asked for, as PgBouncer ends them when PostgreSQL has died."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.conftest import MakeActor, MakeApp
from tests.servers import Database

_SOCKET = ".s.PGSQL.5432"
_LAST_WORD = b"SFATAL\0C08P01\0Mserver conn crashed?\0\0"


class Wire:
    """Stands between the service and PostgreSQL, and passes on what each says."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._clients: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on one connection."""
        self._clients.append(writer)
        from_server, to_server = await asyncio.open_unix_connection(self._server)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass_on(reader, to_server))
            group.create_task(self._pass_on(from_server, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while said := await reader.read(65536):
                writer.write(said)
        writer.close()

    def say(self) -> None:
        """Tell each client, in the midst of nothing, that its connection is over."""
        for client in self._clients:
            client.write(b"E" + (len(_LAST_WORD) + 4).to_bytes(4) + _LAST_WORD)

    def hang_up(self) -> None:
        """Close the connections."""
        while self._clients:
            self._clients.pop().close()


@pytest.fixture
async def wire(database: Database) -> AsyncIterator[tuple[Wire, str]]:
    """One, and the URL of the database behind it."""
    (folder,) = parse_qs(urlsplit(database.url).query)["host"]
    with TemporaryDirectory() as mine:
        between = Wire(Path(folder, _SOCKET))
        server = await asyncio.start_unix_server(between.serve, Path(mine, _SOCKET))
        yield between, database.url.replace(folder, mine)
        between.hang_up()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(("method", "known"), [("GET", True), ("POST", False)])
async def test_what_comes_before_the_end_of_a_connection_is_no_bug_of_ours(
    wire: tuple[Wire, str],
    make_app: MakeApp,
    make_actor: MakeActor,
    connection: "asyncpg.Connection[asyncpg.Record]",
    method: str,
    known: bool,
) -> None:
    between, url = wire
    service = await make_app(DATABASE_URL=url)
    athlete = await make_actor()
    client = service.client(cookies=athlete.client.cookies)

    async def ask() -> httpx.Response:
        body = {"name": uuid4().hex, "exercises": []} if method == "POST" else None
        return await client.request(method, "/api/v1/training-units", json=body)

    if known:
        assert (await ask()).status_code in {200, 201}
    before = await connection.fetchval("SELECT count(*) FROM training_units")
    between.say()
    # A round trip, in which the service hears it.
    await connection.fetchval("SELECT 1")
    answer = await ask()
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert await connection.fetchval("SELECT count(*) FROM training_units") == before
    between.hang_up()
    await connection.fetchval("SELECT 1")
    assert (await ask()).status_code in {200, 201}
