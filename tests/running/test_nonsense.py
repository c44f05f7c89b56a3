"""Whatever is sent is told what is wrong with it, and stores nothing."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import fields

from app.domain.running.dto import NewPlanWorkout, NewRunningPlan, WholeRun
from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.running.steps import (
    PLANS,
    RUNS,
    SUMMARY,
    WORKOUTS,
    Connection,
    contents,
    make_plan,
    plan_body,
    run_body,
    workout_body,
)

BODIES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"distanceKm": 1e308}, {"distanceKm": "range"}),
    ({"distanceKm": "10"}, {"distanceKm": "type"}),
    ({"distanceKm": True}, {"distanceKm": "type"}),
    ({"durationSeconds": 10**30}, {"durationSeconds": "range"}),
    ({"durationSeconds": 3000.5}, {"durationSeconds": "type"}),
    ({"paceSecPerKm": "5:00"}, {"paceSecPerKm": "type"}),
    ({"notes": "a\x00b"}, {"notes": "pattern"}),
    ({"notes": "x" * 10_001}, {"notes": "length"}),
    ({"externalId": "x" * 256}, {"externalId": "length"}),
    ({"startedAt": "2101-01-01T00:00:00Z"}, {"startedAt": "range"}),
    ({"startedAt": 1}, {"startedAt": "type"}),
    ({"planId": "x", "workoutId": 1}, {"planId": "pattern", "workoutId": "type"}),
    ({"splits": {}}, {"splits": "type"}),
    ({"splits": [{}]}, {"splits[0].durationSeconds": "missing"}),
    ({"splits": [{"durationSeconds": 1}] * 1002}, {"splits": "length"}),
    (
        {"splits": [{"durationSeconds": 3000, "avgHeartRate": 300, "x": 1}]},
        {"splits[0].avgHeartRate": "range", "splits[0].x": "unknown"},
    ),
    ({"autoMatch": None}, {"autoMatch": "null"}),
]
QUERIES = [
    (RUNS, {"minDistanceKm": "nan"}),
    (RUNS, {"maxDistanceKm": "inf"}),
    (RUNS, {"maxDistanceKm": "-1"}),
    (RUNS, {"cursor": "x"}),
    (RUNS, {"from": "2026-02-30"}),
    (RUNS, {"planId": "x"}),
    (RUNS, {"source": "watch"}),
    (RUNS, {"workouts": "1"}),
    (PLANS, {"status": "over"}),
    (PLANS, {"searchString": "x" * 201}),
    (WORKOUTS, {"workoutType": "sprint"}),
    (SUMMARY, {"from": "yesterday"}),
    (SUMMARY, {"timezone": ""}),
]


async def test_bodies(athlete: Actor, connection: Connection) -> None:
    plan = await make_plan(athlete)
    before = await contents(connection)
    for wrong, expected in BODIES:
        found = broken_fields(await athlete.client.post(RUNS, json=run_body(**wrong)))
        assert found == expected, wrong
    for body in ("[]", "null", "1", '"x"'):
        for path in (PLANS, WORKOUTS, RUNS, f"{PLANS}/{plan['id']}/workouts", f"{PLANS}/{plan['id']}/runs"):
            answer = await athlete.client.post(path, content=body, headers={"Content-Type": "application/json"})
            assert broken_fields(answer).keys() == {"body"}
    problem(await athlete.client.post(RUNS, content="{", headers={"Content-Type": "application/json"}), 400)
    problem(await athlete.client.post(RUNS, content="{}", headers={"Content-Type": "text/plain"}), 415)
    assert broken_fields(await athlete.client.post(WORKOUTS, json=workout_body())) == {"planId": "missing"}
    assert await contents(connection) == before


async def test_queries_and_paths(athlete: Actor) -> None:
    for path, query in QUERIES:
        assert broken_fields(await athlete.client.get(path, params=query)).keys() == query.keys(), query
    for path in (f"{RUNS}/x", f"{PLANS}/1/runs", f"{PLANS}/x/calendar.ics", "/api/v1/shared/x/calendar.ics"):
        problem(await athlete.client.get(path), 404)


async def test_nobody_is_asked_to_sign_in(athlete: Actor) -> None:
    athlete.client.cookies.clear()
    plan = "01890000-0000-7000-8000-000000000000"
    for path in (PLANS, WORKOUTS, RUNS, SUMMARY, f"{PLANS}/{plan}/calendar.ics", f"{PLANS}/{plan}/link"):
        problem(await athlete.client.get(path), 401)


_FIELDS = [field.encode_name for kind in (WholeRun, NewPlanWorkout, NewRunningPlan) for field in fields(kind)]
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 1, 60, 3000, 2**15, 2**31, 2**63, 10**30, 1e-320, 1e308, 0.0505, 0.05, 1000, 9999.9995]),
    st.text(max_size=10),
    st.sampled_from(["easy", "rest", "active", "fit", "Europe/Berlin", "2026-06-01T10:00:00Z", "\ud800", "a\x00b"]),
    st.sampled_from(["0001-01-01", "9999-12-31", "2026-07-01", "1970-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z"]),
    st.lists(st.fixed_dictionaries({"durationSeconds": st.integers(0, 2**31)}), max_size=2),
)


@given(body=st.dictionaries(st.sampled_from(_FIELDS), _VALUES, max_size=4), whole=st.booleans())
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
async def test_nothing_gives_500(athlete: Actor, body: dict[str, Any], whole: bool) -> None:
    plan = await make_plan(athlete)
    for place, usual in ((RUNS, run_body()), (f"{PLANS}/{plan['id']}/workouts", workout_body()), (PLANS, plan_body())):
        sent = json.dumps({**usual, **body} if whole else body).encode()
        answer = await athlete.client.post(place, content=sent, headers={"Content-Type": "application/json"})
        assert answer.status_code < 500, (place, body, answer.text)
        made = f"{place}/{answer.json()['id']}" if answer.status_code == 201 else f"{PLANS}/{plan['id']}"
        for method in ("PUT", "PATCH"):
            answer = await athlete.client.request(
                method, made, content=sent, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code < 500, (method, made, body, answer.text)
