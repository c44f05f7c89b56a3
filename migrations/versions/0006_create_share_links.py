"""Create share links and supersets of unit exercises, and index what is public.

Revision: 0006
Revises: 0005
Created: 2026-11-21
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

LINKED = ("training_unit_id", "training_plan_id")
SHARED = ("training_units", "training_plans")


def upgrade() -> None:
    op.create_table(
        "share_link",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("training_unit_id", sa.Uuid(), nullable=True),
        sa.Column("training_plan_id", sa.Uuid(), nullable=True),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("num_nonnulls(training_unit_id, training_plan_id) = 1", name=op.f("check_one_template")),
        sa.CheckConstraint("length(token_hash) = 32", name=op.f("ck_share_link_token_hash")),
        sa.CheckConstraint(
            "expires_at >= '1970-01-01 00:00:00+00' AND expires_at < '2101-01-01 00:00:00+00'",
            name=op.f("ck_share_link_expires_at"),
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["user_account.id"], name=op.f("fk_share_link_created_by"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["training_plan_id"], ["training_plans.id"], name=op.f("fk_share_link_training_plan_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["training_unit_id"], ["training_units.id"], name=op.f("fk_share_link_training_unit_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_share_link")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_share_link_token_hash")),
    )
    op.create_index(op.f("ix_share_link_created_by"), "share_link", ["created_by"])
    for column in LINKED:
        op.create_index(
            f"uq_share_link_{column}",
            "share_link",
            [column],
            unique=True,
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
    op.add_column("training_unit_exercises", sa.Column("superset_group", sa.SmallInteger(), nullable=True))
    op.create_check_constraint(
        op.f("ck_training_unit_exercises_superset_group"),
        "training_unit_exercises",
        "superset_group BETWEEN 1 AND 100",
    )
    for table in SHARED:
        op.create_index(f"ix_{table}_public", table, ["id"], postgresql_where=sa.text("sharing_status = 'public'"))


def downgrade() -> None:
    for table in SHARED:
        op.drop_index(f"ix_{table}_public", table_name=table)
    op.drop_column("training_unit_exercises", "superset_group")
    op.drop_table("share_link")
