"""Further services for the tests of accounts."""

import os
import signal
from collections.abc import AsyncIterator

import pytest

from tests.servers import TestValkey


class OwnValkey(TestValkey):
    """A Valkey of the test's own, which may be frozen and killed."""

    __test__ = False

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        assert self.server.child is not None
        os.kill(self.server.child.pid, number)

    async def leave(self) -> None:
        """Go away, and keep the data."""
        await self.server.stop()

    async def stop(self) -> None:
        """End it, also when it is frozen."""
        if self.server.child is not None and self.server.child.exit_code is None:
            self.signal(signal.SIGCONT)
        await super().stop()


@pytest.fixture
async def own_valkey() -> AsyncIterator[OwnValkey]:
    """Started; it ends with the test."""
    server = OwnValkey()
    await server.start()
    yield server
    await server.stop()
