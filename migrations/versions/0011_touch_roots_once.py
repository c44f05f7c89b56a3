"""Touch a root once in each transaction.

A transaction that writes a document with its children touched the root with every statement: the catalogue was seeded
with five versions of each exercise, and each of them got its entries in all indexes. Nobody sees what is between the
statements of a transaction, so the first change of the root is enough; it also holds the lock on it.

Revision: 0011
Revises: 0010
Created: 2026-11-21
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

CHILDREN = {
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
CREATE OR REPLACE FUNCTION touch_root_of_{child}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE {root} SET version = version WHERE id IN ({new}){untouched};
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE {root} SET version = version WHERE id IN ({old}){untouched};
    ELSE
        UPDATE {root} SET version = version WHERE id IN ({new} UNION {old}){untouched};
    END IF;
    RETURN NULL;
END $$
"""
# The numbers of transactions come again after four billion; the time tells those apart.
UNTOUCHED = " AND NOT (xmin = pg_current_xact_id()::xid AND updated_at >= now())"


def touch_roots(untouched: str) -> None:
    for child, (root, ids) in CHILDREN.items():
        new, old = ids.format(rows="new_rows"), ids.format(rows="old_rows")
        op.execute(TOUCH_ROOT.format(child=child, root=root, new=new, old=old, untouched=untouched))


def upgrade() -> None:
    touch_roots(UNTOUCHED)


def downgrade() -> None:
    touch_roots("")
