"""Pictures of the muscles that an exercise works."""

import hashlib
import re
import tomllib
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.catalogue.anatomy import Muscle, draw
from app.domain.catalogue.files import SHIPPED
from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.catalogue.exercises import EXERCISES, UNKNOWN_ID, Connection, create_custom, create_system, shipped_id
from tests.statements import Statements

SVG = "{http://www.w3.org/2000/svg}"
MUSCLE_GROUPS = "/api/v1/catalogs/muscle-groups"
FOREVER = "private, max-age=31536000, immutable"
FOR_AN_HOUR = "private, max-age=3600"

SHIPPED_GROUPS: list[str] = tomllib.loads((SHIPPED / "reference.toml").read_text("utf-8"))["muscle_groups"]
IN_FRONT = {
    "abdominals",
    "abductors",
    "adductors",
    "biceps",
    "calves",
    "chest",
    "forearms",
    "lats",
    "neck",
    "quadriceps",
    "shoulders",
    "traps",
    "triceps",
}
BEHIND = {
    "abductors",
    "adductors",
    "calves",
    "forearms",
    "glutes",
    "hamstrings",
    "lats",
    "lower back",
    "middle back",
    "neck",
    "shoulders",
    "traps",
    "triceps",
}

Counted = Callable[[], AbstractContextManager[Statements]]


def picture_of(exercise: Mapping[str, Any]) -> str:
    return f"{EXERCISES}/{exercise['id']}/muscles.svg"


def names(entries: Iterable[Mapping[str, Any]]) -> set[str]:
    return {entry["name"] for entry in entries}


def marked(svg: bytes) -> dict[str | None, set[str]]:
    """The regions of each class; every part of a region has the same one."""
    classes: dict[str, set[str | None]] = defaultdict(set)
    for part in ET.fromstring(svg).iterfind(".//*[@data-muscle]"):
        classes[part.attrib["data-muscle"]].add(part.get("class"))
    found: dict[str | None, set[str]] = defaultdict(set)
    for region, [mark] in classes.items():
        found[mark].add(region)
    return found


def described(svg: bytes) -> str:
    """What a screen reader says."""
    figure = ET.fromstring(svg)
    assert figure.get("role") == "img"
    texts = {part.get("id"): part.text or "" for part in figure if part.tag in (f"{SVG}title", f"{SVG}desc")}
    return " ".join(texts[name] for name in figure.attrib["aria-labelledby"].split())


def muscles(shipped: Iterable[str]) -> tuple[Muscle, ...]:
    return tuple(Muscle(name, name) for name in shipped)


async def add_group(superuser: Actor, name: str) -> int:
    answer = await superuser.client.post(MUSCLE_GROUPS, json={"name": name})
    assert answer.status_code == 201, answer.text
    added: int = answer.json()["id"]
    return added


