"""How much of all imports is still to be done."""

from typing import Final

from msgspec import Struct

from app.db.reader import Reader

__all__ = ("ImportQueue", "import_queue")

_COUNT: Final = """
SELECT count(DISTINCT r.id) AS archives,
    count(i.place) FILTER (WHERE i.leased_until >= now()) AS leased,
    count(i.place) FILTER (WHERE i.leased_until IS NULL OR i.leased_until < now()) AS waiting,
    coalesce(extract(epoch FROM now() - min(r.created_at)), 0)::float8 AS oldest
FROM run_import r LEFT JOIN run_import_item i ON i.import_id = r.id AND i.reason IS NULL
WHERE r.status = 'running'
"""


class ImportQueue(Struct, frozen=True):
    """Archives that are being imported, and their runs that are still to be stored.

    Attributes:
        leased: runs that a worker is at.
        waiting: runs that nobody is at.
        oldest: seconds since the first of these archives came; 0 when there is none.
    """

    archives: int
    leased: int
    waiting: int
    oldest: float


async def import_queue(reader: Reader) -> ImportQueue:
    """Count what there is, of all users."""
    row = await reader.fetchrow(_COUNT)
    return ImportQueue(**dict(row)) if row else ImportQueue(0, 0, 0, 0.0)
