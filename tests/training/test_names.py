import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.training.matching import match_rows
from app.domain.training.names import FreeNames
from app.errors import RuleBroken
from tests.training.templates import Connection

NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=100)


class TestFreeNames:
    @pytest.mark.parametrize(
        ("taken", "name", "free"),
        [
            ([], "Push day", "Push day"),
            (["push DAY"], "Push day", "Push day (2)"),
            (["Push day", "Push day (2)"], "Push day", "Push day (3)"),
            (["Push day (2)"], "Push day", "Push day"),
            (["Push day (2)"], "Push day (2)", "Push day (2) (2)"),
            (["x" * 100], "x" * 100, "x" * 96 + " (2)"),
            (["x" * 95 + " yyyy"], "x" * 95 + " yyyy", "x" * 95 + " (2)"),
            (["i"], "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE} (2)"),
            (["\N{LATIN SMALL LETTER DOTLESS I}"], "I", "I (2)"),
        ],
    )
    def test_the_first_number_that_is_free(self, taken: list[str], name: str, free: str) -> None:
        assert FreeNames(taken).take(name) == free

    @given(taken=st.lists(NAMES), wanted=st.lists(NAMES, max_size=20))
    def test_all_differ_and_fit(self, taken: list[str], wanted: list[str]) -> None:
        names = FreeNames(taken)
        given_out = [names.take(name) for name in wanted]
        folded = [name.casefold() for name in given_out]
        assert len(set(folded)) == len(folded)
        assert not set(folded) & {name.casefold() for name in taken}
        assert all(1 <= len(name) <= 100 for name in given_out)

    async def test_what_is_one_name_to_the_database_is_one_here(self, connection: Connection) -> None:
        cased = await connection.fetch("""
            SELECT chr(n), lower(chr(n)) FROM generate_series(1, x'10ffff'::int) n
            WHERE n NOT BETWEEN x'd800'::int AND x'dfff'::int AND lower(chr(n)) <> chr(n)
        """)
        known = [(upper, lower) for upper, lower in cased if unicodedata.category(upper) != "Cn"]
        assert len(known) > 1_000
        assert not [(upper, lower) for upper, lower in known if FreeNames([lower]).take(upper) == upper]


class TestMatching:
    @pytest.mark.parametrize(
        ("sent", "stored", "rows"),
        [
            ([], [1, 2], []),
            ([None, None], [], [None, None]),
            ([None, None, None], [7, 8], [7, 8, None]),
            ([8, None, 7], [7, 8, 9], [8, None, 7]),
            ([9, None], [7, 8, 9], [9, 8]),
        ],
    )
    def test_by_id_else_by_position(self, sent: list[int | None], stored: list[int], rows: list[int | None]) -> None:
        assert match_rows("units", sent, stored) == rows

    @given(data=st.data(), count=st.integers(0, 8), named=st.sets(st.integers(0, 7)))
    def test_no_row_is_taken_twice(self, data: st.DataObject, count: int, named: set[int]) -> None:
        stored = list(range(count))
        ids = [row_id for row_id in named if row_id < count]
        sent = data.draw(st.permutations([*ids, *[None] * 4]))
        rows = match_rows("units", sent, stored)
        taken = [row_id for row_id in rows if row_id is not None]
        assert len(set(taken)) == len(taken)
        assert all(row_id == wanted for row_id, wanted in zip(rows, sent, strict=True) if wanted is not None)

    @pytest.mark.parametrize(("sent", "broken"), [([3], [0]), ([1, 1], [0, 1]), ([None, 2, 5], [2])])
    def test_other_ids_and_doubles_are_named(self, sent: list[int | None], broken: list[int]) -> None:
        with pytest.raises(RuleBroken) as refused:
            match_rows("units", sent, [1, 2])
        assert [field.field for field in refused.value.details] == [f"units[{place}].id" for place in broken]
