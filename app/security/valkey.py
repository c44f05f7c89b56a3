"""Valkey as the security parts use it: answers soon, or counts as away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from valkey.asyncio import BlockingConnectionPool, Valkey
from valkey.asyncio.connection import parse_url
from valkey.asyncio.sentinel import Sentinel, SentinelConnectionPool
from valkey.exceptions import ValkeyError

from app.errors import Unavailable

ANSWER_WITHIN = 1.0
"""Seconds after which a command has failed."""

_SENTINEL: Final = "valkey+sentinel://"
_SENTINEL_PORT: Final = 26379
_SENTINEL_ANSWERS_WITHIN: Final = 0.3


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to the primary that the sentinels name; whoever finds all of them in use waits."""

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 (the client's own)
        """Close the connections, and with the last of them those to the sentinels."""
        await super().disconnect(inuse_connections)
        if inuse_connections:
            await asyncio.gather(*(sentinel.aclose() for sentinel in self.sentinel_manager.sentinels))


def open_valkey(url: str, max_connections: int = 32) -> Valkey:
    """A client that connects when first used, retries nothing, and returns bytes.

    Args:
        url: of the client library, or ``valkey+sentinel://:password@host:26379,host:26379/service?db=0``.
        max_connections: at once.

    Raises:
        ValueError: it is none of them.
    """
    options: dict[str, Any] = {
        "max_connections": max_connections,
        # The ordinary pool fails at once when all are in use: a burst would look like Valkey being away.
        "timeout": ANSWER_WITHIN,
        "socket_timeout": ANSWER_WITHIN,
        "socket_connect_timeout": ANSWER_WITHIN,
        "lib_name": None,
        "lib_version": None,
    }
    if not url.startswith(_SENTINEL):
        return Valkey.from_pool(BlockingConnectionPool.from_url(url, **options))
    authority, _, rest = url.removeprefix(_SENTINEL).partition("/")
    service, _, query = rest.partition("?")
    login, at, hosts = authority.rpartition("@")
    soon = {"socket_timeout": _SENTINEL_ANSWERS_WITHIN, "socket_connect_timeout": _SENTINEL_ANSWERS_WITHIN}
    sentinels = Sentinel([_place(host) for host in hosts.split(",")], sentinel_kwargs=soon)  # type: ignore[no-untyped-call]
    # The rest is read as in a URL of the primary itself.
    options = {**parse_url(f"valkey://{login}{at}?{query}"), **options}
    return Valkey.from_pool(_SentinelPool(service, sentinels, **options))  # type: ignore[no-untyped-call]


def _place(host: str) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    return parts.hostname or "", parts.port or _SENTINEL_PORT


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
