"""Rows as SQL alone makes them: valid unless a test says otherwise."""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg

from app.db.base import Base, uuid7
from tests.factories import email, unique

Values = dict[str, Any]
Fill = Callable[["Rows"], Any]


def parent(table: str, column: str = "id") -> Fill:
    """The key of a new row of another table."""

    async def fill(rows: "Rows") -> Any:
        return (await rows.add(table))[column]

    return fill


def tomorrow(_: "Rows") -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


def made(make: Callable[[], Any]) -> Fill:
    return lambda _: make()


def name(stem: str) -> Fill:
    return lambda _: unique(stem)


VALID: Mapping[str, Mapping[str, Any]] = {
    "role": {"id": made(uuid7), "name": name("Role"), "slug": name("role")},
    "user_account": {
        "id": made(uuid7),
        "name": "Ada Lovelace",
        "email": made(email),
        "password": "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA",
        "role_id": parent("role"),
    },
    "user_session": {"id": made(uuid7), "user_id": parent("user_account"), "expires_at": tomorrow},
    "api_token": {
        "id": made(uuid7),
        "user_id": parent("user_account"),
        "name": "phone",
        "prefix": "abcdefgh",
        "hash": lambda _: secrets.token_bytes(32),
        "scopes": ["read"],
        "expires_at": tomorrow,
    },
    "equipment": {"name": name("bar")},
    "muscle_groups": {"name": name("muscle")},
    "exercise_tags": {"name": name("tag")},
    "exercises": {
        "id": made(uuid7),
        "name": name("Bench Press"),
        "difficulty_level": "beginner",
        "category": "strength",
        "is_system_default": True,
    },
    "exercise_equipment": {"exercise_id": parent("exercises"), "equipment_id": parent("equipment")},
    "exercise_primary_muscles": {"exercise_id": parent("exercises"), "muscle_group_id": parent("muscle_groups")},
    "exercise_secondary_muscles": {"exercise_id": parent("exercises"), "muscle_group_id": parent("muscle_groups")},
    "exercise_tag_map": {"exercise_id": parent("exercises"), "tag_id": parent("exercise_tags")},
    "exercise_aliases": {"exercise_id": parent("exercises"), "alias": "Flat Press"},
    "catalogue_seed": {"kind": "exercise", "key": name("plank"), "content": "{}"},
    "training_units": {"id": made(uuid7), "name": name("Push day"), "created_by": parent("user_account")},
    "training_plans": {
        "id": made(uuid7),
        "name": name("Strength"),
        "created_by": parent("user_account"),
        "difficulty_level": "beginner",
    },
    "training_unit_exercises": {
        "training_unit_id": parent("training_units"),
        "exercise_id": parent("exercises"),
        "exercise_name_snapshot": "Bench Press",
        "mode": "reps",
        "order_index": 1,
        "reps_min": 5,
        "reps_max": 8,
    },
    "training_plan_units": {
        "training_plan_id": parent("training_plans"),
        "training_unit_id": parent("training_units"),
        "day_number": 1,
        "order_index": 1,
    },
    "training_unit_access": {
        "training_unit_id": parent("training_units"),
        "user_id": parent("user_account"),
        "granted_by": parent("user_account"),
    },
    "training_plan_access": {
        "training_plan_id": parent("training_plans"),
        "user_id": parent("user_account"),
        "granted_by": parent("user_account"),
    },
    "share_link": {
        "id": made(uuid7),
        "training_unit_id": parent("training_units"),
        "created_by": parent("user_account"),
        "token_hash": lambda _: secrets.token_bytes(32),
    },
    "training_sessions": {"id": made(uuid7), "user_id": parent("user_account"), "user_timezone": "Europe/Berlin"},
    "training_session_exercises": {
        "training_session_id": parent("training_sessions"),
        "exercise_id": parent("exercises"),
        "exercise_name_snapshot": "Bench Press",
        "mode_snapshot": "reps",
        "order_index": 1,
    },
    "training_session_sets": {
        "session_exercise_id": parent("training_session_exercises"),
        "mode": "reps",
        "order_index": 1,
        "reps_completed": 5,
    },
    "running_plans": {
        "id": made(uuid7),
        "user_id": parent("user_account"),
        "name": "Autumn race",
        "start_date": date(2026, 6, 1),
        "end_date": date(2026, 9, 1),
    },
    "running_workouts": {
        "id": made(uuid7),
        "plan_id": parent("running_plans"),
        "name": "Easy run",
        "workout_type": "easy",
        "planned_distance_km": 5,
    },
    "runs": {
        "id": made(uuid7),
        "user_id": parent("user_account"),
        "started_at": datetime(2026, 6, 1, 6, tzinfo=UTC),
        "user_timezone": "Europe/Berlin",
        "distance_km": 5,
        "duration_seconds": 1500,
    },
    "run_totals": {
        "user_id": parent("user_account"),
        "period": "day",
        "starts_on": date(2026, 6, 1),
        "runs": 1,
        "distance_km": 5,
        "duration_seconds": 1500,
        "longest": 5,
        "longest_run": made(uuid7),
    },
    "plan_run_totals": {"plan_id": parent("running_plans"), "runs": 1, "distance_km": 5},
    "calendar_link": {"plan_id": parent("running_plans"), "token_hash": lambda _: secrets.token_bytes(32)},
    "run_original": {
        "run_id": parent("runs"),
        "name": "morning.gpx",
        "media_type": "application/gpx+xml",
        "is_wrapped": True,
        "content": b"",
    },
    "run_import": {
        "id": made(uuid7),
        "user_id": parent("user_account"),
        "name": "export.zip",
        "user_timezone": "Europe/Berlin",
        "total": 1,
    },
    "run_import_item": {
        "import_id": parent("run_import"),
        "place": 0,
        "name": "activities/1.fit.gz",
        "activity": "{}",
    },
    "idempotency_key": {
        "user_id": parent("user_account"),
        "key": "a-key",
        "method": "POST",
        "path": "/api/v1/training-sessions",
        "body_hash": lambda _: secrets.token_bytes(32),
        "status": 201,
        "headers": "{}",
    },
    "tombstone": {"user_id": parent("user_account"), "kind": "training_session", "id": made(uuid7)},
}