class TestFigure:
    def test_every_shipped_group_has_a_region_where_it_is(self) -> None:
        figure = ET.fromstring(draw((), ()).svg)
        views = {
            view: {part.get("data-muscle") for part in figure.iterfind(f".//*[@id='muscles-{view}']/*[@data-muscle]")}
            for view in ("front", "back")
        }
        assert views == {"front": IN_FRONT, "back": BEHIND}
        assert set(SHIPPED_GROUPS) == IN_FRONT | BEHIND

    @given(st.lists(st.sampled_from(SHIPPED_GROUPS), unique=True), st.integers(0, 17))
    def test_exactly_the_given_muscles_are_marked(self, worked: list[str], primaries: int) -> None:
        primary, secondary = worked[:primaries], worked[primaries:]
        found = marked(draw(muscles(primary), muscles(secondary)).svg)
        assert found["primary"] == set(primary)
        assert found["secondary"] == set(secondary)
        assert found[None] == set(SHIPPED_GROUPS) - set(worked)

    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def test_any_name_gives_a_document_that_says_it(self, name: str) -> None:
        picture = draw((Muscle(name, "chest"),), ())
        # Not every character may stand in XML, and its line ends are normalised.
        said = re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", name)
        assert described(picture.svg).split() == f"Muscles worked Primary: {said}.".split()
        assert marked(picture.svg)["primary"] == {"chest"}

    def test_without_muscles_it_says_so(self) -> None:
        assert described(draw((), ()).svg) == "Muscles worked None."

    def test_is_small_and_asks_for_nothing_else(self) -> None:
        svg = draw(muscles(SHIPPED_GROUPS[:9]), muscles(SHIPPED_GROUPS[9:])).svg
        assert len(svg) < 12_000
        figure = ET.fromstring(svg)
        known = {f"#{part.get('id')}" for part in figure.iter()}
        references = [value for part in figure.iter() for name, value in part.items() if "href" in name]
        references += re.findall(r"url\((.*?)\)", svg.decode())
        assert references
        assert set(references) <= known
        assert {part.tag for part in figure.iter()}.isdisjoint({f"{SVG}script", f"{SVG}foreignObject", f"{SVG}image"})
        assert b"@import" not in svg

    @pytest.mark.parametrize(("scheme", "page"), [("light", "#ffffff"), ("dark", "#000000")])
    def test_marks_stand_out_from_what_is_around_them(self, scheme: str, page: str) -> None:
        """By the three to one that WCAG 2.2 asks of graphics (1.4.11)."""
        fills = _fills(scheme)
        assert fills[".primary"] == fills[".line"] == fills[".secondary"]
        for around in (page, fills[".body"], fills[".muscles"], fills[".ground"]):
            assert _contrast(fills[".primary"], around) >= 3


def _fills(scheme: str) -> dict[str, str]:
    """The colours of the classes: of their fills, of secondary muscles that of their outlines."""
    style = ET.fromstring(draw((), ()).svg).findtext(f"{SVG}style") or ""
    bright, dark = style.split("@media (prefers-color-scheme:dark)")
    fills: dict[str, str] = {}
    for selectors, rules in re.findall(r"([^{}]+)\{([^{}]*)\}", bright if scheme == "light" else dark.strip()[1:]):
        if colour := re.search(r"(?:fill|stroke):(#[0-9a-f]{6})", rules):
            fills |= dict.fromkeys(selectors.strip().split(","), colour[1])
    return fills


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.2 defines it."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class TestMarks:
    @pytest.mark.parametrize("slug", ["snatch", "plank"])
    async def test_a_shipped_exercise(self, athlete: Actor, connection: Connection, slug: str) -> None:
        url = f"{EXERCISES}/{await shipped_id(connection, slug)}"
        exercise = (await athlete.client.get(url)).json()
        answer = await athlete.client.get(picture_of(exercise))
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/svg+xml"
        found = marked(answer.content)
        assert found["primary"] == names(exercise["primaryMuscles"]) != set()
        assert found["secondary"] == names(exercise["secondaryMuscles"]) != set()

    async def test_of_my_own_the_words_follow_a_change(self, athlete: Actor) -> None:
        made = await create_custom(athlete, primaryMuscles=[7], secondaryMuscles=[13, 6])
        before = await athlete.client.get(picture_of(made))
        assert described(before.content) == "Muscles worked Primary: chest. Secondary: shoulders, triceps."
        change = {"primaryMuscles": [10], "secondaryMuscles": []}
        assert (await athlete.client.patch(f"{EXERCISES}/user/{made['id']}", json=change)).status_code == 200
        after = await athlete.client.get(picture_of(made))
        assert described(after.content) == "Muscles worked Primary: glutes."
        assert marked(after.content)["primary"] == {"glutes"}
        assert before.headers["etag"] != after.headers["etag"]

    async def test_a_renamed_group_keeps_its_region(self, superuser: Actor, athlete: Actor) -> None:
        made = await create_system(superuser, primaryMuscles=[1], secondaryMuscles=[2])
        await athlete.client.get(picture_of(made))
        # What is shipped as abdominals is abs now; what is called abdominals is another row.
        await superuser.client.patch(f"{MUSCLE_GROUPS}/1", json={"name": "abs"})
        added = await add_group(superuser, "abdominals")
        svg = (await athlete.client.get(picture_of(made))).content
        assert marked(svg)["primary"] == {"abdominals"}
        assert marked(svg)["secondary"] == {"hamstrings"}
        assert described(svg) == "Muscles worked Primary: abs. Secondary: hamstrings."
        other = await create_custom(athlete, primaryMuscles=[added])
        assert marked((await athlete.client.get(picture_of(other))).content).keys() == {None}

    async def test_a_group_that_was_added_is_in_the_words_alone(self, superuser: Actor, athlete: Actor) -> None:
        added = await add_group(superuser, "Rotator cuff")
        made = await create_custom(athlete, primaryMuscles=[added], secondaryMuscles=[6])
        svg = (await athlete.client.get(picture_of(made))).content
        assert marked(svg) == {"secondary": {"shoulders"}, None: set(SHIPPED_GROUPS) - {"shoulders"}}
        assert described(svg) == "Muscles worked Primary: rotator cuff. Secondary: shoulders."

    @pytest.mark.parametrize("name", ['</desc><script>alert("&amp;")</script>', "<!-- & ]]> ' \"", "ünï 💪 \ufffe"])
    async def test_a_name_is_text_whatever_is_in_it(self, superuser: Actor, athlete: Actor, name: str) -> None:
        made = await create_custom(athlete, primaryMuscles=[await add_group(superuser, name)])
        svg = (await athlete.client.get(picture_of(made))).content
        assert described(svg) == f"Muscles worked Primary: {name.lower()}.".replace("\ufffe", "\ufffd")
        assert b"<script" not in svg
        assert b"<!--" not in svg


