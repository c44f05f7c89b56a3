"""Rows that stand in an order below a parent: order_index is 1 to n, without gaps, and the server's."""

from collections.abc import Mapping, Sequence

import msgspec
from asyncpg import Connection
from msgspec import Struct

from app.errors import RuleBroken


class OrderedRows(Struct, frozen=True):
    """The rows of one table below one parent at a time.

    Rows change places through negative values: the unique constraint on parent and order_index is checked row by row.
    Whoever calls these methods holds the lock of the parent's root, inside a transaction.

    Attributes:
        table: the table of the rows, with the columns id and order_index.
        parent: its column that names the parent.
    """

    table: str
    parent: str

    async def ids(self, connection: "Connection", parent_id: object) -> list[int]:
        """The rows of a parent, in their order."""
        rows = await connection.fetch(
            f"SELECT id FROM {self.table} WHERE {self.parent} = $1 ORDER BY order_index",  # noqa: S608
            parent_id,
        )
        return [row["id"] for row in rows]

    async def reorder(self, connection: "Connection", parent_id: object, ids: Sequence[int]) -> None:
        """Put the rows of a parent into the order of these ids.

        Raises:
            RuleBroken: the ids are not those of all its rows, each once.
        """
        if sorted(ids) != sorted(await self.ids(connection, parent_id)):
            raise RuleBroken.of("ids", "Expected the ids of all of them, each once.")
        await self._arrange(connection, parent_id, ids)

    async def insert(self, connection: "Connection", parent_id: object, places: Mapping[int, int | None]) -> list[int]:
        """Put rows that were added at the end into their places, one after the other.

        Args:
            places: by their ids, in the order of adding: positions from 1; None, or one beyond the end, is the end.

        Returns:
            The ids of all rows of the parent, in their new order.
        """
        ids = [row_id for row_id in await self.ids(connection, parent_id) if row_id not in places]
        for row_id, position in places.items():
            ids.insert(len(ids) if position is None else position - 1, row_id)
        await self._arrange(connection, parent_id, ids)
        return ids

    async def close_gaps(self, connection: "Connection", parent_id: object) -> None:
        """Number the rows of a parent anew after some were deleted."""
        await self._arrange(connection, parent_id, await self.ids(connection, parent_id))

    async def _arrange(self, connection: "Connection", parent_id: object, ids: Sequence[int]) -> None:
        await connection.execute(
            f"UPDATE {self.table} AS row SET order_index = -wanted.position "  # noqa: S608
            "FROM json_array_elements_text($2::text::json) WITH ORDINALITY AS wanted (id, position) "
            f"WHERE row.{self.parent} = $1 AND row.id = wanted.id::bigint AND row.order_index <> wanted.position",
            parent_id,
            # As JSON: on each new connection, asyncpg asks the catalogue about array types before their first use.
            msgspec.json.encode(ids).decode(),
        )
        await connection.execute(
            f"UPDATE {self.table} SET order_index = -order_index WHERE {self.parent} = $1 AND order_index < 0",  # noqa: S608
            parent_id,
        )
