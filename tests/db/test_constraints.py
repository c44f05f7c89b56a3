"""Every named constraint refuses what breaks it, whoever sends it."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from asyncpg.exceptions import (
    CheckViolationError,
    ForeignKeyViolationError,
    IntegrityConstraintViolationError,
    NotNullViolationError,
    UniqueViolationError,
)
from sqlalchemy import Enum, ForeignKeyConstraint

from app.db.base import Base, uuid7
from tests.db.rows import VALID, Rows, parent, stored
from tests.factories import email

NAN = Decimal("NaN")
BEFORE_1970 = datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)
AFTER_2100 = datetime(2101, 1, 1, tzinfo=UTC)
START = datetime(2026, 3, 1, 10, tzinfo=UTC)
END = START + timedelta(minutes=50)

Case = tuple[str, str, dict[str, Any]]


def splits(*each: tuple[float, int]) -> str:
    """Splits by their distances and durations."""
    return json.dumps([{"distanceKm": distance, "durationSeconds": duration} for distance, duration in each])


LINES = {
    "role": ["name", "slug", "description"],
    "user_account": ["name"],
    "api_token": ["name"],
    "equipment": ["name"],
    "muscle_groups": ["name"],
    "exercise_tags": ["name"],
    "exercises": ["name", "source", "external_id", "licence", "author"],
    "exercise_aliases": ["alias"],
    "training_units": ["name"],
    "training_plans": ["name"],
    "training_unit_exercises": ["exercise_name_snapshot"],
    "training_sessions": ["plan_name_snapshot", "unit_name_snapshot", "source"],
    "training_session_exercises": ["exercise_name_snapshot"],
    "running_plans": ["name"],
    "running_workouts": ["name"],
    "runs": ["external_id"],
    "run_original": ["name"],
    "run_import": ["name"],
    "run_import_item": ["name", "reason"],
}
NO_LINES = [
    "",
    " ",
    " a",
    "a ",
    "a  b",
    "a\tb",
    "a\nb",
    "a\x7fb",
    "a\x85b",
    "a\xa0b",
    "a\u2003b",
    "a\u2028b",
    "e\u0301",
]

TEXTS = {
    "exercises": ["instructions"],
    "training_units": ["description"],
    "training_plans": ["description"],
    "training_unit_exercises": ["unit_exercise_notes"],
    "training_sessions": ["notes"],
    "training_session_sets": ["note"],
    "running_plans": ["description"],
    "running_workouts": ["notes"],
    "runs": ["notes"],
}

INSTANTS = {
    "user_session": ["created_at", "last_used_at", "expires_at", "revoked_at"],
    "api_token": ["created_at", "last_used_at", "expires_at", "revoked_at"],
    "share_link": ["expires_at"],
    "training_sessions": ["start_time"],
    "training_session_sets": ["completed_at"],
    "runs": ["started_at"],
    "run_import_item": ["leased_until"],
}

# What is refused, and the ends that are still accepted.
AMOUNTS: dict[tuple[str, str], tuple[list[Any], list[Any]]] = {
    ("training_unit_exercises", "order_index"): ([0, 101, -101], [100]),
    ("training_unit_exercises", "target_weight"): ([-1, Decimal("-0.01"), NAN], [0, Decimal("99999.99")]),
    ("training_unit_exercises", "reps_min"): ([-1], [0]),
    ("training_unit_exercises", "reps_max"): ([], [32767]),
    ("training_unit_exercises", "target_time_seconds"): ([0, -1], [1, 32767]),
    ("training_unit_exercises", "target_distance_km"): ([0, -1, NAN], [Decimal("0.001"), Decimal("9999.999")]),
    ("training_unit_exercises", "rest_seconds"): ([-1], [0, 32767]),
    ("training_unit_exercises", "superset_group"): ([0, 101], [1, 100]),
    ("training_plan_units", "day_number"): ([0, -1, 731], [1, 730]),
    ("training_plan_units", "order_index"): ([0, 1001, -1001], [1000]),
    ("training_sessions", "day_number_snapshot"): ([0, 731], [1, 730]),
    ("training_sessions", "client_revision"): ([-1], [0, 2**63 - 1]),
    ("training_sessions", "perceived_effort"): ([0, Decimal("10.1"), NAN], [1, 10]),
    ("training_session_exercises", "superset_group"): ([0, 101], [1, 100]),
    ("training_session_sets", "rest_seconds"): ([-1], [0, 32767]),
    ("training_session_exercises", "order_index"): ([0, 101, -101], [100]),
    ("training_session_exercises", "order_index_snapshot"): ([0, -1, 101], [1, 100]),
    ("training_session_exercises", "target_weight_snapshot"): ([-1, NAN], [0, Decimal("99999.99")]),
    ("training_session_exercises", "sets_snapshot"): ([0, 101], [1, 100]),
    ("training_session_exercises", "reps_min_snapshot"): ([-1], [0]),
    ("training_session_exercises", "reps_max_snapshot"): ([-1], [0]),
    ("training_session_exercises", "target_time_seconds_snapshot"): ([0], [1]),
    ("training_session_exercises", "target_distance_km_snapshot"): ([0, NAN], [Decimal("0.001")]),
    ("training_session_exercises", "rest_seconds_snapshot"): ([-1], [0]),
    ("training_session_sets", "order_index"): ([0, 101, -101], [100]),
    ("training_session_sets", "weight"): ([-1, NAN], [0, Decimal("99999.99")]),
    ("running_workouts", "planned_distance_km"): ([0, NAN], [Decimal("0.001"), Decimal("9999.999")]),
    ("runs", "avg_heart_rate"): ([24, 251], [25, 250]),
    ("runs", "elevation_gain_m"): ([-1, NAN], [0, Decimal("99999.9")]),
    ("runs", "perceived_effort"): ([0, Decimal("10.1"), NAN], [1, 10]),
    ("run_totals", "runs"): ([0], [1, 2**31 - 1]),
    ("run_totals", "distance_km"): ([0, NAN], [Decimal("0.05")]),
    ("plan_run_totals", "runs"): ([-(2**31)], [0, 2**31 - 1]),
    ("plan_run_totals", "distance_km"): ([NAN], [0]),
    ("run_totals", "longest"): ([0, 1001, NAN], [Decimal("0.05"), 1000]),
    **{
        ("run_import", column): ([-1], [0, 2**31 - 1])
        for column in ("total", "stored", "duplicates", "skipped", "failed")
    },
    ("run_import_item", "place"): ([-1], [0, 2**31 - 1]),
    ("run_import_item", "attempts"): ([-1], [0, 32767]),
    ("idempotency_key", "status"): ([199, 500], [200, 499]),
}

CHECKS: list[Case] = [
    ("user_account", "check_user_email", {"email": ""}),
    ("user_account", "check_user_email", {"email": "a b@example.com"}),
    ("user_account", "check_user_email", {"email": "a" * 243 + "@example.com"}),
    ("user_account", "ck_user_account_timezone", {"timezone": "Europe/ Berlin"}),
    ("user_account", "ck_user_account_timezone", {"timezone": ""}),
    ("api_token", "check_token_hash", {"hash": b"short"}),
    ("api_token", "check_token_scopes", {"scopes": []}),
    ("api_token", "check_token_scopes", {"scopes": ["read", "admin"]}),
    ("api_token", "check_token_scopes", {"scopes": ["read", None]}),
    ("equipment", "ck_equipment_lower_case", {"name": "Barbell"}),
    ("muscle_groups", "ck_muscle_groups_lower_case", {"name": "Chest"}),
    ("exercise_tags", "ck_exercise_tags_lower_case", {"name": "Home"}),
    ("exercises", "check_exercise_owner", {"is_system_default": False}),
    ("exercises", "ck_exercises_slug", {"slug": "Bench Press"}),
    ("exercises", "ck_exercises_slug", {"slug": "bench--press"}),
    ("exercises", "ck_exercises_image_path_start", {"image_path_start": "https://example.com/a.jpg"}),
    ("exercises", "ck_exercises_image_path_end", {"image_path_end": "/a/../b.jpg"}),
    ("training_unit_exercises", "check_mode_consistency", {"reps_min": None, "reps_max": None}),
    ("training_unit_exercises", "check_mode_consistency", {"mode": "time"}),
    ("training_unit_exercises", "check_mode_consistency", {"mode": "distance"}),
    ("training_unit_exercises", "check_mode_consistency", {"mode": "sets_only"}),
    ("training_unit_exercises", "ck_training_unit_exercises_reps_max", {"reps_min": None, "reps_max": -1}),
    ("training_unit_exercises", "check_sets_count", {"sets": 0}),
    ("training_unit_exercises", "check_sets_count", {"sets": 101}),
    ("training_unit_exercises", "check_reps_range", {"reps_min": 9}),
    ("share_link", "check_one_template", {"training_unit_id": None}),
    ("share_link", "check_one_template", {"training_plan_id": uuid7()}),
    ("share_link", "ck_share_link_token_hash", {"token_hash": b"x" * 31}),
    ("calendar_link", "ck_calendar_link_token_hash", {"token_hash": b"x" * 31}),
    ("runs", "check_elapsed_time", {"elapsed_seconds": 1499}),
    ("runs", "check_run_splits", {"splits": "{}"}),
    ("runs", "check_run_splits", {"splits": "[]"}),
    ("runs", "check_run_splits", {"splits": "[{}]"}),
    ("runs", "check_run_splits", {"splits": splits(*[(1, 300)] * 4)}),
    ("runs", "check_run_splits", {"splits": splits(*[(1, 300)] * 4, (0.99, 300))}),
    ("runs", "check_run_splits", {"splits": splits(*[(1, 300)] * 4, (1, 306))}),
    ("runs", "check_run_splits", {"splits": splits((0.5, 150), *[(1, 300)] * 4, (0.5, 150))}),
    ("runs", "check_run_splits", {"splits": splits(*[(1, 375)] * 3, (2, 375))}),
    ("training_sessions", "check_session_times", {"start_time": END, "end_time": START, "status": "aborted"}),
    ("training_sessions", "check_session_status", {"end_time": AFTER_2100 - timedelta(days=1)}),
    ("training_sessions", "check_session_status", {"duration_seconds": 1}),
    ("training_sessions", "check_session_status", {"status": "completed"}),
    ("training_sessions", "check_session_status", {"status": "completed", "start_time": START, "end_time": END}),
    (
        "training_sessions",
        "check_session_status",
        {"status": "completed", "start_time": START, "end_time": END, "duration_seconds": 2999},
    ),
    ("training_sessions", "check_session_status", {"status": "completed", "duration_seconds": 3000}),
    ("training_sessions", "check_session_status", {"status": "aborted"}),
    (
        "training_sessions",
        "check_session_status",
        {"status": "aborted", "start_time": START, "end_time": END, "duration_seconds": 3000},
    ),
    ("training_sessions", "ck_training_sessions_end_time", {"status": "aborted", "end_time": AFTER_2100}),
    ("training_sessions", "ck_training_sessions_user_timezone", {"user_timezone": "<+03>-3"}),
    ("training_session_sets", "check_set_performance", {"reps_completed": -1}),
    ("training_sessions", "check_session_source", {"external_id": "1"}),
    *(
        ("training_sessions", "ck_training_sessions_external_id", {"source": "strong", "external_id": text})
        for text in NO_LINES
    ),
    *(("training_session_sets", "check_set_rpe", {"rpe": rpe}) for rpe in (Decimal("0.5"), Decimal("10.5"), NAN)),
    ("training_session_sets", "check_set_rpe", {"rpe": Decimal("8.3")}),
    ("training_session_sets", "check_set_mode", {"time_seconds": 30}),
    ("training_session_sets", "check_set_mode", {"reps_completed": None, "distance_km": 1}),
    ("running_plans", "check_plan_dates", {"end_date": date(2026, 6, 1)}),
    ("running_plans", "check_plan_dates", {"end_date": date(2027, 6, 3)}),
    ("running_plans", "ck_running_plans_start_date", {"start_date": date(1969, 6, 1), "end_date": date(1970, 1, 1)}),
    ("running_plans", "ck_running_plans_end_date", {"start_date": date(2100, 6, 1), "end_date": date(2101, 1, 1)}),
    ("running_plans", "ck_running_plans_goal_race_date", {"goal_race_date": date(2101, 1, 1)}),
    ("running_workouts", "check_planned_distance", {"planned_distance_km": None}),
    ("running_workouts", "check_planned_distance", {"workout_type": "rest"}),
    ("running_workouts", "check_target_pace", {"target_pace_min_sec": 300}),
    ("running_workouts", "check_target_pace", {"target_pace_max_sec": 300}),
    ("running_workouts", "check_target_pace", {"target_pace_min_sec": 99, "target_pace_max_sec": 300}),
    ("running_workouts", "check_target_pace", {"target_pace_min_sec": 300, "target_pace_max_sec": 2001}),
    ("running_workouts", "check_target_pace", {"target_pace_min_sec": 301, "target_pace_max_sec": 300}),
    ("running_workouts", "ck_running_workouts_scheduled_date", {"scheduled_date": date(1969, 12, 31)}),
    ("runs", "check_run_pace", {"duration_seconds": 299}),
    ("runs", "check_run_pace", {"duration_seconds": 18001}),
    ("runs", "check_run_pace", {"distance_km": NAN}),
    ("runs", "ck_runs_distance_km", {"distance_km": Decimal("0.049"), "duration_seconds": 20}),
    ("runs", "ck_runs_distance_km", {"distance_km": Decimal("1000.001"), "duration_seconds": 360_000}),
    ("runs", "ck_runs_user_timezone", {"user_timezone": "<+03>-3"}),
    ("run_import", "check_import_end", {"finished_at": START}),
    ("run_import", "check_import_end", {"status": "completed"}),
    ("run_import", "ck_run_import_finished_at", {"status": "completed", "finished_at": BEFORE_1970}),
    ("run_import", "ck_run_import_user_timezone", {"user_timezone": "<+03>-3"}),
    ("idempotency_key", "check_key_characters", {"key": "two words"}),
    ("idempotency_key", "check_key_characters", {"key": ""}),
    ("idempotency_key", "check_key_body_hash", {"body_hash": b""}),
]
ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("training_sessions", {"status": "aborted", "start_time": START, "end_time": START}),
    (
        "training_sessions",
        {"status": "completed", "start_time": START, "end_time": END, "duration_seconds": 3000},
    ),
    (
        "training_sessions",
        {
            "status": "completed",
            "start_time": START,
            "end_time": END + timedelta(microseconds=999_999),
            "duration_seconds": 3000,
        },
    ),
    ("training_sessions", {"start_time": datetime(1970, 1, 1, tzinfo=UTC)}),
    ("training_session_sets", {"reps_completed": None}),
    ("training_session_sets", {"rpe": Decimal("8.5")}),
    ("training_session_sets", {"reps_completed": 0, "weight": Decimal("80.5")}),
    ("training_unit_exercises", {"mode": "sets_only", "reps_min": None, "reps_max": None, "sets": 100}),
    ("training_unit_exercises", {"mode": "time", "target_time_seconds": 1}),
    ("running_plans", {"end_date": date(2027, 6, 2)}),
    ("running_workouts", {"workout_type": "rest", "planned_distance_km": None}),
    ("running_workouts", {"target_pace_min_sec": 100, "target_pace_max_sec": 2000}),
    ("runs", {"distance_km": Decimal("0.05"), "duration_seconds": 3}),
    ("runs", {"distance_km": 1000, "duration_seconds": 3_600_000}),
    ("runs", {"elapsed_seconds": 1500, "splits": splits(*[(1, 301)] * 5)}),
    ("api_token", {"scopes": ["read", "write"]}),
    ("exercises", {"image_path_start": "/bench-press/start_1.webp", "slug": "bench-press-2"}),
]

_LINK_TO_A_PLAN = {"training_unit_id": None, "training_plan_id": parent("training_plans")}

# Constraints that two rows break, the values that both have, and whatever else would refuse the second one first.
UNIQUE: list[tuple[str, str, dict[str, Any], list[str]]] = [
    ("role", "uq_role_name", {"name": "Coach"}, []),
    ("role", "uq_role_slug", {"slug": "coach"}, []),
    ("user_account", "uq_user_email", {"email": "ada@example.com"}, []),
    ("api_token", "uq_api_token_hash", {"hash": b"x" * 32}, []),
    ("share_link", "uq_share_link_token_hash", {"token_hash": b"x" * 32}, []),
    ("calendar_link", "uq_calendar_link_token_hash", {"token_hash": b"x" * 32}, []),
    ("equipment", "uq_equipment_name", {"name": "a bar of its own"}, []),
    ("muscle_groups", "uq_muscle_groups_name", {"name": "a muscle of its own"}, []),
    ("exercise_tags", "uq_exercise_tags_name", {"name": "a tag of its own"}, []),
    ("exercises", "uq_exercises_slug", {"slug": "a-slug-of-its-own"}, []),
    ("exercises", "uq_sys_exerc_slug", {"slug": "a-slug-of-its-own"}, ["uq_exercises_slug"]),
    ("exercises", "uq_sys_exerc_name", {"name": "A name of its own"}, []),
    ("exercises", "uq_exercises_source_external_id", {"source": "wger", "external_id": "1"}, []),
    (
        "training_session_exercises",
        "uq_training_session_exercises_id_mode_snapshot",
        {"id": 1},
        ["pk_training_session_exercises"],
    ),
    ("running_workouts", "uq_running_workouts_id_plan_id", {"id": uuid7(), "plan_id": None}, ["pk_running_workouts"]),
]
SAME_PARENT: list[tuple[str, str, list[str], dict[str, Any]]] = [
    ("exercise_aliases", "uq_exercise_aliases_exercise_id_alias", ["exercise_id"], {}),
    ("exercises", "uq_user_exercise", ["created_by"], {"name": "Curl", "is_system_default": False}),
    ("training_units", "uq_training_units_created_by_name", ["created_by"], {"name": "Pull day"}),
    ("training_plans", "uq_training_plans_created_by_name", ["created_by"], {"name": "Strength"}),
    ("share_link", "uq_share_link_training_unit_id", ["training_unit_id"], {}),
    ("share_link", "uq_share_link_training_plan_id", ["training_plan_id"], _LINK_TO_A_PLAN),
    (
        "training_unit_exercises",
        "uq_training_unit_exercises_training_unit_id_order_index",
        ["training_unit_id"],
        {},
    ),
    (
        "training_plan_units",
        "uq_training_plan_units_training_plan_id_day_number_order_index",
        ["training_plan_id"],
        {},
    ),
    (
        "training_session_exercises",
        "uq_training_session_exercises_training_session_id_order_index",
        ["training_session_id"],
        {},
    ),
    (
        "training_session_sets",
        "uq_training_session_sets_session_exercise_id_order_index",
        ["session_exercise_id"],
        {},
    ),
    (
        "training_sessions",
        "uq_training_sessions_user_id_source_external_id",
        ["user_id"],
        {"source": "strong", "external_id": "1"},
    ),
    ("runs", "uq_runs_user_id_source_external_id", ["user_id"], {"source": "strava", "external_id": "1"}),
]
# Columns that a trigger fills, from others that are bounded.
KEPT = {("exercises", "search_text")}
"""Texts that triggers write."""
TAKEN = {("training_session_exercises", "user_id")}
"""Ids that triggers take from another row."""

OTHERS = {
    # Each has a test of its own below.
    ("training_session_sets", "ck_training_session_sets_distance_km"),
    ("training_unit_access", "check_not_self_grant"),
    ("training_plan_access", "check_not_self_grant"),
    ("runs", "fk_runs_workout_id_plan_id"),
    ("runs", "add_up_noted_runs"),
    ("runs", "ck_runs_duration_seconds"),
    ("training_session_sets", "fk_training_session_sets_session_exercise_id_mode"),
    ("user_account", "check_superuser_role"),
    ("running_workouts", "check_workout_date"),
    ("running_plans", "check_plan_workout_dates"),
    ("runs", "check_run_plan"),
    ("training_unit_exercises", "check_order_of_training_unit_exercises"),
    ("training_plan_units", "check_order_of_training_plan_units"),
    ("training_session_exercises", "check_order_of_training_session_exercises"),
    ("training_session_sets", "check_order_of_training_session_sets"),
}


def _columns(tables: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    for table, columns in tables.items():
        for column in columns:
            yield table, column


def _checks() -> Iterator[Case]:
    yield from CHECKS
    yield from (("training_units", "ck_training_units_name", {"name": value}) for value in NO_LINES)
    for columns, values in ((LINES, [" a"]), (TEXTS, ["x" * 10_001]), (INSTANTS, [BEFORE_1970, AFTER_2100])):
        for table, column in _columns(columns):
            yield from ((table, f"ck_{table}_{column}", {column: value}) for value in values)
    for (table, column), (refused, _) in AMOUNTS.items():
        yield from ((table, f"ck_{table}_{column}", {column: value}) for value in refused)
    for table, column, kind in _enumerations():
        yield table, f"ck_{table}_{kind}", {column: "nonsense"}


def _accepted() -> Iterator[tuple[str, dict[str, Any]]]:
    yield from ACCEPTED
    yield from ((table, {column: "ä" * 10_000}) for table, column in _columns(TEXTS))
    for (table, column), (_, accepted) in AMOUNTS.items():
        for value in accepted:
            yield table, {column: value}


def _enumerations() -> Iterator[tuple[str, str, str]]:
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, Enum):
                yield table.name, column.name, str(column.type.name)


def _foreign_keys() -> Iterator[tuple[str, str, str, type]]:
    for table in Base.metadata.sorted_tables:
        for constraint in table.constraints:
            if isinstance(constraint, ForeignKeyConstraint) and len(constraint.columns) == 1:
                column = constraint.columns[0]
                yield table.name, str(constraint.name), column.name, column.type.python_type


def _breaks(constraint: str) -> Any:
    return pytest.raises(IntegrityConstraintViolationError, match=constraint)


@pytest.mark.parametrize(("table", "constraint", "values"), list(_checks()))
async def test_checks(rows: Rows, table: str, constraint: str, values: dict[str, Any]) -> None:
    complete = await rows.complete(table, values)
    with pytest.raises(CheckViolationError) as broken:
        await rows.insert(table, complete)
    assert (broken.value.table_name, broken.value.constraint_name) == (table, constraint)


@pytest.mark.parametrize(("table", "values"), list(_accepted()))
async def test_bounds_belong_to_what_they_bound(rows: Rows, table: str, values: dict[str, Any]) -> None:
    await rows.add(table, **values)
    await rows.settle()


@pytest.mark.parametrize("table", list(VALID))
async def test_primary_keys(rows: Rows, table: str) -> None:
    row = await rows.add(table)
    with pytest.raises(UniqueViolationError) as broken:
        await rows.insert(table, stored(table, row))
    assert broken.value.constraint_name == f"pk_{table}"


@pytest.mark.parametrize(("table", "constraint", "values", "masking"), UNIQUE)
async def test_unique(rows: Rows, table: str, constraint: str, values: dict[str, Any], masking: list[str]) -> None:
    if "plan_id" in values:
        values = {**values, "plan_id": (await rows.add("running_plans"))["id"]}
    for name in masking:
        await rows.connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE")
    await rows.add(table, **values)
    second = await rows.complete(table, values)
    with pytest.raises(UniqueViolationError) as broken:
        await rows.insert(table, second)
    assert broken.value.constraint_name == constraint


@pytest.mark.parametrize(("table", "constraint", "shared", "values"), SAME_PARENT)
async def test_unique_below_one_parent(
    rows: Rows, table: str, constraint: str, shared: list[str], values: dict[str, Any]
) -> None:
    if "created_by" in shared:
        values = {**values, "created_by": (await rows.add("user_account"))["id"]}
    first = await rows.add(table, **values)
    second = await rows.complete(table, {**values, **{column: first[column] for column in shared}})
    with pytest.raises(UniqueViolationError) as broken:
        await rows.insert(table, second)
    assert broken.value.constraint_name == constraint


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("user_account", "email"),
        ("exercise_aliases", "alias"),
        ("exercises", "name"),
        ("training_units", "name"),
        ("training_plans", "name"),
    ],
)
async def test_letter_case_makes_no_other_name(rows: Rows, table: str, column: str) -> None:
    first = stored(table, await rows.add(table))
    key = first["id"] + 1 if isinstance(first["id"], int) else uuid7()
    with pytest.raises(UniqueViolationError):
        await rows.insert(table, {**first, "id": key, column: first[column].upper()})


async def test_names_of_archived_exercises_are_free(rows: Rows) -> None:
    owner = (await rows.add("user_account"))["id"]
    mine = {"name": "Curl", "is_system_default": False, "created_by": owner}
    await rows.add("exercises", **mine, is_active=False)
    await rows.add("exercises", **mine, is_active=False)
    await rows.add("exercises", **mine)


async def test_templates_without_an_owner_may_share_a_name(rows: Rows) -> None:
    for table in ("training_units", "training_plans"):
        await rows.add(table, name="Push day", created_by=None)
        await rows.add(table, name="Push day", created_by=None)


@pytest.mark.parametrize(("table", "constraint", "column", "kind"), list(_foreign_keys()))
async def test_foreign_keys(rows: Rows, table: str, constraint: str, column: str, kind: type) -> None:
    needed: dict[str, dict[str, Any]] = {
        "fk_exercises_created_by": {"is_system_default": False},
        "fk_share_link_training_plan_id": {"training_unit_id": None},
    }
    values = needed.get(constraint, {})
    unknown = await rows.complete(table, {**values, column: 32_000 if kind is int else uuid4()})
    with pytest.raises(ForeignKeyViolationError) as broken:
        await rows.insert(table, unknown)
    assert broken.value.constraint_name == constraint


@pytest.mark.parametrize("table", list(VALID))
async def test_required_columns(rows: Rows, table: str) -> None:
    row = stored(table, await rows.add(table))
    required = [
        column.name
        for column in Base.metadata.tables[table].columns
        if not column.nullable and column.name in row and (table, column.name) not in KEPT | TAKEN
    ]
    for column in required:
        with pytest.raises(NotNullViolationError) as broken:
            async with rows.connection.transaction():
                await rows.insert(table, {**row, column: None})
        assert broken.value.column_name == column


@pytest.mark.parametrize("value", [NAN])
async def test_a_distance_that_is_no_number(rows: Rows, value: Decimal) -> None:
    exercise = await rows.add("training_session_exercises", mode_snapshot="distance")
    with _breaks("ck_training_session_sets_distance_km"):
        await rows.add(
            "training_session_sets",
            session_exercise_id=exercise["id"],
            mode="distance",
            reps_completed=None,
            distance_km=value,
        )


@pytest.mark.parametrize(("mode", "metric"), [("time", "time_seconds"), ("distance", "distance_km")])
async def test_results_of_nothing(rows: Rows, mode: str, metric: str) -> None:
    exercise = await rows.add("training_session_exercises", mode_snapshot=mode)
    done = {"session_exercise_id": exercise["id"], "mode": mode, "reps_completed": None}
    for value in (0, -1):
        with _breaks("check_set_performance"):
            async with rows.connection.transaction():
                await rows.add("training_session_sets", **done, **{metric: value})
    await rows.add("training_session_sets", **done, **{metric: 1})


async def test_sets_without_a_metric(rows: Rows) -> None:
    exercise = await rows.add("training_session_exercises", mode_snapshot="sets_only")
    done = {"session_exercise_id": exercise["id"], "mode": "sets_only"}
    with _breaks("check_set_mode"):
        async with rows.connection.transaction():
            await rows.add("training_session_sets", **done, reps_completed=1)
    await rows.add("training_session_sets", **done, reps_completed=None, weight=20)


async def test_sets_have_the_mode_of_their_exercise(rows: Rows) -> None:
    exercise = await rows.add("training_session_exercises")
    with _breaks("fk_training_session_sets_session_exercise_id_mode"):
        async with rows.connection.transaction():
            await rows.add(
                "training_session_sets", session_exercise_id=exercise["id"], mode="time", reps_completed=None
            )
    await rows.add("training_session_sets", session_exercise_id=exercise["id"])
    with _breaks("fk_training_session_sets_session_exercise_id_mode"):
        await rows.connection.execute(
            "UPDATE training_session_exercises SET mode_snapshot = 'time' WHERE id = $1", exercise["id"]
        )


@pytest.mark.parametrize("table", ["training_unit_access", "training_plan_access"])
async def test_nobody_grants_to_themselves(rows: Rows, table: str) -> None:
    user = (await rows.add("user_account"))["id"]
    with _breaks("check_not_self_grant"):
        await rows.add(table, user_id=user, granted_by=user)


async def test_a_run_has_the_plan_of_its_workout(rows: Rows) -> None:
    workout = await rows.add("running_workouts")
    other = await rows.add("running_plans")
    with _breaks("fk_runs_workout_id_plan_id"):
        async with rows.connection.transaction():
            await rows.add("runs", workout_id=workout["id"], plan_id=other["id"])
    run = await rows.add("runs", workout_id=workout["id"], plan_id=workout["plan_id"])
    await rows.connection.execute("UPDATE runs SET plan_id = NULL WHERE id = $1", run["id"])
    with _breaks("a run with a workout has the plan"):
        await rows.settle()


async def test_a_run_takes_time(rows: Rows) -> None:
    # Its pace refuses it first.
    await rows.connection.execute("ALTER TABLE runs DROP CONSTRAINT check_run_pace")
    with _breaks("ck_runs_duration_seconds"):
        await rows.add("runs", duration_seconds=0)


@pytest.mark.parametrize("change", ["is_superuser = true", "role_id = (SELECT id FROM role WHERE slug = 'superuser')"])
async def test_superusers_have_the_role_and_nobody_else(rows: Rows, change: str) -> None:
    user = (await rows.add("user_account"))["id"]
    await rows.settle()
    with pytest.raises(CheckViolationError) as broken:
        await rows.connection.execute(f"UPDATE user_account SET {change} WHERE id = $1", user)
    assert broken.value.constraint_name == "check_superuser_role"


async def test_a_superuser_may_be_made_in_two_steps(rows: Rows) -> None:
    user = (await rows.add("user_account"))["id"]
    role = await rows.connection.fetchval("SELECT id FROM role WHERE slug = 'superuser'")
    await rows.connection.execute("UPDATE user_account SET is_superuser = true WHERE id = $1", user)
    await rows.connection.execute("UPDATE user_account SET role_id = $2 WHERE id = $1", user, role)
    await rows.settle()


async def test_workouts_are_scheduled_inside_their_plan(rows: Rows) -> None:
    plan = await rows.add("running_plans")
    workout = await rows.add("running_workouts", plan_id=plan["id"], scheduled_date=plan["end_date"])
    await rows.settle()
    for statement, key, name in (
        (
            "UPDATE running_workouts SET scheduled_date = '2026-09-02' WHERE id = $1",
            workout["id"],
            "check_workout_date",
        ),
        ("UPDATE running_plans SET end_date = '2026-08-31' WHERE id = $1", plan["id"], "check_plan_workout_dates"),
    ):
        with pytest.raises(CheckViolationError) as broken:
            async with rows.connection.transaction():
                await rows.connection.execute(statement, key)
        assert broken.value.constraint_name == name


async def test_a_plan_has_a_thousand_units_at_most(rows: Rows) -> None:
    first = await rows.add("training_plan_units")
    add = (
        "INSERT INTO training_plan_units (training_plan_id, training_unit_id, day_number, order_index)"
        " SELECT $1, $2, day, 1 FROM generate_series($3::int, $4::int) AS day"
    )
    keys = (first["training_plan_id"], first["training_unit_id"])
    await rows.connection.execute(add, *keys, 2, 500)
    await rows.connection.execute(add.replace("day, 1", "day, 2"), *keys, 1, 500)
    with pytest.raises(CheckViolationError) as broken:
        await rows.connection.execute(add, *keys, 501, 501)
    assert broken.value.constraint_name == "check_plan_size"


ORDERED = ["training_unit_exercises", "training_plan_units", "training_session_exercises", "training_session_sets"]


@pytest.mark.parametrize("table", ORDERED)
async def test_places_are_positive_in_the_end(rows: Rows, table: str) -> None:
    key = (await rows.add(table))["id"]
    await rows.connection.execute(f"UPDATE {table} SET order_index = -1 WHERE id = $1", key)
    with pytest.raises(CheckViolationError) as broken:
        await rows.settle()
    assert broken.value.constraint_name == f"check_order_of_{table}"


@pytest.mark.parametrize("table", ORDERED)
async def test_places_are_exchanged_through_negative_ones(rows: Rows, table: str) -> None:
    key = (await rows.add(table))["id"]
    await rows.connection.execute(f"UPDATE {table} SET order_index = -2 WHERE id = $1", key)
    await rows.connection.execute(f"UPDATE {table} SET order_index = 2 WHERE id = $1", key)
    await rows.settle()


_NAMED = """
SELECT conrelid::regclass::text, conname FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'u', 'p', 'f', 't', 'x')
    AND conrelid::regclass::text <> 'alembic_version'
