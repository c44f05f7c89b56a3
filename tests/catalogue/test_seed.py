"""Bringing the shipped catalogue into a database, and out of it again."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.cli.catalogue import catalogue_group
from app.db.engine import database_config
from app.domain.catalogue.export import export_catalogue, write_catalogue
from app.domain.catalogue.files import SHIPPED as SHIPPED_FOLDER
from app.domain.catalogue.files import Catalogue, CatalogueFileError, digest, load_catalogue
from app.domain.catalogue.models import Category
from app.domain.catalogue.seed import SOURCE, SeedReport, seed_catalogue, seed_changed_catalogue
from tests.actors import Actor
from tests.catalogue.exercises import EXERCISES, Connection, create_system, row, shipped_id, use_in_session
from tests.service import Service

Sessions = async_sessionmaker[AsyncSession]

TABLES = (
    "exercises",
    "exercise_aliases",
    "exercise_equipment",
    "exercise_primary_muscles",
    "exercise_secondary_muscles",
    "exercise_tag_map",
    "muscle_groups",
    "equipment",
    "exercise_tags",
    "catalogue_seed",
)
SHIPPED = load_catalogue()
ENTRIES = {key: entry for exercises in SHIPPED.exercises.values() for key, entry in exercises.items()}
CATEGORIES = {key: category for category, exercises in SHIPPED.exercises.items() for key in exercises}
COUNT = len(ENTRIES)
NOTHING_NEW = SeedReport(
    entries=0, added=[], updated=[], unchanged=COUNT, edited={}, deleted=[], refused=[], retired=[]
)


@pytest.fixture
async def sessions(service: Service) -> AsyncIterator[Sessions]:
    config = database_config(service.settings)
    yield config.create_session_maker()  # type: ignore[misc]
    await config.get_engine().dispose()


async def seed(sessions: Sessions, folder: Path = SHIPPED_FOLDER) -> SeedReport:
    async with sessions() as session, session.begin():
        return await seed_catalogue(session, folder)


@pytest.fixture
def edit(tmp_path: Path) -> Callable[..., Path]:
    """A folder whose files differ from ours: fields of one entry, or None to leave it out."""

    def edited(key: str, **fields: Any) -> Path:
        folder = tmp_path / "edited"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(SHIPPED_FOLDER, folder)
        for path in folder.glob("exercises/*.toml"):
            path.write_text(re.sub(rf"\n\[{key}\]\n.*?(?=\n\[|\Z)", "", path.read_text(), flags=re.DOTALL))
        if fields:
            entry = msgspec.structs.replace(ENTRIES[key], **fields)
            write_catalogue(tmp_path / "entry", Catalogue(SHIPPED.lists, {CATEGORIES[key]: {key: entry}}))
            [written] = (tmp_path / "entry").glob("exercises/*.toml")
            written.rename(folder / "exercises" / "entry.toml")
        return folder

    return edited


async def everything(connection: Connection) -> dict[str, list[str]]:
    """Every row of the catalogue, and what the identity columns have given out."""
    rows = {
        table: [row for (row,) in await connection.fetch(f"SELECT t::text FROM {table} t ORDER BY 1")]
        for table in TABLES
    }
    last = await connection.fetch(
        "SELECT sequencename || ' ' || coalesce(last_value, 0) FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
    )
    return {**rows, "sequences": [value for (value,) in last]}


async def changed_exercises(connection: Connection, before: dict[str, list[str]]) -> int:
    """How many rows of exercises are not what they were."""
    return len(set((await everything(connection))["exercises"]) - set(before["exercises"]))


async def empty(connection: Connection) -> None:
    for table in TABLES:
        await connection.execute(f"DELETE FROM {table}")


async def forget(connection: Connection) -> None:
    """As if the last seeding had been one of a version that made no records."""
    await connection.execute("DELETE FROM catalogue_seed")


class TestAnEmptyDatabase:
    async def test_it_gets_everything(self, sessions: Sessions, connection: Connection, statements: Any) -> None:
        await empty(connection)
        with statements() as sent:
            report = await seed(sessions)
        assert len(sent) < 120
        assert report == msgspec.structs.replace(NOTHING_NEW, entries=54, added=sorted(ENTRIES), unchanged=0)
        for key, entry in SHIPPED.exercises[Category.STRONGMAN].items():
            stored = await connection.fetchrow(
                """
                SELECT e.*,
                    ARRAY(SELECT alias FROM exercise_aliases WHERE exercise_id = e.id ORDER BY id) AS aliases,
                    ARRAY(SELECT name FROM exercise_primary_muscles JOIN muscle_groups ON id = muscle_group_id
                        WHERE exercise_id = e.id) AS primary_muscles,
                    ARRAY(SELECT name FROM exercise_tag_map JOIN exercise_tags ON id = tag_id
                        WHERE exercise_id = e.id) AS tags
                FROM exercises e WHERE source = $1 AND external_id = $2
                """,
                SOURCE,
                key,
            )
            assert stored is not None
            assert (stored["name"], stored["slug"], stored["is_system_default"]) == (entry.name, key, True)
            assert stored["instructions"] == entry.instructions
            assert tuple(stored["aliases"]) == entry.aliases
            assert set(stored["primary_muscles"]) == set(entry.primary_muscles)
            assert set(stored["tags"]) == set(entry.tags)

    async def test_two_at_once(self, sessions: Sessions, connection: Connection) -> None:
        await empty(connection)
        reports = await asyncio.gather(seed(sessions), seed(sessions))
        assert sorted(len(report.added) for report in reports) == [0, COUNT]
        assert await connection.fetchval("SELECT count(*) FROM exercises") == COUNT

    async def test_a_broken_file_stores_nothing(
        self, sessions: Sessions, connection: Connection, edit: Callable[..., Path]
    ) -> None:
        await empty(connection)
        folder = edit("plank")
        (folder / "exercises" / "cardio.toml").write_text('category = "cardio"\n[burpee]\nname = 5\n')
        with pytest.raises(CatalogueFileError, match=r"cardio\.toml: .*name"):
            await seed(sessions, folder)
        assert await connection.fetchval("SELECT count(*) FROM exercises") == 0


class TestAgain:
    async def test_nothing_is_written(self, sessions: Sessions, connection: Connection) -> None:
        before = await everything(connection)
        assert await seed(sessions) == NOTHING_NEW
        assert await everything(connection) == before

    async def test_at_a_start_the_same_files_are_not_even_read(
        self, sessions: Sessions, connection: Connection, statements: Any
    ) -> None:
        async with sessions() as session, session.begin():
            await session.connection()
            with statements() as sent:
                await seed_changed_catalogue(session)
        assert len(sent) == 2  # BEGIN is one
        await connection.execute("DELETE FROM catalogue_seed WHERE kind = 'files'")
        await connection.execute("DELETE FROM catalogue_seed WHERE key = 'plank'")
        await connection.execute("DELETE FROM exercises WHERE slug = 'plank'")
        async with sessions() as session, session.begin():
            await seed_changed_catalogue(session)
        assert await shipped_id(connection, "plank")


class TestAnEditedFile:
    @pytest.mark.parametrize(
        "fields",
        [
            {"instructions": "Lie down on your forearms and toes.\nStay."},
            {"aliases": ("Board", "Front Board")},
            {"tags": ("hiit",), "equipment": ("other",)},
            {"primary_muscles": ("glutes",), "secondary_muscles": ("abdominals", "lats")},
            {"archived": True, "image_path_start": "/core/plank.jpg"},
        ],
    )
    async def test_exactly_that_changes(
        self, sessions: Sessions, connection: Connection, edit: Callable[..., Path], fields: dict[str, Any]
    ) -> None:
        before = await everything(connection)
        exercise_id = await shipped_id(connection, "plank")
        aliases = (await row(connection, exercise_id))["exercise_aliases"]
        report = await seed(sessions, edit("plank", **fields))
        assert report == msgspec.structs.replace(NOTHING_NEW, updated=["plank"], unchanged=COUNT - 1)
        assert await shipped_id(connection, "plank") == exercise_id
        assert await changed_exercises(connection, before) == 1
        assert ((await row(connection, exercise_id))["exercise_aliases"] == aliases) is ("aliases" not in fields)
        async with sessions() as session:
            exported = (await export_catalogue(session)).exercises[Category.STRENGTH]["plank"]
        assert exported == msgspec.structs.replace(ENTRIES["plank"], **fields)
        assert await seed(sessions) == msgspec.structs.replace(NOTHING_NEW, updated=["plank"], unchanged=COUNT - 1)

    async def test_a_new_name_is_the_same_exercise_with_another_slug(
        self, sessions: Sessions, connection: Connection, athlete: Actor, edit: Callable[..., Path]
    ) -> None:
        exercise_id = await shipped_id(connection, "plank")
        reference = await use_in_session(connection, athlete, exercise_id)
        await seed(sessions, edit("plank", name="Front Board"))
        assert await shipped_id(connection, "front-board") == exercise_id
        assert tuple(
            await connection.fetchrow(
                "SELECT exercise_id, exercise_name_snapshot FROM training_session_exercises WHERE id = $1", reference
            )
        ) == (exercise_id, "Plank")

    async def test_a_name_of_another_exercise_is_refused_and_tried_again(
        self, sessions: Sessions, connection: Connection, edit: Callable[..., Path]
    ) -> None:
        before = await everything(connection)
        for _ in range(2):
            report = await seed(sessions, edit("plank", name="BURPEE"))
            assert report == msgspec.structs.replace(NOTHING_NEW, refused=["plank"])
        assert (await everything(connection))["exercises"] == before["exercises"]

    async def test_what_is_no_longer_shipped_stays(
        self, sessions: Sessions, connection: Connection, edit: Callable[..., Path]
    ) -> None:
        before = await everything(connection)
        report = await seed(sessions, edit("plank"))
        assert report == msgspec.structs.replace(NOTHING_NEW, unchanged=COUNT - 1, retired=["plank"])
        assert (await everything(connection))["exercises"] == before["exercises"]


class TestAnAdministrator:
    async def test_edits_are_kept_and_reported(
        self, sessions: Sessions, connection: Connection, superuser: Actor, edit: Callable[..., Path]
    ) -> None:
        exercise_id = await shipped_id(connection, "plank")
        changes = {"name": "Board", "aliases": ["Plank Hold"], "instructions": "Stay."}
        answer = await superuser.client.patch(f"{EXERCISES}/system/{exercise_id}", json=changes)
        assert answer.status_code == 200, answer.text
        await superuser.client.post(f"{EXERCISES}/{await shipped_id(connection, 'burpee')}/archive")
        before = await everything(connection)
        edited = {"burpee": ["archived"], "plank": ["aliases", "instructions", "name"]}
        report = await seed(sessions)
        assert (report.edited, report.updated) == (edited, [])
        assert await everything(connection) == before
        # The files change another field, and one that the administrator has changed too.
        folder = edit("plank", instructions="Hold still.", difficulty_level="expert")
        report = await seed(sessions, folder)
        assert (report.edited, report.updated) == (edited, ["plank"])
        stored = await row(connection, exercise_id)
        assert (stored["name"], stored["slug"], stored["instructions"]) == ("Board", "board", "Stay.")
        assert stored["difficulty_level"] == "expert"

    async def test_an_edit_that_is_under_way_is_waited_for_and_kept(
        self, sessions: Sessions, connection: Connection, edit: Callable[..., Path]
    ) -> None:
        folder = edit("plank", name="Front Board")
        async with connection.transaction():
            await connection.execute("UPDATE exercises SET name = 'Board', slug = 'board' WHERE slug = 'plank'")
            seeding = asyncio.create_task(seed(sessions, folder))
            while not await connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid())"
            ):
                assert not seeding.done()
                await asyncio.sleep(0.01)
        assert (await seeding).edited == {"plank": ["name"]}
        assert await shipped_id(connection, "board")

    async def test_a_muscle_stays_either_primary_or_secondary(
        self, sessions: Sessions, connection: Connection, superuser: Actor, edit: Callable[..., Path]
    ) -> None:
        exercise_id = await shipped_id(connection, "plank")
        lats = await connection.fetchval("SELECT id FROM muscle_groups WHERE name = 'lats'")
        await superuser.client.patch(f"{EXERCISES}/system/{exercise_id}", json={"primaryMuscles": [lats]})
        before = await row(connection, exercise_id)
        report = await seed(sessions, edit("plank", secondary_muscles=("lats",)))
        assert report.edited == {"plank": ["primary_muscles", "secondary_muscles"]}
        assert await row(connection, exercise_id) == before

    async def test_what_was_deleted_stays_away(
        self, sessions: Sessions, connection: Connection, superuser: Actor
    ) -> None:
        await superuser.client.delete(f"{EXERCISES}/{await shipped_id(connection, 'burpee')}")
        before = await everything(connection)
        report = await seed(sessions)
        assert report == msgspec.structs.replace(NOTHING_NEW, unchanged=COUNT - 1, deleted=["burpee"])
        assert await everything(connection) == before

    async def test_renamed_and_deleted_list_entries_stay_so(
        self, sessions: Sessions, connection: Connection, edit: Callable[..., Path]
    ) -> None:
        await connection.execute("UPDATE muscle_groups SET name = 'abs' WHERE name = 'abdominals'")
        await connection.execute(
            "DELETE FROM exercise_tag_map USING exercise_tags WHERE id = tag_id AND name = 'rehab'"
        )
        await connection.execute("DELETE FROM exercise_tags WHERE name = 'rehab'")
        before = await everything(connection)
        report = await seed(sessions)
        assert (report.entries, report.updated, report.edited) == (0, [], {})
        report = await seed(sessions, edit("plank", tags=("rehab", "hiit")))
        assert (report.entries, report.updated) == (0, ["plank"])
        after = await everything(connection)
        assert (after["muscle_groups"], after["exercise_tags"]) == (before["muscle_groups"], before["exercise_tags"])

    async def test_a_taken_name_is_reported_and_the_others_are_added(
        self, sessions: Sessions, connection: Connection
    ) -> None:
        await connection.execute("DELETE FROM catalogue_seed WHERE key IN ('plank', 'burpee')")
        await connection.execute("UPDATE exercises SET source = NULL, external_id = NULL WHERE slug = 'plank'")
        await connection.execute("DELETE FROM exercises WHERE slug = 'burpee'")
        before = await connection.fetchval("SELECT e::text FROM exercises e WHERE slug = 'plank'")
        report = await seed(sessions)
        assert report == msgspec.structs.replace(NOTHING_NEW, added=["burpee"], unchanged=COUNT - 2, refused=["plank"])
        assert await connection.fetchval("SELECT e::text FROM exercises e WHERE slug = 'plank'") == before


class TestWithoutRecords:
    async def test_what_nobody_touched_is_brought_up_to_date(self, sessions: Sessions, connection: Connection) -> None:
        await connection.execute("UPDATE exercises SET instructions = 'Of an earlier version.' WHERE slug = 'plank'")
        await connection.execute(
            "ALTER TABLE exercises DISABLE TRIGGER raise_version;"
            "UPDATE exercises SET updated_at = created_at;"
            "ALTER TABLE exercises ENABLE TRIGGER raise_version"
        )
        await forget(connection)
        report = await seed(sessions)
        assert report == msgspec.structs.replace(NOTHING_NEW, updated=["plank"], unchanged=COUNT - 1)
        stored = await row(connection, await shipped_id(connection, "plank"))
        assert stored["instructions"] == ENTRIES["plank"].instructions

    async def test_what_was_touched_later_counts_as_an_administrators(
        self, sessions: Sessions, connection: Connection
    ) -> None:
        await connection.execute(
            "UPDATE exercises SET created_at = created_at - interval '1 day', name = 'Board' WHERE slug = 'plank'"
        )
        await forget(connection)
        assert (await seed(sessions)).edited == {"plank": ["name"]}


class TestBrokenFiles:
    ENTRY = """category = "strength"
