"""Create the details of sets, supersets of session exercises, effort and origin of sessions; index days by user.

Revision: 0007
Revises: 0006
Created: 2026-11-21
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# White space other than single blanks between words, and control characters.
NOT_IN_A_LINE = r"^ | $|  |[\u0001-\u001f\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"

COLUMNS = {
    "training_sessions": (
        sa.Column("perceived_effort", sa.Numeric(precision=3, scale=1), nullable=True),
        sa.Column("source", sa.String(length=50), nullable=True),
        sa.Column("external_id", sa.String(length=255), nullable=True),
    ),
    "training_session_exercises": (sa.Column("superset_group", sa.SmallInteger(), nullable=True),),
    "training_session_sets": (
        sa.Column("set_type", sa.String(length=50), nullable=True),
        sa.Column("rpe", sa.Numeric(precision=3, scale=1), nullable=True),
        sa.Column("rest_seconds", sa.SmallInteger(), nullable=True),
        sa.Column("completed_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
    ),
}


def line(column: str) -> str:
    return f"{column} <> '' AND {column} !~ '{NOT_IN_A_LINE}' AND {column} IS NORMALIZED"


CHECKS = {
    "training_sessions": {
        "ck_training_sessions_perceived_effort": "perceived_effort BETWEEN 1 AND 10",
        "ck_training_sessions_source": line("source"),
        "ck_training_sessions_external_id": line("external_id"),
        "check_session_source": "external_id IS NULL OR source IS NOT NULL",
    },
    "training_session_exercises": {
        "ck_training_session_exercises_superset_group": "superset_group BETWEEN 1 AND 100",
    },
    "training_session_sets": {
        "ck_training_session_sets_set_type": "set_type IN ('warm_up', 'working', 'drop', 'failure')",
        "check_set_rpe": "rpe BETWEEN 1 AND 10 AND rpe * 2 = trunc(rpe * 2)",
        "ck_training_session_sets_rest_seconds": "rest_seconds BETWEEN 0 AND 32767",
        "ck_training_session_sets_note": "length(note) <= 10000",
        "ck_training_session_sets_completed_at": (
            "completed_at >= '1970-01-01 00:00:00+00' AND completed_at < '2101-01-01 00:00:00+00'"
        ),
    },
}

# The foreign key refuses a session that is not there.
TAKE_OWNER = """
CREATE FUNCTION take_owner_of_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.user_id := coalesce(
        (SELECT user_id FROM training_sessions WHERE id = NEW.training_session_id), NEW.training_session_id);
    RETURN NEW;
END $$
"""

# Writers of a session hold it first. So does what takes a link from its exercises, or each would wait for the other.
HOLD_SESSIONS = """
CREATE FUNCTION hold_sessions_of_unit_exercise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM training_sessions s
    WHERE s.id IN (
        SELECT e.training_session_id FROM training_session_exercises e WHERE e.planned_unit_exercise_id = OLD.id)
    ORDER BY s.id FOR NO KEY UPDATE;
    RETURN OLD;
END $$
"""


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        for column in columns:
            op.add_column(table, column)
        for name, rule in CHECKS[table].items():
            op.create_check_constraint(op.f(name), table, rule)
    op.create_unique_constraint(
        op.f("uq_training_sessions_user_id_source_external_id"),
        "training_sessions",
        ["user_id", "source", "external_id"],
    )
    # Which days of a plan somebody has done is asked for one user, and a public plan has many.
    index_days("plan_unit_id", "user_id")
    add_owners()
    op.execute(HOLD_SESSIONS)
    op.execute(
        "CREATE TRIGGER hold_sessions BEFORE DELETE ON training_unit_exercises"
        " FOR EACH ROW EXECUTE FUNCTION hold_sessions_of_unit_exercise()"
    )


def add_owners() -> None:
    """Whose an exercise of a session is stands in its own row, so that the last time of it is found by an index."""
    op.add_column("training_session_exercises", sa.Column("user_id", sa.Uuid(), nullable=True))
    op.execute(
        "UPDATE training_session_exercises e SET user_id = s.user_id"
        " FROM training_sessions s WHERE s.id = e.training_session_id"
    )
    op.alter_column("training_session_exercises", "user_id", nullable=False)
    op.execute(TAKE_OWNER)
    op.execute(
        "CREATE TRIGGER take_owner BEFORE INSERT OR UPDATE OF training_session_id, user_id"
        " ON training_session_exercises FOR EACH ROW EXECUTE FUNCTION take_owner_of_session()"
    )
    index_exercises("exercise_id", "user_id")
    op.create_index(
        "ix_training_session_exercises_name",
        "training_session_exercises",
        ["user_id", sa.text("lower(exercise_name_snapshot)")],
        postgresql_where=sa.text("exercise_id IS NULL"),
    )


def index_exercises(*columns: str) -> None:
    op.drop_index("ix_training_session_exercises_exercise_id", table_name="training_session_exercises")
    op.create_index(
        "ix_training_session_exercises_exercise_id",
        "training_session_exercises",
        columns,
        postgresql_where=sa.text("exercise_id IS NOT NULL"),
    )


def index_days(*columns: str) -> None:
    op.drop_index("ix_training_sessions_plan_unit_id", table_name="training_sessions")
    op.create_index(
        "ix_training_sessions_plan_unit_id",
        "training_sessions",
        columns,
        postgresql_where=sa.text("plan_unit_id IS NOT NULL"),
    )


def downgrade() -> None:
    # With the triggers.
    op.execute("DROP FUNCTION hold_sessions_of_unit_exercise() CASCADE")
    op.execute("DROP FUNCTION take_owner_of_session() CASCADE")
    op.drop_index("ix_training_session_exercises_name", table_name="training_session_exercises")
    index_exercises("exercise_id")
    op.drop_column("training_session_exercises", "user_id")
    index_days("plan_unit_id")
    for table, columns in COLUMNS.items():
        for column in columns:
            # With its constraints.
            op.drop_column(table, column.name)
