"""What only the database notices is told like what is noticed before it: 422, the field's wire name, a sentence."""

from collections.abc import AsyncIterator

import pytest
from asyncpg import CheckViolationError
from sqlalchemy import CheckConstraint

from app.db.base import Base
from app.db.errors import translate
from app.errors import RuleBroken
from tests.actors import Actor
from tests.answers import problem
from tests.training.templates import (
    PLANS,
    TABLES,
    UNITS,
    Connection,
    body_of,
    everything,
    exercise,
    grant,
    make_plan,
    make_unit,
)

# Each column, a value that breaks its rule, and what it is called on the wire.
BROKEN = {
    "training_units": {"name": ("' x'", "name"), "description": ("repeat('x', 10001)", "description")},
    "training_plans": {
        "name": ("''", "name"),
        "description": ("repeat('x', 10001)", "description"),
        "difficulty_level": ("'easy'", "difficultyLevel"),
    },
    "training_unit_exercises": {
        "exercise_name_snapshot": ("'a  b'", "exerciseName"),
        "unit_exercise_notes": ("repeat('x', 10001)", "notes"),
        "mode": ("'lift'", "mode"),
        "order_index": ("101", "body"),
        "target_weight": ("-1", "targetWeight"),
        "sets": ("0", "sets"),
        "reps_min": ("-1", "repsMin"),
        "reps_max": ("4", "repsMax"),
        "target_time_seconds": ("0", "targetTimeSeconds"),
        "target_distance_km": ("0", "targetDistanceKm"),
        "rest_seconds": ("-1", "restSeconds"),
        "superset_group": ("101", "supersetGroup"),
    },
    "training_plan_units": {"day_number": ("731", "dayNumber"), "order_index": ("1001", "body")},
    "training_unit_access": {"access_level": ("'admin'", "accessLevel"), "granted_by": ("user_id", "body")},
    "training_plan_access": {"access_level": ("'admin'", "accessLevel"), "granted_by": ("user_id", "body")},
    "share_link": {"expires_at": ("'infinity'", "expiresAt"), "token_hash": ("''", "body")},
}
STATEMENTS = [
    *(
        (f"UPDATE {table} SET {column} = {value}", field)
        for table, columns in BROKEN.items()
        for column, (value, field) in columns.items()
    ),
    ("UPDATE training_units SET sharing_status = 'secret'", "sharingStatus"),
    ("UPDATE training_plans SET sharing_status = 'secret'", "sharingStatus"),
    ("UPDATE training_unit_exercises SET reps_min = NULL, reps_max = NULL", "body"),
    ("UPDATE training_unit_exercises SET reps_min = NULL, reps_max = -1", "repsMax"),
    ("UPDATE share_link SET training_unit_id = NULL", "body"),
]


@pytest.fixture
async def one_of_each(athlete: Actor, other_athlete: Actor) -> None:
    """A row in every table of templates."""
    unit = await make_unit(athlete, exercise(repsMax=8))
    plan = await make_plan(athlete, [(unit, 1)])
    for place, template in ((UNITS, unit), (PLANS, plan)):
        await grant(athlete, place, template, other_athlete)
    body_of(await athlete.client.post(f"{UNITS}/{unit['id']}/link"), 201)


@pytest.mark.usefixtures("one_of_each")
async def test_every_check_has_a_field_and_a_sentence(connection: Connection) -> None:
    met = set()
    before = await everything(connection)
    for statement, field in STATEMENTS:
        with pytest.raises(CheckViolationError) as broken:
            await connection.execute(statement)
        told = translate(broken.value, Base.metadata)
        assert isinstance(told, RuleBroken)
        [detail] = told.details
        assert detail.field == field, statement
        assert detail.message.endswith("."), statement
        assert detail.message != "A value breaks a rule.", statement
        met.add(broken.value.constraint_name)
    assert await everything(connection) == before
    assert met == {
        str(rule.name)
        for table in TABLES
        for rule in Base.metadata.tables[table].constraints
        if isinstance(rule, CheckConstraint)
    }


class TestOverHTTP:
    """The database of these tests allows less than the service knows of."""

    RULES = (
        ("training_unit_exercises", "check_sets_count", "sets BETWEEN 1 AND 100", "sets <= 5"),
        ("training_plan_units", "ck_training_plan_units_day_number", "day_number BETWEEN 1 AND 730", "day_number < 9"),
    )

    @pytest.fixture
    async def strict(self, connection: Connection) -> AsyncIterator[None]:
        change = "ALTER TABLE {0} DROP CONSTRAINT {1}, ADD CONSTRAINT {1} CHECK ({2})"
        for table, name, _, strict in self.RULES:
            await connection.execute(change.format(table, name, strict))
        yield
        for table, name, usual, _ in self.RULES:
            await connection.execute(change.format(table, name, usual))

    @pytest.mark.usefixtures("strict")
    async def test_nothing_is_stored(self, athlete: Actor, connection: Connection) -> None:
        unit = await make_unit(athlete, exercise())
        plan = await make_plan(athlete, [(unit, 1)])
        entry = {"trainingUnitId": unit["id"], "dayNumber": 9}
        many = exercise(sets=6)
        child = f"{UNITS}/{unit['id']}/exercises"
        before = await everything(connection)
        for method, path, body, told in (
            ("POST", UNITS, {"name": "x", "exercises": [exercise(), many]}, ("sets", "Expected 1 to 100 sets.")),
            ("PUT", f"{UNITS}/{unit['id']}", {"name": "x", "exercises": [many]}, ("sets", "Expected 1 to 100 sets.")),
            ("POST", child, many, ("sets", "Expected 1 to 100 sets.")),
            ("PATCH", f"{child}/{unit['exercises'][0]['id']}", many, ("sets", "Expected 1 to 100 sets.")),
            ("POST", f"{PLANS}/{plan['id']}/units", entry, ("dayNumber", "Expected a number from 1 to 730.")),
            ("PATCH", f"{PLANS}/{plan['id']}", {"units": [entry]}, ("dayNumber", "Expected a number from 1 to 730.")),
        ):
            answer = problem(await athlete.client.request(method, path, json=body), 422)
            assert [(entry["field"], entry["message"]) for entry in answer["details"]] == [told], (method, path)
        assert await everything(connection) == before
