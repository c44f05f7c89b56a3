"""A demo athlete with a plan and six weeks of its workouts, to look at."""

import asyncio
import random
import secrets
import string
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec
from asyncpg import Connection
from msgspec import Struct
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import uuid7
from app.db.engine import database_config
from app.db.transaction import raw_connection
from app.domain.catalogue.models import DifficultyLevel, Exercise
from app.domain.history.models import ExerciseMode, SessionStatus
from app.domain.training.dto import NewPlan, NewUnit, PlanUnitEntry, TrainingPlan
from app.domain.training.services import PlanService, UnitService
from app.http.fields import Name, decode_hook
from app.security.passwords import Passwords, password_problems
from app.security.principal import Principal
from app.settings import Settings

__all__ = ("DemoAccount", "create_demo")

EMAIL = "demo@irontrack.example"

_WEEKS = 6
_PASSWORD_LENGTH = 20
_REPS, _TIME, _DISTANCE, _SETS_ONLY = ExerciseMode

_CREATE_ACCOUNT = text("""
    INSERT INTO user_account (id, name, email, password, role_id)
    SELECT :id, 'Demo Athlete', :email, :password, id FROM role WHERE slug = 'application-access'
    ON CONFLICT DO NOTHING RETURNING id
""")

_ADD_EXERCISES = """
INSERT INTO training_session_exercises
    (training_session_id, exercise_id, exercise_name_snapshot, mode_snapshot, order_index)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::smallint[])
RETURNING id, training_session_id, order_index
"""


class DemoAccount(Struct, frozen=True):
    """How to sign in as the demo athlete."""

    email: str
    password: str


class _Lift(NamedTuple):
    """An exercise of the programme.

    Attributes:
        slug: in the catalogue; the name is used alone where it has none such.
        first: what is lifted, held (seconds) or covered (kilometres) in the first week.
        step: how much that grows every week.
    """

    slug: str
    name: str
    mode: ExerciseMode
    sets: int
    first: Decimal
    step: Decimal
    reps: int = 0


class _Workout(NamedTuple):
    """A day of the programme, every week."""

    weekday: int
    name: str
    lifts: tuple[_Lift, ...]


def _lift(slug: str, mode: ExerciseMode, sets: int, first: str = "0", step: str = "0", reps: int = 0) -> _Lift:
    return _Lift(slug, slug.replace("-", " ").title(), mode, sets, Decimal(first), Decimal(step), reps)


_PROGRAMME = (
    _Workout(
        0,
        "Push",
        (
            _lift("barbell-bench-press", _REPS, 4, "60", "2.5", 8),
            _lift("overhead-press", _REPS, 3, "35", "1.25", 8),
            _lift("incline-dumbbell-press", _REPS, 3, "22", "1", 10),
            _lift("triceps-pushdown", _REPS, 3, "20", "1.25", 12),
            _lift("plank", _TIME, 3, "45", "5"),
        ),
    ),
    _Workout(
        1,
        "Pull",
        (
            _lift("barbell-deadlift", _REPS, 3, "90", "5", 5),
            _lift("pull-up", _REPS, 4, "0", "0", 6),
            _lift("barbell-bent-over-row", _REPS, 3, "50", "2.5", 8),
            _lift("barbell-curl", _REPS, 3, "25", "0.5", 10),
            _lift("farmer-s-walk", _DISTANCE, 3, "0.04", "0.005"),
        ),
    ),
    _Workout(
        3,
        "Legs",
        (
            _lift("barbell-back-squat", _REPS, 4, "75", "2.5", 6),
            _lift("romanian-deadlift", _REPS, 3, "60", "2.5", 8),
            _lift("walking-lunge", _REPS, 3, "16", "1", 12),
            _lift("standing-calf-raise", _REPS, 4, "40", "2.5", 15),
        ),
    ),
    _Workout(
        5,
        "Conditioning",
        (
            _lift("rowing-machine", _DISTANCE, 3, "1", "0.1"),
            _lift("jump-rope", _TIME, 4, "60", "10"),
            _lift("side-plank", _TIME, 3, "30", "5"),
            _lift("seated-forward-fold", _SETS_ONLY, 2),
        ),
    ),
)


