"""PgBouncer between the workers and PostgreSQL."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from app.db.connecting import CONNECT_WITHIN, connect
from app.embedded.folder import last_words, log_file, secret
from app.embedded.process import Child, StartFailed, unprivileged
from app.stack.programs import pgbouncer_version
from app.stack.templates import render, write_private

__all__ = ("AUTH_USER", "PORT", "PgBouncer", "PgBouncerSettings", "pgbouncer_configuration", "pgbouncer_users")

PORT: Final = 6432
AUTH_USER: Final = "pgbouncer"
_STOP: Final = ((signal.SIGTERM, 1.0),)
_STARTS_WITHIN: Final = 10.0


class PgBouncerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What its configuration depends on besides its version.

    Attributes:
        postgres_sockets: the folder of PostgreSQL's socket.
        sockets: the folder of its own.
        client_connections: that it takes.
        server_connections: that it opens.
        auth_file: the password of `auth_user`, who may ask PostgreSQL for those of the others.
    """

    postgres_sockets: str
    sockets: str
    auth_file: str
    client_connections: int
    server_connections: int = 20
    socket_mode: str = "0700"
    port: int = PORT
    database: str = "irontrack"
    auth_user: str = AUTH_USER


def pgbouncer_configuration(version: tuple[int, ...], settings: PgBouncerSettings) -> str:
    """The configuration for a version: prepared statements from 1.21, limits of clients from 1.24."""
    return render("pgbouncer/pgbouncer.ini.mako", version=version, settings=settings)


def pgbouncer_users(password: str) -> str:
    """The file with the one password that it has to know by itself."""
    return render("pgbouncer/userlist.txt.mako", user=AUTH_USER, password=password)


class PgBouncer:
    """PgBouncer as a child."""

    name = "PgBouncer"

    def __init__(self, program: str, settings: PgBouncerSettings, data: Path) -> None:
        """
        Args:
            data: the data folder.
        """
        self.child: Child | None = None
        self.version = pgbouncer_version(program)
        self.settings = settings
        self._program = program
        self._data = data
        self._password_file = data / "pgbouncer.password"
        self._file = data / "stack" / "pgbouncer.ini"
        self._socket = Path(settings.sockets, f".s.PGSQL.{settings.port}")

    @property
    def password(self) -> str:
        """Its own, as the file says it now."""
        return secret(self._password_file)

    def url(self, direct: str) -> str:
        """The same database and role as a direct URL's, through PgBouncer."""
        return f"{direct.partition('?')[0]}?host={self.settings.sockets}&port={self.settings.port}"

    def write(self) -> bool:
        """Write the configuration; tell whether it is another one now."""
        users = write_private(Path(self.settings.auth_file), pgbouncer_users(self.password))
        return write_private(self._file, pgbouncer_configuration(self.version, self.settings)) or users

    async def start(self) -> None:
        """Start it and wait until it takes connections.

        Raises:
            StartFailed: it ended or took too long.
        """
        self.write()
        self._socket.unlink(missing_ok=True)
        log = log_file(self._data, "pgbouncer")
        before = log.stat().st_size if log.exists() else 0
        self.child = Child.start(
            self.name,
            [self._program, str(self._file)],
            death=signal.SIGTERM,
            prefix=unprivileged()[0],
            log=log,
        )
        limit = time.monotonic() + _STARTS_WITHIN
        while not await self._listens():
            if self.child.exit_code is not None:
                raise StartFailed(f"PgBouncer {self.child.ending} while it started: {last_words(log, before)}")
            if time.monotonic() > limit:
                await self.stop()
                raise StartFailed(f"PgBouncer was not ready within {_STARTS_WITHIN:.0f} s; its log is {log}.")
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """End it. Whoever needs it has ended before."""
        if self.child is not None:
            await self.child.stop(_STOP)

    def reload(self) -> bool:
        """Take over a changed configuration; tell whether there was one."""
        if not self.write() or self.child is None:
            return False
        self.child.send(signal.SIGHUP)
        return True

    async def reconnect(self) -> None:
        """Let it open its connections to PostgreSQL anew, as each gets free: after a migration they know old plans."""
        connection = await self._connect(AUTH_USER, self._password_file, "pgbouncer")
        try:
            await connection.execute("RECONNECT")
        finally:
            connection.terminate()

    async def learn(self, user: str, password_file: Path) -> None:
        """Log in as a role that has a new password: PgBouncer takes from a login what it itself logs in with.

        It may not have read its own configuration again yet: a login that is refused is tried again.
        """
        (await self._connect(user, password_file, self.settings.database)).terminate()

    async def _connect(self, user: str, password_file: Path, database: str) -> "asyncpg.Connection[asyncpg.Record]":
        return await connect(
            host=self.settings.sockets,
            port=self.settings.port,
            user=user,
            password_file=str(password_file),
            database=database,
            timeout=CONNECT_WITHIN,
        )

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(self._socket)
            writer.close()
            await writer.wait_closed()
        except OSError:
            return False
        return True
