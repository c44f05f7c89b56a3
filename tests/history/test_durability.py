"""Whatever becomes of what a session was made from, it stays what it was."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.actors import Actor
from tests.history.workouts import SESSIONS, Connection, add_sets, create_exercise, read, start
from tests.training.templates import PLANS, UNITS, exercise, grant, make_plan, make_unit, share

STATISTICS = f"{SESSIONS}/statistics"
LINKS = {"trainingPlanId", "trainingUnitId", "planUnitId", "exerciseId", "plannedUnitExerciseId", "updatedAt"}


class Trained:
    """A finished session from a plan, and what it was made from.

    Attributes:
        coach: owns plan, unit and a custom exercise.
        athlete: trained by them.
    """

    def __init__(self, coach: Actor, athlete: Actor, superuser: Actor, **documents: Any) -> None:
        self.coach, self.athlete, self.superuser = coach, athlete, superuser
        self.plan: dict[str, Any] = documents["plan"]
        self.unit: dict[str, Any] = documents["unit"]
        self.session: dict[str, Any] = documents["session"]
        self.earlier: dict[str, Any] = documents["earlier"]
        self.custom: str = documents["custom"]
        self.system: str = documents["system"]


def plain(value: Any) -> Any:
    """A document without the links that end with what they lead to."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if name not in LINKS}
    return value


async def json(actor: Actor, path: str, **query: Any) -> Any:
    answer = await actor.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def done(actor: Actor, plan: dict[str, Any]) -> dict[str, Any]:
    session = await start(actor, planUnitId=plan["units"][0]["id"])
    for planned in session["exercises"]:
        await add_sets(actor, session, planned, {"repsCompleted": 8, "weight": 60}, {"repsCompleted": 7})
    assert (await actor.client.post(f"{SESSIONS}/{session['id']}/complete")).status_code == 200
    return await read(actor, session)


@pytest.fixture(params=["own", "foreign"])
async def trained(
    request: pytest.FixtureRequest,
    athlete: Actor,
    other_athlete: Actor,
    superuser: Actor,
    connection: Connection,
) -> Trained:
    coach = athlete if request.param == "own" else other_athlete
    custom, _ = await create_exercise(connection, coach)
    system, _ = await create_exercise(connection)
    planned = [{"exerciseId": str(key), "mode": "reps", "repsMin": 5} for key in (custom, system)]
    unit = await make_unit(coach, *planned, exercise("A name alone"))
    plan = await make_plan(coach, [(unit, 1), (unit, 3)])
    await share(coach, PLANS, plan, "shared")
    if coach is not athlete:
        await grant(coach, PLANS, plan, athlete)
    earlier, session = await done(athlete, plan), await done(athlete, plan)
    return Trained(
        coach,
        athlete,
        superuser,
        plan=plan,
        unit=unit,
        session=session,
        earlier=earlier,
        custom=str(custom),
        system=str(system),
    )


Deed = Callable[[Trained, Connection], Awaitable[None]]


async def _ok(answer: Any) -> None:
    response = await answer
    assert response.is_success, response.text


async def edit_unit(trained: Trained, _: Connection) -> None:
    path = f"{UNITS}/{trained.unit['id']}"
    await _ok(trained.coach.client.patch(path, json={"name": "Other", "description": "Other"}))
    first, *others = [item["id"] for item in trained.unit["exercises"]]
    await _ok(trained.coach.client.patch(f"{path}/exercises/{first}", json={"repsMin": 1, "targetWeight": 5}))
    await _ok(trained.coach.client.put(f"{path}/exercises/order", json={"ids": [*others, first]}))
    await _ok(trained.coach.client.delete(f"{path}/exercises/{others[0]}"))


async def edit_plan(trained: Trained, _: Connection) -> None:
    path = f"{PLANS}/{trained.plan['id']}"
    await _ok(trained.coach.client.patch(path, json={"name": "Other"}))
    first, second = [item["id"] for item in trained.plan["units"]]
    await _ok(trained.coach.client.patch(f"{path}/units/{first}", json={"dayNumber": 9}))
    await _ok(trained.coach.client.delete(f"{path}/units/{second}"))


async def remove_day(trained: Trained, _: Connection) -> None:
    place = trained.plan["units"][0]["id"]
    await _ok(trained.coach.client.delete(f"{PLANS}/{trained.plan['id']}/units/{place}"))


async def delete_plan(trained: Trained, _: Connection) -> None:
    await _ok(trained.coach.client.delete(f"{PLANS}/{trained.plan['id']}"))


