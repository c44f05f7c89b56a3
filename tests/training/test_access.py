"""The table of who may do what, cell by cell."""

import asyncio
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple
from uuid import UUID

import httpx
import pytest

from tests.actors import Actor, Role
from tests.answers import problem
from tests.conftest import MakeActor
from tests.training.templates import (
    PLANS,
    UNITS,
    UNKNOWN_ID,
    Connection,
    Document,
    body_of,
    everything,
    exercise,
    grant,
    listed,
    make_plan,
    make_unit,
    read,
    share,
)

Status = Literal["private", "shared", "public"]
Relation = Literal["owner", "write", "read", "other"]
Access = Literal["owner", "write", "read", "admin"] | None

STATUSES: tuple[Status, ...] = ("private", "shared", "public")
ROLES: tuple[Role, ...] = ("application-access", "fitness-trainer", "superuser")

TABLE: dict[Relation, dict[Status, Access]] = {
    "owner": {"private": "owner", "shared": "owner", "public": "owner"},
    "write": {"private": None, "shared": "write", "public": "read"},
    "read": {"private": None, "shared": "read", "public": "read"},
    "other": {"private": None, "shared": None, "public": "read"},
}

MAY: dict[str, set[Access]] = {
    "read": {"owner", "write", "read", "admin"},
    "copy": {"owner", "write", "read", "admin"},
    "write": {"owner", "write"},
    "delete": {"owner", "admin"},
    "share": {"owner"},
}


class Cell(NamedTuple):
    """A template, and who wants something of it.

    Attributes:
        place: the path of its kind.
        template: as its owner sees it.
        unit: another unit that everybody may read.
        friend: somebody who has been granted something.
    """

    caller: Actor
    place: str
    template: Document
    unit: Document
    friend: Actor


class Request(NamedTuple):
    """One thing that somebody may want.

    Attributes:
        need: what it takes.
        status: of the answer to whoever may.
    """

    need: str
    status: int
    method: str
    rest: str
    body: Any = None


def _unit_requests(cell: Cell) -> Iterator[Request]:
    first, *others = [item["id"] for item in cell.template["exercises"]]
    yield Request("write", 201, "POST", "/exercises", exercise("new"))
    yield Request("write", 200, "PATCH", f"/exercises/{first}", {"sets": 9})
    yield Request("write", 200, "PUT", "", {"name": "put", "exercises": [exercise(id=first), *map(_kept, others)]})
    yield Request("write", 200, "PATCH", "", {"exercises": [exercise(id=first), *map(_kept, others)]})
    yield Request("write", 200, "PUT", "/exercises/order", {"ids": [*others, first]})
    yield Request("write", 204, "DELETE", f"/exercises/{first}")


def _plan_requests(cell: Cell) -> Iterator[Request]:
    first, *others = cell.template["units"]
    entry = {"trainingUnitId": cell.unit["id"], "dayNumber": 9}
    yield Request("write", 201, "POST", "/units", entry)
    yield Request("write", 200, "PATCH", f"/units/{first['id']}", {"dayNumber": 7})
    document = {"name": "put", "difficultyLevel": "expert", "units": [first, *others]}
    yield Request("write", 200, "PUT", "", document)
    yield Request("write", 200, "PATCH", "", {"units": [first, *others]})
    ids = [item["id"] for item in (*others, first)]
    yield Request("write", 200, "PUT", "/units/order", {"days": [{"dayNumber": 3, "ids": ids}]})
    yield Request("write", 204, "DELETE", f"/units/{first['id']}")


def _requests(cell: Cell) -> Iterator[Request]:
    """All verbs; what ends the template comes last."""
    status = cell.template["sharingStatus"]
    another = "shared" if status == "private" else "private"
    friend = str(cell.friend.id)
    yield Request("read", 200, "GET", "")
    yield Request("copy", 201, "POST", "/copy")
    yield from _unit_requests(cell) if cell.place == UNITS else _plan_requests(cell)
    yield Request("write", 200, "PATCH", "", {"description": "x", "sharingStatus": status})
    yield Request("share", 200, "PATCH", "", {"sharingStatus": another})
    yield Request("write", 200, "PATCH", "", {"sharingStatus": status})
    yield Request("share", 200, "GET", "/access")
    yield Request("share", 200, "PUT", "/access", {"userId": friend, "accessLevel": "write"})
    yield Request("share", 204, "DELETE", f"/access/{friend}")
    yield Request("share", 201, "POST", "/link", {})
    yield Request("share", 200, "GET", "/link")
    yield Request("share", 204, "DELETE", "/link")
    yield Request("delete", 204, "DELETE", "")


def _kept(child_id: int) -> Document:
    return exercise(id=child_id)


