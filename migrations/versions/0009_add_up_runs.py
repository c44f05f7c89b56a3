"""Create splits and elapsed times of runs, what runs add up to, and the links of calendars.

Revision: 0009
Revises: 0008
Created: 2026-11-21
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# What is there of a kind: the value by which runs compare, and the runs that are of the kind.
PACE = "r.duration_seconds / r.distance_km::float8"
BESTS = {
    "longest": ("-r.distance_km", "true"),
    "fastest_1": (PACE, "r.distance_km >= 1"),
    "fastest_5": (PACE, "r.distance_km >= 5"),
    "fastest_10": (PACE, "r.distance_km >= 10"),
    "fastest_half": (PACE, "r.distance_km >= 21.0975"),
    "fastest_marathon": (PACE, "r.distance_km >= 42.195"),
    "best_effort": ("r.duration_seconds / power(r.distance_km::float8, 1.06)", "r.distance_km >= 3"),
}
COLUMNS = ("runs", "distance_km", "duration_seconds", "iso_weeks", *(c for b in BESTS for c in (b, f"{b}_run")))

# Each was rounded: to the metre and to the second.
SPLITS_AGREE = """
CREATE FUNCTION splits_agree(splits jsonb, distance numeric, duration integer) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(splits) <> 'array' THEN false ELSE (
        SELECT count(*) BETWEEN 1 AND 1001
            AND bool_and((km BETWEEN 0.001 AND 1 AND (km = 1 OR place = count) AND seconds >= 1) IS TRUE)
            AND abs(sum(km) - distance) <= 0.001 * count(*) AND abs(sum(seconds) - duration) <= count(*)
        FROM (
            SELECT (split ->> 'distanceKm')::numeric AS km, (split ->> 'durationSeconds')::integer AS seconds, place,
                count(*) OVER () AS count
            FROM jsonb_array_elements(splits) WITH ORDINALITY AS all_splits (split, place)
        ) AS split
    ) END
$$
"""


def of_runs() -> str:
    figures = ["count(*)", "sum(r.distance_km)", "sum(r.duration_seconds)", "NULL::bigint"]
    for name, (value, kind) in BESTS.items():
        only = f"FILTER (WHERE {kind})"
        figures.append("max(r.distance_km)" if name == "longest" else f"min({value}) {only}")
        figures.append(f"(array_agg(r.id ORDER BY {value}, r.id) {only})[1]")
    return ", ".join(figures)


def of_parts(iso_weeks: str) -> str:
    figures = ["sum(r.runs)", "sum(r.distance_km)", "sum(r.duration_seconds)", iso_weeks]
    for name in BESTS:
        value = f"-r.{name}" if name == "longest" else f"r.{name}"
        figures.append(f"max(r.{name})" if name == "longest" else f"min(r.{name})")
        figures.append(f"(array_agg(r.{name}_run ORDER BY {value}, r.{name}_run))[1]")
    return ", ".join(figures)


# Each period: its first day and the one behind its last, by a day in it; and what it is added up from.
YEAR = "make_date(extract(isoyear FROM {day})::integer{more}, 1, 4)"
WEEKS = "bit_or(1::bigint << (extract(week FROM r.starts_on)::integer - 1))"
PERIODS = {
    "day": ("day", "day + 1", "runs", "r.local_date", "true", of_runs()),
    "week": (
        "date_trunc('week', day::timestamp)::date",
        "date_trunc('week', day::timestamp)::date + 7",
        "run_totals",
        "r.starts_on",
        "r.period = 'day'",
        of_parts("NULL::bigint"),
    ),
    "year": (
        f"date_trunc('week', {YEAR.format(day='day', more='')}::timestamp)::date",
        f"date_trunc('week', {YEAR.format(day='day', more=' + 1')}::timestamp)::date",
        "run_totals",
        "r.starts_on",
        "r.period = 'week'",
        of_parts(WEEKS),
    ),
    "ever": (
        "'0001-01-01'::date",
        "'9999-12-31'::date",
        "run_totals",
        "r.starts_on",
        "r.period = 'year'",
        of_parts("NULL::bigint"),
    ),
}
# Each period is one look into an index, whether there are one or thousands of them.
ADD_UP = """
    INSERT INTO run_totals (user_id, period, starts_on, {columns})
    SELECT changed.user_id, '{period}', changed.first, {sums}
    FROM (SELECT DISTINCT user_id, {first} AS first, {behind} AS behind FROM unnest(users, days) AS c (user_id, day))
        AS changed
    CROSS JOIN LATERAL (
        SELECT {figures} FROM {parts} r
        WHERE r.user_id = changed.user_id AND {kind} AND {date} >= changed.first AND {date} < changed.behind
    ) AS sum ({columns})
    WHERE sum.runs > 0
    ON CONFLICT (user_id, period, starts_on) DO UPDATE SET {update};
    DELETE FROM run_totals t
    USING (SELECT DISTINCT user_id, {first} AS first, {behind} AS behind FROM unnest(users, days) AS c (user_id, day))
        AS changed
    WHERE t.user_id = changed.user_id AND t.period = '{period}' AND t.starts_on = changed.first AND (
        SELECT 1 FROM {parts} r
        WHERE r.user_id = changed.user_id AND {kind} AND {date} >= changed.first AND {date} < changed.behind LIMIT 1
    ) IS NULL;
