"""Valkey with a replica and sentinels: the primary dies, and everybody goes on with the replica."""

import re
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import httpx
import pytest
from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from app.embedded import EmbeddedValkey
from app.embedded.binaries import valkey_program
from app.embedded.process import Child
from app.stack.databases import valkey_configuration
from tests.cluster.postgres import free_port
from tests.conftest import MakeApp
from tests.waiting import eventually

pytestmark = [pytest.mark.timeout(600)]

_ACCESS = "/api/v1/access"
_PASSWORD = "Deadlift1!"
_SECRET = uuid4().hex
_DIGEST = sha256(_SECRET.encode()).hexdigest()
_README = Path(__file__).parents[2] / "infra" / "high-availability" / "README.md"
_USERS = dict(re.findall(r"^user (\S+) on #\S+ (.+)$", _README.read_text(), re.MULTILINE))
"""What replicas and sentinels may do, as the recipe has it."""
_SILENT = 500
"""Milliseconds after which the sentinels take a server for dead."""
_HASTE = {"publish-period": 200, "info-period": 500, "ask-period": 200}
"""How often they talk to each other and to the servers, in milliseconds: seconds by default."""


class Sentinels:
    """A primary, a replica and three sentinels.

    Attributes:
        url: for the service.
        primary: the server that everybody uses at first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = [free_port() for _ in range(2)]
        self._sentinels = [free_port() for _ in range(3)]
        servers = [self._server(0), self._server(1, f"replicaof 127.0.0.1 {self._ports[0]}")]
        self.primary, self.replica = servers
        self.url = f"valkey+sentinel://:{_SECRET}@{self._places}/irontrack?db=0"

    @property
    def _places(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self._sentinels)

    def _server(self, number: int, *more: str) -> EmbeddedValkey:
        data = self._folder / str(number)
        (data / "logs").mkdir(parents=True)
        lines = (
            "bind 127.0.0.1",
            f"port {self._ports[number]}",
            *(f"user {name} on #{_DIGEST} {rights}" for name, rights in _USERS.items()),
            "masteruser replication",
            f"masterauth {_SECRET}",
            "repl-diskless-sync-delay 0",
            *more,
        )
        (data / "valkey.password").write_text(_SECRET)
        return EmbeddedValkey(
            data, lambda server, password: "\n".join((valkey_configuration(server, password), *lines, ""))
        )

    async def start(self, stack: AsyncExitStack) -> None:
        """Start all of them; they end with the stack."""
        for server in (self.primary, self.replica):
            stack.push_async_callback(server.stop)
            await server.start()
        async with self.client(1) as replica:
            await eventually(lambda: _linked(replica), 20)
        for port in self._sentinels:
            configuration = self._folder / f"sentinel{port}.conf"
            lines = (
                f"port {port}",
                "bind 127.0.0.1",
                f'dir "{self._folder}"',
                f"sentinel monitor irontrack 127.0.0.1 {self._ports[0]} 2",
                "sentinel auth-user irontrack sentinel",
                f"sentinel auth-pass irontrack {_SECRET}",
                f"sentinel down-after-milliseconds irontrack {_SILENT}",
                "sentinel failover-timeout irontrack 3000",
            )
            configuration.write_text("\n".join((*lines, "")))
            sentinel = Child.start(
                f"sentinel {port}",
                [str(valkey_program()), str(configuration), "--sentinel"],
                death=signal.SIGTERM,
                log=self._folder / f"sentinel{port}.log",
            )
            stack.push_async_callback(sentinel.stop, ((signal.SIGTERM, 1.0),))
        async with AsyncExitStack() as asking:
            clients = [await asking.enter_async_context(Valkey(port=port)) for port in self._sentinels]
            for client in clients:
                await eventually(partial(_takes, client, _HASTE), 20)
            for client in clients:
                await eventually(partial(_knows_the_others, client), 20)

    def client(self, number: int) -> Valkey:
        """A client of one server."""
        return Valkey(port=self._ports[number], password=_SECRET)

    async def kill(self) -> None:
        """End the primary as a machine that loses its power."""
        assert self.primary.child is not None
        self.primary.child.send_group(signal.SIGKILL)
        await self.primary.child.wait()


async def _takes(sentinel: Valkey, periods: Mapping[str, int]) -> bool:
    try:
        await sentinel.execute_command("SENTINEL DEBUG", *(part for period in periods.items() for part in period))  # type: ignore[no-untyped-call]
    except ValkeyError:
        return False
    return True


async def _linked(replica: Valkey) -> bool:
    return bool((await replica.info("replication")).get("master_link_status") == "up")


async def _knows_the_others(sentinel: Valkey) -> bool:
    try:
        state = (await sentinel.sentinel_masters())["irontrack"]  # type: ignore[no-untyped-call]
    except (ValkeyError, KeyError):
        return False
    return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)


@pytest.fixture
async def sentinels() -> AsyncIterator[Sentinels]:
    with TemporaryDirectory(prefix="irontrack-test-") as name:
        async with AsyncExitStack() as stack:
            sentinels = Sentinels(Path(name))
            await sentinels.start(stack)
            yield sentinels


async def sign_in(client: httpx.AsyncClient, email: str) -> bool:
    answer = await client.post(f"{_ACCESS}/signin", json={"email": email, "password": _PASSWORD})
    assert answer.status_code in {204, 503}, answer.text
    return answer.status_code == 204


async def test_the_service_goes_on_with_the_replica(sentinels: Sentinels, make_app: MakeApp, tmp_path: Path) -> None:
    here = (await make_app(VALKEY_URL=sentinels.url)).client()
    # Another machine's: it hears of revocations through Valkey alone.
    elsewhere = await make_app(VALKEY_URL=sentinels.url, REVOCATION_FILE=str(tmp_path / "revocations"))
    there, other = elsewhere.client(), elsewhere.client()
    email = f"{uuid4().hex}@example.org"
    account = {"email": email, "password": _PASSWORD, "confirmPassword": _PASSWORD}
    assert (await here.post(f"{_ACCESS}/signup", json=account)).status_code == 201
    await eventually(lambda: sign_in(here, email), 30)
    there.cookies.update(here.cookies)
    await eventually(lambda: sign_in(other, email), 30)
    assert (await other.get(f"{_ACCESS}/me")).status_code == (await there.get(f"{_ACCESS}/me")).status_code == 200
    async with sentinels.client(0) as primary, sentinels.client(1) as replica:
        await eventually(lambda: _same_sessions(primary, replica), 20)

    await sentinels.kill()
    # Revoked while there is no Valkey at all: who asks elsewhere is refused although nothing could be told.
    assert (await here.post(f"{_ACCESS}/logout")).status_code in {204, 503}
    await eventually(lambda: _refused(there), 20)
    # What was signed in goes on meanwhile.
    assert (await other.get(f"{_ACCESS}/me")).status_code == 200

    await eventually(lambda: sign_in(here, email), 60)
    # A session of the old primary is refreshed at the new one.
    await eventually(lambda: refresh(other), 30)
    # And news go from node to node again.
    there.cookies.clear()
    there.cookies.update(here.cookies)
    assert (await there.get(f"{_ACCESS}/me")).status_code == 200
    assert (await here.post(f"{_ACCESS}/logout")).status_code == 204
    await eventually(lambda: _refused(there), 20)


async def refresh(client: httpx.AsyncClient) -> bool:
    answer = await client.post(f"{_ACCESS}/refresh-jwt")
    assert answer.status_code in {204, 503}, answer.text
    return answer.status_code == 204


async def _same_sessions(*servers: Valkey) -> bool:
    one, other = [{key async for key in server.scan_iter("irontrack:refresh:*")} for server in servers]
    return len(one) >= 2 and one == other


async def _refused(client: httpx.AsyncClient) -> bool:
    return (await client.get(f"{_ACCESS}/me")).status_code == 401