[nod]
name = "Nod"
aliases = ["Yes"]
difficulty_level = "beginner"
default_mode = "reps"
equipment = ["body only"]
primary_muscles = ["neck"]
secondary_muscles = ["traps"]
tags = ["rehab"]
"""

    @pytest.mark.parametrize(
        ("right", "wrong", "sentence"),
        [
            ('category = "strength"', "", "category"),
            ('category = "strength"', 'category = "dance"', "category"),
            ("[nod]", "[nod", "zz.toml"),
            ("[nod]", "[plank]", "plank is in another file too"),
            ('name = "Nod"', 'name = ""', "name"),
            ('name = "Nod"', 'name = "Nod  twice"', "nod has a name with odd white space"),
            ('aliases = ["Yes"]', 'aliases = "Yes"', "aliases"),
            ('"beginner"', '"easy"', "difficulty_level"),
            ('["body only"]', '["ufo"]', "nod names ufo, which reference.toml does not have"),
            ('["neck"]', "[]", "primary_muscles"),
            ('["traps"]', '["neck"]', "nod has neck both as primary and as secondary muscle"),
            ('default_mode = "reps"', 'colour = "red"', "colour"),
        ],
    )
    def test_each_is_told_in_a_sentence(self, edit: Callable[..., Path], right: str, wrong: str, sentence: str) -> None:
        folder = edit("no-such-key")
        path = folder / "exercises" / "zz.toml"
        path.write_text(self.ENTRY)
        assert "nod" in load_catalogue(folder).exercises[Category.STRENGTH]
        path.write_text(self.ENTRY.replace(right, wrong))
        with pytest.raises(CatalogueFileError) as caught:
            load_catalogue(folder)
        assert "zz.toml" in str(caught.value)
        assert sentence in str(caught.value)

    def test_no_text_and_no_file(self, edit: Callable[..., Path]) -> None:
        folder = edit("no-such-key")
        (folder / "exercises" / "zz.toml").write_bytes(b"\xff")
        with pytest.raises(CatalogueFileError, match=r"zz\.toml"):
            load_catalogue(folder)
        (folder / "reference.toml").unlink()
        with pytest.raises(CatalogueFileError, match=r"reference\.toml: No such file"):
            load_catalogue(folder)


class TestExport:
    async def test_it_gives_the_shipped_files_byte_for_byte(self, sessions: Sessions, tmp_path: Path) -> None:
        async with sessions() as session:
            write_catalogue(tmp_path / "exported", await export_catalogue(session))
        write_catalogue(tmp_path / "shipped", SHIPPED)
        for path in sorted((tmp_path / "shipped").rglob("*.toml")):
            exported = tmp_path / "exported" / path.relative_to(tmp_path / "shipped")
            assert exported.read_text() == path.read_text(), path.name

    async def test_it_has_what_was_added_and_changed(
        self, sessions: Sessions, superuser: Actor, connection: Connection
    ) -> None:
        text = 'Mind the """ and the \\ here.\nSecond line.'
        made = await create_system(superuser, name="Ærobic Step", instructions=text, aliases=["Step"])
        await superuser.client.post(f"{EXERCISES}/{made['id']}/archive")
        await superuser.client.patch(
            f"{EXERCISES}/system/{await shipped_id(connection, 'plank')}", json={"name": "Board"}
        )
        taker = await create_system(superuser, name="Plank")
        async with sessions() as session:
            catalogue = await export_catalogue(session)
        exported = {key: entry for entries in catalogue.exercises.values() for key, entry in entries.items()}
        assert (exported["plank"].name, exported["plank-2"].name) == ("Board", "Plank")
        assert exported["plank-2"].instructions == taker["instructions"]
        mine = exported["aerobic-step"]
        assert (mine.name, mine.instructions, mine.aliases, mine.archived) == ("Ærobic Step", text, ("Step",), True)

    async def test_a_muscle_of_any_name(self, sessions: Sessions, superuser: Actor, tmp_path: Path) -> None:
        muscle = (
            await superuser.client.post("/api/v1/catalogs/muscle-groups", json={"name": "neck/../../traps"})
        ).json()
        await create_system(superuser, category="strength", primaryMuscles=[muscle["id"]], secondaryMuscles=[])
        async with sessions() as session:
            catalogue = await export_catalogue(session)
        write_catalogue(tmp_path, catalogue)
        assert (tmp_path / "exercises" / "strength-neck-traps.toml").exists()
        assert load_catalogue(tmp_path).exercises == catalogue.exercises

    async def test_what_is_written_is_read_again(self, sessions: Sessions, superuser: Actor, tmp_path: Path) -> None:
        await create_system(superuser, name="Ærobic Step", instructions='Mind the """ and the \\ here.\n\nSecond line.')
        async with sessions() as session:
            catalogue = await export_catalogue(session)
        write_catalogue(tmp_path, catalogue)
        assert load_catalogue(tmp_path).exercises == catalogue.exercises


