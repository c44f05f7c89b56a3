"""Random sequences of what people do with templates, against a model in memory.

Grants, revocations, changes of status, copies, deletions, links, and units that go into plans and out of them.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from random import Random
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct, field, structs

from app.domain.training import access as rule
from tests.actors import Actor
from tests.answers import problem
from tests.conftest import MakeActor
from tests.training.templates import PLANS, UNITS, Connection, Document, listed, make_plan, make_unit

STATUSES = ("private", "shared", "public")
SCOPES = (rule.Scope.MINE, rule.Scope.SHARED, rule.Scope.PUBLIC, rule.Scope.ALL)
KINDS = {UNITS: rule.UNITS, PLANS: rule.PLANS}
SUPERUSER = 3


def _seen(kind: rule.Template) -> Iterator[str]:
    """What every person may do with every template of a kind, and in which scopes they find it."""
    access = rule.access_of(kind, "t", "w.id", "w.is_superuser")
    yield f"SELECT w.id::text, t.id::text, {access} FROM user_account w CROSS JOIN {kind.table} t"
    for scope in SCOPES:
        found = rule.rows_in_scope(kind, scope, "w.id")
        yield f"SELECT w.id::text, s.id::text, 'in {scope}' FROM user_account w CROSS JOIN LATERAL ({found}) s"


SEEN = " UNION ALL ".join(part for kind in KINDS.values() for part in _seen(kind))


class Template(Struct):
    """What the model knows of a unit or a plan.

    Attributes:
        owner: one of the four people, by number; so are the keys of grants.
        children: of a plan, the units, by the ids of their rows in it.
        link: where whoever has its link reads it.
    """

    place: str
    owner: int
    status: str = "private"
    grants: dict[int, str] = field(default_factory=dict)
    children: dict[int, str] = field(default_factory=dict)
    link: str | None = None


class Step(Struct, frozen=True):
    """What somebody tries.

    Attributes:
        role: whether it is the owner, one of those that something was granted to, the superuser, or anybody (`who`).
        other: somebody else, counted from the owner on.
    """

    action: str
    who: int
    role: str
    which: int
    other: int
    level: str
    status: str


ACTIONS = (
    *("grant", "grant", "grant", "revoke", "status", "status", "status", "write", "look", "copy", "delete", "delete"),
    *("make", "add", "add", "take out", "link", "follow"),
)
ROLES = ("owner", "owner", "grantee", "grantee", "superuser", "anybody")
# Few, so that the same templates are met again.
WHICH = range(5)
LEVELS = ("read", "write")
STEPS = [
    Step(*parts) for parts in product(ACTIONS, range(4), ROLES, WHICH, (1, 2, 3, 0), LEVELS, (*STATUSES, "shared"))
]


class World:
    """Four people, one of them a superuser, and the templates that they have."""

    def __init__(self, people: list[Actor], stranger: httpx.AsyncClient, connection: Connection) -> None:
        self.people = people
        self.stranger = stranger
        self.connection = connection
        self.templates: dict[str, Template] = {}

    # What the model says.

    def granted(self, template: Template, who: int) -> str | None:
        return template.grants.get(who) if template.status == "shared" else None

    def in_plans(self, unit_id: str) -> Iterator[Template]:
        return (plan for plan in self.templates.values() if unit_id in plan.children.values())

    def access(self, template_id: str, who: int) -> str | None:
        template = self.templates[template_id]
        if template.owner == who:
            return "owner"
        if who == SUPERUSER:
            return "admin"
        plans = list(self.in_plans(template_id))
        public = "public" in {template.status, *(plan.status for plan in plans)}
        through_plan = any(self.granted(plan, who) for plan in plans)
        return self.granted(template, who) or ("read" if public or through_plan else None)

    def scopes(self, template_id: str, who: int) -> set[str]:
        template = self.templates[template_id]
        together = [template, *self.in_plans(template_id)]
        found = {"mine"} if template.owner == who else set()
        if any(self.granted(one, who) for one in together):
            found.add("shared")
        if any(one.status == "public" for one in together):
            found.add("public")
        return {*found, "all"} if found else found

    def sees(self, template_id: str, who: int) -> set[str | None]:
        return {self.access(template_id, who), *(f"in {scope}" for scope in self.scopes(template_id, who))}

    # What is tried, and what has to come of it.

    async def begin(self) -> None:
        """One has a private unit in a plan that is shared, another a unit that is shared, a third one nothing."""
        unit = await make_unit(self.people[0])
        plan = await make_plan(self.people[0], [(unit, 1)], sharingStatus="shared")
        other = await make_unit(self.people[1], sharingStatus="shared")
        children = {item["id"]: item["trainingUnitId"] for item in plan["units"]}
        self.templates = {
            unit["id"]: Template(UNITS, 0),
            plan["id"]: Template(PLANS, 0, "shared", children=children),
            other["id"]: Template(UNITS, 1, "shared"),
        }

    async def take(self, step: Step) -> None:
        places = (PLANS,) if step.action in ("add", "take out") else KINDS
        ids = sorted(template_id for template_id, template in self.templates.items() if template.place in places)
        if step.action == "make" or not ids:
            await self.make(step)
            return
        template_id = ids[step.which % len(ids)]
        template = self.templates[template_id]
        other = (template.owner + step.other) % 4
        step = structs.replace(step, who=self.actor(template, step), other=other)
        await getattr(self, step.action.replace(" ", "_"))(template_id, template, step)

    def actor(self, template: Template, step: Step) -> int:
        grantees = sorted(template.grants)
        if step.role == "grantee" and grantees:
            return grantees[step.who % len(grantees)]
        return {"owner": template.owner, "superuser": SUPERUSER}.get(step.role, step.who)

    async def make(self, step: Step) -> None:
        actor = self.people[step.who]
        if step.which % 2:
            made, place = await make_plan(actor, sharingStatus=step.status), PLANS
        else:
            made, place = await make_unit(actor, sharingStatus=step.status), UNITS
        self.templates[made["id"]] = Template(place, step.who, step.status)

    async def look(self, template_id: str, template: Template, step: Step) -> None:
        answer = await self.people[step.who].client.get(f"{template.place}/{template_id}")
        access = self.access(template_id, step.who)
        assert answer.status_code == (200 if access else 404), (step, access)
        assert answer.json().get("access") == access

    async def write(self, template_id: str, _: Template, step: Step) -> None:
        status = await self.send(template_id, step, "PATCH", "", {"description": "x"})
        self.expect(template_id, step, status, {"owner": {200}, "write": {200}})

    async def link(self, template_id: str, template: Template, step: Step) -> None:
        """Whoever may makes a link, or ends the one that there is."""
        method, done = ("DELETE", 204) if template.link else ("POST", 201)
        answer = await self.people[step.who].client.request(method, f"{template.place}/{template_id}/link")
        self.expect(template_id, step, answer.status_code, {"owner": {done}})
        if answer.is_success:
            template.link = None if template.link else answer.json()["path"]

    async def follow(self, _: str, template: Template, step: Step) -> None:
        if template.link:
            answer = await self.stranger.get(template.link)
            assert answer.status_code == (404 if template.status == "private" else 200), step

    async def grant(self, template_id: str, template: Template, step: Step) -> None:
        body = {"userId": str(self.people[step.other].id), "accessLevel": step.level}
        done = 422 if step.other == template.owner else 200 if step.other in template.grants else 201
        status = await self.send(template_id, step, "PUT", "/access", body)
        self.expect(template_id, step, status, {"owner": {done}})
        if status in (200, 201):
            template.grants[step.other] = step.level

    async def revoke(self, template_id: str, template: Template, step: Step) -> None:
        had = step.other in template.grants
        status = await self.send(template_id, step, "DELETE", f"/access/{self.people[step.other].id}")
        ends = {204} if had else {404}
        allowed: Mapping[Any, set[int]] = {"owner": ends}
        if step.who == step.other:
            allowed = dict.fromkeys(rule.Access, ends)
        self.expect(template_id, step, status, allowed)
        if status == 204:
            del template.grants[step.other]

    async def status(self, template_id: str, template: Template, step: Step) -> None:
        status = await self.send(template_id, step, "PATCH", "", {"sharingStatus": step.status})
        same = {200} if step.status == template.status else {403}
        self.expect(template_id, step, status, {"owner": {200}, "write": same})
        if status == 200:
            template.status = step.status

    async def copy(self, template_id: str, template: Template, step: Step) -> None:
        answer = await self.people[step.who].client.post(f"{template.place}/{template_id}/copy")
        self.expect(template_id, step, answer.status_code, {access: {201} for access in rule.Access})
        if answer.status_code == 201:
            self.adopt(answer.json(), template, step.who)

    def adopt(self, copy: Document, source: Template, owner: int) -> None:
        children = {item["id"]: item["trainingUnitId"] for item in copy.get("units", ())}
        theirs = set(source.children.values())
        assert set(children.values()) & theirs == (theirs if source.owner == owner else set())
        self.templates[copy["id"]] = Template(source.place, owner, children=children)
        for unit_id in children.values():
            self.templates.setdefault(unit_id, Template(UNITS, owner))

    async def delete(self, template_id: str, template: Template, step: Step) -> None:
        ends = {409} if any(self.in_plans(template_id)) else {204}
        status = await self.send(template_id, step, "DELETE", "")
        self.expect(template_id, step, status, {"owner": ends, "admin": ends})
        if status == 204:
            del self.templates[template_id]

    async def add(self, template_id: str, template: Template, step: Step) -> None:
        units = sorted(other_id for other_id, other in self.templates.items() if other.place == UNITS)
        if not units:
            return
        unit_id = units[step.other % len(units)]
        readable = self.access(unit_id, step.who) is not None
        body = {"trainingUnitId": unit_id, "dayNumber": 1}
        answer = await self.people[step.who].client.post(f"{PLANS}/{template_id}/units", json=body)
        adds = {201} if readable else {404}
        self.expect(template_id, step, answer.status_code, {"owner": adds, "write": adds})
        if answer.status_code == 201:
            added = answer.json()
            own = self.templates[unit_id].owner == template.owner
            assert (added["trainingUnitId"] == unit_id) == own
            template.children[added["id"]] = added["trainingUnitId"]
            self.templates.setdefault(added["trainingUnitId"], Template(UNITS, template.owner))

    async def take_out(self, template_id: str, template: Template, step: Step) -> None:
        if not template.children:
            return
        child_id = sorted(template.children)[step.which % len(template.children)]
        status = await self.send(template_id, step, "DELETE", f"/units/{child_id}")
        self.expect(template_id, step, status, {"owner": {204}, "write": {204}})
        if status == 204:
            del template.children[child_id]

    async def send(self, template_id: str, step: Step, method: str, rest: str, body: Any = None) -> int:
        place = self.templates[template_id].place
        answer = await self.people[step.who].client.request(method, f"{place}/{template_id}{rest}", json=body)
        return answer.status_code

    def expect(self, template_id: str, step: Step, status: int, allowed: Mapping[Any, set[int]]) -> None:
        """Compare a status with what the model allows; who is not named is refused."""
        access = self.access(template_id, step.who)
        expected = {404} if access is None else allowed.get(access, {403})
        assert status in expected, (step, access, status)

    # What everybody sees.

    async def check(self) -> None:
        """Every person sees exactly what the model says, by detail and by every list."""
        found = {tuple(row) for row in await self.connection.fetch(SEEN)}
        assert found == {
            (str(actor.id), template_id, seen)
            for who, actor in enumerate(self.people)
            for template_id in self.templates
            for seen in self.sees(template_id, who)
        }

    async def check_lists(self, who: int) -> None:
        """The same over HTTP, for one of them."""
        for place in KINDS:
            readable = {
                template_id: access
                for template_id, template in self.templates.items()
                if template.place == place and (access := self.access(template_id, who))
            }
            own = {template_id: readable[template_id] for template_id in readable if self.scopes(template_id, who)}
            assert await self.shown(place, who, "all") == own
            if who == SUPERUSER:
                assert await self.shown(place, who, "everyone") == readable
            else:
                assert own == readable
                problem(await self.people[who].client.get(place, params={"scope": "everyone"}), 403)

    async def shown(self, place: str, who: int, scope: str) -> dict[str, str]:
        return {item["id"]: item["access"] for item in await listed(self.people[who], place, scope=scope)}


@pytest.fixture
async def people(make_actor: MakeActor) -> list[Actor]:
    return [await make_actor(name=name) for name in ("Ada", "Grace", "Mary")] + [await make_actor("superuser")]


@pytest.mark.parametrize("part", range(8))
@given(steps=st.lists(st.sampled_from(STEPS), min_size=30, max_size=30))
@settings(
    max_examples=25,
    deadline=None,
    # The same sequences each time, so that the test is as quick and as strict on every machine.
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
async def test_everybody_sees_exactly_what_the_rule_says(
    people: list[Actor], client: httpx.AsyncClient, connection: Connection, part: int, steps: list[Step]
) -> None:
    await connection.execute("DELETE FROM training_plans; DELETE FROM training_units")
    world = World(people, client, connection)
    await world.begin()
    # Each part would be drawn the same steps; it takes them in an order of its own.
    for step in Random(part).sample(steps, len(steps)):
        await world.take(step)
        await world.check()
    await world.check_lists(steps[0].who)
