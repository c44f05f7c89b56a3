"""A town of lifters and what they did in eight years, brought into a database by COPY."""

import random
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, islice
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

import asyncpg
from asyncpg import Record

__all__ = ("COLUMNS", "Connection", "Exercise", "Maker", "Rows", "Town", "batches", "copy", "fill", "known_exercises")

Connection: TypeAlias = "asyncpg.Connection[Record]"
Rows = list[tuple[Any, ...]]
Progress = Callable[[int], None]
"""Is told of each batch how many sets it had."""

EPOCH: Final = datetime(2018, 1, 1, tzinfo=UTC)
YEARS: Final = timedelta(days=8 * 365)
BATCH: Final = 2_000
EXERCISES: Final = 5
"""In a session."""
ROUTINE: Final = 40
"""Exercises that somebody takes turns at."""
WEIGHTS: Final = [Decimal(number) * 5 / 2 for number in range(80)]

COLUMNS: Final = {
    "user_account": ("id", "name", "email", "password", "role_id"),
    "exercises": ("id", "name", "difficulty_level", "category", "created_by"),
    "training_units": ("id", "name", "created_by"),
    "training_unit_exercises": (
        "training_unit_id",
        "exercise_id",
        "exercise_name_snapshot",
        "mode",
        "order_index",
        "sets",
        "reps_min",
    ),
    "training_plans": ("id", "name", "created_by", "difficulty_level"),
    "training_plan_units": ("training_plan_id", "training_unit_id", "day_number", "order_index"),
    "runs": ("id", "user_id", "started_at", "user_timezone", "distance_km", "duration_seconds"),
    "tombstone": ("user_id", "kind", "id"),
    "training_sessions": (
        "id",
        "user_id",
        "unit_name_snapshot",
        "start_time",
        "end_time",
        "user_timezone",
        "status",
        "duration_seconds",
    ),
    "training_session_exercises": (
        "id",
        "training_session_id",
        "user_id",
        "exercise_id",
        "exercise_name_snapshot",
        "mode_snapshot",
        "order_index",
    ),
    "training_session_sets": ("id", "session_exercise_id", "mode", "order_index", "weight", "reps_completed"),
}


class Town(NamedTuple):
    """How many there are of what.

    Attributes:
        own: sessions of the first user; the others have the rest.
        sets: in all sessions together.
    """

    users: int
    sessions: int
    own: int
    sets: int


class Exercise(NamedTuple):
    """One of the catalogue."""

    id: UUID
    name: str


