import pytest
from asyncpg import Connection

from app.db.base import uuid7
from app.http.context import API
from tests.accounts.test_sign_out import assert_cleared
from tests.accounts.tokens import ACCESS, bearer, held
from tests.actors import Actor
from tests.conftest import MakeActor
from tests.factories import PASSWORD
from tests.service import Service

ME = f"{API}/access/me"

OF_THE_USER = {
    "user_account": "id = $1",
    "user_session": "user_id = $1",
    "api_token": "user_id = $1",
    "training_sessions": "user_id = $1",
    "runs": "user_id = $1",
    "running_plans": "user_id = $1",
    "exercises": "created_by = $1",
    "training_units": "created_by = $1",
    "training_plans": "created_by = $1",
    "training_unit_access": "user_id = $1 OR granted_by = $1",
    "training_plan_access": "user_id = $1 OR granted_by = $1",
    "idempotency_key": "user_id = $1",
    "tombstone": "user_id = $1",
}


class Belongings:
    """What a user has, in every table that knows users."""

    def __init__(self, connection: Connection, owner: Actor, friend: Actor) -> None:
        self.connection = connection
        self.owner = owner
        self.friend = friend
        self.units = {status: uuid7() for status in ("private", "shared", "public")}
        self.plans = {status: uuid7() for status in ("private", "shared", "public")}
        self.held_by_public_plan, self.friends_unit, self.exercise = uuid7(), uuid7(), uuid7()
        self.friends_session = uuid7()

    async def make(self) -> None:
        await self._make_exercise()
        await self._make_templates()
        await self._make_history()
        await self.connection.execute(
            "INSERT INTO tombstone (user_id, kind, id) VALUES ($1, 'training_session', $2)", self.owner.id, uuid7()
        )

    async def _make_exercise(self) -> None:
        await self.connection.execute(
            "INSERT INTO exercises (id, name, difficulty_level, category, created_by)"
            " VALUES ($1, 'My own lift', 'beginner', 'strength', $2)",
            self.exercise,
            self.owner.id,
        )

    async def _make_templates(self) -> None:
        unit = "INSERT INTO training_units (id, name, created_by, sharing_status) VALUES ($1, $2, $3, $4)"
        for status, key in self.units.items():
            await self.connection.execute(unit, key, status, self.owner.id, status)
        await self.connection.execute(unit, self.held_by_public_plan, "in a plan", self.owner.id, "private")
        await self.connection.execute(unit, self.friends_unit, "mine", self.friend.id, "shared")
        for status, key in self.plans.items():
            await self.connection.execute(
                "INSERT INTO training_plans (id, name, created_by, sharing_status, difficulty_level)"
                " VALUES ($1, $2, $3, $4, 'beginner')",
                key,
                status,
                self.owner.id,
                status,
            )
        holds = (
            "INSERT INTO training_plan_units (training_plan_id, training_unit_id, day_number, order_index)"
            " VALUES ($1, $2, 1, $3)"
        )
        await self.connection.execute(holds, self.plans["private"], self.units["private"], 1)
        await self.connection.execute(holds, self.plans["private"], self.units["public"], 2)
        await self.connection.execute(holds, self.plans["public"], self.held_by_public_plan, 1)
        for unit_id in (self.units["public"], self.units["private"], self.friends_unit):
            await self.connection.execute(
                "INSERT INTO training_unit_exercises"
                " (training_unit_id, exercise_id, exercise_name_snapshot, mode, order_index, reps_min)"
                " VALUES ($1, $2, 'My own lift', 'reps', 1, 5)",
                unit_id,
                self.exercise,
            )
        grant = "INSERT INTO training_unit_access (training_unit_id, user_id, granted_by) VALUES ($1, $2, $3)"
        await self.connection.execute(grant, self.friends_unit, self.owner.id, self.friend.id)
        await self.connection.execute(grant, self.units["shared"], self.friend.id, self.owner.id)
        await self.connection.execute(grant, self.units["public"], self.friend.id, self.owner.id)

    async def _make_history(self) -> None:
        for user, session in ((self.owner, uuid7()), (self.friend, self.friends_session)):
            await self.connection.execute(
                "INSERT INTO training_sessions (id, user_id, user_timezone, training_plan_id, training_unit_id)"
                " VALUES ($1, $2, 'UTC', $3, $4)",
                session,
                user.id,
                self.plans["private"],
                self.units["private"],
            )
            row = await self.connection.fetchval(
                "INSERT INTO training_session_exercises"
                " (training_session_id, exercise_id, mode_snapshot, exercise_name_snapshot, order_index)"
                " VALUES ($1, $2, 'reps', 'My own lift', 1) RETURNING id",
                session,
                self.exercise,
            )
            await self.connection.execute(
                "INSERT INTO training_session_sets (session_exercise_id, mode, order_index, reps_completed)"
                " VALUES ($1, 'reps', 1, 5)",
                row,
            )
        plan, workout = uuid7(), uuid7()
        await self.connection.execute(
            "INSERT INTO running_plans (id, user_id, name, start_date, end_date)"
            " VALUES ($1, $2, 'p', '2026-01-01', '2026-02-01')",
            plan,
            self.owner.id,
        )
        await self.connection.execute(
            "INSERT INTO running_workouts (id, plan_id, name, workout_type, planned_distance_km)"
            " VALUES ($1, $2, 'w', 'easy', 5)",
            workout,
            plan,
        )
        await self.connection.execute(
            "INSERT INTO runs"
            " (id, user_id, plan_id, workout_id, started_at, user_timezone, distance_km, duration_seconds)"
            " VALUES ($1, $2, $3, $4, now(), 'UTC', 5, 1500)",
            uuid7(),
            self.owner.id,
            plan,
            workout,
        )

    async def count(self) -> dict[str, int]:
        return {
            table: await self.connection.fetchval(f"SELECT count(*) FROM {table} WHERE {mine}", self.owner.id)
            for table, mine in OF_THE_USER.items()
        }

    async def assert_gone(self) -> None:
        assert set((await self.count()).values()) == {0}
        fetchval, fetch = self.connection.fetchval, self.connection.fetch
        units = {row["id"]: row["created_by"] for row in await fetch("SELECT id, created_by FROM training_units")}
        assert units == {
            self.units["public"]: None,
            self.held_by_public_plan: None,
            self.friends_unit: self.friend.id,
        }
        assert [tuple(row) for row in await fetch("SELECT id, created_by FROM training_plans")] == [
            (self.plans["public"], None)
        ]
        assert await fetchval("SELECT count(*) FROM training_plan_units") == 1
        names = await fetch("SELECT exercise_id, exercise_name_snapshot FROM training_unit_exercises")
        assert [tuple(row) for row in names] == [(None, "My own lift")] * 2
        kept = await self.connection.fetchrow("SELECT * FROM training_sessions")
        assert kept is not None
        assert (kept["id"], kept["training_plan_id"], kept["training_unit_id"]) == (self.friends_session, None, None)
        assert await fetchval("SELECT count(*) FROM training_session_sets") == 1
        assert await fetchval("SELECT granted_by FROM training_unit_access") is None


