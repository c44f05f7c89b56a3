from typing import Any

import pytest

from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.training.templates import (
    PLANS,
    UNITS,
    body_of,
    exercise,
    grant,
    listed,
    make_plan,
    make_unit,
    read,
    share,
)


async def _make(actor: Actor, place: str, **body: Any) -> dict[str, Any]:
    return await make_unit(actor, **body) if place == UNITS else await make_plan(actor, **body)


@pytest.mark.parametrize("place", [UNITS, PLANS])
class TestEitherKind:
    async def test_the_last_changed_comes_first(self, athlete: Actor, place: str) -> None:
        made = [await _make(athlete, place, name=name) for name in ("b", "Ä", "c")]
        await athlete.client.patch(f"{place}/{made[0]['id']}", json={"description": "x"})
        assert [item["name"] for item in await listed(athlete, place)] == ["b", "c", "Ä"]
        for query, names in (
            ({"orderBy": "name"}, ["Ä", "b", "c"]),
            ({"orderBy": "name", "sortOrder": "desc"}, ["c", "b", "Ä"]),
            ({"orderBy": "createdAt"}, ["c", "Ä", "b"]),
            ({"orderBy": "createdAt", "sortOrder": "asc"}, ["b", "Ä", "c"]),
            ({"orderBy": "updatedAt", "sortOrder": "asc"}, ["Ä", "c", "b"]),
        ):
            assert [item["name"] for item in await listed(athlete, place, **query)] == names

    async def test_pages(self, athlete: Actor, place: str) -> None:
        for name in "abcde":
            await _make(athlete, place, name=name)
        page = body_of(
            await athlete.client.get(place, params={"orderBy": "name", "pageSize": 2, "currentPage": 2}), 200
        )
        assert ([item["name"] for item in page.pop("items")], page) == (
            ["c", "d"],
            {"total": 5, "limit": 2, "offset": 2},
        )

    async def test_filters(self, athlete: Actor, place: str) -> None:
        await _make(athlete, place, name="Bench press")
        await _make(athlete, place, name="Über-Squat", sharingStatus="public")
        await _make(athlete, place, name="Row", sharingStatus="shared")
        for query, names in (
            ({"searchString": "  PRESS "}, ["Bench press"]),
            ({"searchString": "uber squat"}, ["Über-Squat"]),
            ({"searchString": "nothing"}, []),
            ({"searchString": "%"}, []),
            ({"sharingStatus": ["public", "shared"]}, ["Row", "Über-Squat"]),
            ({"sharingStatus": "private", "searchString": "row"}, []),
        ):
            assert [item["name"] for item in await listed(athlete, place, orderBy="name", **query)] == names
        wrong = {"scope": "yours", "sharingStatus": "secret", "orderBy": "id", "sortOrder": "up", "limit": "3"}
        assert broken_fields(await athlete.client.get(place, params=wrong)) == {
            **dict.fromkeys(("scope", "sharingStatus", "orderBy", "sortOrder"), "enum"),
            "limit": "unknown",
        }

    async def test_scopes(self, athlete: Actor, other_athlete: Actor, superuser: Actor, place: str) -> None:
        for name, status in (("p", "private"), ("s", "shared"), ("o", "public"), ("u", "shared")):
            template = await _make(athlete, place, name=name, sharingStatus=status)
            if name != "u":
                await grant(athlete, place, template, other_athlete, "write")
                await grant(athlete, place, template, superuser, "write")
        await _make(other_athlete, place, name="own")
        for actor, scope, names in (
            (athlete, "mine", "opsu"),
            (athlete, "shared", ""),
            (athlete, "public", "o"),
            (athlete, "all", "opsu"),
            (other_athlete, "shared", "s"),
            (other_athlete, "public", "o"),
            (superuser, "mine", ""),
            (superuser, "shared", "s"),
            (superuser, "all", "os"),
        ):
            found = await listed(actor, place, scope=scope, orderBy="name")
            assert "".join(item["name"] for item in found) == names, (actor.name, scope)
            assert found == [await read(actor, place, item) for item in found]
        everyone = await listed(superuser, place, scope="everyone", orderBy="name")
        assert [item["name"] for item in everyone] == ["o", "own", "p", "s", "u"]
        assert {item["access"] for item in everyone} == {"admin"}
        problem(await athlete.client.get(place, params={"scope": "everyone"}), 403)


class TestUnits:
    async def test_of_readable_plans_are_listed(self, athlete: Actor, other_athlete: Actor) -> None:
        units = {name: await make_unit(athlete, exercise("x"), name=name) for name in ("s", "o", "p")}
        for name, status in (("s", "shared"), ("o", "public"), ("p", "private")):
            plan = await make_plan(athlete, [(units[name], 1)], sharingStatus=status)
            await grant(athlete, PLANS, plan, other_athlete, "write")
        for scope, names in (("mine", ""), ("shared", "s"), ("public", "o"), ("all", "os")):
            found = await listed(other_athlete, UNITS, scope=scope, orderBy="name")
            assert "".join(item["name"] for item in found) == names
            assert {item["access"] for item in found} <= {"read"}
            assert found == [await read(other_athlete, UNITS, item) for item in found]

    async def test_have_no_level(self, athlete: Actor) -> None:
        answer = await athlete.client.get(UNITS, params={"difficultyLevel": "beginner"})
        assert broken_fields(answer) == {"difficultyLevel": "unknown"}


class TestPlans:
    async def test_by_level(self, athlete: Actor) -> None:
        for level in ("beginner", "intermediate", "expert"):
            await make_plan(athlete, name=level, difficultyLevel=level)
        found = await listed(athlete, PLANS, difficultyLevel=["expert", "beginner"], orderBy="name")
        assert [item["name"] for item in found] == ["beginner", "expert"]

    async def test_a_plan_is_listed_with_its_units(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, [(await make_unit(athlete), 1)])
        await share(athlete, PLANS, plan, "public")
        assert await listed(athlete, PLANS) == [await read(athlete, PLANS, plan)]
