"""Names of time zones, as both Python and PostgreSQL know them."""

from functools import cache
from zoneinfo import available_timezones

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.reader import Reader
from app.db.transaction import raw_connection
from app.errors import RuleBroken

_MACHINES_OWN = frozenset({"localtime", "posixrules"})
# Filled by the first look: PostgreSQL reads some 600 files for it, and the answer changes only when it is upgraded.
_known_to_postgresql: set[str] = set()


async def canonical_timezone(session: AsyncSession | Reader, name: str, field: str = "timezone") -> str:
    """The canonical spelling of a time zone that was written in any case.

    Only names that Python's tz database and `pg_timezone_names` both have are time zones: local dates are reckoned by
    either, and must agree.

    Args:
        session: who may ask the database; a reader where nothing is written.
        field: the wire path of the value, for the error.

    Raises:
        RuleBroken: there is no such time zone.
    """
    spelling = _spellings().get(name.casefold())
    if spelling is None or spelling not in await _names_of_postgresql(session):
        raise RuleBroken.of(field, "Expected the name of a time zone, such as Europe/Berlin.", "enum")
    return spelling


@cache
def _spellings() -> dict[str, str]:
    """Names known to Python by their folded form."""
    return {name.casefold(): name for name in available_timezones() - _MACHINES_OWN}


async def _names_of_postgresql(session: AsyncSession | Reader) -> set[str]:
    if not _known_to_postgresql:
        connection = session if isinstance(session, Reader) else await raw_connection(session)
        _known_to_postgresql.update(
            row["name"] for row in await connection.fetch("SELECT name FROM pg_catalog.pg_timezone_names")
        )
    return _known_to_postgresql