async def _send(cell: Cell, wanted: Request, template_id: str | None = None) -> httpx.Response:
    path = f"{cell.place}/{template_id or cell.template['id']}{wanted.rest}"
    return await cell.caller.client.request(wanted.method, path, json=wanted.body)


async def _assert_as_if_missing(cell: Cell, wanted: Request, hidden: httpx.Response) -> None:
    missing = await _send(cell, wanted, UNKNOWN_ID)
    assert missing.status_code == hidden.status_code == 404
    ids = {cell.template["id"]: UNKNOWN_ID, problem(hidden, 404)["requestId"]: problem(missing, 404)["requestId"]}
    text = hidden.text
    for one, other in ids.items():
        text = text.replace(one, other)
    assert text == missing.text


async def _check(cell: Cell, access: Access, connection: Connection) -> None:
    before = await everything(connection)
    for wanted in _requests(cell):
        about = (wanted.method, wanted.rest, access)
        answer = await _send(cell, wanted)
        if access in MAY[wanted.need]:
            assert answer.status_code == wanted.status, (about, answer.text)
            before = await everything(connection)
        else:
            assert answer.status_code == (404 if access is None else 403), (about, answer.text)
            assert await everything(connection) == before, about
        if access is None:
            await _assert_as_if_missing(cell, wanted, answer)
        if wanted.need == "read" and access is not None:
            assert answer.json()["access"] == access


class TestTable:
    @pytest.mark.parametrize("relation", TABLE)
    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize("place", [UNITS, PLANS])
    async def test_every_cell(
        self,
        make_actor: MakeActor,
        connection: Connection,
        place: str,
        role: Role,
        relation: Relation,
    ) -> None:
        caller, friend = await make_actor(role), await make_actor(name="Friend")
        owner = caller if relation == "owner" else await make_actor(name="Owner")
        unit = await make_unit(owner, sharingStatus="public")
        for status in STATUSES:
            template = await _template(owner, place, status)
            await grant(owner, place, template, friend)
            if relation in ("read", "write"):
                await grant(owner, place, template, caller, relation)
            access = TABLE[relation][status]
            if role == "superuser" and relation != "owner":
                access = "admin"
            await _check(Cell(caller, place, template, unit, friend), access, connection)

    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize("relation", ["owner", "write", "read", "other"])
    async def test_every_cell_of_units_in_plans(
        self, make_actor: MakeActor, connection: Connection, role: Role, relation: Relation
    ) -> None:
        caller, friend = await make_actor(role), await make_actor(name="Friend")
        owner = caller if relation == "owner" else await make_actor(name="Owner")
        for status in STATUSES:
            unit = await make_unit(owner, exercise("a"), exercise("b"))
            plan = await make_plan(owner, [(unit, 1)], sharingStatus=status)
            if relation in ("read", "write"):
                await grant(owner, PLANS, plan, caller, relation)
            access: Access = TABLE[relation][status] and "read"
            if role == "superuser":
                access = "admin"
            if relation == "owner":
                access = "owner"
            cell = Cell(caller, UNITS, unit, unit, friend)
            if access in MAY["delete"]:
                # It is in a plan, and so stays.
                problem(await caller.client.delete(f"{UNITS}/{unit['id']}"), 409)
                continue
            await _check(cell, access, connection)

    async def test_lists_show_what_detail_would(self, make_actor: MakeActor) -> None:
        owner = await make_actor(name="Owner")
        callers = {
            (role, relation): await make_actor(role) for role in ROLES for relation in ("write", "read", "other")
        }
        made = await _one_of_each(owner, callers)
        for (role, _), caller in callers.items():
            for place, templates in made.items():
                answers = [await caller.client.get(f"{place}/{template['id']}") for template in templates]
                seen = {answer.json()["id"]: answer.json() for answer in answers if answer.status_code == 200}
                scope = "everyone" if role == "superuser" else "all"
                shown = {item["id"]: item for item in await listed(caller, place, scope=scope)}
                assert shown == seen
                own = {item["id"]: item for item in await listed(caller, place, scope="all")}
                assert own.items() <= seen.items()


async def _one_of_each(owner: Actor, callers: dict[tuple[Role, str], Actor]) -> dict[str, list[Document]]:
    made: dict[str, list[Document]] = {UNITS: [], PLANS: []}
    for status in STATUSES:
        inside = await make_unit(owner)
        plan = await make_plan(owner, [(inside, 1)], sharingStatus=status)
        unit = await make_unit(owner, sharingStatus=status)
        made[UNITS] += [inside, unit]
        made[PLANS].append(plan)
        for (_, relation), caller in callers.items():
            if relation != "other":
                await grant(owner, PLANS, plan, caller, relation)
                await grant(owner, UNITS, unit, caller, relation)
    return made


