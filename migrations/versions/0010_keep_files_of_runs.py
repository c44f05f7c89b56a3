"""Create the tables of files of runs, and of archives that are being imported.

Revision: 0010
Revises: 0009
Created: 2026-11-21
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NOT_IN_A_LINE = r"^ | $|  |[\u0001-\u001f\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
LINE = "{column} <> '' AND {column} !~ '" + NOT_IN_A_LINE + "' AND {column} IS NORMALIZED"
INSTANT = "{column} >= '1970-01-01 00:00:00+00' AND {column} < '2101-01-01 00:00:00+00'"
COUNTS = ("stored", "duplicates", "skipped", "failed")
TIME = sa.TIMESTAMP(timezone=True)


def check(table: str, column: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule.format(column=column), name=op.f(f"ck_{table}_{column}"))


def upgrade() -> None:
    create_originals()
    create_imports()
    create_items()
    for table in ("run_original", "run_import_item"):
        # It is gzipped already.
        op.execute(f"ALTER TABLE {table} ALTER COLUMN content SET STORAGE EXTERNAL")


def create_originals() -> None:
    op.create_table(
        "run_original",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("is_wrapped", sa.Boolean(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        check("run_original", "name", LINE),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_original_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_original")),
    )


def create_imports() -> None:
    op.create_table(
        "run_import",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("user_timezone", sa.String(length=50), nullable=False),
        sa.Column("status", sa.String(length=50), server_default="running", nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        *(sa.Column(column, sa.Integer(), server_default="0", nullable=False) for column in COUNTS),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.CheckConstraint(
            "status NOT IN ('receiving', 'running', 'completed', 'cancelled')"
            " OR (status IN ('receiving', 'running')) = (finished_at IS NULL)",
            name=op.f("check_import_end"),
        ),
        sa.CheckConstraint(
            "status IN ('receiving', 'running', 'completed', 'cancelled')", name=op.f("ck_run_import_status")
        ),
        check("run_import", "name", LINE),
        check("run_import", "user_timezone", "{column} ~ '^[A-Za-z0-9_+/-]+$'"),
        *(check("run_import", column, "{column} BETWEEN 0 AND 2147483647") for column in ("total", *COUNTS)),
        check("run_import", "finished_at", INSTANT),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_run_import_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_import")),
    )
    op.create_index(op.f("ix_run_import_user_id"), "run_import", ["user_id"])
    op.create_index(
        "ix_run_import_open", "run_import", ["id"], postgresql_where=sa.text("status IN ('receiving', 'running')")
    )


def create_items() -> None:
    table = "run_import_item"
    op.create_table(
        table,
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("activity", postgresql.JSONB(), nullable=False),
        sa.Column("is_wrapped", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.Column("lease", sa.Uuid(), nullable=True),
        sa.Column("leased_until", TIME, nullable=True),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        check(table, "name", LINE),
        check(table, "reason", LINE),
        check(table, "place", "{column} BETWEEN 0 AND 2147483647"),
        check(table, "attempts", "{column} BETWEEN 0 AND 32767"),
        check(table, "leased_until", INSTANT),
        sa.ForeignKeyConstraint(
            ["import_id"], ["run_import.id"], name=op.f("fk_run_import_item_import_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("import_id", "place", name=op.f("pk_run_import_item")),
    )


def downgrade() -> None:
    op.drop_table("run_import_item")
    op.drop_table("run_import")
    op.drop_table("run_original")
