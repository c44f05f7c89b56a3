"""Versions and times are kept by the database, whoever writes."""

import pytest

from tests.db.rows import Rows

ROOTS = {
    "user_account": "name = 'Grace Hopper'",
    "exercises": "author = 'Ada'",
    "training_units": "description = 'Chest'",
    "training_plans": "description = 'Twelve weeks'",
    "training_sessions": "notes = 'Fine'",
    "running_plans": "description = 'Towards autumn'",
    "running_workouts": "notes = 'Slowly'",
    "runs": "notes = 'Rain'",
}

# Each child, the column that leads to its root, its root, and a change of it.
CHILDREN = [
    ("exercise_aliases", "exercise_id", "exercises", "alias = 'Another'"),
    ("exercise_equipment", "exercise_id", "exercises", "equipment_id = equipment_id"),
    ("exercise_primary_muscles", "exercise_id", "exercises", "muscle_group_id = muscle_group_id"),
    ("exercise_secondary_muscles", "exercise_id", "exercises", "muscle_group_id = muscle_group_id"),
    ("exercise_tag_map", "exercise_id", "exercises", "tag_id = tag_id"),
    ("training_unit_exercises", "training_unit_id", "training_units", "sets = 5"),
    ("training_plan_units", "training_plan_id", "training_plans", "day_number = 2"),
    ("training_session_exercises", "training_session_id", "training_sessions", "exercise_name_snapshot = 'Row'"),
    ("running_workouts", "plan_id", "running_plans", "notes = 'Slowly'"),
]


@pytest.mark.parametrize(("table", "change"), ROOTS.items())
async def test_an_update_raises_the_version_and_moves_updated_at(rows: Rows, table: str, change: str) -> None:
    before = await rows.add(table)
    after = await rows.connection.fetchrow(f"UPDATE {table} SET {change} WHERE id = $1 RETURNING *", before["id"])
    assert (before["version"], after["version"]) == (1, 2)
    assert after["updated_at"] > before["updated_at"] >= before["created_at"] == after["created_at"]


@pytest.mark.parametrize("table", ROOTS)
async def test_nobody_sets_the_version(rows: Rows, table: str) -> None:
    key = (await rows.add(table))["id"]
    await rows.connection.execute(f"UPDATE {table} SET version = 40, updated_at = '2030-01-01Z' WHERE id = $1", key)
    assert await rows.version(table, key) == 2
    assert await rows.connection.fetchval(f"SELECT updated_at < '2030-01-01Z' FROM {table} WHERE id = $1", key)


async def test_an_update_of_a_role_moves_updated_at(rows: Rows) -> None:
    before = await rows.add("role")
    after = await rows.connection.fetchval(
        "UPDATE role SET description = 'x' WHERE id = $1 RETURNING updated_at", before["id"]
    )
    assert after > before["updated_at"]


@pytest.mark.parametrize(("child", "column", "root", "change"), CHILDREN)
async def test_a_child_raises_the_version_of_its_root(
    committed_rows: Rows, child: str, column: str, root: str, change: str
) -> None:
    unconcerned = (await committed_rows.add(child))[column]
    key = (await committed_rows.add(root))["id"]
    before = await committed_rows.connection.fetchval(f"SELECT updated_at FROM {root} WHERE id = $1", key)
    versions = [await committed_rows.version(root, key)]
    await committed_rows.add(child, **{column: key})
    versions.append(await committed_rows.version(root, key))
    for statement in (f"UPDATE {child} SET {change} WHERE {column} = $1", f"DELETE FROM {child} WHERE {column} = $1"):
        await committed_rows.connection.execute(statement, key)
        versions.append(await committed_rows.version(root, key))
    assert versions == [1, 2, 3, 4]
    assert await committed_rows.connection.fetchval(f"SELECT updated_at FROM {root} WHERE id = $1", key) > before
    assert await committed_rows.version(root, unconcerned) == 2


async def test_a_set_raises_the_version_of_its_session(committed_rows: Rows) -> None:
    exercise = await committed_rows.add("training_session_exercises")
    session = exercise["training_session_id"]
    versions = [await committed_rows.version("training_sessions", session)]
    key = (await committed_rows.add("training_session_sets", session_exercise_id=exercise["id"]))["id"]
    versions.append(await committed_rows.version("training_sessions", session))
    for statement in (
        "UPDATE training_session_sets SET weight = 80 WHERE id = $1",
        "DELETE FROM training_session_sets WHERE id = $1",
    ):
        await committed_rows.connection.execute(statement, key)
        versions.append(await committed_rows.version("training_sessions", session))
    assert versions == [2, 3, 4, 5]


async def test_a_statement_counts_once_however_many_children_it_writes(committed_rows: Rows) -> None:
    exercise = await committed_rows.add("training_session_exercises")
    await committed_rows.connection.execute(
        "INSERT INTO training_session_sets (session_exercise_id, mode, order_index)"
        " SELECT $1, 'reps', place FROM generate_series(1, 100) AS place",
        exercise["id"],
    )
    assert await committed_rows.version("training_sessions", exercise["training_session_id"]) == 3


