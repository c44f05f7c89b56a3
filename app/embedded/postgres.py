"""An own PostgreSQL 18 on a Unix socket, its data in a folder."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from app.embedded.binaries import postgres_program
from app.embedded.folder import FolderError, last_words, log_file, secret, socket_folder, sync_folder
from app.embedded.process import Child, StartFailed, clear, unprivileged

MAJOR_VERSION: Final = "18"
DURABLE: Final[Mapping[str, str]] = {}
"""Settings for data that matter: the server's own defaults, which lose no committed row."""
THROWAWAY: Final[Mapping[str, str]] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    "max_wal_size": "4GB",
}
"""Settings for tests: fast, and worth nothing after a crash of the machine."""

OWNER: Final = "irontrack"
"""The role that the application logs in as, and its database."""
OWNER_FILE: Final = "database.password"
"""Its password, in the data folder."""
_SUPERUSER: Final = "postgres"
_QUITS_WITHIN: Final = 0.6
_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "cluster_name": OWNER,
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # After a crash: one call, instead of one for each of the thousand files.
    "recovery_init_sync_method": "syncfs",
}


class EmbeddedPostgres:
    """A PostgreSQL server with the role and the database ``irontrack``.

    Whoever starts one makes sure that nobody else starts it at the same time, see `DataFolder.owned`.
    """

    name = "PostgreSQL"

    def __init__(
        self,
        data: Path,
        settings: Mapping[str, str] = DURABLE,
        *,
        starts_within: float = 60.0,
        ends_within: float = 1.2,
    ) -> None:
        """
        Args:
            data: an existing folder, mode 0700; the cluster goes into ``postgres`` in it.
            settings: `DURABLE` or `THROWAWAY`, or the server's settings by their names.
            starts_within: seconds until it has to take connections; recovery after a crash takes some.
            ends_within: seconds that it gets to end in order.
        """
        self.data = data.resolve()
        self.cluster = self.data / "postgres"
        self.sockets = socket_folder(self.data)
        self.log = self.data / "logs" / "postgres.log"
        self.child: Child | None = None
        self._settings = {**_SETTINGS, **settings}
        self._password = secret(self.data / "postgres.password")
        self._starts_within = starts_within
        self._stop = ((signal.SIGINT, ends_within), (signal.SIGQUIT, _QUITS_WITHIN))

    @property
    def url(self) -> str:
        """Where the database is, for its owner: who is no superuser."""
        return f"postgresql+asyncpg://{OWNER}:{secret(self.password_file)}@/{OWNER}?host={self.sockets}"

    @property
    def password_file(self) -> Path:
        """With the password of the database's owner; the superuser's where the stack never ran."""
        own = self.data / OWNER_FILE
        return own if own.exists() else self.data / "postgres.password"

    @property
    def superuser_url(self) -> str:
        """Where the superuser connects to make databases, for tests."""
        return f"postgresql+asyncpg://{_SUPERUSER}:{self._password}@/postgres?host={self.sockets}"

    async def start(self) -> None:
        """Start the server, after making its cluster if there is none, and wait until it takes connections.

        Raises:
            NotEmbeddable: there is no PostgreSQL for this machine.
            StartFailed: it ended or took too long.
            FolderError: another major version made the cluster.
        """
        program = postgres_program("postgres")
        prefix, user = unprivileged()
        await clear(self.cluster, "postgres")
        if not self.cluster.exists():
            await self._create()
        self._check_version()
        _give(self.cluster, user)
        # Nobody lives here (we own the folder and have looked), so what these files say is about the dead.
        for stale in (self.cluster / "postmaster.pid", *self.sockets.glob(".s.PGSQL.5432*")):
            stale.unlink(missing_ok=True)
        self.log = log_file(self.data, "postgres")
        before = self.log.stat().st_size if self.log.exists() else 0
        settings = {**self._settings, "unix_socket_directories": str(self.sockets)}
        self.child = Child.start(
            self.name,
            [str(program), "-D", str(self.cluster), *(f"--{name}={value}" for name, value in settings.items())],
            death=signal.SIGINT,
            prefix=prefix,
            log=self.log,
        )
        limit = time.monotonic() + self._starts_within
        while not await self.ready():
            if self.child.exit_code is not None:
                raise StartFailed(f"PostgreSQL {self.child.ending} while it started: {last_words(self.log, before)}")
            if time.monotonic() > limit:
                await self.stop()
                within = f"{self._starts_within:.0f} s"
                raise StartFailed(f"PostgreSQL was not ready within {within}; its log is {self.log}.")
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """End the server, in order if it obeys in time; committed rows are safe either way."""
        if self.child is not None:
            await self.child.stop(self._stop)
            await clear(self.cluster, "postgres", patience=0.5)

    async def ready(self) -> bool:
        """Whether it takes connections."""
        try:
            lines = (self.cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"

    def _check_version(self) -> None:
        try:
            version = (self.cluster / "PG_VERSION").read_text().strip()
        except OSError as error:
            raise FolderError(f"The cluster in {self.cluster} can't be read: {error.strerror}.") from None
        if version != MAJOR_VERSION:
            raise FolderError(f"PostgreSQL {version} made the cluster in {self.cluster}, this is {MAJOR_VERSION}.")

    async def _create(self) -> None:
        """Make the cluster under another name first: one that was cut short is never taken for a whole one."""
        draft = self.cluster.with_name("postgres.new")
        await clear(draft, "postgres", patience=0)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        _give(draft, unprivileged()[1])
        durable = self._settings.get("fsync") != "off"
        await self._run(
            "initdb",
            f"--pgdata={draft}",
            f"--username={_SUPERUSER}",
            f"--pwfile={self.data / 'postgres.password'}",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--auth-local=scram-sha-256",
            "--auth-host=reject",
            "--data-checksums",
            # One call for all of its thousand files, each of which would take a disk that turns a revolution.
            "--sync-method=syncfs" if durable else "--no-sync",
        )
        statements = (
            f"CREATE ROLE {OWNER} LOGIN PASSWORD '{secret(self.password_file)}'",
            f"CREATE DATABASE {OWNER} OWNER {OWNER}",
        )
        single = ("postgres", "--single", "-D", str(draft), "-c", "exit_on_error=on", "postgres")
        await self._run(*single, said="".join(f"{statement}\n" for statement in statements))
        draft.rename(self.cluster)
        sync_folder(self.data)

    async def _run(self, program: str, *arguments: str, said: str | None = None) -> None:
        log = log_file(self.data, "initdb")
        before = log.stat().st_size if log.exists() else 0
        prefix, _ = unprivileged()
        child = Child.start(
            program,
            [str(postgres_program(program)), *arguments],
            death=signal.SIGKILL,
            prefix=prefix,
            log=log,
            said=None if said is None else said.encode(),
        )
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            await child.stop(())
            raise
        if code != 0:
            raise StartFailed(f"{program} {child.ending}: {last_words(log, before)}")


def _give(folder: Path, user: int) -> None:
    """Make the files belong to the user that the server runs as, should the last one have been another."""
    if folder.stat().st_uid == user:
        return
    try:
        for parent, folders, files in os.walk(folder):
            for name in (".", *folders, *files):
                os.chown(Path(parent, name), user, -1, follow_symlinks=False)
    except PermissionError:
        raise FolderError(f"{folder} belongs to another user, who has to start the service.") from None
