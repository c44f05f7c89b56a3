"""Pages of lists and cursors of histories."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.actors import Actor
from tests.answers import broken_fields

EXERCISES = "/api/v1/exercises"
SESSIONS = "/api/v1/training-sessions"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (SESSIONS, "to"),
        (SESSIONS, "status"),
        (EXERCISES, "orderBy"),
        (EXERCISES, "tags"),
        ("/api/v1/users", "isActive"),
    ],
)
@pytest.mark.parametrize("word", ["null", "NULL"])
async def test_the_word_null_is_no_value_of_a_filter(superuser: Actor, path: str, name: str, word: str) -> None:
    assert broken_fields(await superuser.client.get(path, params={name: word})).keys() == {name}


async def test_the_word_null_can_be_searched(athlete: Actor) -> None:
    assert (await athlete.client.get(EXERCISES, params={"searchString": "null"})).status_code == 200


class TestPages:
    async def test_an_answer_has_these_parts(self, athlete: Actor) -> None:
        body = (await athlete.client.get(EXERCISES)).json()
        assert body.keys() == {"items", "total", "limit", "offset"}
        assert (len(body["items"]), body["limit"], body["offset"]) == (20, 20, 0)
        assert body["total"] >= 60

    @pytest.mark.parametrize("order", ["name", "createdAt", "difficultyLevel"])
    @pytest.mark.parametrize("direction", ["asc", "desc"])
    async def test_pages_together_are_the_whole_list_without_gap_or_double(
        self, athlete: Actor, order: str, direction: str
    ) -> None:
        seen: list[str] = []
        total = 1
        page = 0
        while len(seen) < total:
            page += 1
            parameters: dict[str, str | int] = {"currentPage": page, "pageSize": 87}
            parameters |= {"orderBy": order, "sortOrder": direction}
            body = (await athlete.client.get(EXERCISES, params=parameters)).json()
            assert body["items"], "the list ends too early"
            assert body["offset"] == (page - 1) * 87
            seen += [item["id"] for item in body["items"]]
            total = body["total"]
        assert len(set(seen)) == len(seen) == total

    async def test_a_page_past_the_end_is_empty_and_tells_the_total(self, athlete: Actor) -> None:
        body = (await athlete.client.get(EXERCISES, params={"currentPage": 100, "pageSize": 100})).json()
        assert body["items"] == []
        assert body["total"] >= 60

    async def test_no_page_lies_past_row_10000(self, athlete: Actor) -> None:
        at = await athlete.client.get(EXERCISES, params={"currentPage": 500, "pageSize": 20})
        past = await athlete.client.get(EXERCISES, params={"currentPage": 501, "pageSize": 20})
        assert at.status_code == 200
        assert broken_fields(past) == {"currentPage": "range"}

    async def test_enumerations_are_in_declared_order(self, athlete: Actor) -> None:
        items = (await athlete.client.get(f"{EXERCISES}?orderBy=difficultyLevel&pageSize=100")).json()["items"]
        levels = ["beginner", "intermediate", "expert"]
        ranks = [levels.index(item["difficultyLevel"]) for item in items]
        assert ranks == sorted(ranks)

    async def test_names_are_ordered_by_their_folded_form(self, athlete: Actor) -> None:
        body = {"primaryMuscles": [1], "difficultyLevel": "beginner", "category": "strength"}
        for name in ("beta", "Alpha", "Ámbar", "ALPINE"):
            made = await athlete.client.post(f"{EXERCISES}/user", json={**body, "name": name})
            assert made.status_code == 201, made.text
        parameters = {"scope": "user", "orderBy": "name"}
        items = (await athlete.client.get(EXERCISES, params=parameters)).json()["items"]
        assert [item["name"] for item in items] == ["Alpha", "ALPINE", "Ámbar", "beta"]

    async def test_values_of_one_filter_are_or_and_filters_are_and(self, athlete: Actor) -> None:
        async def found(**filters: Any) -> set[str]:
            answer = await athlete.client.get(
                EXERCISES, params={"pageSize": 100, "category": "olympic weightlifting", **filters}
            )
            assert answer.status_code == 200, answer.text
            items = answer.json()["items"]
            assert 0 < len(items) == answer.json()["total"]
            return {item["id"] for item in items}

        one, two = await found(primaryMuscles=[2]), await found(primaryMuscles=[4])
        assert await found(primaryMuscles=[2, 4]) == one | two
        experts = await found(difficultyLevel="expert")
        assert await found(primaryMuscles=[2, 4], difficultyLevel="expert") == (one | two) & experts


class TestCursors:
    @pytest.fixture
    async def history(self, athlete: Actor) -> list[str]:
        """Ids of 25 sessions, newest first; some began at the same instant."""
        began = datetime(2026, 3, 1, 8, tzinfo=UTC)
        ids = []
        for number in range(25):
            start = began + timedelta(hours=number // 3)
            body = {"startTime": start.isoformat(), "notes": f"number {number}"}
            answer = await athlete.client.post(SESSIONS, json=body)
            assert answer.status_code == 201, answer.text
            ids.append((start, answer.json()["id"]))
        return [identity for _, identity in sorted(ids, reverse=True)]

    async def test_parts_together_are_the_whole_history_newest_first(self, athlete: Actor, history: list[str]) -> None:
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            body = (await athlete.client.get(SESSIONS, params={"cursor": cursor, "pageSize": 4})).json()
            assert body.keys() == {"items", "nextCursor", "limit"}
            assert body["limit"] == 4
            seen += [item["id"] for item in body["items"]]
            cursor = body["nextCursor"]
        assert seen == history

    async def test_the_last_part_has_no_cursor_also_when_it_is_full(self, athlete: Actor, history: list[str]) -> None:
        body = (await athlete.client.get(SESSIONS, params={"cursor": "", "pageSize": len(history)})).json()
        assert len(body["items"]) == len(history)
        assert body["nextCursor"] is None

    async def test_without_a_cursor_the_first_part_comes(self, athlete: Actor, history: list[str]) -> None:
        body = (await athlete.client.get(SESSIONS, params={"pageSize": 3})).json()
        assert [item["id"] for item in body["items"]] == history[:3]

    async def test_what_is_added_meanwhile_moves_nothing(self, athlete: Actor, history: list[str]) -> None:
        first = (await athlete.client.get(SESSIONS, params={"pageSize": 10})).json()
        await athlete.client.post(SESSIONS, json={})
        second = (await athlete.client.get(SESSIONS, params={"pageSize": 10, "cursor": first["nextCursor"]})).json()
        assert [item["id"] for item in first["items"] + second["items"]] == history[:20]

    async def test_a_cursor_belongs_to_its_filters(self, athlete: Actor, history: list[str]) -> None:
        cursor = (await athlete.client.get(SESSIONS, params={"pageSize": 4})).json()["nextCursor"]
        answer = await athlete.client.get(SESSIONS, params={"pageSize": 4, "cursor": cursor, "status": "completed"})
        assert broken_fields(answer).keys() == {"cursor"}

    @pytest.mark.parametrize("cursor", ["x", "!!", "bnVsbA", "W10", "WyJhIl0", "A" * 5000, "WzEsMiwzXQ", "%00"])
    async def test_another_text_is_422(self, athlete: Actor, cursor: str) -> None:
        assert broken_fields(await athlete.client.get(SESSIONS, params={"cursor": cursor})).keys() == {"cursor"}

    async def test_a_cursor_shows_nothing_of_somebody_else(
        self, athlete: Actor, other_athlete: Actor, history: list[str]
    ) -> None:
        cursor = (await athlete.client.get(SESSIONS, params={"pageSize": 4})).json()["nextCursor"]
        answer = await other_athlete.client.get(SESSIONS, params={"pageSize": 4, "cursor": cursor})
        assert answer.status_code in {200, 422}
        assert answer.status_code == 422 or answer.json()["items"] == []

    async def test_from_and_to_are_inclusive_local_dates(self, athlete: Actor) -> None:
        # 23:30 UTC is the next day in Auckland.
        body = {"startTime": "2026-03-01T23:30:00Z", "userTimezone": "Pacific/Auckland"}
        made = (await athlete.client.post(SESSIONS, json=body)).json()
        assert made["localDate"] == "2026-03-02"

        async def found(**dates: str) -> list[str]:
            answer = await athlete.client.get(SESSIONS, params=dates)
            return [item["id"] for item in answer.json()["items"]]

        assert await found(**{"from": "2026-03-02", "to": "2026-03-02"}) == [made["id"]]
        assert await found(**{"from": "2026-03-01", "to": "2026-03-01"}) == []
        assert await found(**{"from": "2026-03-03"}) == []

    @pytest.mark.parametrize("value", ["2026-02-30", "yesterday", "2026-03-01T00:00:00Z", "", "20260301"])
    async def test_what_is_no_date_is_422(self, athlete: Actor, value: str) -> None:
        assert broken_fields(await athlete.client.get(SESSIONS, params={"from": value})).keys() == {"from"}