UNION
SELECT indrelid::regclass::text, indexrelid::regclass::text FROM pg_index
WHERE indisunique AND indrelid::regclass::text IN (
    SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version')
"""


async def test_no_constraint_is_forgotten(rows: Rows) -> None:
    tested = {(table, constraint) for table, constraint, _ in _checks()}
    tested |= {(table, f"pk_{table}") for table in VALID}
    tested |= {(table, constraint) for table, constraint, *_ in (*UNIQUE, *SAME_PARENT, *_foreign_keys())}
    there = {(table, name) for table, name in await rows.connection.fetch(_NAMED)}
    assert there == tested | OTHERS


async def test_every_text_is_bounded(rows: Rows) -> None:
    unbounded = await rows.connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND data_type = 'text' AND is_generated = 'NEVER'"
    )
    assert {(table, column) for table, column in unbounded} == {*_columns(TEXTS), *KEPT}


async def test_no_numeric_accepts_nan(rows: Rows) -> None:
    columns = await rows.connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND data_type = 'numeric'"
    )
    assert columns
    for table, column in columns:
        with pytest.raises(CheckViolationError):
            async with rows.connection.transaction():
                await rows.add(table, **{column: NAN})


async def test_custom_exercises_may_have_the_name_of_a_system_one(rows: Rows) -> None:
    system: asyncpg.Record = await rows.add("exercises")
    owner = (await rows.add("user_account", email=email()))["id"]
    await rows.add("exercises", name=system["name"], is_system_default=False, created_by=owner)
