"""Which stored row each child of a document is."""

from collections import Counter
from collections.abc import Sequence

from app.errors import BrokenField, RuleBroken

__all__ = ("match_rows",)


def match_rows(field: str, sent: Sequence[int | None], stored: Sequence[int]) -> list[int | None]:
    """Match the children of a document with rows: by id, else by position.

    Args:
        field: the wire name of the children.
        sent: the id that each child names, in the document's order.
        stored: the ids of the rows, in their order.

    Returns:
        the row of each child; None: it is a new one.

    Raises:
        RuleBroken: an id is none of these rows, or is named twice.
    """
    known, named = set(stored), Counter(row_id for row_id in sent if row_id is not None)
    broken = [
        BrokenField("rule", f"{field}[{place}].id", "Expected the id of one that is here, once.")
        for place, row_id in enumerate(sent)
        if row_id is not None and (row_id not in known or named[row_id] > 1)
    ]
    if broken:
        raise RuleBroken(broken)
    free = [None if row_id in named else row_id for row_id in stored]
    by_position = [*free, *[None] * len(sent)]
    return [by_position[place] if row_id is None else row_id for place, row_id in enumerate(sent)]