class _Set(NamedTuple):
    weight: Decimal | None = None
    reps_completed: int | None = None
    time_seconds: int | None = None
    distance_km: Decimal | None = None


class _Reference(NamedTuple):
    """An exercise of the catalogue."""

    id: UUID
    name: str


class _Session(NamedTuple):
    id: UUID
    start: datetime
    end: datetime
    workout: _Workout
    week: int


def create_demo(settings: Settings) -> DemoAccount | None:
    """Make the demo athlete, with a random password that is stored nowhere; None when there is one already."""
    return asyncio.run(_create(settings))


async def _create(settings: Settings) -> DemoAccount | None:
    config = database_config(settings)
    engine = config.get_engine()
    try:
        async with config.create_session_maker()() as session, session.begin():
            return await _add_demo(session, settings)
    finally:
        await engine.dispose()


async def _add_demo(session: AsyncSession, settings: Settings) -> DemoAccount | None:
    """Make the demo athlete in a transaction; None when there is one already."""
    password = _random_password()
    values = {"id": uuid7(), "email": EMAIL, "password": await _hashed(password, settings)}
    user_id = await session.scalar(_CREATE_ACCOUNT, values)
    if user_id is None:
        return None
    slugs = {lift.slug for workout in _PROGRAMME for lift in workout.lifts}
    found = await session.execute(
        select(Exercise.slug, Exercise.id, Exercise.name).where(Exercise.is_system_default, Exercise.slug.in_(slugs))
    )
    catalogue = {row.slug: _Reference(row.id, row.name) for row in found}
    plan = await _add_plan(session, user_id, catalogue)
    await _add_history(await raw_connection(session), user_id, catalogue, plan, datetime.now(UTC).date())
    return DemoAccount(EMAIL, password)


async def _add_plan(session: AsyncSession, user_id: UUID, catalogue: dict[str, _Reference]) -> TrainingPlan:
    """The programme as a plan of the athlete: a unit for each workout, on its day of the week."""
    athlete = Principal(
        user_id=user_id,
        name=None,
        email=EMAIL,
        is_superuser=False,
        role_slug="application-access",
        timezone="UTC",
        weight_unit="kg",
        distance_unit="km",
        version=1,
    )
    units = UnitService(session)
    days = []
    for workout in _PROGRAMME:
        exercises = [_planned(lift, catalogue.get(lift.slug)) for lift in workout.lifts]
        body = msgspec.convert({"name": workout.name, "exercises": exercises}, NewUnit, dec_hook=decode_hook)
        unit = (await units.create(body, athlete)).document
        days.append(PlanUnitEntry(training_unit_id=unit.id, day_number=workout.weekday + 1))
    plan = NewPlan(name=Name("Four days a week"), difficulty_level=DifficultyLevel.INTERMEDIATE, units=days)
    return (await PlanService(session).create(plan, athlete)).document


def _planned(lift: _Lift, reference: _Reference | None) -> dict[str, object]:
    """An exercise of a unit, as it is sent."""
    targets: dict[ExerciseMode, dict[str, object]] = {
        ExerciseMode.REPS: {"repsMin": lift.reps, "targetWeight": lift.first},
        ExerciseMode.TIME: {"targetTimeSeconds": int(lift.first)},
        ExerciseMode.DISTANCE: {"targetDistanceKm": lift.first},
        ExerciseMode.SETS_ONLY: {},
    }
    what = {"exerciseId": reference.id} if reference else {"exerciseName": lift.name}
    return {**what, **targets[lift.mode], "mode": lift.mode, "sets": lift.sets}


