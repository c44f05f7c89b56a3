"""The whole stack as processes: through its proxy, under load, and with parts of it killed."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import asyncpg
import httpx
import pytest
from click.testing import CliRunner
from valkey.asyncio import Valkey
from valkey.exceptions import NoPermissionError

from app.cli.service import down
from app.embedded import DataFolder, EmbeddedPostgres, EmbeddedValkey
from app.stack.pgbouncer import PORT
from tests.cli.up import ENVIRONMENT, LITESTAR, until
from tests.servers import database_url, driver_url
from tests.stack.programs import need
from tests.stack.running import PASSWORD, SLOW, Person, Stack, running_stack
from tests.waiting import eventually

pytestmark = [pytest.mark.timeout(300)]

_SIGN_INS = 60
"""A minute, from an address."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One stack for all tests of this file."""
    need("nginx", "pgbouncer")
    # Connections are opened all the time, so that none may depend on when.
    variables = {"RATE_LIMIT_READS": "0", "RATE_LIMIT_SIGN_IN": str(_SIGN_INS), "POOL_RECYCLE": "1"}
    with (
        TemporaryDirectory(prefix="irontrack-test-") as folder,
        running_stack(Path(folder) / "d", "--server-connections", "10", **variables) as running,
    ):
        yield running


async def load(stack: Stack, meanwhile: tuple[str, ...], writers: int = 3) -> tuple[Counter[int], Counter[str]]:
    """Write and read until a command has ended; statuses, and each id that was acknowledged."""
    statuses: Counter[int] = Counter()
    acknowledged: Counter[str] = Counter()
    async with stack.client() as client:
        person = await Person.signed_in(client)
        ended = asyncio.Event()

        async def work() -> None:
            while not ended.is_set():
                written = await person.write()
                read = await client.get("/api/v1/access/me", headers=person.headers)
                statuses.update((written.status_code, read.status_code))
                if written.status_code == 201:
                    acknowledged[written.json()["id"]] += 1
                # Leaves some of the processor to what happens meanwhile.
                await asyncio.sleep(0.03)

        async with asyncio.TaskGroup() as group:
            for _ in range(writers):
                group.create_task(work())
            process = await asyncio.create_subprocess_exec(
                LITESTAR, "stack", *meanwhile, "--data", str(stack.data), env=ENVIRONMENT
            )
            try:
                assert await process.wait() == 0
            finally:
                ended.set()
        assert await person.stored() == set(acknowledged)
    return statuses, acknowledged


async def test_a_request_goes_all_the_way(stack: Stack) -> None:
    async with stack.client() as client:
        person = await Person.signed_in(client)
        answer = await person.write()
        assert answer.status_code == 201
        assert await person.stored() == {answer.json()["id"]}
        health = await client.get("/health")
    assert health.json()["status"] == "ok"
    status = stack.status()
    assert status["well"] is True
    assert set(status["health"]) == {"Node 0", "Node 1"}
    assert set(status["parts"]) == {"PostgreSQL", "Valkey", "PgBouncer", "Node 0", "Node 1", "nginx"}


async def test_client_and_request_are_those_of_the_proxy_and_not_what_is_claimed(stack: Stack) -> None:
    identity = uuid4().hex
    forged = {"X-Real-IP": "1.2.3.4", "X-Forwarded-For": "1.2.3.4", "X-Request-ID": identity}
    async with stack.client("127.0.0.9") as client:
        answer = await client.get("/health", headers=forged)
        assert answer.headers.get_list("x-request-id") == [identity]
        assert answer.headers.get_list("x-frame-options") == ["DENY"]
    until(lambda: stack.logged(identity), 10, "a line of the log")
    line = stack.logged(identity)
    assert line is not None
    assert line["address"] == "127.0.0.9"


