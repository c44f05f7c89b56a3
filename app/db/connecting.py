"""A connection to PostgreSQL, with the password that holds when it is opened."""

import asyncio
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final

import asyncpg
from asyncpg import Connection

__all__ = ("connect",)

_IN_STEP_WITHIN: Final = 5.0
_PAUSE: Final = 0.1
_REFUSALS: Final = ("08", "28")
"""Classes of SQLSTATE: PgBouncer calls a wrong password a violation of the protocol."""


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
