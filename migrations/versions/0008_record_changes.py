"""Record which transaction changed a row last, and leave a tombstone wherever something of a user is deleted.

Revision: 0008
Revises: 0007
Created: 2026-11-21
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Each table, its owner's column, and what a tombstone of its rows is called.
OWNED = {
    "exercises": ("created_by", "exercise"),
    "training_units": ("created_by", "training_unit"),
    "training_plans": ("created_by", "training_plan"),
    "training_sessions": ("user_id", "training_session"),
    "runs": ("user_id", "run"),
}
CHANGES = {**{table: owner for table, (owner, _) in OWNED.items()}, "tombstone": "user_id"}

# Not immutable in truth, which a generated column asks for: its value is another one with each write, and that is what
# it is there for. Being generated it can be set by nobody, and a restored dump computes it anew.
WRITING_TRANSACTION = """
CREATE FUNCTION writing_transaction(anyelement) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN pg_current_xact_id()::text::bigint;
END $$
"""

# Of an account that is being deleted nothing is kept. What was deleted twice is news twice.
LEAVE_TOMBSTONE = """
CREATE FUNCTION leave_tombstone_of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tombstone (user_id, kind, id)
    SELECT u.id, '{kind}', gone.id FROM old_rows gone JOIN user_account u ON u.id = gone.{owner}
    ON CONFLICT (user_id, kind, id) DO UPDATE SET deleted_at = excluded.deleted_at;
    RETURN NULL;
END $$
"""

# A custom exercise that is given to everybody is no longer its owner's.
LEAVE_TOMBSTONE_OF_PROMOTED = """
CREATE FUNCTION leave_tombstone_of_promoted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tombstone (user_id, kind, id)
    SELECT u.id, 'exercise', OLD.id FROM user_account u WHERE u.id = OLD.created_by
    ON CONFLICT (user_id, kind, id) DO UPDATE SET deleted_at = excluded.deleted_at;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.execute(WRITING_TRANSACTION)
    for table, owner in CHANGES.items():
        written = "deleted_at" if table == "tombstone" else "version"
        expression = sa.Computed(f"writing_transaction({written})", persisted=True)
        op.add_column(table, sa.Column("changed_xid", sa.BigInteger(), expression, nullable=False))
        nullable = owner == "created_by"
        op.create_index(
            op.f(f"ix_{table}_changes"),
            table,
            [owner, "changed_xid", "id"],
            postgresql_include=["kind", "deleted_at"] if table == "tombstone" else ["version"],
            postgresql_where=sa.text(f"{owner} IS NOT NULL") if nullable else None,
        )
    # What they served is served by the new ones.
    op.drop_index("ix_exercises_created_by", table_name="exercises")
    op.drop_index("ix_tombstone_user_id_deleted_at", table_name="tombstone")
    leave_tombstones()


def leave_tombstones() -> None:
    for table, (owner, kind) in OWNED.items():
        op.execute(LEAVE_TOMBSTONE.format(table=table, kind=kind, owner=owner))
        op.execute(
            f"CREATE TRIGGER leave_tombstone AFTER DELETE ON {table} REFERENCING OLD TABLE AS old_rows"
            f" FOR EACH STATEMENT EXECUTE FUNCTION leave_tombstone_of_{table}()"
        )
    op.execute(LEAVE_TOMBSTONE_OF_PROMOTED)
    op.execute(
        "CREATE TRIGGER leave_tombstone_of_promoted AFTER UPDATE OF created_by ON exercises FOR EACH ROW"
        " WHEN (OLD.created_by IS DISTINCT FROM NEW.created_by)"
        " EXECUTE FUNCTION leave_tombstone_of_promoted()"
    )


def downgrade() -> None:
    for table in OWNED:
        # With their triggers.
        op.execute(f"DROP FUNCTION leave_tombstone_of_{table}() CASCADE")
    op.execute("DROP FUNCTION leave_tombstone_of_promoted() CASCADE")
    op.create_index("ix_tombstone_user_id_deleted_at", "tombstone", ["user_id", "deleted_at"])
    op.create_index(
        "ix_exercises_created_by", "exercises", ["created_by"], postgresql_where=sa.text("created_by IS NOT NULL")
    )
    for table in CHANGES:
        op.drop_index(f"ix_{table}_changes", table_name=table)
        op.drop_column(table, "changed_xid")
    op.execute("DROP FUNCTION writing_transaction(anyelement)")