"""
# Writers of the runs of one user take turns: each adds up what the one before has committed.
ADD_UP_DAYS = """
CREATE FUNCTION add_up_runs(users uuid[], days date[]) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM FROM user_account WHERE id = ANY (users) ORDER BY id FOR NO KEY UPDATE;
    {periods}
END $$
"""
# What a statement changes is noted, and added up when the transaction commits: so an open one holds up nobody.
NOTE_CHANGED = """
CREATE FUNCTION note_changed_runs() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    days text;
    plans text;
BEGIN
    IF TG_OP = 'INSERT' THEN {insert}
    ELSIF TG_OP = 'DELETE' THEN {delete}
    ELSE {update}
    END IF;
    PERFORM set_config('irontrack.days', concat(current_setting('irontrack.days', true), days), true),
        set_config('irontrack.plans', concat(current_setting('irontrack.plans', true), plans), true);
    RETURN NULL;
END $$
"""
NOTE = """
    SELECT string_agg(concat_ws(' ', user_id, local_date, ','), '') INTO days
    FROM (SELECT DISTINCT user_id, local_date FROM ({days}) AS r) AS changed;
    SELECT string_agg(concat_ws(' ', plan_id, runs, distance_km, ','), '') INTO plans
    FROM (
        SELECT plan_id, sum(runs) AS runs, sum(distance_km) AS distance_km FROM ({plans}) AS r
        WHERE plan_id IS NOT NULL GROUP BY plan_id HAVING sum(runs) <> 0 OR sum(distance_km) <> 0
    ) AS changed;
"""
ROWS = "SELECT id, user_id, local_date, distance_km, duration_seconds FROM {rows}"
NEW, OLD = ROWS.format(rows="new_rows"), ROWS.format(rows="old_rows")
MORE = "SELECT plan_id, 1 AS runs, distance_km FROM new_rows"
LESS = "SELECT plan_id, -1 AS runs, -distance_km AS distance_km FROM old_rows"
NOTES = {
    "insert": NOTE.format(days=NEW, plans=MORE),
    "delete": NOTE.format(days=OLD, plans=LESS),
    "update": NOTE.format(
        days=f"({NEW} EXCEPT {OLD}) UNION ALL ({OLD} EXCEPT {NEW})", plans=f"{MORE} UNION ALL {LESS}"
    ),
}
# The first of a transaction's runs adds up for all of them. Sums alone can be kept by differences; a plan that is
# deleted takes its sum with it.
ADD_UP_NOTED = """
CREATE FUNCTION add_up_noted_runs() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    days text := current_setting('irontrack.days', true);
    plans text := current_setting('irontrack.plans', true);
BEGIN
    IF days <> '' THEN
        PERFORM set_config('irontrack.days', '', true);
        PERFORM add_up_runs(array_agg(user_id), array_agg(day)) FROM (
            SELECT DISTINCT split_part(noted, ' ', 1)::uuid AS user_id, split_part(noted, ' ', 2)::date AS day
            FROM string_to_table(rtrim(days, ','), ',') AS noted
        ) AS changed;
    END IF;
    IF plans <> '' THEN
        PERFORM set_config('irontrack.plans', '', true);
        INSERT INTO plan_run_totals (plan_id, runs, distance_km)
        SELECT p.id, sum(split_part(noted, ' ', 2)::integer), sum(split_part(noted, ' ', 3)::numeric)
        FROM string_to_table(rtrim(plans, ','), ',') AS noted
        JOIN running_plans p ON p.id = split_part(noted, ' ', 1)::uuid
        GROUP BY p.id ORDER BY p.id
        ON CONFLICT (plan_id) DO UPDATE SET runs = plan_run_totals.runs + excluded.runs,
            distance_km = plan_run_totals.distance_km + excluded.distance_km;
    END IF;
    RETURN NULL;