class Rows:
    """Adds rows by plain SQL.

    Attributes:
        connection: for whatever else a test sends.
    """

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.connection = connection

    async def add(self, table: str, **values: Any) -> asyncpg.Record:
        """Add a row, and the parents it needs; what is given takes the place of what is valid."""
        return await self.insert(table, await self.complete(table, values))

    async def complete(self, table: str, values: Values) -> Values:
        """The values of a row with all that it needs."""
        chosen = {**VALID[table], **values}
        return {column: await self._filled(value) for column, value in chosen.items()}

    async def insert(self, table: str, values: Values) -> asyncpg.Record:
        """Add a row of exactly these values."""
        places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        row = await self.connection.fetchrow(
            f"INSERT INTO {table} ({', '.join(values)}) OVERRIDING SYSTEM VALUE VALUES ({places}) RETURNING *",
            *values.values(),
        )
        assert row is not None
        return row

    async def settle(self) -> None:
        """Look at what is otherwise looked at when the transaction commits."""
        await self.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")

    async def version(self, table: str, key: object) -> int:
        version: int = await self.connection.fetchval(f"SELECT version FROM {table} WHERE id = $1", key)
        return version

    async def _filled(self, value: Any) -> Any:
        if not callable(value):
            return value
        filled = value(self)
        return await filled if hasattr(filled, "__await__") else filled


def stored(table: str, row: asyncpg.Record) -> Values:
    """The values of a row that can be inserted again."""
    columns = Base.metadata.tables[table].columns
    return {key: value for key, value in row.items() if columns[key].computed is None}
