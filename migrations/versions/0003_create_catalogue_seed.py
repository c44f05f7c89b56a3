"""Create the records of the last seeding of the catalogue.

Revision: 0003
Revises: 0002
Created: 2026-11-21
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "catalogue_seed",
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('files', 'exercise', 'muscle_groups', 'equipment', 'exercise_tags')",
            name=op.f("ck_catalogue_seed_kind"),
        ),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_catalogue_seed")),
    )


def downgrade() -> None:
    op.drop_table("catalogue_seed")
