"""Create the triggers that keep versions and times, and the rules that look at more than one row.

Revision: 0002
Revises: 0001
Created: 2026-11-21

Three kinds:

- BEFORE UPDATE on each row: a root's version and updated_at.
- AFTER a statement, over all its rows at once: what changes a child touches its root. When the root itself is being
  deleted there is nothing left to touch.
- Constraint triggers, looked at when the transaction commits: rules that several statements of it fulfil together.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

AUDITED = ("role",)
ROOTS = (
    "user_account",
    "exercises",
    "training_units",
    "training_plans",
    "training_sessions",
    "running_plans",
    "running_workouts",
    "runs",
)
# clock_timestamp() and not now(): who waited for the row's lock has an earlier now() than the change before.
KEEP_UPDATED_AT = """
CREATE FUNCTION keep_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$
"""
RAISE_VERSION = """
CREATE FUNCTION raise_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$
"""

# Each child, its root, and the root's id by the rows that a statement changed.
CHILDREN = {
    "exercise_aliases": ("exercises", "SELECT exercise_id FROM {rows}"),
    "exercise_equipment": ("exercises", "SELECT exercise_id FROM {rows}"),
    "exercise_primary_muscles": ("exercises", "SELECT exercise_id FROM {rows}"),
    "exercise_secondary_muscles": ("exercises", "SELECT exercise_id FROM {rows}"),
    "exercise_tag_map": ("exercises", "SELECT exercise_id FROM {rows}"),
    "training_unit_exercises": ("training_units", "SELECT training_unit_id FROM {rows}"),
    "training_plan_units": ("training_plans", "SELECT training_plan_id FROM {rows}"),
    "training_session_exercises": ("training_sessions", "SELECT training_session_id FROM {rows}"),
    "training_session_sets": (
        "training_sessions",
        (
            "SELECT training_session_id FROM training_session_exercises"
            " WHERE id IN (SELECT session_exercise_id FROM {rows})"
        ),
    ),
    "running_workouts": ("running_plans", "SELECT plan_id FROM {rows}"),
}
TOUCH_ROOT = """
CREATE FUNCTION touch_root_of_{child}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE {root} SET version = version WHERE id IN ({new});
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE {root} SET version = version WHERE id IN ({old});
    ELSE
        UPDATE {root} SET version = version WHERE id IN ({new} UNION {old});
    END IF;
    RETURN NULL;
END $$
"""
CHANGES = {
    "insert": "NEW TABLE AS new_rows",
    "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "OLD TABLE AS old_rows",
}

# What a document shows of another row changes its version too. The columns shown, then the documents that show them.
SHOWN = {
    "equipment": (
        ("name",),
        "exercises",
        "id IN (SELECT exercise_id FROM exercise_equipment WHERE equipment_id = NEW.id)",
    ),
    "muscle_groups": (
        ("name",),
        "exercises",
        (
            "id IN (SELECT exercise_id FROM exercise_primary_muscles WHERE muscle_group_id = NEW.id"
            " UNION SELECT exercise_id FROM exercise_secondary_muscles WHERE muscle_group_id = NEW.id)"
        ),
    ),
    "exercise_tags": (
        ("name",),
        "exercises",
        "id IN (SELECT exercise_id FROM exercise_tag_map WHERE tag_id = NEW.id)",
    ),
    "training_units": (
        ("name",),
        "training_plans",
        "id IN (SELECT training_plan_id FROM training_plan_units WHERE training_unit_id = NEW.id)",
    ),
    "running_workouts": (
        ("planned_distance_km", "target_pace_min_sec", "target_pace_max_sec"),
        "runs",
        "workout_id = NEW.id",
    ),
}
TOUCH_SHOWING = """
CREATE FUNCTION touch_what_shows_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {documents} SET version = version WHERE {condition};
    RETURN NULL;
END $$
"""

REFUSE = "USING ERRCODE = 'check_violation', CONSTRAINT = '{rule}', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA"

# The root was touched, and so locked, before: of two who add units at once, the second counts those of the first.
CHECK_PLAN_SIZE = """
CREATE FUNCTION check_plan_size() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM training_plan_units WHERE training_plan_id IN (SELECT training_plan_id FROM new_rows)
        GROUP BY training_plan_id HAVING count(*) > 1000
    ) THEN
        RAISE EXCEPTION 'a plan has at most 1000 units' {refuse};
    END IF;
    RETURN NULL;