END $$
"""
CHANGES = {
    "insert": "NEW TABLE AS new_rows",
    "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "OLD TABLE AS old_rows",
}


def upgrade() -> None:
    extend_runs()
    create_totals()
    create_links()


def extend_runs() -> None:
    op.execute(SPLITS_AGREE)
    op.add_column("runs", sa.Column("elapsed_seconds", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("splits", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.create_check_constraint(op.f("check_elapsed_time"), "runs", "elapsed_seconds >= duration_seconds")
    op.create_check_constraint(
        op.f("check_run_splits"), "runs", "splits IS NULL OR splits_agree(splits, distance_km, duration_seconds)"
    )
    op.create_index("idx_runs_user_start", "runs", ["user_id", "started_at", "id"])


def create_totals() -> None:
    op.create_table(
        "run_totals",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("period", sa.String(length=50), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("distance_km", sa.Numeric(precision=12, scale=3), nullable=False),
        sa.Column("duration_seconds", sa.BigInteger(), nullable=False),
        sa.Column("iso_weeks", sa.BigInteger(), nullable=True),
        sa.Column("longest", sa.Numeric(precision=7, scale=3), nullable=False),
        sa.Column("longest_run", sa.Uuid(), nullable=False),
        *(
            sa.Column(f"{name}{suffix}", kind, nullable=True)
            for name in BESTS
            if name != "longest"
            for suffix, kind in (("", sa.Double()), ("_run", sa.Uuid()))
        ),
        sa.CheckConstraint("runs BETWEEN 1 AND 2147483647", name=op.f("ck_run_totals_runs")),
        sa.CheckConstraint("distance_km BETWEEN 0.05 AND 999999999.999", name=op.f("ck_run_totals_distance_km")),
        sa.CheckConstraint("longest BETWEEN 0.05 AND 1000", name=op.f("ck_run_totals_longest")),
        sa.CheckConstraint("period IN ('day', 'week', 'year', 'ever')", name=op.f("ck_run_totals_period")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_run_totals_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "period", "starts_on", name=op.f("pk_run_totals")),
    )
    op.create_table(
        "plan_run_totals",
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("distance_km", sa.Numeric(precision=12, scale=3), nullable=False),
        sa.CheckConstraint("runs BETWEEN -2147483647 AND 2147483647", name=op.f("ck_plan_run_totals_runs")),
        sa.CheckConstraint(
            "distance_km BETWEEN -999999999.999 AND 999999999.999", name=op.f("ck_plan_run_totals_distance_km")
        ),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["running_plans.id"], name=op.f("fk_plan_run_totals_plan_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("plan_id", name=op.f("pk_plan_run_totals")),
    )
    sums = ", ".join(f"sum.{column}" for column in COLUMNS)
    columns, update = ", ".join(COLUMNS), ", ".join(f"{column} = excluded.{column}" for column in COLUMNS)
    periods = "".join(
        ADD_UP.format(
            period=period,
            first=first,
            behind=behind,
            parts=parts,
            date=date,
            kind=kind,
            figures=figures,
            columns=columns,
            sums=sums,
            update=update,
        )
        for period, (first, behind, parts, date, kind, figures) in PERIODS.items()
    )
    op.execute(ADD_UP_DAYS.format(periods=periods))
    op.execute(NOTE_CHANGED.format(**NOTES))
    op.execute(ADD_UP_NOTED)
    for change, tables in CHANGES.items():
        op.execute(
            f"CREATE TRIGGER note_{change} AFTER {change} ON runs"
            f" REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION note_changed_runs()"
        )
    op.execute(
        "CREATE CONSTRAINT TRIGGER add_up_noted_runs AFTER INSERT OR UPDATE OR DELETE ON runs"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION add_up_noted_runs()"
    )
    op.execute(
        "SELECT add_up_runs(array_agg(user_id), array_agg(local_date))"
        " FROM (SELECT DISTINCT user_id, local_date FROM runs) AS stored HAVING count(*) > 0"
    )
    op.execute(
        "INSERT INTO plan_run_totals SELECT plan_id, count(*), sum(distance_km) FROM runs"
        " WHERE plan_id IS NOT NULL GROUP BY plan_id"
    )


def create_links() -> None:
    op.create_table(
        "calendar_link",
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("length(token_hash) = 32", name=op.f("ck_calendar_link_token_hash")),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["running_plans.id"], name=op.f("fk_calendar_link_plan_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("plan_id", name=op.f("pk_calendar_link")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_calendar_link_token_hash")),
    )


def downgrade() -> None:
    op.drop_table("calendar_link")
    for function in ("note_changed_runs", "add_up_noted_runs"):
        # With its triggers.
        op.execute(f"DROP FUNCTION {function}() CASCADE")
    op.execute("DROP FUNCTION add_up_runs(uuid[], date[])")
    op.drop_table("plan_run_totals")
    op.drop_table("run_totals")
    op.drop_index("idx_runs_user_start", table_name="runs")
    for column in ("elapsed_seconds", "splits"):
        # With its constraints.
        op.drop_column("runs", column)
    op.execute("DROP FUNCTION splits_agree(jsonb, numeric, integer)")
