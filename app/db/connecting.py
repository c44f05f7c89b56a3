"""New connections: to the one server of a URL, or to whichever of several is the one that is wanted; with the password
that holds when they are opened."""

import asyncio
import socket
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final

import asyncpg
from asyncpg import Connection
from asyncpg.exceptions import TargetServerAttributeNotMatched
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import make_url

__all__ = ("CONNECT_WITHIN", "Connector", "connect", "connection_parameters")

CONNECT_WITHIN: Final = 5
"""Seconds for a new connection, and for a free one of the pool."""

_ELSEWHERE: Final = ("08", "57P")
"""States of a server that is there and can't serve: it starts, it stops, or a pooler finds none behind it."""

_GIVE_UP_AFTER: Final = 5
_TCP_OPTIONS: Final = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 2),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 1),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", _GIVE_UP_AFTER * 1000),
)
"""A machine that vanishes closes nothing: without these its connections would seem to live for a quarter of an hour."""
_IN_STEP_WITHIN: Final = 5.0
_PAUSE: Final = 0.1
_REFUSALS: Final = ("08", "28")
"""Classes of SQLSTATE: PgBouncer calls a wrong password a violation of the protocol."""


def connection_parameters(url: str) -> dict[str, Any]:
    """What a URL of SQLAlchemy's says, by the names that asyncpg gives it; `host` and `port` are lists for several."""
    # Its annotations end at the base class.
    dialect: Any = PGDialect_asyncpg
    _, parameters = dialect().create_connect_args(make_url(url))
    return dict(parameters)


class Connector:
    """Opens connections with asyncpg.

    Of several servers the one that was right the last time is tried first, and each gets its share of the time: asyncpg
    would spend all of it on the first one that is silent.
    """

    def __init__(self, password_file: str = "", session: str = "read-write") -> None:
        """
        Args:
            password_file: holds the password; empty: it is among the parameters of each connection.
            session: what one of several servers has to offer, in the words of ``target_session_attrs``, unless the URL
                says it.
        """
        self._password_file = password_file
        self._session = session
        self._right: tuple[str, int] | None = None

    async def __call__(
        self,
        *,
        host: Any = None,
        port: Any = None,
        timeout: float = CONNECT_WITHIN,  # noqa: ASYNC109 (asyncpg's own)
        **parameters: Any,
    ) -> Connection:
        """A new connection.

        Args:
            host: where the server is, or a list of places.
            port: the same.
            timeout: seconds, for all of them together.
            parameters: of `asyncpg.connect`.

        Raises:
            OSError, TimeoutError, asyncpg.PostgresError: there is none to be had.
        """
        parameters["password_file"] = self._password_file
        if not isinstance(host, list):
            return _noticing_death(await connect(host=host, port=port, timeout=timeout, **parameters))
        parameters = {"target_session_attrs": self._session, **parameters, "timeout": timeout / len(host)}
        found: Exception | None = None
        for server in sorted(zip(host, port, strict=True), key=lambda server: server != self._right):
            try:
                connection = await connect(host=server[0], port=server[1], **parameters)
            except (OSError, TimeoutError, asyncpg.PostgresError, TargetServerAttributeNotMatched) as error:
                if not _may_be_elsewhere(error):
                    raise
                found = error
            else:
                self._right = server
                return _noticing_death(connection)
        raise ConnectionError(f"none of the servers is {parameters['target_session_attrs']}") from found


def _may_be_elsewhere(error: Exception) -> bool:
    return not isinstance(error, asyncpg.PostgresError) or (error.sqlstate or "").startswith(_ELSEWHERE)


def _noticing_death(connection: Connection) -> Connection:
    # asyncpg has no parameters for this, and no other way to its socket.
    link = connection._transport.get_extra_info("socket")  # noqa: SLF001
    if link is not None and link.family != socket.AF_UNIX:
        for level, name, value in _TCP_OPTIONS:
            if (option := getattr(socket, name, None)) is not None:
                link.setsockopt(level, option, value)
    return connection


async def connect(*arguments: Any, password_file: str = "", **options: Any) -> Connection:
    """Connect as `asyncpg.connect` does.

    A file is read again for each connection. A new password can't reach the file and PostgreSQL at the same moment:
    one that is refused is read and tried again for a while.

    Args:
        password_file: holds the password; empty: it is among the other arguments.

    Raises:
        OSError, TimeoutError, asyncpg.PostgresError: there is no connection.
    """
    if not password_file:
        return await asyncpg.connect(*arguments, **options)
    limit = monotonic() + _IN_STEP_WITHIN
    while True:
        try:
            return await asyncpg.connect(*arguments, **{**options, "password": partial(_read, password_file)})
        except asyncpg.PostgresError as error:
            if not str(error.sqlstate).startswith(_REFUSALS) or monotonic() > limit:
                raise
        await asyncio.sleep(_PAUSE)


def _read(file: str) -> str:
    return Path(file).read_text("utf-8").strip()