async def _template(owner: Actor, place: str, status: Status) -> Document:
    if place == UNITS:
        return await make_unit(owner, exercise("a"), exercise("b"), sharingStatus=status)
    unit = await make_unit(owner)
    return await make_plan(owner, [(unit, 1), (unit, 1)], sharingStatus=status)


class TestGuards:
    async def test_come_before_whatever_the_body_breaks(self, athlete: Actor, other_athlete: Actor) -> None:
        unit = await make_unit(athlete, exercise())
        for method, rest in (("PATCH", ""), ("PUT", ""), ("POST", "/exercises"), ("PUT", "/access"), ("POST", "/link")):
            path = f"{UNITS}/{unit['id']}{rest}"
            problem(await other_athlete.client.request(method, path, json={"nonsense": 1}), 404)
        await share(athlete, UNITS, unit, "public")
        for method, rest in (("PATCH", ""), ("PUT", ""), ("POST", "/exercises"), ("PUT", "/access"), ("POST", "/link")):
            path = f"{UNITS}/{unit['id']}{rest}"
            problem(await other_athlete.client.request(method, path, json={"nonsense": 1}), 403)

    async def test_need_somebody(self, athlete: Actor, client: httpx.AsyncClient) -> None:
        unit = await make_unit(athlete, exercise(), sharingStatus="public")
        for method, rest in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/copy"), ("GET", "/access")):
            problem(await client.request(method, f"{UNITS}/{unit['id']}{rest}", json={}), 401)

    async def test_a_write_that_had_to_wait_is_decided_by_what_is_true_then(
        self, athlete: Actor, other_athlete: Actor, connection: Connection
    ) -> None:
        unit = await make_unit(athlete, sharingStatus="shared")
        await grant(athlete, UNITS, unit, other_athlete, "write")
        async with connection.transaction():
            await connection.execute("SELECT FROM training_units WHERE id = $1 FOR UPDATE", UUID(unit["id"]))
            waiting = asyncio.create_task(
                other_athlete.client.patch(f"{UNITS}/{unit['id']}", json={"name": "too late"})
            )
            while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.005)
            await connection.execute("UPDATE training_unit_access SET access_level = 'read'")
        problem(await waiting, 403)
        assert (await read(athlete, UNITS, unit))["name"] == unit["name"]


class TestStatus:
    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    async def test_is_the_owners(
        self, athlete: Actor, other_athlete: Actor, connection: Connection, method: str
    ) -> None:
        unit = await make_unit(athlete, exercise(), sharingStatus="shared")
        await grant(athlete, UNITS, unit, other_athlete, "write")
        path = f"{UNITS}/{unit['id']}"
        before = await everything(connection)
        for status in ("private", "public"):
            body = {**unit, "name": "changed", "sharingStatus": status}
            problem(await other_athlete.client.request(method, path, json=body), 403)
        assert await everything(connection) == before
        body = {**unit, "name": "changed"}
        changed = body_of(await other_athlete.client.request(method, path, json=body), 200)
        assert (changed["name"], changed["sharingStatus"], changed["access"]) == ("changed", "shared", "write")

    async def test_grants_count_only_while_it_is_shared_and_are_kept(
        self, athlete: Actor, other_athlete: Actor
    ) -> None:
        unit = await make_unit(athlete)
        await grant(athlete, UNITS, unit, other_athlete, "write")
        seen = []
        for status in ("shared", "public", "private", "shared"):
            await share(athlete, UNITS, unit, status)
            answer = await other_athlete.client.get(f"{UNITS}/{unit['id']}")
            seen.append(answer.json().get("access"))
        assert seen == ["write", "read", None, "write"]

    async def test_a_known_state_is_another_one_once_access_has_changed(
        self, athlete: Actor, other_athlete: Actor
    ) -> None:
        unit = await make_unit(athlete)
        plan = await make_plan(athlete, [(unit, 1)], sharingStatus="shared")
        await grant(athlete, PLANS, plan, other_athlete, "read")
        known = {}
        for path in (f"{PLANS}/{plan['id']}", f"{UNITS}/{unit['id']}"):
            known[path] = {"If-None-Match": (await other_athlete.client.get(path)).headers["etag"]}
        await grant(athlete, PLANS, plan, other_athlete, "write")
        of_plan, of_unit = [await other_athlete.client.get(path, headers=tag) for path, tag in known.items()]
        assert body_of(of_plan, 200)["access"] == "write"
        # Who may write a plan may still only read its units.
        assert of_unit.status_code == 304
        await athlete.client.delete(f"{PLANS}/{plan['id']}/access/{other_athlete.id}")
        for path, tag in known.items():
            problem(await other_athlete.client.get(path, headers=tag), 404)
            problem(await other_athlete.client.patch(path, json={"name": "x"}, headers={"If-Match": "*"}), 404)