async def delete_plan_and_unit(trained: Trained, connection: Connection) -> None:
    await delete_plan(trained, connection)
    await _ok(trained.coach.client.delete(f"{UNITS}/{trained.unit['id']}"))


async def unshare(trained: Trained, _: Connection) -> None:
    await share(trained.coach, PLANS, trained.plan, "private")


async def revoke(trained: Trained, _: Connection) -> None:
    if trained.coach is not trained.athlete:
        await _ok(trained.coach.client.delete(f"{PLANS}/{trained.plan['id']}/access/{trained.athlete.id}"))


async def rename_exercises(_: Trained, connection: Connection) -> None:
    await connection.execute("UPDATE exercises SET name = name || ' (new)', default_mode = 'time'")


async def archive_exercises(trained: Trained, _: Connection) -> None:
    await _ok(trained.coach.client.post(f"/api/v1/exercises/{trained.custom}/archive"))


async def promote_exercises(trained: Trained, _: Connection) -> None:
    await _ok(trained.superuser.client.post(f"/api/v1/exercises/{trained.custom}/promote"))


async def merge_exercises(trained: Trained, connection: Connection) -> None:
    into, _ = await create_exercise(connection, trained.coach)
    await _ok(trained.coach.client.post(f"/api/v1/exercises/{trained.custom}/merge", json={"intoId": str(into)}))


async def delete_exercises(trained: Trained, connection: Connection) -> None:
    await connection.execute("DELETE FROM exercises WHERE id = ANY ($1)", [trained.custom, trained.system])


async def delete_the_account_of_the_coach(trained: Trained, _: Connection) -> None:
    if trained.coach is not trained.athlete:
        body = {"password": trained.coach.password}
        await _ok(trained.coach.client.request("DELETE", "/api/v1/access/me", json=body))


DEEDS: list[Deed] = [
    edit_unit,
    edit_plan,
    remove_day,
    delete_plan,
    delete_plan_and_unit,
    unshare,
    revoke,
    rename_exercises,
    archive_exercises,
    promote_exercises,
    merge_exercises,
    delete_exercises,
    delete_the_account_of_the_coach,
]


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
async def test_a_finished_session_stays_what_it_was(trained: Trained, connection: Connection, deed: Deed) -> None:
    athlete, session = trained.athlete, trained.session
    previous = await json(athlete, f"{SESSIONS}/{session['id']}/previous")
    statistics = await json(athlete, f"{SESSIONS}/statistics")
    await deed(trained, connection)
    after = await read(athlete, session)
    assert plain(after) == plain(session)
    listed = (await json(athlete, SESSIONS))["items"]
    assert listed == [after, await read(athlete, trained.earlier)]
    assert (await json(athlete, SESSIONS, status="completed"))["items"] == listed
    assert plain(await json(athlete, f"{SESSIONS}/statistics")) == plain(statistics)
    assert plain(await json(athlete, STATISTICS)) == plain(statistics)
    again = await json(athlete, f"{SESSIONS}/{session['id']}/previous")
    if deed not in {delete_exercises, merge_exercises}:
        assert again == previous
    assert plain([item["previous"] for item in again]) == plain([item["previous"] for item in previous])
    await _correct(trained)


async def _correct(trained: Trained) -> None:
    """Send the session as a whole: as it is, corrected, and as a client knows it that was offline meanwhile."""
    athlete, session = trained.athlete, trained.session
    path = f"{SESSIONS}/{session['id']}"
    before = await read(athlete, session)
    replaced = await athlete.client.put(path, json=before)
    assert (replaced.status_code, replaced.json()) == (200, before)
    body = {**before, "notes": "Corrected", "exercises": before["exercises"][::-1]}
    corrected = (await athlete.client.put(path, json=body)).json()
    assert corrected["notes"] == "Corrected"
    assert [plain({**item, "orderIndex": 0}) for item in corrected["exercises"]] == [
        plain({**item, "orderIndex": 0}) for item in before["exercises"][::-1]
    ]
    assert (corrected["planName"], corrected["unitName"]) == (session["planName"], session["unitName"])
    stale = {**session, "notes": "Late"}
    stale["exercises"] = [{**item, "exerciseId": None} for item in session["exercises"]]
    late = await athlete.client.put(path, json=stale)
    assert late.status_code == 200, late.text
    assert plain({**late.json(), "notes": None}) == plain(session)
