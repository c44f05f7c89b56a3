"""What each call sends to PostgreSQL, BEGIN and COMMIT included."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.actors import Actor, sign_in
from tests.conftest import MakeApp
from tests.statements import Statements
from tests.training.templates import PLANS, UNITS, Document, body_of, exercise, grant, make_plan, make_unit

Counted = Callable[[], AbstractContextManager[Statements]]


class TestReads:
    @pytest.mark.parametrize("size", [0, 50])
    async def test_a_detail_is_one(
        self, athlete: Actor, other_athlete: Actor, superuser: Actor, statements: Counted, size: int
    ) -> None:
        unit = await make_unit(athlete, *[exercise()] * size)
        plan = await make_plan(athlete, [(unit, 1)] * size, sharingStatus="shared")
        await grant(athlete, PLANS, plan, other_athlete)
        for actor in (athlete, other_athlete, superuser):
            await actor.client.get("/api/v1/access/me")
            for path in (f"{UNITS}/{unit['id']}", f"{PLANS}/{plan['id']}"):
                with statements() as sent:
                    await actor.client.get(path)
                assert len(sent) == 1, sent

    async def test_a_list_is_one(self, athlete: Actor, superuser: Actor, statements: Counted) -> None:
        units = [await make_unit(athlete, exercise()) for _ in range(5)]
        for _ in range(3):
            await make_plan(athlete, [(unit, 1) for unit in units])
        await superuser.client.get("/api/v1/access/me")
        for place in (UNITS, PLANS):
            for query in ({}, {"scope": "all", "searchString": "day", "orderBy": "name"}, {"scope": "everyone"}):
                with statements() as sent:
                    await superuser.client.get(place, params=query)
                assert len(sent) == 1, sent

    async def test_a_link_and_an_access_list_are_one(self, athlete: Actor, statements: Counted) -> None:
        unit = await make_unit(athlete, sharingStatus="public")
        link = body_of(await athlete.client.post(f"{UNITS}/{unit['id']}/link"), 201)
        for path in (f"{UNITS}/{unit['id']}/access", f"{UNITS}/{unit['id']}/link", link["path"]):
            with statements() as sent:
                await athlete.client.get(path)
            assert len(sent) == 1, sent


class TestWrites:
    """Besides BEGIN and COMMIT, most send three before they write: the guard's, the lock, and what is true then."""

    @pytest.mark.parametrize("size", [1, 30])
    async def test_whole_documents_take_as_many_whatever_their_length(
        self, athlete: Actor, other_athlete: Actor, statements: Counted, size: int
    ) -> None:
        foreign = [await make_unit(other_athlete, exercise(), sharingStatus="public") for _ in range(size)]
        unit = await make_unit(athlete, *[exercise()] * size)
        units = [{"trainingUnitId": one["id"], "dayNumber": 1} for one in foreign]
        plan = {"name": "x", "difficultyLevel": "expert", "units": units}
        await self._assert_takes(10, athlete, statements, "PUT", f"{UNITS}/{unit['id']}", unit)
        await self._assert_takes(8, athlete, statements, "POST", f"{UNITS}/{unit['id']}/copy", None)
        await self._assert_takes(11, athlete, statements, "POST", PLANS, plan)
        theirs = await make_plan(other_athlete, [(one, 1) for one in foreign], sharingStatus="public")
        await self._assert_takes(14, athlete, statements, "POST", f"{PLANS}/{theirs['id']}/copy", None)

    async def test_children_take_few(self, athlete: Actor, statements: Counted) -> None:
        unit = await make_unit(athlete, *[exercise()] * 30)
        plan = await make_plan(athlete, [(unit, 1)] * 30)
        child, planned = (f"exercises/{unit['exercises'][0]['id']}", f"units/{plan['units'][0]['id']}")
        for count, method, path, body in (
            (8, "POST", f"{UNITS}/{unit['id']}/exercises", exercise()),
            (9, "PATCH", f"{UNITS}/{unit['id']}/{child}", {"sets": 2}),
            (9, "DELETE", f"{UNITS}/{unit['id']}/{child}", None),
            (8, "POST", f"{PLANS}/{plan['id']}/units", {"trainingUnitId": unit["id"], "dayNumber": 1}),
            (10, "PATCH", f"{PLANS}/{plan['id']}/{planned}", {"dayNumber": 2}),
            (9, "DELETE", f"{PLANS}/{plan['id']}/{planned}", None),
        ):
            await self._assert_takes(count, athlete, statements, method, path, body)

    async def _assert_takes(
        self, count: int, actor: Actor, statements: Counted, method: str, path: str, body: Document | None
    ) -> None:
        with statements() as sent:
            answer = await actor.client.request(method, path, json=body)
        assert answer.is_success, answer.text
        assert len(sent) == count, sent

    async def test_new_connections_are_asked_nothing_about_types(
        self, athlete: Actor, other_athlete: Actor, make_app: MakeApp, statements: Counted
    ) -> None:
        client = (await make_app()).client()
        await sign_in(client, athlete.email)
        unit = await make_unit(athlete, exercise(), exercise())
        plan = await make_plan(athlete, [(unit, 1)])
        with statements() as sent:
            for method, path, body in (
                ("GET", f"{UNITS}?scope=all&sharingStatus=private&searchString=x", None),
                ("PUT", f"{UNITS}/{unit['id']}", unit),
                ("PUT", f"{PLANS}/{plan['id']}", plan),
                ("POST", f"{PLANS}/{plan['id']}/copy", None),
                ("PUT", f"{UNITS}/{unit['id']}/access", {"userId": str(other_athlete.id), "accessLevel": "read"}),
                ("GET", f"{UNITS}/{unit['id']}/access", None),
                ("POST", f"{UNITS}/{unit['id']}/link", None),
            ):
                answer = await client.request(method, path, json=body)
                assert answer.is_success, answer.text
        assert not [statement for statement in sent if "typeinfo" in statement]
