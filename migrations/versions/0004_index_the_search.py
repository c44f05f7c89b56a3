"""Keep names of exercises as they are sorted and searched, and index what is searched.

Revision: 0004
Revises: 0003
Created: 2026-11-21

Only the system's exercises are in the index. A search finds its user's own through their owner, so that what others own
costs it nothing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

FOLDED = (
    "btrim(regexp_replace(translate(regexp_replace(lower(normalize(name, NFKD)), '[\\u0300-\\u036f]', '', 'g'), "
    "'-\N{LATIN SMALL LETTER DOTLESS I}\N{GREEK SMALL LETTER FINAL SIGMA}''\N{RIGHT SINGLE QUOTATION MARK}', "
    "' i\N{GREEK SMALL LETTER SIGMA}'), ' +', ' ', 'g'))"
)

# The words of a name, and all of them as one: who types "pullups" means "Pull-Up". Doubled letters count once.
SEARCHED_NAME = """
CREATE FUNCTION searched_name(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ' ' || regexp_replace(words, '([a-z])\\1+', '\\1', 'g')
        || ' ' || regexp_replace(replace(words, ' ', ''), '([a-z])\\1+', '\\1', 'g') || ' |'
    FROM btrim(regexp_replace(
        translate({folded}, 'ßøđðł', 'soddl'), '[\\u0001-/:-@[-`{{-\\u00bf\\u2000-\\u206f]+', ' ', 'g')) AS words
$$
"""

KEEP_SEARCH_TEXT = """
CREATE FUNCTION keep_search_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.search_text := '|' || searched_name(NEW.name) || coalesce(
        (SELECT string_agg(searched_name(alias), '' ORDER BY id) FROM exercise_aliases WHERE exercise_id = NEW.id), '');
    RETURN NEW;
END $$
"""

# A change of aliases touches the exercise already; now it does so by its name, which makes the text anew. All other
# touches, and there are many while seeding, leave the text alone.
TOUCH_ROOT = """
CREATE OR REPLACE FUNCTION touch_root_of_exercise_aliases() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE exercises SET {column} = {column} WHERE id IN (SELECT exercise_id FROM new_rows);
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE exercises SET {column} = {column} WHERE id IN (SELECT exercise_id FROM old_rows);
    ELSE
        UPDATE exercises SET {column} = {column} WHERE id IN (
            SELECT exercise_id FROM new_rows UNION SELECT exercise_id FROM old_rows);
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.drop_index("idx_ex_name_trgm", table_name="exercises")
    op.drop_index("idx_ex_alias_trgm", table_name="exercise_aliases")
    folded = sa.Computed(FOLDED, persisted=True)
    op.add_column("exercises", sa.Column("folded_name", sa.Text(), folded, nullable=False))
    op.add_column("exercises", sa.Column("search_text", sa.Text(), server_default="", nullable=False))
    op.execute(SEARCHED_NAME.format(folded=FOLDED))
    op.execute(KEEP_SEARCH_TEXT)
    # Without the triggers that raise versions: what is shown of an exercise stays the same.
    op.execute("ALTER TABLE exercises DISABLE TRIGGER USER")
    op.execute("""
        UPDATE exercises e SET search_text = '|' || searched_name(e.name) || coalesce((
            SELECT string_agg(searched_name(a.alias), '' ORDER BY a.id)
            FROM exercise_aliases a WHERE a.exercise_id = e.id), '')
    """)
    op.execute("ALTER TABLE exercises ENABLE TRIGGER USER")
    op.execute(
        "CREATE TRIGGER keep_search_text BEFORE INSERT OR UPDATE OF name ON exercises"
        " FOR EACH ROW EXECUTE FUNCTION keep_search_text()"
    )
    op.execute(TOUCH_ROOT.format(column="name"))
    # Without a list of pending entries: each search would read it from end to end, and after a seeding it is long.
    op.create_index(
        "idx_ex_search_text",
        "exercises",
        ["search_text"],
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
        postgresql_with={"fastupdate": "off"},
        postgresql_where=sa.text("is_system_default"),
    )


def downgrade() -> None:
    op.execute(TOUCH_ROOT.format(column="version"))
    op.execute("DROP FUNCTION keep_search_text() CASCADE")
    op.execute("DROP FUNCTION searched_name(text)")
    op.drop_column("exercises", "search_text")
    op.drop_column("exercises", "folded_name")
    for name, table, column in (
        ("idx_ex_name_trgm", "exercises", "name"),
        ("idx_ex_alias_trgm", "exercise_aliases", "alias"),
    ):
        op.create_index(name, table, [column], postgresql_using="gin", postgresql_ops={column: "gin_trgm_ops"})
