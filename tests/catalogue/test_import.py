"""Bringing public lists of exercises into a database."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.cli.catalogue import catalogue_group
from app.db.engine import database_config
from app.domain.catalogue.export import export_catalogue
from app.domain.catalogue.formats.entries import Entry, Finding
from app.domain.catalogue.formats.markup import lines_of_html
from app.domain.catalogue.formats.reading import ListingError, read_listing, read_listing_file
from app.domain.catalogue.importing import ImportReport, carry_out, plan_import
from app.domain.catalogue.models import Category, DifficultyLevel, Force, Mechanic
from app.domain.catalogue.seed import seed_catalogue
from tests.actors import Actor
from tests.catalogue.exercises import EXERCISES, Connection, create_system, row, shipped_id
from tests.service import Service

Sessions = async_sessionmaker[AsyncSession]
Json = dict[str, Any]

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
SOFA: Json = {
    "id": "Sofa_Press",
    "name": "Sofa Press",
    "force": "push",
    "level": "beginner",
    "mechanic": "compound",
    "equipment": "dumbbell",
    "primaryMuscles": ["chest"],
    "secondaryMuscles": ["triceps", "shoulders"],
    "instructions": ["Sit down.", "Press."],
    "category": "strength",
    "images": ["sofa_press/0.jpg", "sofa_press/1.jpg"],
}
STAIRS: Json = {
    **SOFA,
    "id": "Stair_Walk",
    "name": "Stair Walk Home",
    "force": None,
    "mechanic": None,
    "equipment": None,
    "primaryMuscles": ["quadriceps"],
    "secondaryMuscles": [],
    "instructions": [],
    "category": "cardio",
    "images": ["Stair_Walk/0.jpg"],
}
TEXT: Json = {
    "id": 70,
    "uuid": "00000000-0000-4000-8000-000000000070",
    "name": "Wardrobe Lift",
    "description": "<p>Grip it &amp; <b>lift</b>.</p><ul><li>Slowly</li><li>down</li></ul>",
    "created": "2023-01-01T00:00:00Z",
    "language": 2,
    "aliases": [{"id": 1, "uuid": "x", "alias": "Closet Lift"}],
    "notes": [],
    "license": 2,
    "license_author": "Grace",
}
GERMAN: Json = {**TEXT, "id": 71, "name": "Schrankheben", "description": "<p>Heben.</p>", "language": 1, "aliases": []}
WARDROBE: Json = {
    "id": 7,
    "uuid": "00000000-0000-4000-8000-00000000000A",
    "created": "2023-01-01T00:00:00Z",
    "last_update": "2023-01-01T00:00:00Z",
    "category": {"id": 9, "name": "Legs"},
    "muscles": [{"id": 8, "name": "Gluteus maximus", "is_front": False, "name_en": "Glutes"}],
    "muscles_secondary": [{"id": 11, "name": "Biceps femoris", "is_front": False, "name_en": "Hamstrings"}],
    "equipment": [{"id": 2, "name": "SZ-Bar"}, {"id": 4, "name": "Gym mat"}],
    "license": {"id": 2, "full_name": "Attribution Share Alike 4", "short_name": "CC-BY-SA 4", "url": "https://x"},
    "license_author": "Ada",
    "images": [{"id": 1, "image": "https://x/y.png", "is_main": True}],
    "translations": [GERMAN, TEXT],
    "videos": [],
    "variations": None,
    "author_history": ["Ada"],
}
WARDROBE_KEY = "00000000-0000-4000-8000-00000000000a"


def without(entry: Json, *names: str) -> Json:
    return {name: value for name, value in entry.items() if name not in names}


def page(*results: object) -> Json:
    return {"count": len(results), "next": None, "previous": None, "results": [*results]}


def content(document: object) -> bytes:
    return json.dumps(document).encode()


def read_one(document: object, language: str = "en") -> Entry:
    listing = read_listing(content(document), language)
    assert listing.rejected == []
    [entry] = listing.entries
    return entry


def rejection(document: object, language: str = "en") -> Finding:
    listing = read_listing(content(document), language)
    assert listing.entries == []
    [finding] = listing.rejected
    return finding


OLDER: Json = {**without(WARDROBE, "translations"), "exercises": WARDROBE["translations"]}
OLDEST: Json = {
    **without(WARDROBE, "translations", "uuid"),
    **without(TEXT, "id", "license"),
    "uuid": WARDROBE_KEY,
    "language": {"id": 2, "short_name": "en", "full_name": "English"},
}


class TestFreeExerciseDb:
    def test_an_entry(self) -> None:
        assert read_one([{**SOFA, "alternateNames": ["Couch Press", "sofa-press"]}]) == Entry(
            key="Sofa_Press",
            name="Sofa Press",
            aliases=("Couch Press",),
            force=Force.PUSH,
            mechanic=Mechanic.COMPOUND,
            difficulty_level=DifficultyLevel.BEGINNER,
            category=Category.STRENGTH,
            equipment=("dumbbell",),
            primary_muscles=("chest",),
            secondary_muscles=("triceps", "shoulders"),
            image_path_start="/sofa_press/0.jpg",
            image_path_end="/sofa_press/1.jpg",
            instructions="Sit down.\nPress.",
            licence="Unlicense",
            author="free-exercise-db",
        )

    def test_what_may_be_absent(self) -> None:
        optional = ("force", "mechanic", "equipment", "secondaryMuscles", "instructions", "images")
        entry = read_one([without(SOFA, *optional)])
        assert entry == read_one([{**SOFA, **dict.fromkeys(optional)}])
        assert (entry.force, entry.mechanic, entry.equipment, entry.instructions) == (None, None, (), None)
        assert (entry.secondary_muscles, entry.image_path_start, entry.notes) == ((), None, ())

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"id": None}, "id: Expected a text."),
            ({"id": 7}, "id: Expected a text."),
            ({"id": "x" * 256}, "id: Expected 1 to 255 characters."),
            ({"name": ""}, "name: Expected 3 to 100 characters."),
            ({"name": "x" * 101}, "name: Expected 3 to 100 characters."),
            ({"name": ["Sofa Press"]}, "name: Expected a text."),
            ({"name": "Sofa\x00Press"}, "name: The NUL character can't be stored."),
            ({"name": "Sofa\x07Press"}, "name: Control characters are not allowed."),
            ({"name": "Sofa \ud800"}, "name: It holds what is no character."),
            ({"level": None}, "level: nothing is not known."),
            ({"level": "godlike"}, "level: “godlike” is not known."),
            ({"level": float("nan")}, "level: what is no text is not known."),
            ({"category": "knitting"}, "category: “knitting” is not known."),
            ({"primaryMuscles": []}, "primaryMuscles: an exercise trains at least one muscle."),
            ({"primaryMuscles": {"a": 1}}, "primaryMuscles: an exercise trains at least one muscle."),
            ({"instructions": ["x" * 6000] * 2}, "instructions: Expected at most 10,000 characters."),
        ],
    )
    def test_what_is_rejected(self, changes: Json, reason: str) -> None:
        assert rejection([{**SOFA, **changes}]).details == (reason,)

    @pytest.mark.parametrize(
        ("changes", "note"),
        [
            ({"force": "magic"}, "force: “magic” is not known. Left out."),
            ({"mechanic": 5}, "mechanic: what is no text is not known. Left out."),
            ({"equipment": 5}, "equipment: 1 of 1 can't be read and are left out."),
            ({"instructions": ["Sit.", None]}, "instructions: 1 of 2 can't be read and are left out."),
            ({"secondaryMuscles": ["neck"] * 500}, "secondaryMuscles: 300 of 500 can't be read and are left out."),
            ({"alternateNames": ["a\x01"]}, "alias “a\x01”: Control characters are not allowed. Left out."),
            ({"alternateNames": [f"Press {n}" for n in range(60)]}, "Of 60 aliases 50 are kept."),
        ],
    )
    def test_what_is_left_out(self, changes: Json, note: str) -> None:
        assert read_one([{**SOFA, **changes}]).notes == (note,)

    def test_texts_are_cleaned(self) -> None:
        told = ["  One\x00two\nthree ", "\x1b[31m", "\ud800", "Last\tone"]
        assert read_one([{**SOFA, "instructions": told}]).instructions == "One two three\n[31m\nLast one"

    @pytest.mark.parametrize(
        "path", ["Sofa_Press/0.jpg", "0.jpg", "a/../b.jpg", "a/b.svg", "https://x/y.jpg", "a" * 600 + "/b.jpg", ""]
    )
    def test_pictures_of_another_form_are_left_out(self, path: str) -> None:
        entry = read_one([{**SOFA, "images": [path, "a/1.jpg"]}])
        assert (entry.image_path_start, entry.image_path_end, entry.notes) == (None, "/a/1.jpg", ())

    @pytest.mark.parametrize(
        ("word", "level"), [("Expert", "expert"), ("advanced", "expert"), (" novice ", "beginner")]
    )
    def test_words_for_levels(self, word: str, level: str) -> None:
        assert read_one([{**SOFA, "level": word}]).difficulty_level == level

    def test_one_bad_entry_does_not_stop_the_others(self) -> None:
        listing = read_listing(content([5, None, SOFA, [], {"id": "x"}, SOFA, STAIRS]), "en")
        assert [entry.key for entry in listing.entries] == ["Sofa_Press", "Stair_Walk"]
        assert listing.rejected == [
            Finding("#1", "", ("It is no object.",)),
            Finding("#2", "", ("It is no object.",)),
            Finding("#4", "", ("It is no object.",)),
            Finding("x", "", ("name: Expected a text.",)),
            Finding("Sofa_Press", "Sofa Press", ("Its id is in the file twice.",)),
        ]


class TestWger:
    EXPECTED = Entry(
        key=WARDROBE_KEY,
        name="Wardrobe Lift",
        aliases=("Closet Lift",),
        difficulty_level=DifficultyLevel.INTERMEDIATE,
        category=Category.STRENGTH,
        equipment=("SZ-Bar", "Gym mat"),
        primary_muscles=("Gluteus maximus",),
        secondary_muscles=("Biceps femoris",),
        instructions="Grip it & lift.\nSlowly\ndown",
        licence="CC-BY-SA 4",
        author="Grace",
    )

    @pytest.mark.parametrize(
        "document",
        [
            page(WARDROBE),
            [WARDROBE],
            [page(), page(WARDROBE)],
            WARDROBE,
            page(OLDER),
            page(OLDEST),
            page({**WARDROBE, "translations": [GERMAN, {**TEXT, "language": {"id": 2, "short_name": "EN"}}]}),
            page({**WARDROBE, "translations": [5, None, {**TEXT, "language": "en"}]}),
        ],
    )
    def test_the_shapes_of_its_versions(self, document: object) -> None:
        assert read_one(document) == self.EXPECTED

    @pytest.mark.parametrize("language", ["de", "DE", "1"])
    def test_another_language(self, language: str) -> None:
        entry = read_one(page(WARDROBE), language)
        assert (entry.key, entry.name, entry.instructions) == (WARDROBE_KEY, "Schrankheben", "Heben.")

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"uuid": None}, "uuid: Expected a UUID."),
            ({"uuid": "seven"}, "uuid: Expected a UUID."),
            ({"translations": [GERMAN]}, "There is no translation into the language “en”."),
            ({"translations": []}, "There is no translation into the language “en”."),
            ({"translations": None}, "There is no translation into the language “en”."),
            ({"translations": [{**TEXT, "name": None}]}, "name: Expected a text."),
            ({"category": None}, "category: nothing is not known."),
            ({"category": {"id": 1, "name": "Knitting"}}, "category: “Knitting” is not known."),
            ({"muscles": []}, "muscles: an exercise trains at least one muscle."),
            (
                {"translations": [{**TEXT, "description": "<p>" * 20_000}]},
                "description: Expected at most 20,000 characters of HTML.",
            ),
        ],
    )
    def test_what_is_rejected(self, changes: Json, reason: str) -> None:
        assert rejection(page({**WARDROBE, **changes})).details == (reason,)

    def test_a_rejected_entry_is_called_by_a_name_that_it_has(self) -> None:
        assert rejection(page({**WARDROBE, "translations": [GERMAN]})).name == "Schrankheben"

    def test_the_category_may_tell_the_muscle(self) -> None:
        entry = read_one(page({**WARDROBE, "muscles": [], "category": {"id": 14, "name": "Calves"}}))
        assert entry.primary_muscles == ("calves",)
        assert entry.notes == ("muscles: none are named; calves, after the category.",)

    def test_cardio(self) -> None:
        assert read_one(page({**WARDROBE, "category": {"id": 15, "name": "Cardio"}})).category == "cardio"

    @pytest.mark.parametrize(
        ("of_entry", "of_text", "licence"),
        [
            ({"id": 2, "short_name": "CC-BY-SA 4"}, 1, "CC-BY-SA 3"),
            ({"id": 9, "short_name": "ODbL"}, 9, "ODbL"),
            ({"id": 2, "short_name": "CC-BY-SA 4"}, 77, "wger licence 77"),
            ({"id": 2, "short_name": "CC-BY-SA 4"}, None, "CC-BY-SA 4"),
            ({"id": 2, "full_name": "Attribution"}, None, "Attribution"),
            (3, None, "CC0"),
            (None, None, None),
        ],
    )
    def test_the_licence_of_the_text(self, of_entry: object, of_text: object, licence: str | None) -> None:
        entry = {**WARDROBE, "license": of_entry, "translations": [{**TEXT, "license": of_text}]}
        assert read_one(page(entry)).licence == licence

    @pytest.mark.parametrize(
        ("of_entry", "of_text", "author"),
        [("Ada", "Grace", "Grace"), ("Ada", " ", "Ada"), (None, None, None), ("Ada", "x" * 300, "x" * 255)],
    )
    def test_the_author_of_the_text(self, of_entry: object, of_text: object, author: str | None) -> None:
        entry = {**WARDROBE, "license_author": of_entry, "translations": [{**TEXT, "license_author": of_text}]}
        assert read_one(page(entry)).author == author

    @pytest.mark.parametrize(
        ("html", "lines"),
        [
            ("", []),
            ("<p></p> <p> </p>", []),
            ("No markup", ["No markup"]),
            ("<p>One<br>two<br/>three</p>", ["One", "two", "three"]),
            ("<ol><li>One</li>\n<li>Two\nlines</li></ol>", ["One", "Two lines"]),
            ("a<b>b</b>c &lt;5&nbsp;kg&gt; &eacute;&#8730;", ["abc <5\xa0kg> é√"]),
            ("<script>alert('<p>x</p>')</script>Kept<style>p {}</style>", ["Kept"]),
            ("<p onclick='x()'>Kept <img src=x onerror=y>too", ["Kept too"]),
            ("<!-- hidden -->Kept<![CDATA[gone]]><![[odd[gone]>", ["Kept"]),
            ("<template><p>gone</p></template>Kept", ["Kept"]),
        ],
    )
    def test_html_as_lines(self, html: str, lines: list[str]) -> None:
        assert lines_of_html(html) == lines

    @settings(max_examples=60, deadline=None)
    @given(st.text(alphabet="<>!/[]-&;#x1pbscriptle'\"= \n\x00\ud800", max_size=40))
    def test_any_html_is_read(self, html: str) -> None:
        assert all(line.strip() for line in lines_of_html(html))


class TestFiles:
    @pytest.mark.parametrize(
        ("given", "reason"),
        [
            (b"", "It is no JSON"),
            (b"[1, 2", "It is no JSON"),
            (b"\xff\xfe\xfa", "It is no JSON"),
            (b"[" * 200_000, "It is no JSON"),
            (b"[]", "Expected the exercises.json"),
            (b"{}", "Expected the exercises.json"),
            (b"5", "Expected the exercises.json"),
            (b'["uuid", "level"]', "Expected the exercises.json"),
            (b'{"exercise": []}', "Expected the exercises.json"),
            (b'{"results": {}}', "Each page of wger"),
            (b'[{"results": []}, {"detail": "Not found."}]', "Each page of wger"),
        ],
    )
    def test_what_is_no_list(self, given: bytes, reason: str) -> None:
        with pytest.raises(ListingError, match=reason):
            read_listing(given, "en")

    def test_a_number_of_any_length_is_read(self) -> None:
        given = content([SOFA, {**STAIRS, "id": "NUMBER"}]).replace(b'"NUMBER"', b"9" * 10_000)
        assert [finding.details for finding in read_listing(given, "en").rejected] == [("id: Expected a text.",)]

    def test_a_byte_order_mark_is_no_matter(self) -> None:
        assert read_listing(b"\xef\xbb\xbf" + content([SOFA]), "en").entries

    def test_size_is_bounded(self, tmp_path: Path) -> None:
        path = tmp_path / "huge.json"
        with path.open("wb") as file:
            file.truncate(33 * 1024 * 1024)
        with pytest.raises(ListingError, match=r"It is larger than 32 MiB\."):
            read_listing_file(path, "en")

    JUNK = st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.sampled_from(["en", "chest", "\ud800"]),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "id", "language"]), inner),
        max_leaves=6,
    )

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_any_values_in_known_fields_are_read(self, data: st.DataObject) -> None:
        def shaken(entry: Json) -> Json:
            chosen = data.draw(st.sets(st.sampled_from(sorted(entry)), max_size=4))
            return {**entry, **{name: data.draw(self.JUNK) for name in sorted(chosen)}}

        for document in ([shaken(SOFA)], page(shaken(WARDROBE), {**WARDROBE, "translations": [shaken(TEXT)]})):
            listing = read_listing(content(document), "en")
            assert len(listing.entries) + len(listing.rejected) >= 1


@pytest.fixture
async def sessions(service: Service) -> AsyncIterator[Sessions]:
    config = database_config(service.settings)
    yield config.create_session_maker()  # type: ignore[misc]
    await config.get_engine().dispose()


@pytest.fixture
def importing(sessions: Sessions) -> Callable[..., Any]:
    """Imports a document; says what it did."""

    async def work(document: object) -> ImportReport:
        async with sessions() as session, session.begin():
            plan = await plan_import(session, read_listing(content(document), "en"))
            await carry_out(session, plan)
        return plan.report

    return work


async def everything(connection: Connection) -> dict[str, list[str]]:
    """Every row of the catalogue, with its place in the table: what was written again has another one."""
    return {
        table: [text for (text,) in await connection.fetch(f"SELECT ctid::text || t::text FROM {table} t ORDER BY 1")]
        for table in TABLES
    }


async def imported_id(connection: Connection, source: str, key: str) -> UUID:
    found: UUID = await connection.fetchval(
        "SELECT id FROM exercises WHERE source = $1 AND external_id = $2", source, key
    )
    return found


async def shown(connection: Connection, actor: Actor, source: str, key: str) -> Json:
    """An imported exercise as everybody sees it."""
    answer = await actor.client.get(f"{EXERCISES}/{await imported_id(connection, source, key)}")
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    return {
        name: [entry["name"] for entry in value] if value and isinstance(value, list) and name != "aliases" else value
        for name, value in body.items()
    }


def keys(findings: list[Finding]) -> list[str]:
    return [finding.key for finding in findings]


def details(findings: list[Finding]) -> dict[str, tuple[str, ...]]:
    return {finding.key: finding.details for finding in findings}


class TestStoring:
    async def test_free_exercise_db(self, importing: Any, connection: Connection, athlete: Actor) -> None:
        report = await importing([SOFA, STAIRS])
        assert keys(report.new) == ["Sofa_Press", "Stair_Walk"]
        assert (report.source, report.rejected, report.absent) == ("free-exercise-db", [], 0)
        assert details(report.notes) == {"Stair_Walk": ("No instructions are given.",)}
        sofa = await shown(connection, athlete, "free-exercise-db", "Sofa_Press")
        expected = {
            "name": "Sofa Press",
            "slug": "sofa-press",
            "aliases": [],
            "force": "push",
            "difficultyLevel": "beginner",
            "mechanic": "compound",
            "category": "strength",
            "defaultMode": "reps",
            "instructions": "Sit down.\nPress.",
            "primaryMuscles": ["chest"],
            "equipment": ["dumbbell"],
            "tags": [],
            "isActive": True,
            "createdBy": None,
        }
        assert {name: sofa[name] for name in expected} == expected
        assert sorted(sofa["secondaryMuscles"]) == ["shoulders", "triceps"]
        stored = await row(connection, sofa["id"])
        assert (stored["image_path_start"], stored["image_path_end"]) == ("/sofa_press/0.jpg", "/sofa_press/1.jpg")
        assert (stored["licence"], stored["author"]) == ("Unlicense", "free-exercise-db")
        stairs = await shown(connection, athlete, "free-exercise-db", "Stair_Walk")
        assert (stairs["defaultMode"], stairs["instructions"], stairs["equipment"]) == ("time", None, [])
        assert (stairs["force"], stairs["mechanic"], stairs["imagePathStart"]) == (None, None, None)

    async def test_wger(self, importing: Any, connection: Connection, athlete: Actor) -> None:
        report = await importing(page(WARDROBE))
        assert (report.source, keys(report.new), report.notes) == ("wger", [WARDROBE_KEY], [])
        lift = await shown(connection, athlete, "wger", WARDROBE_KEY)
        assert (lift["name"], lift["aliases"], lift["difficultyLevel"]) == (
            "Wardrobe Lift",
            ["Closet Lift"],
            "intermediate",
        )
        assert (lift["primaryMuscles"], lift["secondaryMuscles"]) == (["glutes"], ["hamstrings"])
        assert (lift["equipment"], lift["force"], lift["defaultMode"]) == (["e-z curl bar"], None, "reps")
        assert lift["instructions"] == "Grip it & lift.\nSlowly\ndown"
        stored = await row(connection, lift["id"])
        assert (stored["licence"], stored["author"]) == ("CC-BY-SA 4", "Grace")

    async def test_again_nothing_is_written(self, importing: Any, connection: Connection) -> None:
        for document in ([SOFA, STAIRS], page(WARDROBE)):
            first = await importing(document)
            before = await everything(connection)
            again = await importing(document)
            assert (again.equal, again.new, again.changed, again.edited) == (first.new, [], [], [])
            assert await everything(connection) == before

    async def test_what_the_list_changed_is_taken_over(self, importing: Any, connection: Connection) -> None:
        await importing([SOFA, STAIRS])
        sofa_id, before = await imported_id(connection, "free-exercise-db", "Sofa_Press"), await everything(connection)
        newer = {**SOFA, "name": "Couch Press", "primaryMuscles": ["triceps"], "secondaryMuscles": ["chest"]}
        report = await importing([newer, STAIRS])
        assert details(report.changed) == {"Sofa_Press": ("name", "primary_muscles", "secondary_muscles")}
        assert (keys(report.equal), report.new, report.rejected) == (["Stair_Walk"], [], [])
        after = await everything(connection)
        assert len(set(after["exercises"]) - set(before["exercises"])) == 1
        assert len(after["exercises"]) == len(before["exercises"])
        stored = await row(connection, sofa_id)
        assert (stored["name"], stored["slug"], stored["external_id"]) == ("Couch Press", "couch-press", "Sofa_Press")

    async def test_what_the_list_no_longer_has_stays(self, importing: Any, connection: Connection) -> None:
        await importing([SOFA, STAIRS])
        before = await everything(connection)
        report = await importing([STAIRS, {**SOFA, "level": 5}])
        assert (keys(report.equal), report.absent) == (["Stair_Walk"], 0)
        assert (await importing([STAIRS])).absent == 1
        assert await everything(connection) == before

    async def test_other_sources_are_left_alone(
        self, importing: Any, sessions: Sessions, connection: Connection
    ) -> None:
        await importing([SOFA])
        await importing(page(WARDROBE))
        before = await everything(connection)
        async with sessions() as session, session.begin():
            report = await seed_catalogue(session)
        assert (report.added, report.updated, report.retired) == ([], [], [])
        assert (await everything(connection))["exercises"] == before["exercises"]

    async def test_an_export_says_where_it_comes_from(self, importing: Any, sessions: Sessions) -> None:
        await importing([SOFA])
        async with sessions() as session:
            catalogue = await export_catalogue(session)
        exported = {key: entry for entries in catalogue.exercises.values() for key, entry in entries.items()}
        entry = exported["sofa-press"]
        assert (entry.source, entry.external_id) == ("free-exercise-db", "Sofa_Press")
        assert (entry.licence, entry.author) == ("Unlicense", "free-exercise-db")

    async def test_a_failure_leaves_nothing(self, sessions: Sessions, connection: Connection) -> None:
        before = await everything(connection)

        def fail(done: int, total: int) -> None:
            raise KeyboardInterrupt(f"{done} of {total}")

        async def interrupted() -> None:
            async with sessions() as session, session.begin():
                plan = await plan_import(session, read_listing(content([SOFA]), "en"))
                await carry_out(session, plan, fail)

        with pytest.raises(KeyboardInterrupt):
            await interrupted()
        assert await everything(connection) == before

    async def test_two_at_once(self, importing: Any) -> None:
        reports = await asyncio.gather(importing([SOFA, STAIRS]), importing([SOFA, STAIRS]))
        assert sorted(len(report.new) for report in reports) == [0, 2]

    async def test_whatever_is_read_can_be_stored(self, importing: Any, connection: Connection) -> None:
        chance = random.Random(7)
        odd = [
            "\x00",
            "\ud800",
            "\U000e0fff",
            "\u0378",
            "é",
            "e\u0301",
            "ß",
            "\u2028",
            "Σ",
            "\u202e",
            "x" * 90,
            "-",
            " ",
        ]
        values: list[Any] = [None, 5, 1.5, True, [], {}, float("nan"), *odd]

        def shaken(entry: Json, number: int) -> Json:
            extra = "".join(chance.choices(odd, k=3))
            changed = {name: chance.choice(values) for name in chance.sample(sorted(entry), 1)}
            texts = {"instructions": [extra, "Text " + extra], "alternateNames": [f"Odd {extra}", f"odd {extra}"]}
            return {**entry, **texts, "id": f"odd {number}", "name": f"Odd {number} {extra}", **changed}

        before = await connection.fetchval("SELECT count(*) FROM exercises")
        report = await importing([shaken(SOFA, number) for number in range(300)])
        assert len(report.new) > 30
        assert len(report.new) + len(report.rejected) == 300
        assert await connection.fetchval("SELECT count(*) FROM exercises") == before + len(report.new)


class TestWords:
    async def test_a_muscle_is_primary_or_secondary(self, importing: Any, connection: Connection) -> None:
        entry = {
            **WARDROBE,
            "muscles_secondary": [{"name": "Glutes"}, {"name": "Quads"}, {"name": "Serratus anterior"}],
        }
        report = await importing(page(entry))
        assert details(report.notes)[WARDROBE_KEY] == (
            "“Serratus anterior” is not in our list muscle groups. Left out.",
            "secondary muscle “Glutes”: It is primary already.",
        )
        stored = await row(connection, await imported_id(connection, "wger", WARDROBE_KEY))
        assert (len(stored["exercise_primary_muscles"]), len(stored["exercise_secondary_muscles"])) == (1, 1)

    async def test_muscles_of_wger(self, importing: Any, connection: Connection, athlete: Actor) -> None:
        words = {
            "Anterior deltoid": "shoulders",
            "Biceps brachii": "biceps",
            "Biceps femoris": "hamstrings",
            "Brachialis": "biceps",
            "Erector spinae": "lower back",
            "Gastrocnemius": "calves",
            "Gluteus maximus": "glutes",
            "Latissimus dorsi": "lats",
            "Obliquus externus abdominis": "abdominals",
            "Pectoralis major": "chest",
            "Quadriceps femoris": "quadriceps",
            "Rectus abdominis": "abdominals",
            "Soleus": "calves",
            "Trapezius": "traps",
            "Triceps brachii": "triceps",
        }
        muscles = [{"name": word, "name_en": ""} for word in words]
        report = await importing(page({**WARDROBE, "muscles": muscles, "muscles_secondary": []}))
        assert report.notes == []
        assert set((await shown(connection, athlete, "wger", WARDROBE_KEY))["primaryMuscles"]) == {*words.values()}

    @pytest.mark.parametrize(
        ("words", "equipment"),
        [
            (["Barbell", "Bench"], ["barbell"]),
            (["none (bodyweight exercise)", "Pull-up bar"], ["body only", "other"]),
            (["Swiss Ball", "Kettlebell", "Dumbbell"], ["dumbbell", "exercise ball", "kettlebells"]),
            (["Incline bench", "Gym mat"], []),
        ],
    )
    async def test_equipment_of_wger(
        self, importing: Any, connection: Connection, athlete: Actor, words: list[str], equipment: list[str]
    ) -> None:
        report = await importing(page({**WARDROBE, "equipment": [{"id": 1, "name": word} for word in words]}))
        assert report.notes == []
        assert sorted((await shown(connection, athlete, "wger", WARDROBE_KEY))["equipment"]) == equipment

    async def test_unknown_words(self, importing: Any) -> None:
        odd = {**STAIRS, "equipment": "spoon", "primaryMuscles": ["soul", "chest"]}
        report = await importing([{**SOFA, "primaryMuscles": ["soul"]}, odd])
        assert details(report.rejected) == {
            "Sofa_Press": ("None of its primary muscles is in our list: soul",),
        }
        assert details(report.notes) == {
            "Stair_Walk": (
                "“soul” is not in our list muscle groups. Left out.",
                "“spoon” is not in our list equipment. Left out.",
                "No instructions are given.",
            )
        }

    async def test_the_lists_as_administrators_have_them(
        self, importing: Any, connection: Connection, athlete: Actor
    ) -> None:
        await connection.execute("UPDATE muscle_groups SET name = 'pectorals' WHERE name = 'chest'")
        await connection.execute("INSERT INTO muscle_groups (name) VALUES ('serratus anterior'), ('brachialis')")
        before = await connection.fetch("SELECT * FROM muscle_groups")
        await importing([{**SOFA, "secondaryMuscles": ["Serratus anterior", "Brachialis"]}])
        sofa = await shown(connection, athlete, "free-exercise-db", "Sofa_Press")
        assert sofa["primaryMuscles"] == ["pectorals"]
        assert sorted(sofa["secondaryMuscles"]) == ["brachialis", "serratus anterior"]
        assert await connection.fetch("SELECT * FROM muscle_groups") == before


class TestNames:
    async def test_what_we_have_is_not_added_again(
        self, importing: Any, connection: Connection, superuser: Actor
    ) -> None:
        await create_system(superuser, name="Ærobic Step-Up", aliases=["Stepper Dance"])
        before = await everything(connection)
        names = ["PLANK", "aerobic step up!", "Stepper-Dance"]
        report = await importing([{**SOFA, "id": name, "name": name} for name in names])
        assert details(report.rejected) == {
            "PLANK": ("We have it as Plank.",),
            "aerobic step up!": ("We have it as Ærobic Step-Up.",),
            "Stepper-Dance": ("We have it as Ærobic Step-Up.",),
        }
        assert await everything(connection) == before

    async def test_custom_exercises_are_no_matter(self, importing: Any, athlete: Actor) -> None:
        await athlete.client.post(f"{EXERCISES}/user", json={"name": "Sofa Press"})
        assert keys((await importing([SOFA])).new) == ["Sofa_Press"]

    async def test_the_first_in_the_file_has_the_name(self, importing: Any) -> None:
        report = await importing([SOFA, {**STAIRS, "name": "sofa-press"}, {**STAIRS, "id": "y", "name": "家家家"}])
        assert keys(report.new) == ["Sofa_Press"]
        assert details(report.rejected) == {
            "Stair_Walk": ("The file has an exercise of this name already: Sofa_Press.",),
            "y": ("The name needs a letter from a to z, or a digit, for its slug.",),
        }

    async def test_an_alias_finds_one_exercise(self, importing: Any, connection: Connection) -> None:
        document = [
            {**SOFA, "alternateNames": ["Plank", "Stair Walk Home", "Couch Press"]},
            {**STAIRS, "alternateNames": ["couch press", "Home Stairs"]},
        ]
        for _ in range(2):
            report = await importing(document)
            assert details(report.notes) == {
                "Sofa_Press": (
                    "alias “Plank”: Plank is found by it. Left out.",
                    "alias “Stair Walk Home”: Stair Walk Home is found by it. Left out.",
                ),
                "Stair_Walk": (
                    "No instructions are given.",
                    "alias “couch press”: Sofa Press is found by it. Left out.",
                ),
            }
            assert report.changed == []
        aliases = await connection.fetch("SELECT alias FROM exercise_aliases ORDER BY id DESC LIMIT 2")
        assert sorted(alias for (alias,) in aliases) == ["Couch Press", "Home Stairs"]

    async def test_its_own_name_is_not_taken(self, importing: Any, superuser: Actor) -> None:
        await importing([SOFA])
        await create_system(superuser, name="Couch Press", aliases=["Sofa Press"])
        assert details((await importing([{**SOFA, "level": "expert"}])).changed) == {
            "Sofa_Press": ("difficulty_level",)
        }

    async def test_a_name_may_be_written_in_another_way(self, importing: Any) -> None:
        await importing([SOFA])
        assert details((await importing([{**SOFA, "name": "Sofa-press"}])).changed) == {"Sofa_Press": ("name",)}

    async def test_a_new_name_that_is_taken_is_tried_again(
        self, importing: Any, connection: Connection, superuser: Actor
    ) -> None:
        await importing([SOFA])
        before = await everything(connection)
        report = await importing([{**SOFA, "name": "Plank", "level": "expert"}])
        assert details(report.rejected) == {"Sofa_Press": ("We have it as Plank.",)}
        assert (report.changed, report.equal, report.absent) == ([], [], 0)
        assert await everything(connection) == before
        await superuser.client.delete(f"{EXERCISES}/{await shipped_id(connection, 'plank')}")
        report = await importing([{**SOFA, "name": "Plank", "level": "expert"}])
        assert details(report.changed) == {"Sofa_Press": ("difficulty_level", "name")}


class TestAnAdministrator:
    async def test_edits_are_kept(self, importing: Any, connection: Connection, superuser: Actor) -> None:
        await importing([SOFA])
        sofa_id = await imported_id(connection, "free-exercise-db", "Sofa_Press")
        tag = await connection.fetchval("SELECT id FROM exercise_tags WHERE name = 'home friendly'")
        changes = {"name": "Settee Press", "instructions": "Mind the cat.", "tags": [tag]}
        answer = await superuser.client.patch(f"{EXERCISES}/system/{sofa_id}", json=changes)
        assert answer.status_code == 200, answer.text
        before = await everything(connection)
        report = await importing([SOFA])
        assert details(report.edited) == {"Sofa_Press": ("instructions", "name", "tags")}
        assert (report.changed, keys(report.equal)) == ([], ["Sofa_Press"])
        assert await everything(connection) == before
        report = await importing([{**SOFA, "instructions": ["Sit."], "level": "expert"}])
        assert details(report.edited) == {"Sofa_Press": ("instructions", "name", "tags")}
        assert details(report.changed) == {"Sofa_Press": ("difficulty_level",)}
        stored = await row(connection, sofa_id)
        assert (stored["name"], stored["slug"], stored["instructions"]) == (
            "Settee Press",
            "settee-press",
            "Mind the cat.",
        )
        assert stored["difficulty_level"] == "expert"

    async def test_what_was_deleted_stays_away(self, importing: Any, connection: Connection, superuser: Actor) -> None:
        await importing([SOFA, STAIRS])
        sofa_id = await imported_id(connection, "free-exercise-db", "Sofa_Press")
        await superuser.client.delete(f"{EXERCISES}/{sofa_id}")
        before = await everything(connection)
        report = await importing([SOFA, STAIRS])
        assert (keys(report.deleted), keys(report.equal), report.new) == (["Sofa_Press"], ["Stair_Walk"], [])
        assert await everything(connection) == before


class TestCommand:
    @pytest.fixture
    def invoke(self, service: Service, tmp_path: Path) -> Callable[..., Any]:
        """Imports a document, or whatever bytes a file holds, from the command line."""

        async def invoke(document: object, *options: str) -> Result:
            path = tmp_path / "list.json"
            path.write_bytes(document if isinstance(document, bytes) else content(document))
            variables = {"DATABASE_URL": service.settings.database.url, "VALKEY_URL": service.settings.cache.url}
            arguments = ["import", str(path), *options]
            return await asyncio.to_thread(
                CliRunner().invoke, catalogue_group, arguments, env=variables, catch_exceptions=False
            )

        return invoke

    async def test_it_says_what_it_did(self, invoke: Any, connection: Connection, superuser: Actor) -> None:
        result = await invoke([SOFA, STAIRS, {**SOFA, "id": "Plank", "name": "Plank"}, 5])
        assert result.exit_code == 0
        assert result.stdout == (
            "free-exercise-db: 2 new, 0 changed, 0 equal, 2 rejected.\n"
            "New:\n  Sofa_Press Sofa Press\n  Stair_Walk Stair Walk Home\n"
            "Rejected:\n  #4: It is no object.\n  Plank Plank: We have it as Plank.\n"
            "Notes:\n  Stair_Walk Stair Walk Home: No instructions are given.\n"
        )
        await superuser.client.delete(f"{EXERCISES}/{await imported_id(connection, 'free-exercise-db', 'Stair_Walk')}")
        result = await invoke([STAIRS, {**SOFA, "secondaryMuscles": ["chest"], "level": "expert"}])
        assert result.stdout == (
            "free-exercise-db: 0 new, 1 changed, 0 equal, 0 rejected.\n"
            "Changed:\n  Sofa_Press Sofa Press: difficulty_level, secondary_muscles\n"
            "Deleted by an administrator, and not added again:\n  Stair_Walk Stair Walk Home\n"
            "Notes:\n  Sofa_Press Sofa Press: secondary muscle “chest”: It is primary already.\n"
        )
        assert (await invoke([{**STAIRS, "id": "New"}])).stdout.endswith(
            "Imported earlier, not in this file, and kept: 1 exercise.\n"
        )

    async def test_a_dry_run_writes_nothing(self, invoke: Any, connection: Connection) -> None:
        await invoke([SOFA])
        before = await everything(connection)
        document = [{**SOFA, "level": "expert"}, STAIRS]
        planned = await invoke(document, "--dry-run")
        assert await everything(connection) == before
        done = await invoke(document)
        assert planned.stdout == f"{done.stdout}Nothing is written: a dry run.\n"

    async def test_for_machines(self, invoke: Any) -> None:
        result = await invoke(page(WARDROBE, {"uuid": "\x1b[31m"}), "--json", "--language", "de")
        assert json.loads(result.stdout) == {
            "source": "wger",
            "new": [{"key": WARDROBE_KEY, "name": "Schrankheben"}],
            "changed": [],
            "equal": [],
            "edited": [],
            "deleted": [],
            "rejected": [{"key": " [31m", "name": "", "details": ["uuid: Expected a UUID."]}],
            "notes": [],
            "absent": 0,
        }

    async def test_workers_hear_of_it(self, invoke: Any, connection: Connection, athlete: Actor) -> None:
        await invoke([SOFA])
        assert (await shown(connection, athlete, "free-exercise-db", "Sofa_Press"))["name"] == "Sofa Press"
        await invoke([{**SOFA, "name": "Couch Press"}])
        assert (await shown(connection, athlete, "free-exercise-db", "Sofa_Press"))["name"] == "Couch Press"

    async def test_what_is_no_list_is_an_error(self, invoke: Any) -> None:
        result = await invoke(b"<html>")
        assert result.exit_code == 1
        assert "list.json: It is no JSON" in result.stderr

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        for path, reason in ((tmp_path / "none.json", "No such file or directory."), (tmp_path, "Is a directory.")):
            result = CliRunner().invoke(catalogue_group, ["import", str(path)])
            assert (result.exit_code, result.stderr) == (1, f"Error: {path}: {reason}\n")