@pytest.fixture
async def belongings(connection: Connection, athlete: Actor, other_athlete: Actor) -> Belongings:
    everything = Belongings(connection, athlete, other_athlete)
    await everything.make()
    return everything


async def test_of_oneself_takes_everything_along(athlete: Actor, service: Service, belongings: Belongings) -> None:
    access = held(athlete.client, ACCESS)
    answer = await athlete.client.request("DELETE", ME, json={"password": athlete.password})
    assert answer.status_code == 204
    assert_cleared(answer)
    await belongings.assert_gone()
    assert (await bearer(service, access).get(ME)).status_code == 401
    signin = {"email": athlete.email, "password": athlete.password}
    assert (await service.client().post(f"{API}/access/signin", json=signin)).status_code == 401


async def test_needs_the_password(athlete: Actor, belongings: Belongings) -> None:
    before = await belongings.count()
    for body, status in (({"password": "Wrong-horse7!"}, 401), ({}, 422), (None, 422)):
        answer = await athlete.client.request("DELETE", ME, json=body)
        assert answer.status_code == status
    assert await belongings.count() == before


async def test_by_a_superuser_with_a_history_needs_purge(
    superuser: Actor, athlete: Actor, belongings: Belongings
) -> None:
    before = await belongings.count()
    url = f"{API}/users/{athlete.id}"
    for query in ("", "?purge=false"):
        assert (await superuser.client.delete(url + query)).status_code == 409
    assert await belongings.count() == before
    assert (await athlete.client.get(ME)).status_code == 200
    assert (await superuser.client.delete(f"{url}?purge=true")).status_code == 204
    await belongings.assert_gone()


@pytest.mark.parametrize("table", ["training_sessions", "runs", "running_plans"])
async def test_any_history_counts(
    superuser: Actor, athlete: Actor, belongings: Belongings, connection: Connection, table: str
) -> None:
    for other in {"training_sessions", "runs", "running_plans"} - {table}:
        await connection.execute(f"DELETE FROM {other} WHERE user_id = $1", athlete.id)
    if table == "running_plans":
        await connection.execute("DELETE FROM runs")
    assert (await superuser.client.delete(f"{API}/users/{athlete.id}")).status_code == 409


async def test_a_superuser_may_go_when_another_stays(superuser: Actor, make_actor: MakeActor) -> None:
    other = await make_actor("superuser")
    answer = await other.client.request("DELETE", ME, json={"password": PASSWORD})
    assert answer.status_code == 204
    assert (await superuser.client.request("DELETE", ME, json={"password": PASSWORD})).status_code == 409