async def test_a_child_that_moves_raises_the_versions_of_both_roots(committed_rows: Rows) -> None:
    moved = await committed_rows.add("training_unit_exercises")
    target = (await committed_rows.add("training_units"))["id"]
    await committed_rows.connection.execute(
        "UPDATE training_unit_exercises SET training_unit_id = $1 WHERE id = $2", target, moved["id"]
    )
    assert await committed_rows.version("training_units", target) == 2
    assert await committed_rows.version("training_units", moved["training_unit_id"]) == 3


async def test_a_transaction_counts_once_however_many_statements_it_has(committed_rows: Rows) -> None:
    workout = await committed_rows.add("running_workouts")
    plan = workout["plan_id"]
    change = "UPDATE running_workouts SET notes = $1 WHERE id = $2"
    async with committed_rows.connection.transaction():
        for notes in ("Slowly", "Slower"):
            await committed_rows.connection.execute(change, notes, workout["id"])
            assert await committed_rows.version("running_plans", plan) == 3
    await committed_rows.connection.execute(change, "Slowest", workout["id"])
    assert await committed_rows.version("running_plans", plan) == 4


@pytest.mark.parametrize(
    ("reference", "table", "column"),
    [
        ("equipment", "exercise_equipment", "equipment_id"),
        ("muscle_groups", "exercise_primary_muscles", "muscle_group_id"),
        ("muscle_groups", "exercise_secondary_muscles", "muscle_group_id"),
        ("exercise_tags", "exercise_tag_map", "tag_id"),
    ],
)
async def test_a_new_name_raises_the_versions_of_the_exercises_that_show_it(
    committed_rows: Rows, reference: str, table: str, column: str
) -> None:
    link = await committed_rows.add(table)
    unconcerned = (await committed_rows.add(table))["exercise_id"]
    for name in ("a new name", "a new name"):
        await committed_rows.connection.execute(f"UPDATE {reference} SET name = $1 WHERE id = $2", name, link[column])
    assert await committed_rows.version("exercises", link["exercise_id"]) == 3
    assert await committed_rows.version("exercises", unconcerned) == 2


async def test_a_new_name_of_a_unit_raises_the_versions_of_its_plans(committed_rows: Rows) -> None:
    link = await committed_rows.add("training_plan_units")
    rename = "UPDATE training_units SET name = $1 WHERE id = $2"
    await committed_rows.connection.execute(rename, "Leg day", link["training_unit_id"])
    await committed_rows.connection.execute(
        "UPDATE training_units SET description = 'x' WHERE id = $1", link["training_unit_id"]
    )
    assert await committed_rows.version("training_plans", link["training_plan_id"]) == 3


async def test_a_new_target_raises_the_versions_of_its_runs(rows: Rows) -> None:
    workout = await rows.add("running_workouts")
    run = (await rows.add("runs", workout_id=workout["id"], plan_id=workout["plan_id"]))["id"]
    await rows.connection.execute("UPDATE running_workouts SET planned_distance_km = 6 WHERE id = $1", workout["id"])
    await rows.connection.execute("UPDATE running_workouts SET notes = 'x' WHERE id = $1", workout["id"])
    assert await rows.version("runs", run) == 2


