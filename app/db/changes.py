"""Which transaction changed a row last: what clients that synchronise ask for."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, Computed, Index, text
from sqlalchemy.orm import Mapped, mapped_column

__all__ = ("SETTLED", "ChangesMixin", "changes_index", "writing_transaction")

SETTLED: Final = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
"""The oldest transaction that may still write: what earlier ones have changed is there to be seen, and stays all that
they have changed."""


def writing_transaction(written: str) -> Computed:
    """The number of the transaction that wrote the row, computed with each write.

    Args:
        written: a column that each write sets.
    """
    return Computed(f"writing_transaction({written})", persisted=True)


def changes_index(table: str, owner: str, *, told: Sequence[str] = ("version",), condition: str | None = None) -> Index:
    """The changes of what somebody owns, in their order.

    Args:
        owner: the column of the owner.
        told: what is told of each change, so that rows are read only of those that are sent.
        condition: which rows have an owner; None: all.
    """
    where = None if condition is None else text(condition)
    columns = owner, "changed_xid", "id"
    return Index(f"ix_{table}_changes", *columns, postgresql_include=list(told), postgresql_where=where)


class ChangesMixin:
    """A root that remembers the transaction of its last change. It is never sent by us."""

    changed_xid: Mapped[int] = mapped_column(BigInteger, writing_transaction("version"), sort_order=903)
