import asyncio
from collections import Counter

from tests.actors import Actor
from tests.training.templates import (
    PLANS,
    UNITS,
    days,
    exercise,
    grant,
    make_plan,
    make_unit,
    names,
    read,
)


class TestExercises:
    async def test_added_and_reordered_at_once_are_all_there(self, athlete: Actor, other_athlete: Actor) -> None:
        unit = await make_unit(athlete, exercise("a"), exercise("b"), sharingStatus="shared")
        await grant(athlete, UNITS, unit, other_athlete, "write")
        path = f"{UNITS}/{unit['id']}/exercises"
        ids = [item["id"] for item in unit["exercises"]]
        answers = await asyncio.gather(
            *(
                actor.client.post(path, json=exercise(f"{actor.name} {n}", position=1 + n % 3))
                for n in range(5)
                for actor in (athlete, other_athlete)
            ),
            *(actor.client.put(f"{path}/order", json={"ids": ids[::-1]}) for actor in (athlete, other_athlete)),
        )
        assert Counter(answer.status_code for answer in answers[:10]) == {201: 10}
        assert {answer.status_code for answer in answers[10:]} <= {200, 422}
        after = await read(athlete, UNITS, unit)
        assert [item["orderIndex"] for item in after["exercises"]] == list(range(1, 13))
        assert len(set(names(after))) == 12

    async def test_of_whole_documents_with_one_version_one_wins(self, athlete: Actor) -> None:
        unit = await make_unit(athlete, exercise())
        path = f"{UNITS}/{unit['id']}"
        tag = (await athlete.client.get(path)).headers["etag"]
        answers = await asyncio.gather(
            *(
                athlete.client.put(
                    path, json={"name": f"n{n}", "exercises": [exercise(f"e{n}")]}, headers={"If-Match": tag}
                )
                for n in range(5)
            )
        )
        assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 4}
        won = next(answer for answer in answers if answer.status_code == 200)
        assert await read(athlete, UNITS, unit) == won.json()


class TestPlans:
    async def test_units_are_renamed_while_plans_take_them_up(self, athlete: Actor) -> None:
        unit = await make_unit(athlete)
        plan = await make_plan(athlete, [(unit, 1)])
        entry = {"trainingUnitId": unit["id"], "dayNumber": 1}
        answers = await asyncio.gather(
            *(athlete.client.post(f"{PLANS}/{plan['id']}/units", json=entry) for _ in range(5)),
            *(athlete.client.patch(f"{UNITS}/{unit['id']}", json={"name": f"n{n}"}) for n in range(5)),
        )
        assert Counter(answer.status_code for answer in answers) == {201: 5, 200: 5}
        assert [place for _, _, place in days(await read(athlete, PLANS, plan))] == [1, 2, 3, 4, 5, 6]

    async def test_a_unit_is_deleted_or_taken_up(self, athlete: Actor) -> None:
        plan = await make_plan(athlete)
        for _ in range(5):
            unit = await make_unit(athlete)
            entry = {"trainingUnitId": unit["id"], "dayNumber": 1}
            added, deleted = await asyncio.gather(
                athlete.client.post(f"{PLANS}/{plan['id']}/units", json=entry),
                athlete.client.delete(f"{UNITS}/{unit['id']}"),
            )
            assert (added.status_code, deleted.status_code) in {(201, 409), (404, 204)}, (added.text, deleted.text)
