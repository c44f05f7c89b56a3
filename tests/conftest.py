"""What every test may ask for."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, settings
from valkey.asyncio import Valkey

from app.security.keys import KeyRing
from tests import statements as statement_log
from tests.actors import Actor, Role, create_actor
from tests.servers import Database, TestPostgres, TestValkey, database_url, driver_url, environment
from tests.service import Service

statement_log.install()
# A machine that stands still in the middle of an example proves nothing about us.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_POSTGRES = pytest.StashKey[TestPostgres]()


class MakeApp(Protocol):
    """Starts an app with other settings; it ends with the test."""

    def __call__(self, **variables: str) -> Awaitable[Service]: ...


class MakeActor(Protocol):
    """Makes a further signed-in person."""

    def __call__(
        self, role: Role = "application-access", name: str = "Ada", service: Service | None = None
    ) -> Awaitable[Actor]: ...


def _postgres(config: pytest.Config) -> TestPostgres:
    if _POSTGRES not in config.stash:
        config.stash[_POSTGRES] = TestPostgres.started()
    return config.stash[_POSTGRES]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """With several processes the one that distributes the tests starts PostgreSQL, and tells the others where it is."""
    postgres = _postgres(node.config)
    node.workerinput["postgres"] = (postgres.owner_url, postgres.superuser_url)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Whoever started PostgreSQL ends it."""
    if _POSTGRES in config.stash:
        config.stash[_POSTGRES].stop()


@pytest.fixture(scope="session")
def postgres_urls(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The template database for the service's role, and the server for its superuser."""
    told: tuple[str, str] | None = getattr(request.config, "workerinput", {}).get("postgres")
    if told:
        return told
    postgres = _postgres(request.config)
    return postgres.owner_url, postgres.superuser_url


@pytest.fixture(scope="session")
async def database(postgres_urls: tuple[str, str], worker_id: str) -> AsyncIterator[Database]:
    """This process's own database."""
    copy = await Database.copied(*postgres_urls, f"test_{worker_id}")
    yield copy
    await copy.close()


@pytest.fixture(scope="session")
async def valkey_server() -> AsyncIterator[TestValkey]:
    """This process's own Valkey."""
    server = TestValkey()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="session")
def base_environment(
    database: Database, valkey_server: TestValkey, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The variables that every app of this process is started with."""
    folder: Path = tmp_path_factory.mktemp("data")
    keys = KeyRing.generate()
    keys.save(folder / "keys.json")
    key = (folder / "keys.json").read_text()
    return environment(database.url, valkey_server.url, folder, key, {})


@pytest.fixture(scope="session")
async def shared_service(base_environment: dict[str, str]) -> AsyncIterator[Service]:
    """The app that most tests talk to."""
    async with Service.running(base_environment) as service:
        yield service


@pytest.fixture
async def clean(database: Database, valkey: Valkey) -> AsyncIterator[None]:
    """Afterwards nothing of the test is left in either store. Whatever touches them asks for this."""
    yield
    await database.clear()
    await valkey.flushdb()


@pytest.fixture
async def valkey(valkey_server: TestValkey) -> AsyncIterator[Valkey]:
    """A client of this process's Valkey."""
    async with Valkey.from_url(valkey_server.url) as client:
        yield client


@pytest.fixture
async def connection(database: Database, clean: None) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection to this process's database, in the service's role."""
    connected = await asyncpg.connect(driver_url(database.url))
    yield connected
    await connected.close()


@pytest.fixture
async def service(shared_service: Service, clean: None) -> Service:
    """The app with the settings of most tests: no rate limits."""
    await shared_service.settled()
    return shared_service


@pytest.fixture
async def make_app(base_environment: dict[str, str], clean: None) -> AsyncIterator[MakeApp]:
    """Apps with other settings, given by their variables."""
    async with AsyncExitStack() as running:

        async def make(**variables: str) -> Service:
            return await running.enter_async_context(
                Service.running({**base_environment, "MAX_POOL_SIZE": "3", **variables})
            )

        yield make


@pytest.fixture
async def make_database(postgres_urls: tuple[str, str], worker_id: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Empty databases of the service's role, by their URLs; for tests of migrations."""
    owner_url, superuser_url = postgres_urls
    server = await asyncpg.connect(driver_url(superuser_url))
    names: list[str] = []

    async def make() -> str:
        name = f"empty_{worker_id}_{os.urandom(4).hex()}"
        await server.execute(f"CREATE DATABASE {name} OWNER irontrack")
        names.append(name)
        return database_url(owner_url, name)

    yield make
    for name in names:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


@pytest.fixture
def client(service: Service) -> httpx.AsyncClient:
    """Nobody: a client that is not signed in."""
    return service.client()


@pytest.fixture
def make_actor(service: Service, connection: "asyncpg.Connection[asyncpg.Record]") -> MakeActor:
    """Further people, signed in to the usual app or to another one."""
    usual = service

    async def make(role: Role = "application-access", name: str = "Ada", service: Service | None = None) -> Actor:
        return await create_actor(service or usual, connection, role, name)

    return make


@pytest.fixture
async def athlete(make_actor: MakeActor) -> Actor:
    """A user as they sign up."""
    return await make_actor()


@pytest.fixture
async def other_athlete(make_actor: MakeActor) -> Actor:
    """Another user, who owns nothing of the first one."""
    return await make_actor(name="Grace")


@pytest.fixture
async def trainer(make_actor: MakeActor) -> Actor:
    """A user with the role fitness-trainer."""
    return await make_actor("fitness-trainer", "Tabitha")


@pytest.fixture
async def superuser(make_actor: MakeActor) -> Actor:
    """A superuser."""
    return await make_actor("superuser", "Root")


@pytest.fixture
def statements() -> Callable[[], AbstractContextManager[statement_log.Statements]]:
    """Counts statements: ``with statements() as sent: …``, then ``len(sent)``. BEGIN and COMMIT count."""
    return statement_log.counted
