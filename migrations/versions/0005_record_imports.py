"""Let the records of the catalogue be of imported lists too.

Revision: 0005
Revises: 0004
Created: 2026-11-21

The way down forgets what was imported last. Imported exercises stay; of those that were edited since, a later import
takes every difference for an administrator's.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CHECK = "ck_catalogue_seed_kind"
SHIPPED = "'files', 'exercise', 'muscle_groups', 'equipment', 'exercise_tags'"
IMPORTED = "'free-exercise-db', 'wger'"


def upgrade() -> None:
    op.drop_constraint(op.f(CHECK), "catalogue_seed", type_="check")
    op.create_check_constraint(op.f(CHECK), "catalogue_seed", f"kind IN ({SHIPPED}, {IMPORTED})")


def downgrade() -> None:
    op.execute(f"DELETE FROM catalogue_seed WHERE kind IN ({IMPORTED})")  # noqa: S608 -- of constants
    op.drop_constraint(op.f(CHECK), "catalogue_seed", type_="check")
    op.create_check_constraint(op.f(CHECK), "catalogue_seed", f"kind IN ({SHIPPED})")
