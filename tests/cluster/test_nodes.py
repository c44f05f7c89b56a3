"""Two nodes on machines of their own, which share PostgreSQL, Valkey and the signing keys and nothing else."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from app.embedded import EmbeddedValkey
from app.embedded.folder import socket_folder
from app.embedded.listener import Address, listen, release
from app.embedded.process import mortal
from app.security.keys import KeyRing
from app.stack.programs import find_proxy
from app.stack.proxy import Proxy, ProxySettings
from tests.cli.up import ENVIRONMENT, LITESTAR, until
from tests.cluster.namespaces import Network, need_namespaces
from tests.cluster.postgres import PostgresNode
from tests.stack.programs import need

pytestmark = [pytest.mark.timeout(300)]

API = "/api/v1"
_PASSWORD = "Deadlift1!"
_SEEN_WITHIN = 1.0
"""Seconds after which a node must know what was revoked on another."""
_PORT = 8000
_SLOW = 120.0
"""Far more than a node takes to start on a machine of its own."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cookies: dict[str, str]

    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class Machines:
    """Two nodes, the databases' machine, the proxy's and a client's."""

    def __init__(self, network: Network, data: Path, database: PostgresNode) -> None:
        self.network = network
        self.data = data
        self.database = database

    def ask(
        self, machine: str, method: str, path: str, body: object = None, /, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A request of the client, straight to a node or to the proxy, over a connection of its own."""
        connection = HTTPConnection(self.network.address(machine), _PORT, timeout=20)
        with self.network.inside("client"):
            connection.connect()
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(
                method, path, sent, {"Content-Type": "application/json", "Connection": "close", **(headers or {})}
            )
            answer = connection.getresponse()
            read = answer.read()
            cookies: SimpleCookie = SimpleCookie()
            for header in answer.headers.get_all("set-cookie", []):
                cookies.load(header)
            told = {name.lower(): value for name, value in answer.getheaders()}
            named = {name: morsel.value for name, morsel in cookies.items()}
            return Answer(answer.status, told, read, named)
        finally:
            connection.close()

    def sign_up(self) -> str:
        """Make an account, through the proxy; its e-mail address."""
        email = f"{uuid4().hex}@example.org"
        account = {"email": email, "password": _PASSWORD, "confirmPassword": _PASSWORD}
        assert self.ask("proxy", "POST", f"{API}/access/signup", account).status == 201
        return email

    def sign_in(self, machine: str, email: str) -> dict[str, str]:
        """Sign in at a node; the header that says who asks."""
        answer = self.ask(machine, "POST", f"{API}/access/signin", {"email": email, "password": _PASSWORD})
        assert answer.status == 204, answer
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in answer.cookies.items())}

    def me(self, machine: str, who: Mapping[str, str]) -> int:
        """Whether a node knows the caller."""
        return self.ask(machine, "GET", f"{API}/access/me", headers=who).status

    def logged(self, identity: str) -> list[str]:
        """Which addresses the nodes' logs say that a request came from."""
        lines = [line for machine in ("a", "b") for line in (self.data / machine / "log").read_text().splitlines()]
        return [json.loads(line)["address"] for line in lines if f'"{identity}"' in line]


def _node(machines: Machines, stack: ExitStack, machine: str, variables: Mapping[str, str]) -> None:
    """Start a node: its own data folder, its own copy of the keys, its own memory of revocations."""
    folder = machines.data / machine
    folder.mkdir()
    keys = folder / "keys.json"
    keys.write_text((machines.data / "keys.json").read_text())
    keys.chmod(0o600)
    own = {
        "IRONTRACK_DATA": str(folder),
        "JWT_KEYS_FILE": str(keys),
        "REVOCATION_FILE": str(folder / "revocations"),
        "TRUSTED_PROXIES": machines.network.address("proxy"),
    }
    command = [LITESTAR, "stack", "serve", "--host", machines.network.address(machine), "--port", str(_PORT)]
    with machines.network.inside(machine), (folder / "log").open("w") as log:
        ours = mortal(command, signal.SIGTERM)
        node = subprocess.Popen(ours, env={**ENVIRONMENT, **variables, **own}, stdout=log, stderr=log)
    stack.callback(node.wait, _SLOW)
    stack.callback(node.send_signal, signal.SIGTERM)


@pytest.fixture(scope="module")
async def machines(template: Path) -> AsyncIterator[Machines]:
    """The whole of it, for all tests of this file."""
    need_namespaces()
    need("nginx")
    with ExitStack() as stack:
        data = Path(stack.enter_context(TemporaryDirectory(prefix="irontrack-test-")))
        network = stack.enter_context(Network.of("proxy", "client", "data", "a", "b"))
        (data / "valkey" / "logs").mkdir(parents=True)
        KeyRing.generate().save(data / "keys.json")
        address = network.address("data")
        valkey = EmbeddedValkey(data / "valkey", lambda server, password: _valkey(server, password, address))
        async with AsyncExitStack() as servers:
            with network.inside("data"):
                database = PostgresNode.copied(template, data / "postgres", address)
                servers.push_async_callback(database.server.stop)
                servers.push_async_callback(valkey.stop)
                await asyncio.gather(database.server.start(), valkey.start())
            machines = Machines(network, data, database)
            password = (data / "valkey" / "valkey.password").read_text().strip()
            variables = {
                "DATABASE_URL": database.url,
                "VALKEY_URL": f"valkey://:{password}@{address}:6379/0",
                "PUBLIC_URL": "http://irontrack.example",
                "INSECURE_COOKIES": "true",
                "RATE_LIMIT_READS": "0",
            }
            with ExitStack() as nodes:
                for machine in ("a", "b"):
                    _node(machines, nodes, machine, variables)
                proxy = await _proxy(machines)
                servers.push_async_callback(proxy.stop)
                for machine in ("a", "b"):
                    until(partial(_ready, machines, machine), _SLOW, f"node {machine}")
                yield machines


def _valkey(server: EmbeddedValkey, password: str, address: str) -> str:
    lines = (
        f"bind {address}",
        "port 6379",
        f'unixsocket "{server.socket}"',
        f"requirepass {password}",
        f'dir "{server.files}"',
        "appendonly yes",
        'save ""',
        "maxmemory-policy noeviction",
    )
    return "\n".join((*lines, ""))


async def _proxy(machines: Machines) -> Proxy:
    data = machines.data / "proxy"
    for name in ("logs", "stack"):
        (data / name).mkdir(parents=True)
    run = socket_folder(data)
    host = machines.network.address("proxy")
    with machines.network.inside("proxy"):
        listeners, address = listen(Address(host, _PORT), 1)
        settings = ProxySettings(
            sockets=[f"{machines.network.address(machine)}:{_PORT}" for machine in ("a", "b")],
            listen=[f"{host}:{_PORT}"],
            public_port=_PORT,
            status_listen=f"unix:{run / 'status.sock'}",
            folder=str(run / "proxy"),
            access_log=str(data / "logs" / "access.log"),
            error_log="stderr",
            workers="1",
            rate=10000,
            burst=10000,
        )
        proxy = _StartedBlind(find_proxy(), settings, listeners, address, data)
        await proxy.start()
    # nginx has its own of them.
    release(listeners, address)
    return proxy


class _StartedBlind(Proxy):
    """Its nodes may not be there yet, and nobody outside of its namespace can ask it."""

    async def _answers(self) -> bool:
        return any(name == "proxy.pid" for name in os.listdir(self.settings.folder))


def _ready(machines: Machines, machine: str) -> bool:
    try:
        return machines.ask(machine, "GET", "/health/ready").status == 200
    except OSError:
        return False


def test_who_signs_in_on_one_node_is_known_to_the_other(machines: Machines) -> None:
    who = machines.sign_in("a", machines.sign_up())
    assert [machines.me(machine, who) for machine in ("a", "b", "proxy")] == [200, 200, 200]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/access/logout", None),
        ("PATCH", "/access/password-update", {"currentPassword": _PASSWORD, "newPassword": f"{_PASSWORD}2"}),
    ],
)
def test_what_one_node_revokes_the_other_refuses_within_a_second(
    machines: Machines, method: str, path: str, body: object
) -> None:
    email = machines.sign_up()
    who = machines.sign_in("b", email)
    revoking = who if body is None else machines.sign_in("a", email)
    # Both know the caller by heart, and so would go on answering without asking anybody.
    assert [machines.me(machine, who) for machine in ("a", "b", "a", "b")] == [200] * 4
    answer = machines.ask("a", method, f"{API}{path}", body, headers=revoking)
    assert answer.status in {200, 204}, answer
    revoked = time.monotonic()
    asked = revoked
    while machines.me("b", who) != 401:
        # Asked when it had to know.
        assert asked < revoked + _SEEN_WITHIN
        asked = time.monotonic()
    assert [machines.me(machine, who) for machine in ("a", "b")] == [401, 401]