class TestDeletion:
    """What goes with a row, what stays, and what keeps it."""

    @pytest.mark.parametrize(("child", "column", "root"), [case[:3] for case in CHILDREN])
    async def test_a_root_takes_its_children_along(self, rows: Rows, child: str, column: str, root: str) -> None:
        key = (await rows.add(child))[column]
        await rows.connection.execute(f"DELETE FROM {root} WHERE id = $1", key)
        assert not await rows.connection.fetchval(f"SELECT count(*) FROM {child} WHERE {column} = $1", key)

    async def test_a_session_takes_its_sets_along(self, rows: Rows) -> None:
        exercise = await rows.add("training_session_exercises")
        await rows.add("training_session_sets", session_exercise_id=exercise["id"])
        await rows.connection.execute("DELETE FROM training_sessions WHERE id = $1", exercise["training_session_id"])
        assert not await rows.connection.fetchval("SELECT count(*) FROM training_session_sets")

    @pytest.mark.parametrize(
        ("table", "reference", "column"),
        [
            ("exercise_equipment", "equipment", "equipment_id"),
            ("exercise_primary_muscles", "muscle_groups", "muscle_group_id"),
            ("exercise_secondary_muscles", "muscle_groups", "muscle_group_id"),
            ("exercise_tag_map", "exercise_tags", "tag_id"),
            ("training_plan_units", "training_units", "training_unit_id"),
            ("training_sessions", "user_account", "user_id"),
            ("running_plans", "user_account", "user_id"),
            ("runs", "user_account", "user_id"),
            ("user_account", "role", "role_id"),
        ],
    )
    async def test_what_is_in_use_stays(self, rows: Rows, table: str, reference: str, column: str) -> None:
        user = await rows.add(table)
        with pytest.raises(Exception, match=f"fk_{table}_{column}"):
            await rows.connection.execute(f"DELETE FROM {reference} WHERE id = $1", user[column])

    @pytest.mark.parametrize(
        ("table", "values"),
        [
            ("exercises", {"is_system_default": False}),
            ("user_session", {}),
            ("api_token", {}),
            ("idempotency_key", {}),
            ("tombstone", {}),
            ("training_unit_access", {}),
            ("training_plan_access", {}),
        ],
    )
    async def test_a_user_takes_along(self, rows: Rows, table: str, values: dict[str, object]) -> None:
        user = (await rows.add("user_account"))["id"]
        column = "created_by" if table == "exercises" else "user_id"
        await rows.add(table, **values, **{column: user})
        await rows.connection.execute("DELETE FROM user_account WHERE id = $1", user)
        assert not await rows.connection.fetchval(f"SELECT count(*) FROM {table} WHERE {column} = $1", user)

    @pytest.mark.parametrize("table", ["training_units", "training_plans"])
    async def test_templates_stay_without_their_owner(self, rows: Rows, table: str) -> None:
        template = await rows.add(table)
        await rows.connection.execute("DELETE FROM user_account WHERE id = $1", template["created_by"])
        after = await rows.connection.fetchrow(f"SELECT * FROM {table} WHERE id = $1", template["id"])
        assert (after["created_by"], after["version"]) == (None, 2)

    @pytest.mark.parametrize("table", ["training_unit_access", "training_plan_access"])
    async def test_grants_stay_without_who_granted(self, rows: Rows, table: str) -> None:
        grant = await rows.add(table)
        await rows.connection.execute("DELETE FROM user_account WHERE id = $1", grant["granted_by"])
        granted_by = await rows.connection.fetchval(
            f"SELECT granted_by FROM {table} WHERE user_id = $1", grant["user_id"]
        )
        assert granted_by is None

    async def test_history_survives_templates_and_exercises(self, rows: Rows) -> None:
        planned = await rows.add("training_unit_exercises")
        placed = await rows.add("training_plan_units", training_unit_id=planned["training_unit_id"])
        session = await rows.add(
            "training_sessions",
            training_plan_id=placed["training_plan_id"],
            training_unit_id=planned["training_unit_id"],
            plan_unit_id=placed["id"],
            plan_name_snapshot="Strength",
            unit_name_snapshot="Push day",
        )
        exercise = await rows.add(
            "training_session_exercises",
            training_session_id=session["id"],
            exercise_id=planned["exercise_id"],
            planned_unit_exercise_id=planned["id"],
        )
        await rows.add("training_session_sets", session_exercise_id=exercise["id"])
        version = await rows.version("training_sessions", session["id"])
        for table, key in (
            ("training_plans", placed["training_plan_id"]),
            ("training_units", planned["training_unit_id"]),
            ("exercises", planned["exercise_id"]),
        ):
            await rows.connection.execute(f"DELETE FROM {table} WHERE id = $1", key)
        left = await rows.connection.fetchrow(
            "SELECT training_plan_id, training_unit_id, plan_unit_id, exercise_id, planned_unit_exercise_id"
            " FROM training_sessions s JOIN training_session_exercises e ON e.training_session_id = s.id"
            " JOIN training_session_sets t ON t.session_exercise_id = e.id WHERE s.id = $1",
            session["id"],
        )
        assert tuple(left) == (None,) * 5
        assert await rows.version("training_sessions", session["id"]) > version

    async def test_runs_survive_their_workout(self, rows: Rows) -> None:
        workout = await rows.add("running_workouts")
        run = await rows.add("runs", workout_id=workout["id"], plan_id=workout["plan_id"])
        await rows.connection.execute("DELETE FROM running_workouts WHERE id = $1", workout["id"])
        after = await rows.connection.fetchrow("SELECT plan_id, workout_id FROM runs WHERE id = $1", run["id"])
        assert tuple(after) == (workout["plan_id"], None)

    async def test_runs_survive_their_plan(self, rows: Rows) -> None:
        workout = await rows.add("running_workouts")
        run = await rows.add("runs", workout_id=workout["id"], plan_id=workout["plan_id"])
        await rows.connection.execute("DELETE FROM running_plans WHERE id = $1", workout["plan_id"])
        after = await rows.connection.fetchrow("SELECT plan_id, workout_id FROM runs WHERE id = $1", run["id"])
        assert tuple(after) == (None, None)
        await rows.settle()


class TestLocalDates:
    """The day of a start in its own time zone, kept by the database."""

    @pytest.mark.parametrize(("table", "column"), [("training_sessions", "start_time"), ("runs", "started_at")])
    async def test_follows_the_time_and_the_zone(self, rows: Rows, table: str, column: str) -> None:
        key = (await rows.add(table))["id"]
        change = f"UPDATE {table} SET {column} = '2026-03-28 23:30Z', user_timezone = $1 WHERE id = $2"
        dates = [
            str(await rows.connection.fetchval(f"{change} RETURNING local_date", zone, key))
            for zone in ("UTC", "Europe/Berlin", "America/Los_Angeles")
        ]
        assert dates == ["2026-03-28", "2026-03-29", "2026-03-28"]