async def test_an_address_is_limited_and_no_other(stack: Stack) -> None:
    async def sign_in(client: httpx.AsyncClient) -> httpx.Response:
        nobody = {"email": f"{uuid4().hex}@example.org", "password": PASSWORD}
        claimed = {"X-Real-IP": f"10.0.0.{os.urandom(1)[0]}"}
        return await client.post("/api/v1/access/signin", json=nobody, headers=claimed)

    async with stack.client("127.0.0.8") as many, stack.client("127.0.0.7") as other:
        # A window is a minute of the clock: another may begin meanwhile.
        statuses: list[int] = []
        while 429 not in statuses and len(statuses) <= 2 * _SIGN_INS:
            statuses.append((await sign_in(many)).status_code)
        assert statuses == [401] * (len(statuses) - 1) + [429]
        assert len(statuses) > _SIGN_INS
        assert (await sign_in(other)).status_code == 401


async def test_the_counters_of_each_node_are_on_the_status_socket(stack: Stack) -> None:
    transport = httpx.AsyncHTTPTransport(uds=str(stack.data / "run" / "status.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for number in range(2):
            answer = await client.get(f"/metrics/{number}")
            assert "irontrack_requests_total" in answer.text
        assert "Active connections" in (await client.get("/status/")).text


async def test_sessions_share_few_connections(stack: Stack) -> None:
    """200 that write at the same time, over 10 connections of PostgreSQL."""
    async with AsyncExitStack() as exits:
        # Nobody may have more of them, and from no address one may sign in much more often.
        clients = [await exits.enter_async_context(stack.client(f"127.0.1.{number}")) for number in range(1, 5)]
        people = await asyncio.gather(*(_sessions(client, 50) for client in clients))
        sessions = [session for person in people for session in person]
        assert len({session.headers["Cookie"] for session in sessions}) == 200
        acknowledged = await asyncio.gather(*(_written(session) for session in sessions))
        stored = [await person[0].stored() for person in people]
        assert [len(ids) for ids in stored] == [50] * 4
        assert set().union(*stored) == set(acknowledged)
    server = EmbeddedPostgres(DataFolder(stack.data).path)
    connection = await asyncpg.connect(server.superuser_url.replace("+asyncpg", ""))
    try:
        count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'irontrack'"
        assert await connection.fetchval(count) <= 10
        limits = "SELECT setconfig FROM pg_db_role_setting WHERE setrole = 'irontrack'::regrole"
        assert "statement_timeout=35s" in await connection.fetchval(limits)
    finally:
        await connection.close()


async def _sessions(client: httpx.AsyncClient, count: int) -> list[Person]:
    """Somebody who is signed in so many times."""
    person = await Person.signed_in(client)
    return [person, *[await person.again() for _ in range(count - 1)]]


async def _written(person: Person) -> str:
    """The id of a row that is stored; who waited too long for a connection is told to come again."""
    while (answer := await person.write()).status_code == 503:
        await asyncio.sleep(0.1)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def passwords(stack: Stack) -> list[str]:
    """The application's and PgBouncer's."""
    return [(stack.data / f"{name}.password").read_text() for name in ("database", "pgbouncer")]


async def connected(
    folder: str, password: str, user: str = "irontrack", port: int = PORT
) -> "asyncpg.Connection[asyncpg.Record]":
    """Through PgBouncer, unless another port is named."""
    place = {"host": folder, "port": port, "database": "irontrack", "statement_cache_size": 0}
    return await asyncpg.connect(user=user, password=password, **place)


async def test_pgbouncer_refuses_a_wrong_password_and_superusers(stack: Stack) -> None:
    folder = str(stack.data / "run")
    superuser = (stack.data / "postgres.password").read_text()
    for user, secret in (("irontrack", "wrong"), ("irontrack", superuser), ("postgres", superuser)):
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await connected(folder, secret, user)
    good = await connected(folder, passwords(stack)[0])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await good.fetch("SELECT * FROM pgbouncer.get_auth('postgres')")
    await good.close()


async def test_valkey_lets_the_service_do_what_it_needs_and_no_more(stack: Stack) -> None:
    async with Valkey.from_url(EmbeddedValkey(DataFolder(stack.data).path).url) as valkey:
        assert await valkey.ping()
        for command in ("FLUSHALL", "KEYS *", "CONFIG GET *", "SHUTDOWN", "ACL LIST"):
            with pytest.raises(NoPermissionError):
                await valkey.execute_command(*command.split())


async def test_new_passwords_and_the_reload_that_brings_them_lose_no_request(stack: Stack) -> None:
    former = passwords(stack)
    before = {name: stack.part(name) for name in ("Node 0", "Node 1", "nginx", "PgBouncer", "PostgreSQL")}
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(_writes_that_outlast_their_node(stack))
        loaded = group.create_task(load(stack, ("rotate-passwords",)))
    statuses, acknowledged = loaded.result()
    assert set(statuses) == {200, 201}
    assert len({*former, *passwords(stack)}) == 4
    with pytest.raises(asyncpg.PostgresError):
        await connected(str(stack.data / "run"), former[0])
    await (await connected(str(stack.data / "run"), passwords(stack)[0])).close()
    assert set(acknowledged.values()) == {1}
    assert slow.result() == [200, 200]
    after = {name: stack.part(name) for name in before}
    assert {name for name in before if before[name] != after[name]} == {"Node 0", "Node 1"}


async def _writes_that_outlast_their_node(stack: Stack) -> list[int]:
    """One at each node, held up from before a new one is there until some time after."""

    def processes() -> int:
        return len(stack.named("app.embedded.granian"))

    server = await asyncpg.connect(driver_url(database_url(EmbeddedPostgres(stack.data).superuser_url, "irontrack")))
    try:
        async with stack.client() as client, asyncio.TaskGroup() as group:
            person = await Person.signed_in(client)
            unit = (await person.write()).json()["id"]
            of_old_nodes = processes()
            await eventually(lambda: processes() > of_old_nodes, SLOW)
            async with server.transaction():
                await server.execute("SELECT FROM training_units WHERE id = $1 FOR UPDATE", unit)
                held = [group.create_task(person.rename(unit)) for _ in range(2)]
                waiting = "SELECT count(*) >= 2 FROM pg_locks WHERE NOT granted"
                await eventually(partial(server.fetchval, waiting), SLOW)
                await eventually(lambda: processes() > of_old_nodes + 1, SLOW)
                for _ in range(20):
                    # Meanwhile the old one is told to end.
                    assert (await person.write()).status_code == 201
    finally:
        await server.close()
    return [task.result().status_code for task in held]


async def test_new_keys_sign_nobody_out(stack: Stack) -> None:
    async with stack.client() as client:
        person = await Person.signed_in(client)
        before = {key["kid"] for key in (await client.get("/.well-known/jwks.json")).json()["keys"]}
        rotated = stack.command_of("keys", "rotate")
        assert rotated.returncode == 0, rotated.stderr
        after = {key["kid"] for key in (await client.get("/.well-known/jwks.json")).json()["keys"]}
        assert len(after - before) == 1
        for _ in range(10):
            assert (await person.write()).status_code == 201
        other = await Person.signed_in(client)
        for _ in range(10):
            assert (await other.write()).status_code == 201


async def test_a_reload_that_can_not_succeed_changes_nothing(stack: Stack) -> None:
    before = stack.part("Node 0")
    keys = stack.data / "keys.json"
    kept = keys.read_text()
    keys.write_text("{}")
    try:
        refused = stack.run("reload")
    finally:
        keys.write_text(kept)
    assert refused.exit_code == 1
    assert "Node 0" in refused.stderr
    assert stack.part("Node 0") == before
    assert stack.status()["well"] is True


async def test_a_part_that_can_not_be_started_is_tried_again_and_ends_nothing_else(stack: Stack) -> None:
    log = stack.data / "logs" / "pgbouncer.log"
    aside = log.rename(log.with_name("aside.log"))
    log.mkdir()
    try:
        os.kill(stack.part("PgBouncer"), signal.SIGKILL)
        await eventually(lambda: "PgBouncer is not back" in stack.said() or stack.process.poll() is not None, SLOW)
    finally:
        log.rmdir()
        aside.rename(log)
    assert stack.process.poll() is None, stack.said()
    await eventually(lambda: stack.status()["well"] is True, SLOW)


def test_its_folder_is_not_for_another_service_at_the_same_time(stack: Stack) -> None:
    refused = CliRunner().invoke(down, ["--data", str(stack.data)])
    assert refused.exit_code == 1
    assert "litestar stack up" in refused.stderr