class TestAccess:
    async def test_nobody_is_told(self, client: httpx.AsyncClient, connection: Connection) -> None:
        url = f"{EXERCISES}/{await shipped_id(connection, 'plank')}/muscles.svg"
        problem(await client.get(url, headers={"If-None-Match": "*"}), 401)

    async def test_as_the_exercise_itself(
        self, athlete: Actor, other_athlete: Actor, trainer: Actor, superuser: Actor
    ) -> None:
        url = picture_of(await create_custom(athlete))
        first = await athlete.client.get(url)
        assert first.status_code == 200
        for reader in (trainer, superuser):
            assert (await reader.client.get(url)).content == first.content
        for headers in ({}, {"If-None-Match": first.headers["etag"]}):
            problem(await other_athlete.client.get(url, headers=headers), 403)

    async def test_archived_ones_too(self, athlete: Actor) -> None:
        made = await create_custom(athlete)
        await athlete.client.post(f"{EXERCISES}/{made['id']}/archive")
        assert (await athlete.client.get(picture_of(made))).status_code == 200

    @pytest.mark.parametrize("identity", [UNKNOWN_ID, "bench-press", "1"])
    async def test_what_is_not_there(self, athlete: Actor, identity: str) -> None:
        answer = await athlete.client.get(f"{EXERCISES}/{identity}/muscles.svg", headers={"If-None-Match": "*"})
        problem(answer, 404)

    async def test_head(self, athlete: Actor, connection: Connection) -> None:
        url = f"{EXERCISES}/{await shipped_id(connection, 'plank')}/muscles.svg"
        told = [await athlete.client.request(method, url) for method in ("GET", "HEAD")]
        assert told[1].status_code == 200
        assert told[1].content == b""
        for name in ("content-type", "etag", "content-security-policy"):
            assert told[0].headers[name] == told[1].headers[name]


