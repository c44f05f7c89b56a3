"""Valkey as the security parts use it: answers soon, or counts as away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from valkey.asyncio import BlockingConnectionPool, Valkey
from valkey.exceptions import ValkeyError

from app.errors import Unavailable

ANSWER_WITHIN = 1.0
"""Seconds after which a command has failed."""


def open_valkey(url: str, max_connections: int = 32) -> Valkey:
    """A client that connects when first used, retries nothing, and returns bytes."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        # The ordinary pool fails at once when all are in use: a burst would look like Valkey being away.
        timeout=ANSWER_WITHIN,
        socket_timeout=ANSWER_WITHIN,
        socket_connect_timeout=ANSWER_WITHIN,
        lib_name=None,
        lib_version=None,
    )
    return Valkey.from_pool(pool)


@asynccontextmanager
async def valkey_answers() -> AsyncIterator[None]:
    """Tell every failure of Valkey, its silence included, as one.

    Raises:
        Unavailable: Valkey is away.
    """
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            yield
    except (ValkeyError, OSError, TimeoutError) as error:
        raise Unavailable("This needs a part of the service that is away; try again in a moment.", 1) from error
