"""Create all tables.

Revision: 0001
Revises:
Created: 2026-11-21 06:15:08.365743

Triggers and functions follow in the next migration. The extension pg_trgm is trusted: the owner of the database may
create it. It stays on the way down, because others may use it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# White space other than single blanks between words, and control characters.
NOT_IN_A_LINE = r"^ | $|  |[\u0001-\u001f\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"


def line(column: str, name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(
        f"{column} <> '' AND {column} !~ '{NOT_IN_A_LINE}' AND {column} IS NORMALIZED", name=op.f(name)
    )


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    create_accounts()
    create_catalogue()
    create_training()
    create_history()
    create_running()
    create_system()


def create_accounts() -> None:
    op.create_table(
        "role",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("slug", sa.String(length=100), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        line("description", "ck_role_description"),
        line("name", "ck_role_name"),
        line("slug", "ck_role_slug"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role")),
        sa.UniqueConstraint("name", name=op.f("uq_role_name")),
        sa.UniqueConstraint("slug", name=op.f("uq_role_slug")),
    )
    op.create_table(
        "user_account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("email", sa.String(length=255), nullable=False),
        sa.Column("password", sa.String(length=255), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("is_superuser", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("role_id", sa.Uuid(), nullable=False),
        sa.Column("timezone", sa.String(length=50), server_default="UTC", nullable=False),
        sa.Column(
            "weight_unit",
            sa.Enum("kg", "lb", name="weight_unit", native_enum=False, create_constraint=True, length=50),
            server_default="kg",
            nullable=False,
        ),
        sa.Column(
            "distance_unit",
            sa.Enum("km", "mi", name="distance_unit", native_enum=False, create_constraint=True, length=50),
            server_default="km",
            nullable=False,
        ),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "length(email) BETWEEN 1 AND 254 AND email !~ '[\\s\\u0001-\\u001f\\u007f-\\u00a0]'"
            " AND email IS NORMALIZED",
            name=op.f("check_user_email"),
        ),
        line("name", "ck_user_account_name"),
        sa.CheckConstraint("timezone ~ '^[A-Za-z0-9_+/-]+$'", name=op.f("ck_user_account_timezone")),
        sa.ForeignKeyConstraint(["role_id"], ["role.id"], name=op.f("fk_user_account_role_id"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
    )
    op.create_index(op.f("ix_user_account_role_id"), "user_account", ["role_id"], unique=False)
    op.create_index("uq_user_email", "user_account", [sa.literal_column("lower(email)")], unique=True)
    op.create_table(
        "user_session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("user_agent", sa.String(length=512), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("revoked_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "created_at >= '1970-01-01 00:00:00+00' AND created_at < '2101-01-01 00:00:00+00'",
            name=op.f("ck_user_session_created_at"),
        ),
        sa.CheckConstraint(
            "expires_at >= '1970-01-01 00:00:00+00' AND expires_at < '2101-01-01 00:00:00+00'",
            name=op.f("ck_user_session_expires_at"),
        ),
        sa.CheckConstraint(
            "last_used_at >= '1970-01-01 00:00:00+00' AND last_used_at < '2101-01-01 00:00:00+00'",
            name=op.f("ck_user_session_last_used_at"),
        ),
        sa.CheckConstraint(
            "revoked_at >= '1970-01-01 00:00:00+00' AND revoked_at < '2101-01-01 00:00:00+00'",
            name=op.f("ck_user_session_revoked_at"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_user_session_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_session")),
    )
    op.create_index(op.f("ix_user_session_user_id"), "user_session", ["user_id"], unique=False)
    op.create_table(
        "api_token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.String(length=10)), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "cardinality(scopes) > 0 AND scopes <@ ARRAY['read', 'write']::varchar[]", name=op.f("check_token_scopes")
        ),
        sa.CheckConstraint(
            "created_at >= '1970-01-01 00:00:00+00' AND created_at < '2101-01-01 00:00:00+00'",
            name=op.f("ck_api_token_created_at"),
        ),
        sa.CheckConstraint(
            "expires_at >= '1970-01-01 00:00:00+00' AND expires_at < '2101-01-01 00:00:00+00'",
            name=op.f("ck_api_token_expires_at"),
        ),
        sa.CheckConstraint(
            "last_used_at >= '1970-01-01 00:00:00+00' AND last_used_at < '2101-01-01 00:00:00+00'",
            name=op.f("ck_api_token_last_used_at"),
        ),
        line("name", "ck_api_token_name"),
        sa.CheckConstraint(
            "revoked_at >= '1970-01-01 00:00:00+00' AND revoked_at < '2101-01-01 00:00:00+00'",
            name=op.f("ck_api_token_revoked_at"),
        ),
        sa.CheckConstraint("octet_length(hash) = 32", name=op.f("check_token_hash")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_api_token_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_token_hash")),
    )
    op.create_index(op.f("ix_api_token_user_id"), "api_token", ["user_id"], unique=False)


def create_catalogue() -> None:
    op.create_table(
        "equipment",
        sa.Column("id", sa.SmallInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        line("name", "ck_equipment_name"),
        sa.CheckConstraint("name = lower(name)", name=op.f("ck_equipment_lower_case")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_equipment")),
        sa.UniqueConstraint("name", name=op.f("uq_equipment_name")),
    )
    op.create_table(
        "muscle_groups",
        sa.Column("id", sa.SmallInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        line("name", "ck_muscle_groups_name"),
        sa.CheckConstraint("name = lower(name)", name=op.f("ck_muscle_groups_lower_case")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_muscle_groups")),
        sa.UniqueConstraint("name", name=op.f("uq_muscle_groups_name")),
    )
    op.create_table(
        "exercise_tags",
        sa.Column("id", sa.SmallInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        line("name", "ck_exercise_tags_name"),
        sa.CheckConstraint("name = lower(name)", name=op.f("ck_exercise_tags_lower_case")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exercise_tags")),
        sa.UniqueConstraint("name", name=op.f("uq_exercise_tags_name")),
    )
    op.create_table(
        "exercises",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("slug", sa.String(length=100), nullable=True),
        sa.Column(
            "force",
            sa.Enum("pull", "push", "static", name="force", native_enum=False, create_constraint=True, length=50),
            nullable=True,
        ),
        sa.Column(
            "difficulty_level",
            sa.Enum(
                "beginner",
                "intermediate",
                "expert",
                name="difficulty_level",
                native_enum=False,
                create_constraint=True,
                length=50,
            ),
            nullable=False,
        ),
        sa.Column(
            "mechanic",
            sa.Enum("compound", "isolation", name="mechanic", native_enum=False, create_constraint=True, length=50),
            nullable=True,
        ),
        sa.Column(
            "category",
            sa.Enum(
                "strength",
                "stretching",
                "cardio",
                "plyometrics",
                "powerlifting",
                "strongman",
                "olympic weightlifting",
                name="category",
                native_enum=False,
                create_constraint=True,
                length=50,
            ),
            nullable=False,
        ),
        sa.Column(
            "default_mode",
            sa.Enum(
                "reps",
                "time",
                "distance",
                "sets_only",
                name="default_mode",
                native_enum=False,
                create_constraint=True,
                length=50,
            ),
            server_default="reps",
            nullable=False,
        ),
        sa.Column("instructions", sa.Text(), nullable=True),
        sa.Column("image_path_start", sa.String(length=512), nullable=True),
        sa.Column("image_path_end", sa.String(length=512), nullable=True),
        sa.Column("is_system_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("source", sa.String(length=50), nullable=True),
        sa.Column("external_id", sa.String(length=255), nullable=True),
        sa.Column("licence", sa.String(length=100), nullable=True),
        sa.Column("author", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        line("author", "ck_exercises_author"),
        line("external_id", "ck_exercises_external_id"),
        sa.CheckConstraint(
            "image_path_end ~ '^(/[a-z0-9_-]+)+\\.(jpg|jpeg|png|webp)$'", name=op.f("ck_exercises_image_path_end")
        ),
        sa.CheckConstraint(
            "image_path_start ~ '^(/[a-z0-9_-]+)+\\.(jpg|jpeg|png|webp)$'", name=op.f("ck_exercises_image_path_start")
        ),
        line("licence", "ck_exercises_licence"),
        line("name", "ck_exercises_name"),
        sa.CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name=op.f("ck_exercises_slug")),
        line("source", "ck_exercises_source"),
        sa.CheckConstraint("is_system_default = (created_by IS NULL)", name=op.f("check_exercise_owner")),
        sa.CheckConstraint("length(instructions) <= 10000", name=op.f("ck_exercises_instructions")),
        sa.ForeignKeyConstraint(
            ["created_by"], ["user_account.id"], name=op.f("fk_exercises_created_by"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exercises")),
        sa.UniqueConstraint("slug", name=op.f("uq_exercises_slug")),
        sa.UniqueConstraint("source", "external_id", name=op.f("uq_exercises_source_external_id")),
    )
    op.create_index("idx_ex_filters", "exercises", ["is_system_default", "is_active"], unique=False)
    op.create_index(
        "idx_ex_name_trgm",
        "exercises",
        ["name"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"name": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_exercises_created_by",
        "exercises",
        ["created_by"],
        unique=False,
        postgresql_where=sa.text("created_by IS NOT NULL"),
    )
    op.create_index(
        "uq_sys_exerc_name",
        "exercises",
        [sa.literal_column("lower(name)")],
        unique=True,
        postgresql_where=sa.text("is_system_default"),
    )
    op.create_index(
        "uq_sys_exerc_slug", "exercises", ["slug"], unique=True, postgresql_where=sa.text("is_system_default")
    )
    op.create_index(
        "uq_user_exercise",
        "exercises",
        [sa.literal_column("lower(name)"), "created_by"],
        unique=True,
        postgresql_where=sa.text("created_by IS NOT NULL AND is_active"),
    )
    op.create_table(
        "exercise_equipment",
        sa.Column("exercise_id", sa.Uuid(), nullable=False),
        sa.Column("equipment_id", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["equipment_id"], ["equipment.id"], name=op.f("fk_exercise_equipment_equipment_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["exercise_id"], ["exercises.id"], name=op.f("fk_exercise_equipment_exercise_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("exercise_id", "equipment_id", name=op.f("pk_exercise_equipment")),
    )
    op.create_index("idx_ex_equ_id", "exercise_equipment", ["equipment_id"], unique=False)
    op.create_table(
        "exercise_primary_muscles",
        sa.Column("exercise_id", sa.Uuid(), nullable=False),
        sa.Column("muscle_group_id", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exercise_id"], ["exercises.id"], name=op.f("fk_exercise_primary_muscles_exercise_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["muscle_group_id"],
            ["muscle_groups.id"],
            name=op.f("fk_exercise_primary_muscles_muscle_group_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("exercise_id", "muscle_group_id", name=op.f("pk_exercise_primary_muscles")),
    )
    op.create_index("idx_ex_pri_mus_id", "exercise_primary_muscles", ["muscle_group_id"], unique=False)
    op.create_table(
        "exercise_secondary_muscles",
        sa.Column("exercise_id", sa.Uuid(), nullable=False),
        sa.Column("muscle_group_id", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exercise_id"],
            ["exercises.id"],
            name=op.f("fk_exercise_secondary_muscles_exercise_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["muscle_group_id"],
            ["muscle_groups.id"],
            name=op.f("fk_exercise_secondary_muscles_muscle_group_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("exercise_id", "muscle_group_id", name=op.f("pk_exercise_secondary_muscles")),
    )
    op.create_index("idx_ex_sec_mus_id", "exercise_secondary_muscles", ["muscle_group_id"], unique=False)
    op.create_table(
        "exercise_tag_map",
        sa.Column("exercise_id", sa.Uuid(), nullable=False),
        sa.Column("tag_id", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exercise_id"], ["exercises.id"], name=op.f("fk_exercise_tag_map_exercise_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tag_id"], ["exercise_tags.id"], name=op.f("fk_exercise_tag_map_tag_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("exercise_id", "tag_id", name=op.f("pk_exercise_tag_map")),
    )
    op.create_index("idx_ex_tag_id", "exercise_tag_map", ["tag_id"], unique=False)
    op.create_table(
        "exercise_aliases",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("exercise_id", sa.Uuid(), nullable=False),
        sa.Column("alias", sa.String(length=100), nullable=False),
        line("alias", "ck_exercise_aliases_alias"),
        sa.ForeignKeyConstraint(
            ["exercise_id"], ["exercises.id"], name=op.f("fk_exercise_aliases_exercise_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exercise_aliases")),
    )
    op.create_index(
        "idx_ex_alias_trgm",
        "exercise_aliases",
        ["alias"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"alias": "gin_trgm_ops"},
    )
    op.create_index(
        "uq_exercise_aliases_exercise_id_alias",
        "exercise_aliases",
        ["exercise_id", sa.literal_column("lower(alias)")],
        unique=True,
    )


def create_training() -> None:
    op.create_table(
        "training_units",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column(
            "sharing_status",
            sa.Enum(
                "private",
                "shared",
                "public",
                name="sharing_status",
                native_enum=False,
                create_constraint=True,
                length=50,
            ),
            server_default="private",
            nullable=False,
        ),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        line("name", "ck_training_units_name"),
        sa.CheckConstraint("length(description) <= 10000", name=op.f("ck_training_units_description")),
        sa.ForeignKeyConstraint(
            ["created_by"], ["user_account.id"], name=op.f("fk_training_units_created_by"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_units")),
    )
    op.create_index(
        "uq_training_units_created_by_name",
        "training_units",
        ["created_by", sa.literal_column("lower(name)")],
        unique=True,
        postgresql_where=sa.text("created_by IS NOT NULL"),
    )
    op.create_table(
        "training_plans",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column(
            "sharing_status",
            sa.Enum(
                "private",
                "shared",
                "public",
                name="sharing_status",
                native_enum=False,
                create_constraint=True,
                length=50,
            ),
            server_default="private",
            nullable=False,
        ),
        sa.Column(
            "difficulty_level",
            sa.Enum(
                "beginner",
                "intermediate",
                "expert",
                name="difficulty_level",
                native_enum=False,
                create_constraint=True,
                length=50,
            ),
            nullable=False,
        ),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        line("name", "ck_training_plans_name"),
        sa.CheckConstraint("length(description) <= 10000", name=op.f("ck_training_plans_description")),
        sa.ForeignKeyConstraint(
            ["created_by"], ["user_account.id"], name=op.f("fk_training_plans_created_by"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_plans")),
    )
    op.create_index(
        "uq_training_plans_created_by_name",
        "training_plans",
        ["created_by", sa.literal_column("lower(name)")],
        unique=True,
        postgresql_where=sa.text("created_by IS NOT NULL"),
    )
    op.create_table(
        "training_unit_exercises",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("training_unit_id", sa.Uuid(), nullable=False),
        sa.Column("exercise_id", sa.Uuid(), nullable=True),
        sa.Column("exercise_name_snapshot", sa.String(length=100), nullable=False),
        sa.Column(
            "mode",
            sa.Enum(
                "reps",
                "time",
                "distance",
                "sets_only",
                name="mode",
                native_enum=False,
                create_constraint=True,
                length=50,
            ),
            nullable=False,
        ),
        sa.Column("order_index", sa.SmallInteger(), nullable=False),
        sa.Column("unit_exercise_notes", sa.Text(), nullable=True),
        sa.Column("target_weight", sa.Numeric(precision=7, scale=2), nullable=True),
        sa.Column("sets", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("reps_min", sa.SmallInteger(), nullable=True),
        sa.Column("reps_max", sa.SmallInteger(), nullable=True),
        sa.Column("target_time_seconds", sa.SmallInteger(), nullable=True),
        sa.Column("target_distance_km", sa.Numeric(precision=7, scale=3), nullable=True),
        sa.Column("rest_seconds", sa.SmallInteger(), nullable=True),
        sa.CheckConstraint(
            "CASE mode"
            " WHEN 'reps' THEN num_nonnulls(reps_min, reps_max) > 0"
            " WHEN 'time' THEN target_time_seconds IS NOT NULL"
            " WHEN 'distance' THEN target_distance_km IS NOT NULL"
            " WHEN 'sets_only' THEN num_nonnulls(reps_min, reps_max, target_time_seconds, target_distance_km) = 0"
            " END",
            name=op.f("check_mode_consistency"),
        ),
        line("exercise_name_snapshot", "ck_training_unit_exercises_exercise_name_snapshot"),
        sa.CheckConstraint(
            "length(unit_exercise_notes) <= 10000", name=op.f("ck_training_unit_exercises_unit_exercise_notes")
        ),
        sa.CheckConstraint(
            "order_index <> 0 AND order_index BETWEEN -100 AND 100", name=op.f("ck_training_unit_exercises_order_index")
        ),
        sa.CheckConstraint("reps_max BETWEEN 0 AND 32767", name=op.f("ck_training_unit_exercises_reps_max")),
        sa.CheckConstraint("reps_min <= reps_max", name=op.f("check_reps_range")),
        sa.CheckConstraint("reps_min BETWEEN 0 AND 32767", name=op.f("ck_training_unit_exercises_reps_min")),
        sa.CheckConstraint("rest_seconds BETWEEN 0 AND 32767", name=op.f("ck_training_unit_exercises_rest_seconds")),
        sa.CheckConstraint("sets BETWEEN 1 AND 100", name=op.f("check_sets_count")),
        sa.CheckConstraint(
            "target_distance_km BETWEEN 0.001 AND 9999.999", name=op.f("ck_training_unit_exercises_target_distance_km")
        ),
        sa.CheckConstraint(
            "target_time_seconds BETWEEN 1 AND 32767", name=op.f("ck_training_unit_exercises_target_time_seconds")
        ),
        sa.CheckConstraint(
            "target_weight BETWEEN 0 AND 99999.99", name=op.f("ck_training_unit_exercises_target_weight")
        ),
        sa.ForeignKeyConstraint(
            ["exercise_id"], ["exercises.id"], name=op.f("fk_training_unit_exercises_exercise_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["training_unit_id"],
            ["training_units.id"],
            name=op.f("fk_training_unit_exercises_training_unit_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_unit_exercises")),
        sa.UniqueConstraint(
            "training_unit_id", "order_index", name=op.f("uq_training_unit_exercises_training_unit_id_order_index")
        ),
    )
    op.create_index(
        "ix_training_unit_exercises_exercise_id",
        "training_unit_exercises",
        ["exercise_id"],
        unique=False,
        postgresql_where=sa.text("exercise_id IS NOT NULL"),
    )
    op.create_table(
        "training_plan_units",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("training_plan_id", sa.Uuid(), nullable=False),
        sa.Column("training_unit_id", sa.Uuid(), nullable=False),
        sa.Column("day_number", sa.SmallInteger(), nullable=False),
        sa.Column("order_index", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint("day_number BETWEEN 1 AND 730", name=op.f("ck_training_plan_units_day_number")),
        sa.CheckConstraint(
            "order_index <> 0 AND order_index BETWEEN -1000 AND 1000", name=op.f("ck_training_plan_units_order_index")
        ),
        sa.ForeignKeyConstraint(
            ["training_plan_id"],
            ["training_plans.id"],
            name=op.f("fk_training_plan_units_training_plan_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["training_unit_id"],
            ["training_units.id"],
            name=op.f("fk_training_plan_units_training_unit_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_plan_units")),
        sa.UniqueConstraint(
            "training_plan_id",
            "day_number",
            "order_index",
            name=op.f("uq_training_plan_units_training_plan_id_day_number_order_index"),
        ),
    )
    op.create_index(
        op.f("ix_training_plan_units_training_unit_id"), "training_plan_units", ["training_unit_id"], unique=False
    )
    op.create_table(
        "training_unit_access",
        sa.Column("training_unit_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("granted_by", sa.Uuid(), nullable=True),
        sa.Column(
            "access_level",
            sa.Enum("read", "write", name="access_level", native_enum=False, create_constraint=True, length=50),
            server_default="read",
            nullable=False,
        ),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("user_id <> granted_by", name=op.f("check_not_self_grant")),
        sa.ForeignKeyConstraint(
            ["granted_by"], ["user_account.id"], name=op.f("fk_training_unit_access_granted_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["training_unit_id"],
            ["training_units.id"],
            name=op.f("fk_training_unit_access_training_unit_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_training_unit_access_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("training_unit_id", "user_id", name=op.f("pk_training_unit_access")),
    )
    op.create_index(
        "ix_training_unit_access_granted_by",
        "training_unit_access",
        ["granted_by"],
        unique=False,
        postgresql_where=sa.text("granted_by IS NOT NULL"),
    )
    op.create_index(op.f("ix_training_unit_access_user_id"), "training_unit_access", ["user_id"], unique=False)
    op.create_table(
        "training_plan_access",
        sa.Column("training_plan_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("granted_by", sa.Uuid(), nullable=True),
        sa.Column(
            "access_level",
            sa.Enum("read", "write", name="access_level", native_enum=False, create_constraint=True, length=50),
            server_default="read",
            nullable=False,
        ),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("user_id <> granted_by", name=op.f("check_not_self_grant")),
        sa.ForeignKeyConstraint(
            ["granted_by"], ["user_account.id"], name=op.f("fk_training_plan_access_granted_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["training_plan_id"],
            ["training_plans.id"],
            name=op.f("fk_training_plan_access_training_plan_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_training_plan_access_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("training_plan_id", "user_id", name=op.f("pk_training_plan_access")),
    )
    op.create_index(
        "ix_training_plan_access_granted_by",
        "training_plan_access",
        ["granted_by"],
        unique=False,
        postgresql_where=sa.text("granted_by IS NOT NULL"),
    )
    op.create_index(op.f("ix_training_plan_access_user_id"), "training_plan_access", ["user_id"], unique=False)


def create_history() -> None:
    op.create_table(
        "training_sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("training_plan_id", sa.Uuid(), nullable=True),
        sa.Column("training_unit_id", sa.Uuid(), nullable=True),
        sa.Column("plan_unit_id", sa.Integer(), nullable=True),
        sa.Column("plan_name_snapshot", sa.String(length=100), nullable=True),
        sa.Column("unit_name_snapshot", sa.String(length=100), nullable=True),
        sa.Column("day_number_snapshot", sa.SmallInteger(), nullable=True),
        sa.Column("start_time", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("end_time", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("user_timezone", sa.String(length=50), nullable=False),
        sa.Column(
            "local_date",
            sa.Date(),
            sa.Computed("(start_time AT TIME ZONE user_timezone)::date", persisted=True),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum(
                "in_progress",
                "completed",
                "aborted",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=50,
            ),
            server_default="in_progress",
            nullable=False,
        ),
        sa.Column("duration_seconds", sa.Integer(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("client_revision", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "CASE status"
            " WHEN 'in_progress' THEN end_time IS NULL AND duration_seconds IS NULL"
            " WHEN 'completed' THEN end_time IS NOT NULL AND duration_seconds IS NOT NULL"
            " AND duration_seconds = floor(extract(epoch FROM end_time - start_time))"
            " WHEN 'aborted' THEN end_time IS NOT NULL AND duration_seconds IS NULL END",
            name=op.f("check_session_status"),
        ),
        sa.CheckConstraint(
            "end_time >= '1970-01-01 00:00:00+00' AND end_time < '2101-01-01 00:00:00+00'",
            name=op.f("ck_training_sessions_end_time"),
        ),
        line("plan_name_snapshot", "ck_training_sessions_plan_name_snapshot"),
        sa.CheckConstraint(
            "start_time >= '1970-01-01 00:00:00+00' AND start_time < '2101-01-01 00:00:00+00'",
            name=op.f("ck_training_sessions_start_time"),
        ),
        line("unit_name_snapshot", "ck_training_sessions_unit_name_snapshot"),
        sa.CheckConstraint("user_timezone ~ '^[A-Za-z0-9_+/-]+$'", name=op.f("ck_training_sessions_user_timezone")),
        sa.CheckConstraint(
            "client_revision BETWEEN 0 AND 9223372036854775807", name=op.f("ck_training_sessions_client_revision")
        ),
        sa.CheckConstraint(
            "day_number_snapshot BETWEEN 1 AND 730", name=op.f("ck_training_sessions_day_number_snapshot")
        ),
        sa.CheckConstraint("end_time >= start_time", name=op.f("check_session_times")),
        sa.CheckConstraint("length(notes) <= 10000", name=op.f("ck_training_sessions_notes")),
        sa.ForeignKeyConstraint(
            ["plan_unit_id"],
            ["training_plan_units.id"],
            name=op.f("fk_training_sessions_plan_unit_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["training_plan_id"],
            ["training_plans.id"],
            name=op.f("fk_training_sessions_training_plan_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["training_unit_id"],
            ["training_units.id"],
            name=op.f("fk_training_sessions_training_unit_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_training_sessions_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_sessions")),
    )
    op.create_index("idx_ts_user_start", "training_sessions", ["user_id", "start_time", "id"], unique=False)
    op.create_index(
        "ix_training_sessions_plan_unit_id",
        "training_sessions",
        ["plan_unit_id"],
        unique=False,
        postgresql_where=sa.text("plan_unit_id IS NOT NULL"),
    )
    op.create_index(
        "ix_training_sessions_training_plan_id",
        "training_sessions",
        ["training_plan_id"],
        unique=False,
        postgresql_where=sa.text("training_plan_id IS NOT NULL"),
    )
    op.create_index(
        "ix_training_sessions_training_unit_id",
        "training_sessions",
        ["training_unit_id"],
        unique=False,
        postgresql_where=sa.text("training_unit_id IS NOT NULL"),
    )
    op.create_table(
        "training_session_exercises",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("training_session_id", sa.Uuid(), nullable=False),
        sa.Column("exercise_id", sa.Uuid(), nullable=True),
        sa.Column("planned_unit_exercise_id", sa.Integer(), nullable=True),
        sa.Column(
            "mode_snapshot",
            sa.Enum(
                "reps",
                "time",
                "distance",
                "sets_only",
                name="mode_snapshot",
                native_enum=False,
                create_constraint=True,
                length=50,
            ),
            nullable=False,
        ),
        sa.Column("exercise_name_snapshot", sa.String(length=100), nullable=False),
        sa.Column("order_index", sa.SmallInteger(), nullable=False),
        sa.Column("order_index_snapshot", sa.SmallInteger(), nullable=True),
        sa.Column("target_weight_snapshot", sa.Numeric(precision=7, scale=2), nullable=True),
        sa.Column("sets_snapshot", sa.SmallInteger(), nullable=True),
        sa.Column("reps_min_snapshot", sa.SmallInteger(), nullable=True),
        sa.Column("reps_max_snapshot", sa.SmallInteger(), nullable=True),
        sa.Column("target_time_seconds_snapshot", sa.SmallInteger(), nullable=True),
        sa.Column("target_distance_km_snapshot", sa.Numeric(precision=7, scale=3), nullable=True),
        sa.Column("rest_seconds_snapshot", sa.SmallInteger(), nullable=True),
        line("exercise_name_snapshot", "ck_training_session_exercises_exercise_name_snapshot"),
        sa.CheckConstraint(
            "order_index <> 0 AND order_index BETWEEN -100 AND 100",
            name=op.f("ck_training_session_exercises_order_index"),
        ),
        sa.CheckConstraint(
            "order_index_snapshot BETWEEN 1 AND 100", name=op.f("ck_training_session_exercises_order_index_snapshot")
        ),
        sa.CheckConstraint(
            "reps_max_snapshot BETWEEN 0 AND 32767", name=op.f("ck_training_session_exercises_reps_max_snapshot")
        ),
        sa.CheckConstraint(
            "reps_min_snapshot BETWEEN 0 AND 32767", name=op.f("ck_training_session_exercises_reps_min_snapshot")
        ),
        sa.CheckConstraint(
            "rest_seconds_snapshot BETWEEN 0 AND 32767",
            name=op.f("ck_training_session_exercises_rest_seconds_snapshot"),
        ),
        sa.CheckConstraint("sets_snapshot BETWEEN 1 AND 100", name=op.f("ck_training_session_exercises_sets_snapshot")),
        sa.CheckConstraint(
            "target_distance_km_snapshot BETWEEN 0.001 AND 9999.999",
            name=op.f("ck_training_session_exercises_target_distance_km_snapshot"),
        ),
        sa.CheckConstraint(
            "target_time_seconds_snapshot BETWEEN 1 AND 32767",
            name=op.f("ck_training_session_exercises_target_time_seconds_snapshot"),
        ),
        sa.CheckConstraint(
            "target_weight_snapshot BETWEEN 0 AND 99999.99",
            name=op.f("ck_training_session_exercises_target_weight_snapshot"),
        ),
        sa.ForeignKeyConstraint(
            ["exercise_id"],
            ["exercises.id"],
            name=op.f("fk_training_session_exercises_exercise_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["planned_unit_exercise_id"],
            ["training_unit_exercises.id"],
            name=op.f("fk_training_session_exercises_planned_unit_exercise_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["training_session_id"],
            ["training_sessions.id"],
            name=op.f("fk_training_session_exercises_training_session_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_session_exercises")),
        sa.UniqueConstraint("id", "mode_snapshot", name=op.f("uq_training_session_exercises_id_mode_snapshot")),
        sa.UniqueConstraint(
            "training_session_id",
            "order_index",
            name=op.f("uq_training_session_exercises_training_session_id_order_index"),
        ),
    )
    op.create_index(
        "ix_training_session_exercises_exercise_id",
        "training_session_exercises",
        ["exercise_id"],
        unique=False,
        postgresql_where=sa.text("exercise_id IS NOT NULL"),
    )
    op.create_index(
        "ix_training_session_exercises_planned_unit_exercise_id",
        "training_session_exercises",
        ["planned_unit_exercise_id"],
        unique=False,
        postgresql_where=sa.text("planned_unit_exercise_id IS NOT NULL"),
    )
    op.create_table(
        "training_session_sets",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("session_exercise_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "mode",
            sa.Enum(
                "reps",
                "time",
                "distance",
                "sets_only",
                name="mode",
                native_enum=False,
                create_constraint=True,
                length=50,
            ),
            nullable=False,
        ),
        sa.Column("order_index", sa.SmallInteger(), nullable=False),
        sa.Column("weight", sa.Numeric(precision=7, scale=2), nullable=True),
        sa.Column("reps_completed", sa.SmallInteger(), nullable=True),
        sa.Column("time_seconds", sa.SmallInteger(), nullable=True),
        sa.Column("distance_km", sa.Numeric(precision=7, scale=3), nullable=True),
        sa.CheckConstraint(
            "CASE mode"
            " WHEN 'reps' THEN num_nonnulls(time_seconds, distance_km) = 0"
            " WHEN 'time' THEN num_nonnulls(reps_completed, distance_km) = 0"
            " WHEN 'distance' THEN num_nonnulls(reps_completed, time_seconds) = 0"
            " WHEN 'sets_only' THEN num_nonnulls(reps_completed, time_seconds, distance_km) = 0 END",
            name=op.f("check_set_mode"),
        ),
        sa.CheckConstraint("distance_km BETWEEN 0.001 AND 9999.999", name=op.f("ck_training_session_sets_distance_km")),
        sa.CheckConstraint(
            "num_nonnulls(reps_completed, time_seconds, distance_km) <= 1 AND reps_completed >= 0"
            " AND time_seconds > 0 AND distance_km > 0",
            name=op.f("check_set_performance"),
        ),
        sa.CheckConstraint(
            "order_index <> 0 AND order_index BETWEEN -100 AND 100", name=op.f("ck_training_session_sets_order_index")
        ),
        sa.CheckConstraint("weight BETWEEN 0 AND 99999.99", name=op.f("ck_training_session_sets_weight")),
        sa.ForeignKeyConstraint(
            ["session_exercise_id", "mode"],
            ["training_session_exercises.id", "training_session_exercises.mode_snapshot"],
            name=op.f("fk_training_session_sets_session_exercise_id_mode"),
            onupdate="RESTRICT",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_session_sets")),
        sa.UniqueConstraint(
            "session_exercise_id", "order_index", name=op.f("uq_training_session_sets_session_exercise_id_order_index")
        ),
    )


def create_running() -> None:
    op.create_table(
        "running_plans",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("start_date", sa.Date(), nullable=False),
        sa.Column("end_date", sa.Date(), nullable=False),
        sa.Column("goal_race_date", sa.Date(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "draft",
                "active",
                "completed",
                "abandoned",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=50,
            ),
            server_default="draft",
            nullable=False,
        ),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("end_date BETWEEN '1970-01-01' AND '2100-12-31'", name=op.f("ck_running_plans_end_date")),
        sa.CheckConstraint(
            "goal_race_date BETWEEN '1970-01-01' AND '2100-12-31'", name=op.f("ck_running_plans_goal_race_date")
        ),
        line("name", "ck_running_plans_name"),
        sa.CheckConstraint(
            "start_date BETWEEN '1970-01-01' AND '2100-12-31'", name=op.f("ck_running_plans_start_date")
        ),
        sa.CheckConstraint("end_date > start_date AND end_date - start_date <= 366", name=op.f("check_plan_dates")),
        sa.CheckConstraint("length(description) <= 10000", name=op.f("ck_running_plans_description")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_running_plans_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_running_plans")),
    )
    op.create_index(op.f("ix_running_plans_user_id"), "running_plans", ["user_id"], unique=False)
    op.create_table(
        "running_workouts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column(
            "workout_type",
            sa.Enum(
                "easy",
                "tempo",
                "long",
                "speed",
                "recovery",
                "cross_training",
                "rest",
                name="workout_type",
                native_enum=False,
                create_constraint=True,
                length=50,
            ),
            nullable=False,
        ),
        sa.Column("planned_distance_km", sa.Numeric(precision=7, scale=3), nullable=True),
        sa.Column("target_pace_min_sec", sa.SmallInteger(), nullable=True),
        sa.Column("target_pace_max_sec", sa.SmallInteger(), nullable=True),
        sa.Column("scheduled_date", sa.Date(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "CASE"
            " WHEN workout_type IN ('easy', 'tempo', 'long', 'speed', 'recovery') THEN planned_distance_km IS NOT NULL"
            " WHEN workout_type = 'rest' THEN planned_distance_km IS NULL ELSE true END",
            name=op.f("check_planned_distance"),
        ),
        line("name", "ck_running_workouts_name"),
        sa.CheckConstraint(
            "scheduled_date BETWEEN '1970-01-01' AND '2100-12-31'", name=op.f("ck_running_workouts_scheduled_date")
        ),
        sa.CheckConstraint(
            "(target_pace_min_sec IS NULL) = (target_pace_max_sec IS NULL)"
            " AND target_pace_min_sec BETWEEN 100 AND 2000 AND target_pace_max_sec BETWEEN 100 AND 2000"
            " AND target_pace_min_sec <= target_pace_max_sec",
            name=op.f("check_target_pace"),
        ),
        sa.CheckConstraint("length(notes) <= 10000", name=op.f("ck_running_workouts_notes")),
        sa.CheckConstraint(
            "planned_distance_km BETWEEN 0.001 AND 9999.999", name=op.f("ck_running_workouts_planned_distance_km")
        ),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["running_plans.id"], name=op.f("fk_running_workouts_plan_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_running_workouts")),
        sa.UniqueConstraint("id", "plan_id", name=op.f("uq_running_workouts_id_plan_id")),
    )
    op.create_index("ix_running_workouts_plan_id", "running_workouts", ["plan_id", "scheduled_date"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=True),
        sa.Column("workout_id", sa.Uuid(), nullable=True),
        sa.Column("started_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("user_timezone", sa.String(length=50), nullable=False),
        sa.Column(
            "local_date",
            sa.Date(),
            sa.Computed("(started_at AT TIME ZONE user_timezone)::date", persisted=True),
            nullable=False,
        ),
        sa.Column("distance_km", sa.Numeric(precision=7, scale=3), nullable=False),
        sa.Column("duration_seconds", sa.Integer(), nullable=False),
        sa.Column("avg_heart_rate", sa.SmallInteger(), nullable=True),
        sa.Column("elevation_gain_m", sa.Numeric(precision=6, scale=1), nullable=True),
        sa.Column("perceived_effort", sa.Numeric(precision=3, scale=1), nullable=True),
        sa.Column(
            "source",
            sa.Enum(
                "manual",
                "strava",
                "gpx",
                "tcx",
                "fit",
                "csv",
                name="source",
                native_enum=False,
                create_constraint=True,
                length=50,
            ),
            server_default="manual",
            nullable=False,
        ),
        sa.Column("external_id", sa.String(length=255), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        line("external_id", "ck_runs_external_id"),
        sa.CheckConstraint(
            "started_at >= '1970-01-01 00:00:00+00' AND started_at < '2101-01-01 00:00:00+00'",
            name=op.f("ck_runs_started_at"),
        ),
        sa.CheckConstraint("user_timezone ~ '^[A-Za-z0-9_+/-]+$'", name=op.f("ck_runs_user_timezone")),
        sa.CheckConstraint("avg_heart_rate BETWEEN 25 AND 250", name=op.f("ck_runs_avg_heart_rate")),
        sa.CheckConstraint("distance_km BETWEEN 0.05 AND 1000", name=op.f("ck_runs_distance_km")),
        sa.CheckConstraint("duration_seconds BETWEEN 1 AND 2147483647", name=op.f("ck_runs_duration_seconds")),
        sa.CheckConstraint(
            "duration_seconds BETWEEN 60 * distance_km AND 3600 * distance_km", name=op.f("check_run_pace")
        ),
        sa.CheckConstraint("elevation_gain_m BETWEEN 0 AND 99999.9", name=op.f("ck_runs_elevation_gain_m")),
        sa.CheckConstraint("length(notes) <= 10000", name=op.f("ck_runs_notes")),
        sa.CheckConstraint("perceived_effort BETWEEN 1 AND 10", name=op.f("ck_runs_perceived_effort")),
        sa.ForeignKeyConstraint(["plan_id"], ["running_plans.id"], name=op.f("fk_runs_plan_id"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_runs_user_id"), ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(
            ["workout_id", "plan_id"],
            ["running_workouts.id", "running_workouts.plan_id"],
            name=op.f("fk_runs_workout_id_plan_id"),
            ondelete="SET NULL (workout_id)",
        ),
        sa.ForeignKeyConstraint(
            ["workout_id"], ["running_workouts.id"], name=op.f("fk_runs_workout_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("user_id", "source", "external_id", name=op.f("uq_runs_user_id_source_external_id")),
    )
    op.create_index("idx_runs_user_date", "runs", ["user_id", "local_date", "id"], unique=False)
    op.create_index(
        "ix_runs_plan_id", "runs", ["plan_id"], unique=False, postgresql_where=sa.text("plan_id IS NOT NULL")
    )
    op.create_index(
        "ix_runs_workout_id", "runs", ["workout_id"], unique=False, postgresql_where=sa.text("workout_id IS NOT NULL")
    )


def create_system() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("method", sa.String(length=10), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("key ~ '^[!-~]+$'", name=op.f("check_key_characters")),
        sa.CheckConstraint("octet_length(body_hash) = 32", name=op.f("check_key_body_hash")),
        sa.CheckConstraint("status BETWEEN 200 AND 499", name=op.f("ck_idempotency_key_status")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_idempotency_key_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "key", "method", "path", name=op.f("pk_idempotency_key")),
    )
    op.create_index("ix_idempotency_key_created_at", "idempotency_key", ["created_at"], unique=False)
    op.create_table(
        "tombstone",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "exercise",
                "training_unit",
                "training_plan",
                "training_session",
                "running_plan",
                "running_workout",
                "run",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=50,
            ),
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("deleted_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_tombstone_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "kind", "id", name=op.f("pk_tombstone")),
    )
    op.create_index("ix_tombstone_user_id_deleted_at", "tombstone", ["user_id", "deleted_at"], unique=False)


def downgrade() -> None:
    for table in (
        "tombstone",
        "idempotency_key",
        "runs",
        "running_workouts",
        "running_plans",
        "training_session_sets",
        "training_session_exercises",
        "training_sessions",
        "training_plan_access",
        "training_unit_access",
        "training_plan_units",
        "training_unit_exercises",
        "training_plans",
        "training_units",
        "exercise_aliases",
        "exercise_tag_map",
        "exercise_secondary_muscles",
        "exercise_primary_muscles",
        "exercise_equipment",
        "exercises",
        "exercise_tags",
        "muscle_groups",
        "equipment",
        "api_token",
        "user_session",
        "user_account",
        "role",
    ):
        op.drop_table(table)