class TestCommands:
    async def invoke(self, service: Service, *arguments: str, exit_code: int = 0) -> str:
        variables = {"DATABASE_URL": service.settings.database.url, "VALKEY_URL": service.settings.cache.url}
        result = await asyncio.to_thread(
            CliRunner().invoke, catalogue_group, arguments, env=variables, catch_exceptions=False
        )
        assert result.exit_code == exit_code, result.output
        return result.output if exit_code else result.stdout

    async def test_seed_says_what_it_did(self, service: Service, superuser: Actor, connection: Connection) -> None:
        assert await self.invoke(service, "seed") == f"Added 0 exercises, updated 0, left {COUNT} as they were.\n"
        await superuser.client.delete(f"{EXERCISES}/{await shipped_id(connection, 'burpee')}")
        await superuser.client.patch(
            f"{EXERCISES}/system/{await shipped_id(connection, 'plank')}", json={"name": "Board"}
        )
        assert await self.invoke(service, "seed") == (
            f"Added 0 exercises, updated 0, left {COUNT - 1} as they were.\n"
            "Changed by an administrator, and kept:\n  plank: name\n"
            "Deleted by an administrator, and not added again: burpee.\n"
        )

    async def test_seed_as_json(self, service: Service) -> None:
        told = json.loads(await self.invoke(service, "seed", "--json"))
        assert told == msgspec.to_builtins(NOTHING_NEW)

    async def test_workers_hear_of_it(self, service: Service, athlete: Actor, connection: Connection) -> None:
        exercise_id = await shipped_id(connection, "plank")
        url = f"{EXERCISES}/{exercise_id}"
        await athlete.client.get(url)
        await connection.execute("DELETE FROM catalogue_seed WHERE key = 'plank'")
        await connection.execute("DELETE FROM exercises WHERE id = $1", exercise_id)
        await self.invoke(service, "seed")
        assert (await athlete.client.get(url)).status_code == 404

    async def test_export(self, service: Service, tmp_path: Path) -> None:
        folder = tmp_path / "catalogue"
        assert await self.invoke(service, "export", str(folder)) == f"Wrote {COUNT:,} exercises to {folder}.\n"
        (folder / "exercises" / "old.toml").write_text('category = "cardio"\n')
        await self.invoke(service, "export", str(folder))
        assert not (folder / "exercises" / "old.toml").exists()
        assert digest(folder) == digest()

    async def test_export_says_why_it_can_not_write(self, service: Service) -> None:
        assert "/proc/" in await self.invoke(service, "export", "/proc/exercises", exit_code=1)

    async def test_export_spares_other_folders(self, service: Service, tmp_path: Path) -> None:
        (tmp_path / "diary.txt").write_text("Dear diary")
        assert "holds something else" in await self.invoke(service, "export", str(tmp_path), exit_code=1)
        assert not (tmp_path / "reference.toml").exists()