async def _hashed(password: str, settings: Settings) -> str:
    parameters = settings.security
    passwords = Passwords(parameters.argon2_memory_kib, parameters.argon2_time_cost, parameters.argon2_parallelism)
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()


def _random_password() -> str:
    alphabet = string.ascii_letters + string.digits + "_"
    while True:
        password = "".join(secrets.choice(alphabet) for _ in range(_PASSWORD_LENGTH))
        if not password_problems(password):
            return password


async def _add_history(
    connection: "Connection", user_id: UUID, catalogue: dict[str, _Reference], plan: TrainingPlan, today: date
) -> None:
    """Three statements, whatever the number of weeks."""
    sessions = list(_sessions(today))
    days = {day.unit_name: day for day in plan.units}
    await connection.copy_records_to_table(
        "training_sessions",
        columns=[
            "id",
            "user_id",
            "start_time",
            "end_time",
            "duration_seconds",
            "user_timezone",
            "status",
            "training_plan_id",
            "plan_name_snapshot",
            "training_unit_id",
            "unit_name_snapshot",
            "plan_unit_id",
            "day_number_snapshot",
        ],
        records=[
            (
                session.id,
                user_id,
                session.start,
                session.end,
                (session.end - session.start) // timedelta(seconds=1),
                "UTC",
                SessionStatus.COMPLETED,
                plan.id,
                plan.name,
                day.training_unit_id,
                day.unit_name,
                day.id,
                day.day_number,
            )
            for session in sessions
            for day in [days[session.workout.name]]
        ],
    )
    exercises = [
        (session, place, lift) for session in sessions for place, lift in enumerate(session.workout.lifts, start=1)
    ]
    references = [catalogue.get(lift.slug) for _, _, lift in exercises]
    rows = await connection.fetch(
        _ADD_EXERCISES,
        [session.id for session, _, _ in exercises],
        [reference and reference.id for reference in references],
        [
            reference.name if reference else lift.name
            for reference, (_, _, lift) in zip(references, exercises, strict=True)
        ],
        [lift.mode for _, _, lift in exercises],
        [place for _, place, _ in exercises],
    )
    ids = {(row["training_session_id"], row["order_index"]): row["id"] for row in rows}
    await connection.copy_records_to_table(
        "training_session_sets",
        columns=["session_exercise_id", "mode", "order_index", *_Set._fields],
        records=[
            (ids[session.id, place], lift.mode, number, *done)
            for session, place, lift in exercises
            for number, done in enumerate(_sets(lift, session.week), start=1)
        ],
    )


def _sessions(today: date) -> Iterator[_Session]:
    """Four workouts a week, in the evening, up to yesterday."""
    dice = random.Random(today.toordinal())  # noqa: S311 (varied, not secret)
    yesterday = today - timedelta(days=1)
    first = today - timedelta(weeks=_WEEKS)
    for day in range((yesterday - first).days + 1):
        when = first + timedelta(days=day)
        for workout in _PROGRAMME:
            if workout.weekday == when.weekday():
                start = datetime.combine(when, time(17, dice.randrange(60), dice.randrange(60)), UTC)
                length = timedelta(minutes=50 + dice.randrange(25), seconds=dice.randrange(60))
                yield _Session(uuid7(), start, start + length, workout, day // 7)


def _sets(lift: _Lift, week: int) -> Iterator[_Set]:
    """The sets of a week: the same work as planned at first, a little less towards the end of the exercise."""
    amount = lift.first + lift.step * week
    for number in range(lift.sets):
        tired = max(0, number - 1)
        match lift.mode:
            case ExerciseMode.REPS:
                yield _Set(weight=amount or None, reps_completed=lift.reps + week % 3 - tired)
            case ExerciseMode.TIME:
                yield _Set(time_seconds=int(amount) - 5 * tired)
            case ExerciseMode.DISTANCE:
                yield _Set(distance_km=amount)
            case ExerciseMode.SETS_ONLY:
                yield _Set()
