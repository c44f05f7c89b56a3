"""A PostgreSQL that others reach over TCP, and its streaming standby."""

import asyncio
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import asyncpg

from app.embedded import EmbeddedPostgres
from app.embedded.binaries import postgres_program
from app.embedded.process import Child, unprivileged

REPLICATED = {
    "wal_level": "replica",
    "max_wal_senders": "5",
    "hot_standby": "on",
    "max_connections": "60",
    "wal_receiver_status_interval": "1s",
}
_ANYBODY = "local all all scram-sha-256\nhost all all all scram-sha-256\nhost replication all all scram-sha-256\n"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def data_folder(path: Path) -> Path:
    """An empty data folder, made."""
    path.mkdir(mode=0o700)
    (path / "logs").mkdir()
    return path


class PostgresNode:
    """One of several servers.

    Attributes:
        port: where it listens.
    """

    def __init__(self, folder: Path, address: str = "127.0.0.1", **settings: str) -> None:
        self.folder = folder
        self.address = address
        self.port = free_port()
        hba = folder / "hba.conf"
        hba.write_text(_ANYBODY)
        self.server = EmbeddedPostgres(
            folder,
            {
                **REPLICATED,
                "listen_addresses": address,
                "port": str(self.port),
                "hba_file": str(hba),
                "cluster_name": folder.name,
                **settings,
            },
        )

    @classmethod
    def copied(cls, template: Path, folder: Path, address: str = "127.0.0.1", **settings: str) -> Self:
        """A primary with what the cluster of a data folder holds, whose server must have ended."""
        shutil.copytree(template, folder, ignore=shutil.ignore_patterns("run", "logs"))
        folder.chmod(0o700)
        (folder / "logs").mkdir()
        return cls(folder, address, **settings)

    @property
    def password(self) -> str:
        """Of all roles."""
        return (self.folder / "postgres.password").read_text().strip()

    @property
    def place(self) -> str:
        """Host and port."""
        return f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        """For the service's role."""
        return f"postgresql://irontrack:{self.password}@{self.place}/irontrack"

    async def ask(self, statement: str, database: str = "irontrack") -> Any:
        """One value, as the superuser."""
        connection = await asyncpg.connect(
            host=self.address, port=self.port, user="postgres", password=self.password, database=database, timeout=10
        )
        try:
            return await connection.fetchval(statement)
        finally:
            connection.terminate()

    async def standby(self, folder: Path, address: str = "", **settings: str) -> "PostgresNode":
        """A standby that follows it, started."""
        shutil.copy2(self.folder / "postgres.password", data_folder(folder))
        await self.ask(f"CREATE ROLE replicator LOGIN REPLICATION PASSWORD '{self.password}'")
        login = f"user=replicator password={self.password} application_name={folder.name}"
        source = f"host={self.address} port={self.port} {login}"
        copying = Child.start(
            "pg_basebackup",
            [
                *(str(postgres_program("pg_basebackup")), f"--pgdata={folder / 'postgres'}", f"--dbname={source}"),
                *("--write-recovery-conf", "--checkpoint=fast", f"--slot={folder.name}", "--create-slot", "--no-sync"),
            ],
            death=signal.SIGTERM,
            prefix=unprivileged()[0],
            log=folder / "logs" / "basebackup.log",
        )
        assert await copying.wait() == 0, (folder / "logs" / "basebackup.log").read_text()
        standby = PostgresNode(folder, address or self.address, **settings)
        await standby.server.start()
        return standby

    async def acknowledge_on(self, standby: "PostgresNode") -> None:
        """From now on a commit is acknowledged when both have it."""
        name = standby.folder.name
        await self.ask(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        await self.ask("SELECT pg_reload_conf()")
        async with asyncio.timeout(20):
            while await self.ask("SELECT sync_state FROM pg_stat_replication") != "sync":
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """End it at once and for ever, as a machine that loses its power."""
        assert self.server.child is not None
        self.server.child.send_group(signal.SIGKILL)
        await self.server.child.wait()


@asynccontextmanager
async def replicated(template: Path, folder: Path) -> AsyncIterator[tuple[PostgresNode, PostgresNode]]:
    """A primary and its standby; both end with the block."""
    primary = PostgresNode.copied(template, folder / "primary")
    nodes = [primary]
    try:
        await primary.server.start()
        nodes.append(await primary.standby(folder / "standby"))
        yield nodes[0], nodes[1]
    finally:
        await asyncio.gather(*(node.server.stop() for node in nodes))
