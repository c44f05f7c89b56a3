"""Nothing that is sent gives 500, and what is refused is not stored."""

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.history.dto import WholeExercise, WholeSession, WholeSet, WholeTargets
from tests.actors import Actor
from tests.history.workouts import SESSIONS, add_exercise, add_sets, exercise_path, read, sets_path, start

_FIELDS = [
    "id",
    "startTime",
    "endTime",
    "userTimezone",
    "notes",
    "status",
    "trainingPlanId",
    "trainingUnitId",
    "planUnitId",
    "clientRevision",
    "exercises",
    "sets",
    "planned",
    "exerciseId",
    "exerciseName",
    "mode",
    "position",
    "weight",
    "repsCompleted",
    "timeSeconds",
    "distanceKm",
    "setType",
    "rpe",
    "restSeconds",
    "completedAt",
    "supersetGroup",
    "perceivedEffort",
    "externalId",
    "ids",
]
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 1, 2**15, 2**31, 2**63, 10**30, 1e-320, 1e308, 0.005, 99999.995]),
    st.floats(allow_nan=True),
    st.text(max_size=20),
    st.sampled_from(["reps", "Europe/Berlin", "2026-03-01T10:00:00Z", "0001-01-01T00:00:00+23:59", "\ud800", "a\x00b"]),
    st.sampled_from(["01a1fcc6-e864-7513-9bf0-f93db06844ed", "9999-12-31T23:59:59-23:59", "+010000-01-01T00:00:00Z"]),
    st.lists(st.integers(), max_size=3),
)
_NAMES = st.sampled_from(_FIELDS) | st.text(max_size=5)
_OBJECTS = st.recursive(
    st.dictionaries(_NAMES, _VALUES, max_size=3),
    lambda inner: st.dictionaries(_NAMES, st.lists(inner, max_size=2) | _VALUES, max_size=3),
    max_leaves=4,
)
_BODIES = st.one_of(_OBJECTS, st.lists(_OBJECTS, max_size=3), _VALUES)


@given(body=_BODIES, raw=st.binary(max_size=10))
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_bodies(athlete: Actor, body: Any, raw: bytes) -> None:
    session = await start(athlete)
    exercise = await add_exercise(athlete, session)
    [done] = await add_sets(athlete, session, exercise, {"repsCompleted": 5})
    path, child, sets = f"{SESSIONS}/{session['id']}", exercise_path(session, exercise), sets_path(session, exercise)
    for method, target in (
        ("POST", SESSIONS),
        ("PATCH", path),
        ("POST", f"{path}/exercises"),
        ("PUT", f"{path}/exercises/order"),
        ("PATCH", child),
        ("POST", sets),
        ("PUT", f"{sets}/order"),
        ("PATCH", f"{sets}/{done['id']}"),
        ("POST", f"{path}/complete"),
        ("PUT", path),
    ):
        for content in (json.dumps(body).encode(), raw):
            before = await read(athlete, session)
            answer = await athlete.client.request(
                method, target, content=content, headers={"content-type": "application/json"}
            )
            assert answer.status_code < 500, (method, target, content, answer.text)
            if answer.is_error:
                assert await read(athlete, session) == before


_PLACES = [
    [*way, field.encode_name]
    for way, kind in (
        ([], WholeSession),
        (["exercises", 0], WholeExercise),
        (["exercises", 0, "sets", 0], WholeSet),
        (["exercises", 0, "planned"], WholeTargets),
    )
    for field in msgspec.structs.fields(kind)
]


@given(place=st.sampled_from(_PLACES), value=_VALUES)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_whole_sessions(athlete: Actor, place: list[Any], value: Any) -> None:
    body: Any = {"exercises": [{"exerciseName": "Rows", "planned": {}, "sets": [{"repsCompleted": 5}]}]}
    *way, name = place
    part = body
    for step in way:
        part = part[step]
    part[name] = value
    session = await start(athlete, notes="kept")
    answer = await athlete.client.put(
        f"{SESSIONS}/{session['id']}", content=json.dumps(body).encode(), headers={"content-type": "application/json"}
    )
    assert answer.status_code in {200, 400, 404, 422}, (body, answer.text)
    if answer.is_error:
        assert await read(athlete, session) == session


@given(query=st.dictionaries(st.sampled_from(["cursor", "pageSize", "from", "to", "status", "exerciseId"]), st.text()))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
async def test_queries(athlete: Actor, query: dict[str, str]) -> None:
    query = {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}
    assert (await athlete.client.get(SESSIONS, params=query)).status_code in {200, 422}


# Not the segments that a client resolves itself.
_SEGMENTS = st.integers() | st.text(alphabet="0123456789_-+.e", min_size=1).filter(lambda text: text not in {".", ".."})


@given(ids=st.lists(_SEGMENTS, min_size=2, max_size=2))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
async def test_paths(athlete: Actor, ids: list[int | str]) -> None:
    session = await start(athlete)
    answer = await athlete.client.delete(f"{SESSIONS}/{session['id']}/exercises/{ids[0]}/sets/{ids[1]}")
    assert answer.status_code in {404, 422}