def test_a_write_that_is_repeated_on_the_other_node_is_done_once(machines: Machines) -> None:
    who = machines.sign_in("a", machines.sign_up()) | {"Idempotency-Key": uuid4().hex}
    unit = {"name": "Legs", "exercises": []}
    first = machines.ask("a", "POST", f"{API}/training-units", unit, headers=who)
    again = machines.ask("b", "POST", f"{API}/training-units", unit, headers=who)
    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert again.headers["idempotent-replayed"] == "true"
    found = machines.ask("b", "GET", f"{API}/training-units?pageSize=100&currentPage=1", headers=who)
    assert [item["id"] for item in found.json()["items"]] == [first.json()["id"]]


def test_the_address_of_a_client_is_believed_from_the_proxy_alone(machines: Machines) -> None:
    client = machines.network.address("client")
    for machine in ("proxy", "a"):
        identity = uuid4().hex
        headers = {"X-Real-IP": "1.2.3.4", "X-Request-ID": identity}
        assert machines.ask(machine, "GET", "/health", headers=headers).status == 200
        until(partial(machines.logged, identity), 10, "a line of the log")
        assert machines.logged(identity) == [client]


def test_a_node_whose_machine_vanishes_is_not_missed(machines: Machines) -> None:
    who = machines.sign_in("proxy", machines.sign_up())
    # The proxy has kept connections to both, and will only notice by their silence.
    assert {machines.me("proxy", who) for _ in range(8)} == {200}
    machines.network.unplug("b")
    try:
        assert {machines.me("proxy", who) for _ in range(8)} == {200}
        for name in ("Legs", "Back", "Arms", "Core"):
            body: dict[str, object] = {"name": name, "exercises": []}
            assert machines.ask("proxy", "POST", f"{API}/training-units", body, headers=who).status == 201
    finally:
        machines.network.plug("b")
    until(lambda: _ready(machines, "b"), _SLOW, "node b")
