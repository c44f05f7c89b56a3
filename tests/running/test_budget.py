"""What each call sends to PostgreSQL, BEGIN and COMMIT included."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.actors import Actor, sign_in
from tests.conftest import MakeApp
from tests.running.steps import PLANS, RUNS, SUMMARY, WORKOUTS, make_plan, make_workout, record, run_body, workout_body
from tests.statements import Statements

Counted = Callable[[], AbstractContextManager[Statements]]


async def test_reads_take_one_or_two(athlete: Actor, statements: Counted) -> None:
    plan = await make_plan(athlete, status="active")
    workout = await make_workout(athlete, plan, scheduledDate="2026-06-10")
    run = await record(athlete)
    for _ in range(3):
        await record(athlete, planId=plan["id"])
    place = f"{PLANS}/{plan['id']}"
    for path, most in (
        (f"{RUNS}/{run['id']}", 1),
        (RUNS, 1),
        (f"{place}/runs", 1),
        (PLANS, 1),
        (place, 1),
        (WORKOUTS, 1),
        (f"{place}/workouts", 1),
        (f"{place}/workouts/{workout['id']}", 1),
        (f"{place}/calendar.ics", 1),
        (f"{place}/progress", 1),
        (f"/api/v1/analytics/plan/{plan['id']}", 1),
        (f"{place}/weekly-summary", 2),
        (SUMMARY, 3),
        (f"{SUMMARY}?from=2026-01-02&to=2026-12-30", 3),
    ):
        with statements() as sent:
            assert (await athlete.client.get(path)).status_code == 200
        assert len(sent) <= most, (path, sent)


async def test_writes_take_few(athlete: Actor, statements: Counted) -> None:
    plan = await make_plan(athlete)
    workout = await make_workout(athlete, plan)
    # With a zone: whose names a process asks for once, however much is written.
    run = await record(athlete, userTimezone="Europe/Berlin")
    for method, path, body, most in (
        ("POST", RUNS, run_body(), 6),
        ("POST", RUNS, run_body(workoutId=workout["id"]), 7),
        ("PATCH", f"{RUNS}/{run['id']}", {"notes": "x"}, 6),
        ("PUT", f"{RUNS}/{run['id']}", run_body(), 6),
        ("DELETE", f"{RUNS}/{run['id']}", None, 5),
        ("POST", WORKOUTS, workout_body(planId=plan["id"]), 6),
        ("PATCH", f"{WORKOUTS}/{workout['id']}", {"notes": "x"}, 6),
        ("PATCH", f"{PLANS}/{plan['id']}", {"status": "active"}, 7),
    ):
        with statements() as sent:
            assert (await athlete.client.request(method, path, json=body)).is_success
        assert len(sent) <= most, (method, path, sent)


async def test_new_connections_are_asked_nothing_about_types(
    athlete: Actor, make_app: MakeApp, statements: Counted
) -> None:
    client = (await make_app()).client()
    await sign_in(client, athlete.email)
    plan = await make_plan(athlete, status="active")
    run = await record(athlete, planId=plan["id"])
    with statements() as sent:
        for method, path, body in (
            ("POST", RUNS, run_body(splits=[{"durationSeconds": 300}] * 10)),
            ("PATCH", f"{RUNS}/{run['id']}", {"splits": [{"durationSeconds": 300}] * 10}),
            ("GET", f"{RUNS}?planId={plan['id']}&source=manual&from=2026-01-01", None),
            ("GET", SUMMARY, None),
            ("GET", f"{PLANS}/{plan['id']}/weekly-summary", None),
            ("GET", f"{PLANS}/{plan['id']}/calendar.ics", None),
        ):
            assert (await client.request(method, path, json=body)).is_success
    assert not [statement for statement in sent if "typeinfo" in statement]
