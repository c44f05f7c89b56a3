"""The production stack as plain processes: a proxy, two nodes of the application, PgBouncer and the servers."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from app.embedded import DataFolder, EmbeddedPostgres, EmbeddedValkey, FolderError, NotEmbeddable, StartFailed
from app.embedded.folder import secret, socket_folder
from app.embedded.listener import Address, listen, release
from app.embedded.postgres import OWNER, OWNER_FILE
from app.embedded.process import Child, may_bind
from app.embedded.services import Server, embedded_servers
from app.embedded.supervisor import Granian, Overseer, Prepare, Say, Service, together, worker_environment
from app.settings import LimitSettings, load_settings
from app.stack.databases import (
    apply_roles,
    memory_of_this_machine,
    postgres_settings,
    separate_owner_password,
    valkey_configuration,
)
from app.stack.pgbouncer import AUTH_USER, PgBouncer, PgBouncerSettings
from app.stack.programs import ProxyProgram, find_pgbouncer
from app.stack.proxy import Proxy, ProxySettings

__all__ = ("RELOAD", "StackOptions", "StackRunning", "StackSupervisor", "read_variables")

RELOAD: Final = signal.SIGUSR1
"""Not SIGHUP, which a closed terminal sends to end everything."""
_NODES: Final = 2
_OTHER_CONNECTIONS: Final = 30
_STARTS_APART: Final = 0.25
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
_POSTGRES_STARTS_WITHIN: Final = 3600.0
"""Seconds: 4 GB of changes are a long recovery on a slow disk, and one that is cut short begins anew."""
_POSTGRES_ENDS_WITHIN: Final = 60.0
"""Seconds for its last checkpoint, which a slow disk needs; else it has to recover at the next start."""


class StackOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the stack is run.

    Attributes:
        workers: processes that answer, over both nodes.
        redirect_port: where plain HTTP sends everybody to TLS; None: nowhere.
        pgbouncer: between the workers and an embedded PostgreSQL.
        server_connections: of PgBouncer to PostgreSQL.
        variables_file: a file with ``NAME=value`` lines, read again by each reload.
        rate: requests a second of one address, and how many more in a burst.
        burst: see ``rate``.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 2
    pgbouncer: bool = True
    server_connections: int = 20
    certificate: str = ""
    certificate_key: str = ""
    redirect_port: int | None = None
    variables_file: str = ""
    rate: int = 50
    burst: int = 200
    connections: int = 100


class StackRunning(msgspec.Struct, frozen=True):
    """What runs, written into the data folder for `litestar stack status`.

    Attributes:
        parts: process ids by name.
        nodes: sockets of the application's nodes, by name.
        reloads: that have ended, well or not.
        failure: why the last one did not end well.
    """

    pid: int
    url: str
    parts: dict[str, int]
    nodes: dict[str, str]
    reloads: int = 0
    failure: str = ""


class StackSupervisor(Overseer):
    """Keeps the stack running: whatever ends is started again, as often as it takes."""

    def __init__(
        self,
        folder: DataFolder,
        options: StackOptions,
        program: ProxyProgram,
        *,
        prepare: Prepare,
        say: Say,
        environment: Mapping[str, str],
    ) -> None:
        """
        Args:
            folder: the data folder, which we own.
            program: the proxy.
            prepare: brings the database up to date; runs in a forked process, gets the environment of the service.
            say: tells the person at the terminal.
            environment: which decides what is embedded.

        Raises:
            AddressError: the port is taken.
            NotEmbeddable: a program is missing.
            SettingsError: a variable can't be used.
        """
        super().__init__(folder, prepare=prepare, say=say)
        self._options = options
        self._base = environment
        (folder.path / "stack").mkdir(mode=0o700, exist_ok=True)
        settings = load_settings(self._variables())
        self._grace = int(settings.limits.request_timeout) + 5
        self._run = socket_folder(folder.path)
        self._per_node = max(1, options.workers // _NODES)
        self._servers = self._make_servers()
        self._pgbouncer = self._make_pgbouncer(settings.database.pool_size)
        listeners, self.address = listen(Address(options.host, options.port), 1)
        self._opened = [(listeners, self.address)]
        if options.redirect_port is not None:
            self._opened.append(listen(Address(options.host, options.redirect_port), 1))
        self.proxy = self._make_proxy(program, settings.limits)
        self._nodes = [self._make_node(number) for number in range(_NODES)]
        self._reloads = 0
        self._failure = ""
        self._reload_wanted = asyncio.Event()
        self._last_starts: dict[str, float] = {}
        self._changing = {part.name: asyncio.Lock() for part in self._parts}
        # What is decided here stays so when the variables are read again: the folder of counters, the keys.
        variables = self._variables()
        whole = worker_environment(folder, variables)
        self._ours = {name: value for name, value in whole.items() if variables.get(name) != value}

    @property
    def url(self) -> str:
        """Where clients reach us."""
        return self.address.url.replace("http:", "https:", 1) if self._options.certificate else self.address.url

    def release(self) -> None:
        """Close the listening sockets."""
        for listeners, address in self._opened:
            release(listeners, address)

    def _make_servers(self) -> dict[str, Server]:
        servers = embedded_servers(self._folder, self._variables())
        path = self._folder.path
        if "DATABASE_URL" in servers:
            connections = self._options.server_connections + _OTHER_CONNECTIONS
            if not self._options.pgbouncer:
                pool = load_settings(self._variables()).database.pool_size
                connections = 2 * _NODES * self._per_node * pool + _OTHER_CONNECTIONS
            settings = postgres_settings(memory_of_this_machine(), connections)
            servers["DATABASE_URL"] = EmbeddedPostgres(
                path, settings, starts_within=_POSTGRES_STARTS_WITHIN, ends_within=_POSTGRES_ENDS_WITHIN
            )
            separate_owner_password(path)
        if "VALKEY_URL" in servers:
            servers["VALKEY_URL"] = EmbeddedValkey(path, valkey_configuration)
        return servers

    def _make_pgbouncer(self, pool_size: int) -> PgBouncer | None:
        if not self._options.pgbouncer or "DATABASE_URL" not in self._servers:
            return None
        settings = PgBouncerSettings(
            postgres_sockets=str(self._run),
            sockets=str(self._run),
            auth_file=str(self._folder.path / "stack" / "userlist.txt"),
            # While it is reloaded a node is there twice.
            client_connections=2 * _NODES * self._per_node * pool_size + _OTHER_CONNECTIONS,
            server_connections=self._options.server_connections,
        )
        return PgBouncer(find_pgbouncer(), settings, self._folder.path)

    def _make_proxy(self, program: ProxyProgram, limits: LimitSettings) -> Proxy:
        listen_on, *redirect_on = [_named(listeners, address) for listeners, address in self._opened]
        settings = ProxySettings(
            sockets=[self._socket_of(number) for number in range(_NODES)],
            listen=listen_on,
            redirect_listen=[name for names in redirect_on for name in names],
            public_port=self.address.port,
            status_listen=f"unix:{self._run / 'status.sock'}",
            folder=str(self._run / "proxy"),
            access_log=str(self._folder.logs / "access.log"),
            error_log="stderr",
            certificate=self._options.certificate,
            certificate_key=self._options.certificate_key,
            rate=self._options.rate,
            burst=self._options.burst,
            connections=self._options.connections,
            timeout=self._grace,
            grace=self._grace + 5,
            max_body=limits.max_body_bytes,
            max_upload=limits.max_upload_bytes,
            max_archive=limits.max_archive_bytes,
            upload_timeout=int(limits.upload_timeout) + 5,
        )
        listeners = [listener for opened, _ in self._opened for listener in opened]
        if not may_bind(self.address.port):
            # Its sockets of TCP are handed over; those of HTTP/3 it has to open by itself.
            program = msgspec.structs.replace(program, http3=False)
        return Proxy(program, settings, listeners, self.address, self._folder.path)

    def _make_node(self, number: int) -> Granian:
        listeners, address = listen(Address(uds=self._socket_of(number)), 1)
        self._opened.append((listeners, address))
        log = self._folder.logs / "application.log"
        name = f"Node {number}"
        return Granian(listeners, address, self._per_node, {}, name=name, grace=self._grace, log=log)

    def _socket_of(self, number: int) -> str:
        return str(self._run / f"node{number}.sock")

    def _variables(self) -> dict[str, str]:
        variables = dict(self._base)
        if self._options.variables_file:
            variables |= read_variables(Path(self._options.variables_file))
        return variables

    def _direct_environment(self) -> dict[str, str]:
        """For what has to reach PostgreSQL itself: migrations."""
        variables = self._variables()
        urls = {name: server.url for name, server in self._servers.items()}
        public = {"PUBLIC_URL": variables.get("PUBLIC_URL") or self.url}
        return variables | self._ours | urls | public

    def _environment(self) -> dict[str, str]:
        """For the workers."""
        variables = self._direct_environment()
        postgres = self._servers.get("DATABASE_URL")
        if isinstance(postgres, EmbeddedPostgres):
            # Workers outlive a password: they read it whenever they connect.
            variables["DATABASE_PASSWORD_FILE"] = str(postgres.password_file)
            variables["DATABASE_URL"] = postgres.url.replace(f":{secret(postgres.password_file)}@", "@")
        if self._pgbouncer is not None:
            variables["DATABASE_URL"] = self._pgbouncer.url(variables["DATABASE_URL"])
            if self._pgbouncer.version < (1, 21):
                variables["DATABASE_STATEMENT_CACHE"] = "0"
        return variables

    @property
    def _parts(self) -> list[Service]:
        bouncer = [self._pgbouncer] if self._pgbouncer else []
        return [*self._servers.values(), *bouncer, *self._nodes, self.proxy]

    async def _live(self, ready: Callable[[], None]) -> None:
        asyncio.get_running_loop().add_signal_handler(RELOAD, self._reload_wanted.set)
        for node in self._nodes:
            node.environment = self._environment()
            node.load()
        await together(*(self._start(server) for server in self._servers.values()))
        await self._apply_roles()
        if self._pgbouncer is not None:
            await self._start(self._pgbouncer)
        await self._bring_up_to_date(self._direct_environment())
        await together(*(node.serve() for node in self._nodes))
        await self._start(self.proxy)
        self._tell_state()
        ready()
        await together(*(self._keep(part) for part in self._parts), self._reload_on_demand())

    async def _apply_roles(self) -> None:
        postgres = self._servers.get("DATABASE_URL")
        if isinstance(postgres, EmbeddedPostgres):
            passwords = {OWNER: secret(postgres.password_file)}
            if self._pgbouncer is not None:
                passwords[AUTH_USER] = self._pgbouncer.password
            await apply_roles(postgres.superuser_url, passwords)

    async def _stop(self) -> None:
        # From the outside to the inside, so that each request in flight has all that it needs.
        await self.proxy.drain(self._grace)
        await together(*(node.stop() for node in self._nodes))
        if self._pgbouncer is not None:
            await self._pgbouncer.stop()
        await together(*(server.stop() for server in self._servers.values()))

    async def _revive(self, service: Service, ending: str) -> None:
        """As often as it takes, with longer and longer pauses after starts that failed."""
        pause = self._last_starts.get(service.name, 0.0) + _STARTS_APART - time.monotonic()
        while True:
            await asyncio.sleep(pause)
            self._last_starts[service.name] = time.monotonic()
            try:
                async with self._changing[service.name]:
                    if not _lives(service):
                        await service.stop()
                        await service.start()
            except (FolderError, NotEmbeddable, OSError, StartFailed) as error:
                # A full disk, or a program that is being updated: no reason to end what still runs.
                self._say(f"{service.name} is not back: {error}")
                pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * pause))
            else:
                self._tell_state()
                return

    async def _reload_on_demand(self) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            self._say("Reloading.")
            try:
                await self._reload()
                self._failure = ""
                self._say("Reloaded.")
            except Exception as error:  # noqa: BLE001 (whatever it is: what ran before goes on)
                self._failure = str(error) or repr(error)
                self._say(f"Not reloaded: {self._failure}")
            self._reloads += 1
            self._tell_state()

    async def _reload(self) -> None:
        """Take over code, settings, configuration and certificate, while requests go on.

        Raises:
            StartFailed: something new can't be used; what ran before goes on.
        """
        environment = self._environment()
        await self._apply_roles()
        if self._pgbouncer is not None:
            self._pgbouncer.reload()
            await self._pgbouncer.learn(OWNER, self._folder.path / OWNER_FILE)
        if self.proxy.reload():
            self._say(f"{self.proxy.name} has a new configuration.")
        await self._migrate()
        for node in self._nodes:
            async with self._changing[node.name]:
                node.environment = environment
                await node.replace()
            self._say(f"{node.name} is a new one.")

    async def _migrate(self) -> None:
        """In a process that loads the code as it is now."""
        log = self._folder.logs / "migrations.log"
        command = [sys.executable, "-m", "litestar", "stack", "migrate"]
        child = Child.start(
            "migrations", command, death=signal.SIGTERM, log=log, environment=self._direct_environment()
        )
        try:
            if await child.wait() != 0:
                raise StartFailed(f"The database could not be brought up to date; see {log}.")
        finally:
            await child.stop(())
        if self._pgbouncer is not None:
            await self._pgbouncer.reconnect()

    def _tell_state(self) -> None:
        parts = {part.name: part.child.pid for part in self._parts if part.child is not None}
        nodes = {node.name: self._socket_of(number) for number, node in enumerate(self._nodes)}
        try:
            self._write_state(StackRunning(os.getpid(), self.url, parts, nodes, self._reloads, self._failure))
        except OSError as error:
            self._say(f"`litestar stack status` can't be told: {error}")


def _lives(service: Service) -> bool:
    return service.child is not None and service.child.exit_code is None


def _named(listeners: Sequence[socket.socket], address: Address) -> list[str]:
    """Addresses as the proxy writes them."""
    names = {listener.getsockname()[0] for listener in listeners} or {address.host}
    return [f"[{name}]:{address.port}" if ":" in name else f"{name}:{address.port}" for name in names]


def read_variables(file: Path) -> dict[str, str]:
    """The variables of a file with ``NAME=value`` lines, as systemd's ``EnvironmentFile`` and compose read them.

    Raises:
        StartFailed: it can't be read.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StartFailed(f"{file} can't be read: {error}.") from None
    pairs = (line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}