class TestCaching:
    @pytest.fixture
    async def url(self, connection: Connection) -> str:
        return f"{EXERCISES}/{await shipped_id(connection, 'plank')}/muscles.svg"

    async def test_the_steady_state_sends_no_statement(
        self, athlete: Actor, other_athlete: Actor, url: str, statements: Counted
    ) -> None:
        first = await athlete.client.get(url)
        await other_athlete.client.get(url)
        with statements() as sent:
            again = await other_athlete.client.get(url)
            known = await other_athlete.client.get(url, headers={"If-None-Match": first.headers["etag"]})
        assert not sent
        assert again.content == first.content
        assert (known.status_code, known.content) == (304, b"")

    async def test_one_of_my_own_costs_one(self, athlete: Actor, statements: Counted) -> None:
        url = picture_of(await create_custom(athlete))
        await athlete.client.get(url)
        with statements() as sent:
            await athlete.client.get(url)
        assert len(sent) == 1

    async def test_the_same_muscles_are_the_same_picture(self, athlete: Actor) -> None:
        one, other, third = [
            await athlete.client.get(picture_of(await create_custom(athlete, primaryMuscles=muscles)))
            for muscles in ([3], [3], [4])
        ]
        assert one.headers["etag"] == other.headers["etag"] != third.headers["etag"]

    async def test_under_its_content_it_is_kept_for_good(self, athlete: Actor, url: str) -> None:
        plain = await athlete.client.get(url)
        named = await athlete.client.get(url, params={"v": plain.headers["etag"].strip('"')})
        assert named.headers["cache-control"] == FOREVER
        assert named.content == plain.content
        headers = {"If-None-Match": plain.headers["etag"]}
        known = await athlete.client.get(url, params={"v": plain.headers["etag"].strip('"')}, headers=headers)
        assert known.status_code == 304
        for answer in (named, known):
            assert "cookie" not in answer.headers.get("vary", "").lower()
        assert known.headers["cache-control"] == FOREVER

    @pytest.mark.parametrize("query", ["", "?v=", "?v=2026-01-31T12:00:00Z", f"?v={'0' * 32}"])
    async def test_else_for_an_hour(self, athlete: Actor, url: str, query: str) -> None:
        answer = await athlete.client.get(f"{url}{query}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == FOR_AN_HOUR
        assert "cookie" in answer.headers["vary"].lower()

    async def test_an_old_content_is_not_kept_for_good(self, athlete: Actor) -> None:
        made = await create_custom(athlete, primaryMuscles=[1])
        tag = (await athlete.client.get(picture_of(made))).headers["etag"].strip('"')
        await athlete.client.patch(f"{EXERCISES}/user/{made['id']}", json={"primaryMuscles": [2]})
        answer = await athlete.client.get(picture_of(made), params={"v": tag})
        assert answer.headers["cache-control"] == FOR_AN_HOUR
        assert marked(answer.content)["primary"] == {"hamstrings"}

    async def test_parameters_are_checked(self, athlete: Actor, url: str) -> None:
        answer = await athlete.client.get(f"{url}?version=1&v={'0' * 65}")
        assert broken_fields(answer) == {"version": "unknown", "v": "length"}


class TestHeaders:
    async def test_only_its_own_style_may_be_applied(self, athlete: Actor, connection: Connection) -> None:
        answer = await athlete.client.get(f"{EXERCISES}/{await shipped_id(connection, 'plank')}/muscles.svg")
        style = ET.fromstring(answer.content).findtext(f"{SVG}style") or ""
        digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
        policy = f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"
        assert answer.headers.get_list("content-security-policy") == [policy]
        assert answer.headers["x-content-type-options"] == "nosniff"

    async def test_it_is_described(self, client: httpx.AsyncClient) -> None:
        document = (await client.get("/api/v1/openapi.json")).json()
        operation = document["paths"]["/api/v1/exercises/{exercise_id}/muscles.svg"]["get"]
        assert {"200", "304", "401", "403", "404", "422"} <= operation["responses"].keys()
        assert operation["responses"]["200"]["content"].keys() == {"image/svg+xml"}
        assert "content" not in operation["responses"]["304"]
        assert {parameter["name"] for parameter in operation["parameters"]} == {"exercise_id", "v"}
