"""What clients of the synchronisation are told of runs, and what goes with an account."""

from tests.actors import Actor
from tests.answers import problem
from tests.running.steps import (
    PLANS,
    RUNS,
    WORKOUTS,
    Connection,
    body_of,
    contents,
    make_plan,
    make_workout,
    record,
)
from tests.sync.copies import Copy, keys


async def assert_same(actor: Actor, copy: Copy, run_id: str) -> None:
    """Synchronise; what comes is the run, as its own route shows it."""
    assert keys(await copy.sync()) == [("run", run_id)]
    answer = await actor.client.get(f"{RUNS}/{run_id}")
    item = copy.items["run", run_id]
    assert (item["document"], item["etag"]) == (body_of(answer, 200), answer.headers["etag"])


async def test_copies_follow_runs(athlete: Actor, other_athlete: Actor, connection: Connection) -> None:
    copy, stranger = Copy(athlete.client, connection), Copy(other_athlete.client, connection)
    plan = await make_plan(athlete, status="active")
    workout = await make_workout(athlete, plan, scheduledDate="2026-06-10")
    run = await record(athlete, splits=[{"durationSeconds": 300}] * 10)
    await assert_same(athlete, copy, run["id"])
    target = {"targetPaceMinSec": 290, "targetPaceMaxSec": 300}
    for method, path, body in (
        ("PATCH", f"{RUNS}/{run['id']}", {"notes": "x"}),
        ("PATCH", f"{WORKOUTS}/{workout['id']}", target),
        ("DELETE", f"{WORKOUTS}/{workout['id']}", None),
        ("DELETE", f"{PLANS}/{plan['id']}", None),
    ):
        assert (await athlete.client.request(method, path, json=body)).is_success
        await assert_same(athlete, copy, run["id"])
    assert (await athlete.client.delete(f"{RUNS}/{run['id']}")).status_code == 204
    [gone] = await copy.sync()
    assert (gone["kind"], gone["id"], gone["document"]) == ("run", run["id"], None)
    assert gone["deletedAt"]
    assert await stranger.sync() == []


async def test_all_goes_with_the_account(athlete: Actor, other_athlete: Actor, connection: Connection) -> None:
    kept = await make_plan(other_athlete, status="active")
    await make_workout(other_athlete, kept, scheduledDate="2026-06-10")
    await record(other_athlete)
    before = await contents(connection)
    plan = await make_plan(athlete, status="active")
    await make_workout(athlete, plan, scheduledDate="2026-06-10")
    for _ in range(2):
        await record(athlete)
    body_of(await athlete.client.post(f"{PLANS}/{plan['id']}/link"), 201)
    answer = await athlete.client.request("DELETE", "/api/v1/access/me", json={"password": athlete.password})
    assert answer.status_code == 204
    assert await contents(connection) == before


async def test_who_has_run_is_deleted_by_others_only_with_all(superuser: Actor, athlete: Actor) -> None:
    await record(athlete)
    place = f"/api/v1/users/{athlete.id}"
    problem(await superuser.client.delete(place), 409)
    assert (await superuser.client.delete(place, params={"purge": "true"})).status_code == 204