class Maker:
    """Makes rows, the same ones each time."""

    def __init__(self, town: Town, exercises: list[Exercise], role: UUID) -> None:
        self._town = town
        self._exercises = exercises
        self._role = role
        self._random = random.Random(7)
        self.users = [self.key(EPOCH) for _ in range(town.users)]

    def key(self, moment: datetime) -> UUID:
        """A UUID of version 7."""
        milliseconds = int(moment.timestamp() * 1000)
        low = self._random.getrandbits(74)
        return UUID(int=milliseconds << 80 | 0x7 << 76 | low >> 62 << 64 | 0b10 << 62 | low & (1 << 62) - 1)

    def accounts(self, users: list[UUID]) -> Rows:
        """Their accounts."""
        return [(user, "Ada", f"{user}@example.com", "-", self._role) for user in users]

    def possessions(self, user: UUID) -> dict[str, Rows]:
        """What a user has besides sessions: the first one more of it, as is fit for so many sessions."""
        times = 10 if user == self.users[0] else 1
        made: dict[str, Rows] = {table: [] for table in COLUMNS}
        for number in range(5 * times):
            made["exercises"].append((self.key(EPOCH), f"Lift {number}", "beginner", "strength", user))
            unit = self.key(EPOCH)
            made["training_units"].append((unit, f"Day {number}", user))
            made["training_unit_exercises"] += [
                (unit, exercise.id, exercise.name, "reps", place, 5, 5)
                for place, exercise in enumerate(self._exercises[:6], 1)
            ]
        for number in range(times):
            plan = self.key(EPOCH)
            made["training_plans"].append((plan, f"Plan {number}", user, "beginner"))
            made["training_plan_units"] += [
                (plan, unit[0], day, 1) for day, unit in enumerate(made["training_units"][-5:], 1)
            ]
        for _ in range(50 * times):
            start = EPOCH + YEARS * self._random.random()
            made["runs"].append((self.key(start), user, start, "Europe/Berlin", Decimal(10), 3000))
        made["tombstone"] = [(user, "training_session", self.key(EPOCH)) for _ in range(20 * times)]
        return made

    def sessions(self, first_exercise: int = 1, first_set: int = 1) -> Iterator[tuple[UUID, dict[str, Rows]]]:
        """Every session with its user, in the order of time; exercises and sets are numbered from there on."""
        exercise_ids, set_ids = count(first_exercise), count(first_set)
        town = self._town
        every = town.sessions // town.own
        per_exercise = town.sets // town.sessions // EXERCISES
        for number in range(town.sessions):
            mine = number % every == 0 and number // every < town.own
            user = self.users[0] if mine else self.users[1 + self._random.randrange(town.users - 1)]
            start = EPOCH + YEARS * number / town.sessions
            session = self.key(start)
            end = start + timedelta(seconds=3600)
            exercises: Rows = []
            sets: Rows = []
            for place, exercise in enumerate(self._random.sample(self._exercises[:ROUTINE], EXERCISES), 1):
                key = next(exercise_ids)
                exercises.append((key, session, user, exercise.id, exercise.name, "reps", place))
                weight = WEIGHTS[self._random.randrange(len(WEIGHTS))]
                sets += [(next(set_ids), key, "reps", order, weight, 5) for order in range(1, per_exercise + 1)]
            if number // every == town.own - 1 and mine:
                # The last one tries what nobody has done before.
                exercises.append((next(exercise_ids), session, user, None, "Something new", "reps", EXERCISES + 1))
            yield (
                user,
                {
                    "training_sessions": [(session, user, "Day", start, end, "Europe/Berlin", "completed", 3600)],
                    "training_session_exercises": exercises,
                    "training_session_sets": sets,
                },
            )


async def fill(everybody: Connection, alone: Connection, town: Town, progress: Progress) -> UUID:
    """Bring the town into one database, and its first user into another one; the first user.

    Both are connected as a superuser, whose triggers and checks of references are off: the rows are right by making.
    """
    role = await everybody.fetchval("SELECT id FROM role WHERE slug = 'application-access'")
    maker = Maker(town, await known_exercises(everybody), role)
    first = maker.users[0]
    for connection, users in ((everybody, maker.users), (alone, [first])):
        await connection.execute("SET session_replication_role = replica")
        await copy(connection, {"user_account": maker.accounts(users)})
    for user in maker.users:
        made = maker.possessions(user)
        await copy(everybody, made)
        if user == first:
            await copy(alone, made)
    for town_rows, own_rows in batches(maker.sessions(), first):
        await copy(everybody, town_rows)
        await copy(alone, own_rows)
        progress(len(town_rows["training_session_sets"]))
    for connection in (everybody, alone):
        await _settle(connection)
    return first


async def known_exercises(connection: Connection) -> list[Exercise]:
    """A hundred of the catalogue."""
    rows = await connection.fetch("SELECT id, name FROM exercises WHERE is_system_default ORDER BY slug LIMIT 100")
    return [Exercise(*row) for row in rows]


def batches(sessions: Iterator[tuple[UUID, dict[str, Rows]]], first: UUID) -> Iterator[tuple[dict[str, Rows], ...]]:
    """Rows of many sessions at once, and those of the first user among them."""
    while some := list(islice(sessions, BATCH)):
        yield _joined(made for _, made in some), _joined(made for user, made in some if user == first)


def _joined(sessions: Iterable[dict[str, Rows]]) -> dict[str, Rows]:
    rows: dict[str, Rows] = {}
    for made in sessions:
        for table, more in made.items():
            rows.setdefault(table, []).extend(more)
    return rows


async def copy(connection: Connection, made: dict[str, Rows]) -> None:
    """Bring rows into their tables, all or none."""
    async with connection.transaction():
        for table, rows in made.items():
            if rows:
                await connection.copy_records_to_table(table, records=rows, columns=COLUMNS[table])


async def _settle(connection: Connection) -> None:
    """Let the numbering go on behind what was copied, and the planner know how much there is."""
    for table in ("training_session_exercises", "training_session_sets"):
        await connection.execute(
            f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
        )
    await connection.execute("VACUUM (ANALYZE)")
