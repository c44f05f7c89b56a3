"""What sessions add up to."""

from collections import defaultdict
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.base import uuid7
from tests.actors import Actor
from tests.history.workouts import SESSIONS, Connection, create_exercise

NOTHING = {
    "sessions": 0,
    "durationSeconds": 0,
    "sets": 0,
    "repsCompleted": 0,
    "timeSeconds": 0,
    "distanceKm": 0,
    "volumeKg": 0,
    "exercises": [],
}


async def train(actor: Actor, *exercises: dict[str, Any], day: str = "2026-03-02", **body: Any) -> dict[str, Any]:
    """A session of one hour, from 10:00 UTC on."""
    times = {"startTime": f"{day}T10:00:00Z", "endTime": f"{day}T11:00:00Z"}
    document = {"status": "completed", **times, "exercises": list(exercises), **body}
    answer = await actor.client.put(f"{SESSIONS}/{uuid7()}", json=document)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def statistics(actor: Actor, **query: str) -> dict[str, Any]:
    answer = await actor.client.get(f"{SESSIONS}/statistics", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def lift(name: str, *sets: tuple[float | None, int], **details: Any) -> dict[str, Any]:
    """An exercise that is a name alone, with its weights and reps."""
    return {
        "exerciseName": name,
        "sets": [{"weight": weight, "repsCompleted": reps, **details} for weight, reps in sets],
    }


class TestWhatCounts:
    async def test_adds_up_sets_in_all_and_by_exercise(self, athlete: Actor, connection: Connection) -> None:
        squat, name = await create_exercise(connection)
        squats = {**lift("", (100, 5), (102.5, 3)), "exerciseId": str(squat)}
        del squats["exerciseName"]
        plank = {"exerciseName": "Plank", "mode": "time", "sets": [{"timeSeconds": 90}]}
        carry = {"exerciseName": "Carry", "mode": "distance", "sets": [{"distanceKm": 0.04, "weight": 48}]}
        await train(athlete, squats, plank, carry)
        await train(athlete, squats, day="2026-03-05")
        found = await statistics(athlete)
        assert found == {
            "sessions": 2,
            "durationSeconds": 7200,
            "sets": 6,
            "repsCompleted": 16,
            "timeSeconds": 90,
            "distanceKm": 0.04,
            "volumeKg": 1615,
            "exercises": found["exercises"],
        }
        nothing = {"repsCompleted": 0, "timeSeconds": 0, "distanceKm": 0, "volumeKg": 0, "oneRepMaxKg": None}
        once = {"exerciseId": None, "sessions": 1, "sets": 1, "lastDate": "2026-03-02"}
        assert found["exercises"] == [
            {
                "exerciseId": str(squat),
                "exerciseName": name,
                "sessions": 2,
                "sets": 4,
                **nothing,
                "repsCompleted": 16,
                "volumeKg": 1615,
                "heaviestKg": 102.5,
                "oneRepMaxKg": 116.67,
                "lastDate": "2026-03-05",
            },
            {**once, **nothing, "exerciseName": "Carry", "distanceKm": 0.04, "heaviestKg": 48},
            {**once, **nothing, "exerciseName": "Plank", "timeSeconds": 90, "heaviestKg": None},
        ]

    async def test_warm_ups_never_count(self, athlete: Actor) -> None:
        await train(athlete, lift("Squat", (60, 10), setType="warm_up"), lift("Rows", (300, 1), setType="warm_up"))
        assert await statistics(athlete) == {**NOTHING, "sessions": 1, "durationSeconds": 3600}

    @pytest.mark.parametrize("kind", [None, "working", "drop", "failure"])
    async def test_every_other_set_counts(self, athlete: Actor, kind: str | None) -> None:
        await train(athlete, lift("Squat", (60, 10), setType=kind))
        found = await statistics(athlete)
        assert (found["sets"], found["volumeKg"]) == (1, 600)

    @pytest.mark.parametrize("status", ["in_progress", "aborted"])
    async def test_only_completed_sessions_count(self, athlete: Actor, status: str) -> None:
        end: dict[str, Any] = {"endTime": None} if status == "in_progress" else {}
        await train(athlete, lift("Squat", (60, 10)), status=status, **end)
        assert await statistics(athlete) == NOTHING

    async def test_sessions_of_others_do_not_count(
        self, athlete: Actor, other_athlete: Actor, superuser: Actor
    ) -> None:
        await train(other_athlete, lift("Squat", (60, 10)))
        assert await statistics(athlete) == await statistics(superuser) == NOTHING

    async def test_days_are_local_and_both_ends_count(self, athlete: Actor) -> None:
        late = {"startTime": "2026-03-03T06:30:00Z", "endTime": "2026-03-03T07:30:00Z"}
        await train(athlete, lift("Squat", (1, 1)), **late, userTimezone="America/Los_Angeles")
        for query, sessions in [
            ({"from": "2026-03-02", "to": "2026-03-02"}, 1),
            ({"to": "2026-03-02"}, 1),
            ({"from": "2026-03-02"}, 1),
            ({"from": "2026-03-03"}, 0),
            ({"to": "2026-03-01"}, 0),
            ({"from": "2026-03-03", "to": "2026-03-01"}, 0),
        ]:
            assert (await statistics(athlete, **query))["sessions"] == sessions, query

    async def test_an_exercise_of_several_names_is_one_of_the_last_name(
        self, athlete: Actor, connection: Connection
    ) -> None:
        squat, _ = await create_exercise(connection)
        for day, name in [("2026-03-05", "New"), ("2026-03-02", "Old")]:
            await train(athlete, {**lift(name, (1, 1)), "exerciseId": str(squat)}, day=day)
        await train(athlete, lift("Rows", (1, 1)), lift("rows", (1, 1), (1, 1)), day="2026-03-06")
        found = (await statistics(athlete))["exercises"]
        assert [(item["exerciseName"].capitalize(), item["sessions"], item["sets"]) for item in found] == [
            ("Rows", 1, 3),
            ("New", 2, 2),
        ]


class TestOneRepMax:
    @pytest.mark.parametrize(
        ("weight", "reps", "heaviest", "estimate"),
        [
            (100, 1, 100, 100),
            (100, 2, 100, 106.67),
            (100, 12, 100, 140),
            (100, 13, 100, None),
            (100, 0, None, None),
            (None, 8, None, None),
        ],
    )
    async def test_by_epley(
        self, athlete: Actor, weight: float | None, reps: int, heaviest: float | None, estimate: float | None
    ) -> None:
        await train(athlete, lift("Squat", (weight, reps)))
        [found] = (await statistics(athlete))["exercises"]
        assert (found["heaviestKg"], found["oneRepMaxKg"]) == (heaviest, estimate)


class TestAnswers:
    async def test_nobody_else_reads_them(self, athlete: Actor) -> None:
        answer = await athlete.client.get(f"{SESSIONS}/statistics", headers={"cookie": ""})
        assert answer.status_code == 401

    async def test_bad_parameters_are_named(self, athlete: Actor) -> None:
        answer = await athlete.client.get(f"{SESSIONS}/statistics", params={"from": "May", "since": "2026-01-01"})
        assert answer.status_code == 422
        assert {item["field"] for item in answer.json()["details"]} == {"from", "since"}


_WEIGHTS = st.one_of(st.none(), st.decimals(0, 300, places=2).map(float))
_SETS = st.lists(
    st.tuples(_WEIGHTS, st.integers(0, 20), st.sampled_from([None, "warm_up", "working", "drop", "failure"])),
    max_size=4,
)
_SESSIONS = st.lists(
    st.tuples(
        st.sampled_from(["completed", "aborted"]), st.lists(st.tuples(st.sampled_from(["Squat", "Rows"]), _SETS))
    ),
    max_size=3,
)


class TestSums:
    @given(sessions=_SESSIONS)
    @settings(
        max_examples=12,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    async def test_are_those_of_the_sets(
        self, athlete: Actor, connection: Connection, sessions: list[tuple[str, list[tuple[str, list[Any]]]]]
    ) -> None:
        await connection.execute("DELETE FROM training_sessions WHERE user_id = $1", UUID(str(athlete.id)))
        expected: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
        for status, exercises in sessions:
            bodies = []
            for name, sets in exercises:
                items = [{"weight": weight, "repsCompleted": reps, "setType": kind} for weight, reps, kind in sets]
                bodies.append({"exerciseName": name, "sets": items})
                for weight, reps, kind in sets:
                    if status == "completed" and kind != "warm_up":
                        count, done, volume = expected[name]
                        expected[name] = [count + 1, done + reps, volume + Decimal(str(weight or 0)) * reps]
            await train(athlete, *bodies, status=status)
        found = await statistics(athlete)
        sums = {
            item["exerciseName"]: [item["sets"], item["repsCompleted"], pytest.approx(item["volumeKg"])]
            for item in found["exercises"]
        }
        assert {name: list(map(float, values)) for name, values in expected.items()} == sums
        assert found["sets"] == sum(item["sets"] for item in found["exercises"])
        assert found["sessions"] == sum(status == "completed" for status, _ in sessions)
