import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from valkey.asyncio import Valkey

from app.embedded import EmbeddedValkey
from app.security.keys import KeyRing
from app.security.tokens import Tokens
from app.security.valkey import open_valkey

ISSUER = "https://irontrack.example"


class FragileValkey:
    """A server of the test's own, which it may stop, freeze and kill."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedValkey(folder)
        self.url = self._server.url

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        self.signal(signal.SIGCONT)
        await self._server.stop()

    def signal(self, number: signal.Signals) -> None:
        if self._server.child is not None and self._server.child.exit_code is None:
            os.kill(self._server.child.pid, number)

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self._server.stop()


@pytest.fixture
async def fragile_valkey() -> AsyncIterator[FragileValkey]:
    """Not started yet."""
    folder = Path(tempfile.mkdtemp(prefix="irontrack-tests-"))
    server = FragileValkey(folder)
    yield server
    await server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def valkey(valkey_server: EmbeddedValkey) -> AsyncIterator[Valkey]:
    """A client with the service's own timeouts."""
    client = open_valkey(valkey_server.url)
    yield client
    await client.flushdb()
    await client.aclose()


@pytest.fixture(scope="session")
def keys() -> KeyRing:
    return KeyRing.generate()


@pytest.fixture
def tokens(keys: KeyRing) -> Tokens:
    return Tokens(keys, ISSUER)
