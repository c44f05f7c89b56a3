"""Patroni chooses the primary: the one that there is dies under load, and nobody does anything."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from app.embedded.binaries import postgres_program
from app.embedded.process import processes_in, unprivileged
from tests.cli.up import tree
from tests.cluster.postgres import data_folder, free_port
from tests.cluster.test_failover import Ledger, signed_in
from tests.conftest import MakeApp
from tests.waiting import eventually

pytestmark = [pytest.mark.timeout(300)]

_CONFIGURATION = Path(__file__).parents[2] / "infra" / "high-availability" / "patroni.yml"
_WRITERS = 4
_BEFORE, _AFTER = 40, 20


class PatroniNode:
    """A PostgreSQL and the Patroni that keeps it."""

    def __init__(self, folder: Path, etcd: str, password: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.name = folder.name
        self._api = f"127.0.0.1:{free_port()}"
        self._environment = {
            **os.environ,
            "PATRONI_NAME": self.name,
            "PATRONI_ETCD3_HOSTS": etcd,
            "PATRONI_RESTAPI_LISTEN": self._api,
            "PATRONI_RESTAPI_CONNECT_ADDRESS": self._api,
            "PATRONI_POSTGRESQL_LISTEN": f"127.0.0.1:{self.port}",
            "PATRONI_POSTGRESQL_CONNECT_ADDRESS": f"127.0.0.1:{self.port}",
            "PATRONI_POSTGRESQL_DATA_DIR": str(folder / "postgres"),
            "PATRONI_POSTGRESQL_BIN_DIR": str(postgres_program("postgres").parent),
            "PATRONI_POSTGRESQL_PGPASS": str(folder / "pgpass"),
            **{f"PATRONI_{role}_USERNAME": "postgres" for role in ("SUPERUSER", "REPLICATION")},
            **{f"PATRONI_{role}_PASSWORD": password for role in ("SUPERUSER", "REPLICATION")},
        }
        self.process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it; it ends with the block."""
        command = [*unprivileged()[0], "patroni", str(_CONFIGURATION)]
        with (self.folder / "patroni.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            self._kill_postgres()

    def kill(self) -> None:
        """End Patroni and PostgreSQL at once, as a machine that loses its power."""
        assert self.process is not None
        for process in tree(self.process.pid):
            os.kill(process.pid, signal.SIGKILL)
        self._kill_postgres()

    def _kill_postgres(self) -> None:
        # Patroni's PostgreSQL is nobody's child.
        for pid in processes_in(self.folder / "postgres", "postgres"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def leads(self) -> bool:
        """Whether it has become the primary of a new cluster."""
        return (self.folder / "postgres" / "patroni.dynamic.json").exists()

    async def is_synchronous(self) -> bool:
        """Whether it is a standby that Patroni would promote; PostgreSQL lets commits wait for it a moment earlier."""
        try:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"http://{self._api}/synchronous")).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def _running(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
async def members(template: Path) -> AsyncIterator[list[PatroniNode]]:
    """Two servers, of which the first has the data and is the primary."""
    if not (shutil.which("patroni") and shutil.which("etcd")):
        pytest.skip("patroni and etcd are not installed")
    with TemporaryDirectory(prefix="irontrack-test-") as name, ExitStack() as stack:
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        places = (f"--listen-client-urls={client}", f"--advertise-client-urls={client}")
        peers = (
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )
        stack.enter_context(_running(["etcd", f"--data-dir={name}/etcd", *places, *peers]))
        password = (template / "postgres.password").read_text().strip()
        members = []
        for number in range(2):
            folder = data_folder(Path(name, f"member{number}"))
            members.append(PatroniNode(folder, client.removeprefix("http://"), password))
        shutil.copytree(template / "postgres", members[0].folder / "postgres")
        stack.enter_context(members[0].running())
        await eventually(members[0].leads, 120)
        stack.enter_context(members[1].running())
        await eventually(members[1].is_synchronous, 120)
        yield members


async def test_another_primary_is_chosen_and_has_every_acknowledged_write_once(
    members: list[PatroniNode], make_app: MakeApp, template: Path
) -> None:
    first, second = members
    password = (template / "postgres.password").read_text().strip()
    url = f"postgresql://irontrack:{password}@127.0.0.1:{first.port},127.0.0.1:{second.port}/irontrack"
    client = (await make_app(DATABASE_URL=url)).client()
    await signed_in(client)
    ledger = Ledger(client)
    async with asyncio.timeout(200), asyncio.TaskGroup() as group:
        writers = [group.create_task(ledger.write()) for _ in range(_WRITERS)]
        await ledger.reach(_BEFORE)
        first.kill()
        await ledger.reach(len(ledger.acknowledged) + _AFTER)
        for writer in writers:
            writer.cancel()
    await ledger.check(url.replace(f"127.0.0.1:{first.port},", ""))
    # The old one comes back as a standby of the new one, without what it alone may have had.
    with first.running():
        await eventually(first.is_synchronous, 120)