END $$
"""

ORDERED = ("training_unit_exercises", "training_plan_units", "training_session_exercises", "training_session_sets")

# The rule, what one who breaks it is told, and the question that finds a row which still breaks it at the end.
RULES = {
    **{
        f"check_order_of_{table}": (
            "order_index stays negative",
            f"SELECT FROM {table} WHERE id = NEW.id AND order_index < 0",
        )
        for table in ORDERED
    },
    "check_superuser_role": (
        "is_superuser and the role superuser go together",
        (
            "SELECT FROM user_account u JOIN role r ON r.id = u.role_id"
            " WHERE u.id = NEW.id AND u.is_superuser <> (r.slug = 'superuser')"
        ),
    ),
    "check_workout_date": (
        "a workout is scheduled inside its plan",
        (
            "SELECT FROM running_workouts w JOIN running_plans p ON p.id = w.plan_id"
            " WHERE w.id = NEW.id AND w.scheduled_date NOT BETWEEN p.start_date AND p.end_date"
        ),
    ),
    "check_plan_workout_dates": (
        "a plan's workouts are scheduled inside it",
        (
            "SELECT FROM running_workouts w JOIN running_plans p ON p.id = w.plan_id"
            " WHERE p.id = NEW.id AND w.scheduled_date NOT BETWEEN p.start_date AND p.end_date"
        ),
    ),
    "check_run_plan": (
        "a run with a workout has the plan of the workout",
        "SELECT FROM runs WHERE id = NEW.id AND workout_id IS NOT NULL AND plan_id IS NULL",
    ),
}
CHECK_RULE = """
CREATE FUNCTION {rule}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS ({question}) THEN
        RAISE EXCEPTION '{message}' {refuse};
    END IF;
    RETURN NULL;
END $$
"""
# The statements after which a rule may be broken.
WATCHED = {
    **{
        f"check_order_of_{table}": f"INSERT OR UPDATE OF order_index ON {table} {{deferred}} WHEN (NEW.order_index < 0)"
        for table in ORDERED
    },
    "check_superuser_role": "INSERT OR UPDATE OF is_superuser, role_id ON user_account {deferred}",
    "check_workout_date": "INSERT OR UPDATE OF scheduled_date, plan_id ON running_workouts {deferred}"
    " WHEN (NEW.scheduled_date IS NOT NULL)",
    "check_plan_workout_dates": "UPDATE OF start_date, end_date ON running_plans {deferred}",
    "check_run_plan": "INSERT OR UPDATE OF workout_id, plan_id ON runs {deferred}"
    " WHEN (NEW.workout_id IS NOT NULL AND NEW.plan_id IS NULL)",
}
DEFERRED = "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"


def upgrade() -> None:
    keep_times_and_versions()
    touch_roots()
    touch_what_shows()
    enforce_rules()


def keep_times_and_versions() -> None:
    op.execute(KEEP_UPDATED_AT)
    op.execute(RAISE_VERSION)
    for function, tables in (("keep_updated_at", AUDITED), ("raise_version", ROOTS)):
        for table in tables:
            op.execute(f"CREATE TRIGGER {function} BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()")


def touch_roots() -> None:
    for child, (root, ids) in CHILDREN.items():
        new, old = ids.format(rows="new_rows"), ids.format(rows="old_rows")
        op.execute(TOUCH_ROOT.format(child=child, root=root, new=new, old=old))
        for change, tables in CHANGES.items():
            op.execute(
                f"CREATE TRIGGER touch_root_{change} AFTER {change} ON {child}"
                f" REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION touch_root_of_{child}()"
            )


def touch_what_shows() -> None:
    for table, (columns, documents, condition) in SHOWN.items():
        op.execute(TOUCH_SHOWING.format(table=table, documents=documents, condition=condition))
        old, new = (", ".join(f"{row}.{column}" for column in columns) for row in ("OLD", "NEW"))
        op.execute(
            f"CREATE TRIGGER touch_what_shows AFTER UPDATE OF {', '.join(columns)} ON {table} FOR EACH ROW"
            f" WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION touch_what_shows_{table}()"
        )


def enforce_rules() -> None:
    op.execute(CHECK_PLAN_SIZE.format(refuse=REFUSE.format(rule="check_plan_size")))
    for change in ("insert", "update"):
        op.execute(
            # Triggers fire in the order of their names; this one comes after the root was touched.
            f"CREATE TRIGGER touched_check_plan_size_{change} AFTER {change} ON training_plan_units"
            f" REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION check_plan_size()"
        )
    for rule, (message, question) in RULES.items():
        refuse = REFUSE.format(rule=rule)
        op.execute(CHECK_RULE.format(rule=rule, question=question, message=message.replace("'", "''"), refuse=refuse))
        watched = WATCHED[rule].format(deferred=DEFERRED)
        op.execute(f"CREATE CONSTRAINT TRIGGER {rule} AFTER {watched} EXECUTE FUNCTION {rule}()")


def downgrade() -> None:
    functions = (
        "keep_updated_at",
        "raise_version",
        "check_plan_size",
        *(f"touch_root_of_{child}" for child in CHILDREN),
        *(f"touch_what_shows_{table}" for table in SHOWN),
        *RULES,
    )
    for function in functions:
        # With their triggers.
        op.execute(f"DROP FUNCTION {function}() CASCADE")
