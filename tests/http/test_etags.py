"""ETag, If-None-Match and If-Match."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from tests.actors import Actor
from tests.answers import problem

SESSIONS = "/api/v1/training-sessions"


@pytest.fixture
async def session(athlete: Actor) -> dict[str, Any]:
    answer = await athlete.client.post(SESSIONS, json={"notes": "before"})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def path(session: dict[str, Any]) -> str:
    return f"{SESSIONS}/{session['id']}"


class TestTags:
    async def test_making_and_reading_give_the_same(self, athlete: Actor) -> None:
        made = await athlete.client.post(SESSIONS, json={})
        read = await athlete.client.get(made.headers["location"])
        assert made.headers["etag"] == read.headers["etag"]

    async def test_a_write_changes_it(self, athlete: Actor, session: dict[str, Any]) -> None:
        before = (await athlete.client.get(path(session))).headers["etag"]
        changed = await athlete.client.patch(path(session), json={"notes": "after"})
        assert changed.headers["etag"] != before
        assert (await athlete.client.get(path(session))).headers["etag"] == changed.headers["etag"]

    async def test_a_write_to_a_child_changes_it(self, athlete: Actor, session: dict[str, Any]) -> None:
        before = (await athlete.client.get(path(session))).headers["etag"]
        added = await athlete.client.post(f"{path(session)}/exercises", json={"exerciseName": "Curl"})
        assert added.status_code == 201, added.text
        after = (await athlete.client.get(path(session))).headers["etag"]
        assert before != after == added.headers["etag"]

    async def test_a_profile_has_one(self, athlete: Actor) -> None:
        before = (await athlete.client.get("/api/v1/access/me")).headers["etag"]
        changed = await athlete.client.patch("/api/v1/access/me", json={"name": "Ada L."})
        assert changed.headers["etag"] != before


class TestIfNoneMatch:
    @pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*", '"x",W/{} , "y"'])
    async def test_a_known_state_is_304_without_a_body(
        self, athlete: Actor, session: dict[str, Any], form: str
    ) -> None:
        tag = (await athlete.client.get(path(session))).headers["etag"]
        answer = await athlete.client.get(path(session), headers={"If-None-Match": form.format(tag)})
        assert answer.status_code == 304
        assert answer.content == b""
        assert answer.headers["etag"] == tag

    @pytest.mark.parametrize("suffix", ["-gzip", ";gzip", "-br"])
    async def test_a_suffix_for_the_compression_is_left_out(
        self, athlete: Actor, session: dict[str, Any], suffix: str
    ) -> None:
        tag = (await athlete.client.get(path(session))).headers["etag"].strip('"')
        answer = await athlete.client.get(path(session), headers={"If-None-Match": f'W/"{tag}{suffix}"'})
        assert answer.status_code == 304

    @pytest.mark.parametrize("header", ['"other"', "", "nonsense", '""'])
    async def test_another_state_is_sent(self, athlete: Actor, session: dict[str, Any], header: str) -> None:
        answer = await athlete.client.get(path(session), headers={"If-None-Match": header})
        assert answer.status_code == 200
        assert answer.json()["id"] == session["id"]

    async def test_access_is_checked_first(
        self, athlete: Actor, other_athlete: Actor, client: httpx.AsyncClient, session: dict[str, Any]
    ) -> None:
        known = {"If-None-Match": "*"}
        problem(await other_athlete.client.get(path(session), headers=known), 404)
        problem(await client.get(path(session), headers=known), 401)


class TestIfMatch:
    @pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
    async def test_the_stored_state_is_written(self, athlete: Actor, session: dict[str, Any], form: str) -> None:
        tag = (await athlete.client.get(path(session))).headers["etag"]
        headers = {"If-Match": form.format(tag)}
        answer = await athlete.client.patch(path(session), json={"notes": "after"}, headers=headers)
        assert answer.status_code == 200, answer.text

    @pytest.mark.parametrize("header", ['"other"', "nonsense", '""', 'W/"0-owner"'])
    @pytest.mark.parametrize(
        ("method", "child", "body"),
        [
            ("PATCH", "", {"notes": "after"}),
            ("DELETE", "", None),
            ("POST", "/complete", {}),
            ("POST", "/exercises", {"exerciseName": "Curl"}),
        ],
    )
    async def test_another_state_is_412_and_nothing_is_changed(
        self, athlete: Actor, session: dict[str, Any], header: str, method: str, child: str, body: object
    ) -> None:
        before = await athlete.client.get(path(session))
        answer = await athlete.client.request(method, path(session) + child, json=body, headers={"If-Match": header})
        problem(answer, 412)
        after = await athlete.client.get(path(session))
        assert (after.json(), after.headers["etag"]) == (before.json(), before.headers["etag"])

    async def test_a_state_that_was_left_is_412(self, athlete: Actor, session: dict[str, Any]) -> None:
        left = {"If-Match": (await athlete.client.get(path(session))).headers["etag"]}
        assert (await athlete.client.patch(path(session), json={"notes": "1"}, headers=left)).status_code == 200
        problem(await athlete.client.patch(path(session), json={"notes": "2"}, headers=left), 412)

    async def test_of_ten_writers_at_once_one_wins(
        self, athlete: Actor, session: dict[str, Any], connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        tag = {"If-Match": (await athlete.client.get(path(session))).headers["etag"]}
        answers = await asyncio.gather(
            *(athlete.client.patch(path(session), json={"notes": str(n)}, headers=tag) for n in range(10))
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9
        won = next(answer for answer in answers if answer.status_code == 200)
        row = await connection.fetchrow("SELECT notes, version FROM training_sessions")
        assert row is not None
        assert (row["notes"], row["version"]) == (won.json()["notes"], 2)
