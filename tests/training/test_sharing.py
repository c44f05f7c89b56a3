import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
import structlog

from app.logs import configure_logging, writer
from app.settings import load_settings
from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.catalogue.exercises import create_custom
from tests.conftest import MakeActor, MakeApp
from tests.training.templates import (
    PLANS,
    UNITS,
    UNKNOWN_ID,
    Connection,
    body_of,
    everything,
    exercise,
    grant,
    make_plan,
    make_unit,
    share,
)

SHARED = "/api/v1/shared"


async def _make(actor: Actor, place: str, **body: Any) -> dict[str, Any]:
    return await make_unit(actor, **body) if place == UNITS else await make_plan(actor, **body)


@pytest.mark.parametrize("place", [UNITS, PLANS])
class TestAccess:
    async def test_is_granted_changed_and_taken_back(
        self, athlete: Actor, other_athlete: Actor, trainer: Actor, place: str
    ) -> None:
        template = await _make(athlete, place, sharingStatus="shared")
        path = f"{place}/{template['id']}/access"
        first = await athlete.client.put(path, json={"email": other_athlete.email.upper(), "accessLevel": "read"})
        granted = body_of(first, 201)
        assert first.headers["location"] == path
        assert granted == {
            "userId": str(other_athlete.id),
            "name": other_athlete.name,
            "email": other_athlete.email,
            "accessLevel": "read",
            "createdAt": granted["createdAt"],
        }
        assert granted["createdAt"].endswith("Z")
        await grant(athlete, place, template, trainer)
        again = await athlete.client.put(path, json={"userId": str(other_athlete.id), "accessLevel": "write"})
        changed = {**granted, "accessLevel": "write"}
        assert body_of(again, 200) == changed
        access = body_of(await athlete.client.get(path), 200)
        assert access[0] == changed
        assert [entry["userId"] for entry in access] == [str(other_athlete.id), str(trainer.id)]
        assert (await athlete.client.delete(f"{path}/{other_athlete.id}")).status_code == 204
        problem(await athlete.client.delete(f"{path}/{other_athlete.id}"), 404)
        assert [entry["userId"] for entry in body_of(await athlete.client.get(path), 200)] == [str(trainer.id)]
        problem(await other_athlete.client.get(f"{place}/{template['id']}"), 404)

    async def test_who_was_granted_something_may_give_it_up(
        self, athlete: Actor, other_athlete: Actor, trainer: Actor, place: str
    ) -> None:
        template = await _make(athlete, place, sharingStatus="shared")
        for grantee in (other_athlete, trainer):
            await grant(athlete, place, template, grantee, "write")
        path = f"{place}/{template['id']}/access"
        problem(await other_athlete.client.delete(f"{path}/{trainer.id}"), 403)
        assert (await other_athlete.client.delete(f"{path}/{other_athlete.id}")).status_code == 204
        problem(await other_athlete.client.delete(f"{path}/{other_athlete.id}"), 404)
        assert len(body_of(await athlete.client.get(path), 200)) == 1

    async def test_whom_nothing_is_granted_to(
        self, athlete: Actor, other_athlete: Actor, trainer: Actor, connection: Connection, place: str
    ) -> None:
        template = await _make(athlete, place)
        path = f"{place}/{template['id']}/access"
        await connection.execute("UPDATE user_account SET is_active = false WHERE id = $1", other_athlete.id)
        before = await everything(connection)
        answers = []
        for who in (
            {"userId": UNKNOWN_ID},
            {"email": "nobody@example.com"},
            {"userId": str(other_athlete.id)},
            {"email": other_athlete.email},
            {"email": trainer.email, "userId": UNKNOWN_ID},
            {"email": "nobody@example.com", "userId": str(trainer.id)},
        ):
            body = problem(await athlete.client.put(path, json={**who, "accessLevel": "read"}), 404)
            answers.append({**body, "requestId": ""})
        assert answers == [answers[0]] * 6
        for who, field in (({"email": athlete.email}, "email"), ({"userId": str(athlete.id)}, "userId")):
            answer = await athlete.client.put(path, json={**who, "accessLevel": "read"})
            assert broken_fields(answer) == {field: "rule"}
        for body, broken in (
            ({"accessLevel": "read"}, {"body": "rule"}),
            ({"email": "a@example.com", "accessLevel": "read", "granted": True}, {"granted": "unknown"}),
            ({"email": "nobody", "accessLevel": "owner"}, {"email": "pattern", "accessLevel": "enum"}),
            ({"email": "a@example.com"}, {"accessLevel": "missing"}),
        ):
            assert broken_fields(await athlete.client.put(path, json=body)) == broken
        assert await everything(connection) == before

    async def test_what_is_read_can_be_put(self, athlete: Actor, other_athlete: Actor, place: str) -> None:
        template = await _make(athlete, place)
        await grant(athlete, place, template, other_athlete, "write")
        path = f"{place}/{template['id']}/access"
        [granted] = body_of(await athlete.client.get(path), 200)
        assert body_of(await athlete.client.put(path, json=granted), 200) == granted
        changed = {**granted, "accessLevel": "read"}
        assert body_of(await athlete.client.put(path, json=changed), 200) == changed
        assert body_of(await athlete.client.get(path), 200) == [changed]

    async def test_if_match_is_heeded(self, athlete: Actor, other_athlete: Actor, place: str) -> None:
        template = await _make(athlete, place)
        stale = {"If-Match": '"0-owner"'}
        body = {"userId": str(other_athlete.id), "accessLevel": "read"}
        path = f"{place}/{template['id']}"
        problem(await athlete.client.put(f"{path}/access", json=body, headers=stale), 412)
        problem(await athlete.client.post(f"{path}/link", headers=stale), 412)


@pytest.fixture
def quiet_afterwards() -> Iterator[None]:
    """The log is as quiet as before once the test is over."""
    yield
    configure_logging(load_settings({"LOG_LEVEL": "WARNING"}))


class TestLinks:
    async def test_a_unit_needs_no_account_to_be_read(
        self, athlete: Actor, other_athlete: Actor, client: httpx.AsyncClient, connection: Connection
    ) -> None:
        custom = await create_custom(athlete)
        unit = await make_unit(
            athlete,
            {"exerciseId": custom["id"], "mode": "reps", "repsMin": 5, "targetWeight": 80.5, "notes": "n"},
            description="d",
            sharingStatus="shared",
        )
        await grant(athlete, UNITS, unit, other_athlete)
        made = await athlete.client.post(f"{UNITS}/{unit['id']}/link", json={})
        link = body_of(made, 201)
        assert made.headers["location"] == f"{UNITS}/{unit['id']}/link"
        assert link["path"] == f"{SHARED}/{link['token']}"
        assert link["expiresAt"] is None
        answer = await client.get(link["path"])
        assert body_of(answer, 200) == {
            "ownerName": athlete.name,
            "plan": None,
            "unit": {
                "name": unit["name"],
                "description": "d",
                "exercises": [
                    {name: value for name, value in unit["exercises"][0].items() if name not in {"id", "exerciseId"}}
                ],
            },
        }
        for personal in (athlete.email, str(athlete.id), other_athlete.email, other_athlete.name, custom["id"]):
            assert personal not in answer.text
        assert answer.headers["x-robots-tag"] == "noindex"
        assert answer.headers.get_list("cache-control") == ["no-store"]
        head = await client.head(link["path"])
        assert (head.status_code, head.content) == (200, b"")
        assert (head.headers["x-robots-tag"], head.headers.get_list("cache-control")) == ("noindex", ["no-store"])
        signed_in = await other_athlete.client.get(link["path"])
        assert signed_in.text == answer.text
        assert signed_in.headers.get_list("cache-control") == ["no-store"]

    async def test_the_token_is_stored_hashed(self, athlete: Actor, connection: Connection) -> None:
        unit = await make_unit(athlete)
        tokens = [body_of(await athlete.client.post(f"{UNITS}/{unit['id']}/link"), 201)["token"] for _ in range(2)]
        assert tokens[0] != tokens[1]
        assert all(len(token) == 43 for token in tokens)
        stored = await connection.fetchrow("SELECT * FROM share_link")
        assert stored is not None
        assert stored["token_hash"] == hashlib.sha256(tokens[1].encode()).digest()
        assert not [value for value in stored.values() if value in tokens]
        link = body_of(await athlete.client.get(f"{UNITS}/{unit['id']}/link"), 200)
        assert link.keys() == {"createdAt", "expiresAt"}

    async def test_a_plans_covers_its_units(self, athlete: Actor, client: httpx.AsyncClient) -> None:
        push, pull = await make_unit(athlete, exercise("a")), await make_unit(athlete, exercise("b"))
        plan = await make_plan(athlete, [(push, 1), (pull, 3), (push, 3)], sharingStatus="public")
        link = body_of(await athlete.client.post(f"{PLANS}/{plan['id']}/link"), 201)
        shared = body_of(await client.get(link["path"]), 200)
        assert (shared["unit"], shared["plan"]["name"]) == (None, plan["name"])
        assert [
            (unit["dayNumber"], unit["orderIndex"], unit["unit"]["name"], unit["unit"]["exercises"][0]["exerciseName"])
            for unit in shared["plan"]["units"]
        ] == [(1, 1, push["name"], "a"), (3, 1, pull["name"], "b"), (3, 2, push["name"], "a")]

    @pytest.mark.parametrize("place", [UNITS, PLANS])
    async def test_works_only_while_it_may(
        self, athlete: Actor, client: httpx.AsyncClient, connection: Connection, place: str
    ) -> None:
        template = await _make(athlete, place, sharingStatus="shared")
        path = f"{place}/{template['id']}/link"
        link = body_of(await athlete.client.post(path), 201)
        unknown = await client.get(f"{SHARED}/{'x' * 43}")
        missing = problem(unknown, 404)
        assert unknown.headers.get_list("cache-control") == ["no-store"]
        for status, code in (("private", 404), ("public", 200), ("shared", 200)):
            await share(athlete, place, template, status)
            assert (await client.get(link["path"])).status_code == code
        await share(athlete, place, template, "private")
        hidden = problem(await client.get(link["path"]), 404)
        assert {**hidden, "instance": "", "requestId": ""} == {**missing, "instance": "", "requestId": ""}
        await share(athlete, place, template, "public")
        newer = body_of(await athlete.client.post(path), 201)
        problem(await client.get(link["path"]), 404)
        body_of(await client.get(newer["path"]), 200)
        assert (await athlete.client.delete(path)).status_code == 204
        problem(await client.get(newer["path"]), 404)
        problem(await athlete.client.delete(path), 404)
        problem(await athlete.client.get(path), 404)
        last = body_of(await athlete.client.post(path), 201)
        await athlete.client.delete(f"{place}/{template['id']}")
        problem(await client.get(last["path"]), 404)
        assert await connection.fetchval("SELECT count(*) FROM share_link") == 0

    async def test_may_end_by_itself(self, athlete: Actor, client: httpx.AsyncClient, connection: Connection) -> None:
        unit = await make_unit(athlete, sharingStatus="public")
        path = f"{UNITS}/{unit['id']}/link"
        for past in ("2020-01-01T00:00:00Z", "2101-01-01T00:00:00Z"):
            assert broken_fields(await athlete.client.post(path, json={"expiresAt": past})) == {"expiresAt": "range"}
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
        link = body_of(await athlete.client.post(path, json={"expiresAt": until.isoformat()}), 201)
        assert datetime.fromisoformat(link["expiresAt"]) == until
        assert body_of(await athlete.client.get(path), 200)["expiresAt"] == link["expiresAt"]
        body_of(await client.get(link["path"]), 200)
        await connection.execute("UPDATE share_link SET expires_at = now()")
        problem(await client.get(link["path"]), 404)

    @pytest.mark.usefixtures("quiet_afterwards")
    async def test_is_in_no_log(self, athlete: Actor, make_app: MakeApp, capfd: pytest.CaptureFixture[str]) -> None:
        unit = await make_unit(athlete, sharingStatus="public")
        link = body_of(await athlete.client.post(f"{UNITS}/{unit['id']}/link"), 201)
        stranger = (await make_app(LOG_LEVEL="INFO")).client()
        answer = await stranger.get(link["path"])
        structlog.get_logger("test").warning("unhandled", path=link["path"])
        writer.flush()
        log = capfd.readouterr().err
        assert answer.headers["x-request-id"] in log
        told = [msgspec.json.decode(line) for line in log.splitlines()]
        paths = {line["event"]: line["path"] for line in told if line["event"] in ("request", "unhandled")}
        assert paths == dict.fromkeys(("request", "unhandled"), "/api/v1/shared/[redacted]")
        assert link["token"] not in log

    async def test_is_described_as_open_to_all(self, client: httpx.AsyncClient) -> None:
        document = (await client.get("/api/v1/openapi.json")).json()
        described = document["paths"]["/api/v1/shared/{token}"]["get"]
        assert described["security"] == []
        assert described["responses"].keys() == {"200", "404", "422", "429", "503"}

    async def test_is_rate_limited(self, athlete: Actor, make_app: MakeApp) -> None:
        unit = await make_unit(athlete, sharingStatus="public")
        link = body_of(await athlete.client.post(f"{UNITS}/{unit['id']}/link"), 201)
        stranger = (await make_app(RATE_LIMIT_READS="3")).client(address="203.0.113.9")
        answers = [await stranger.get(path) for path in (link["path"], f"{SHARED}/x", link["path"], link["path"])]
        assert [answer.status_code for answer in answers] == [200, 404, 200, 429]
        assert answers[0].headers["x-ratelimit-limit"] == "3"

    async def test_goes_with_the_account(
        self, athlete: Actor, client: httpx.AsyncClient, connection: Connection
    ) -> None:
        unit = await make_unit(athlete, sharingStatus="public")
        link = body_of(await athlete.client.post(f"{UNITS}/{unit['id']}/link"), 201)
        await athlete.client.request("DELETE", "/api/v1/access/me", json={"password": athlete.password})
        problem(await client.get(link["path"]), 404)
        kept = await connection.fetchrow("SELECT id, created_by FROM training_units")
        assert kept is not None
        assert tuple(kept) == (UUID(unit["id"]), None)


class TestDeletedAccount:
    async def test_leaves_what_is_public_to_be_read_and_copied(
        self, athlete: Actor, other_athlete: Actor, superuser: Actor, make_actor: MakeActor
    ) -> None:
        unit, shared = await make_unit(athlete, exercise()), await make_unit(athlete, sharingStatus="shared")
        plan = await make_plan(athlete, [(unit, 1)], sharingStatus="public")
        for place, template in ((UNITS, shared), (PLANS, plan)):
            await grant(athlete, place, template, other_athlete, "write")
        await athlete.client.request("DELETE", "/api/v1/access/me", json={"password": athlete.password})
        problem(await other_athlete.client.get(f"{UNITS}/{shared['id']}"), 404)
        for place, template in ((UNITS, unit), (PLANS, plan)):
            path = f"{place}/{template['id']}"
            seen = body_of(await other_athlete.client.get(path), 200)
            assert (seen["createdBy"], seen["access"]) == (None, "read")
            problem(await other_athlete.client.patch(path, json={"name": "x"}), 403)
            body_of(await other_athlete.client.post(f"{path}/copy"), 201)
            problem(await superuser.client.patch(path, json={"name": "x"}), 403)
        assert (await superuser.client.delete(f"{PLANS}/{plan['id']}")).status_code == 204
        assert (await superuser.client.delete(f"{UNITS}/{unit['id']}")).status_code == 204

    async def test_ends_what_it_granted(
        self, athlete: Actor, other_athlete: Actor, trainer: Actor, connection: Connection
    ) -> None:
        unit, kept = await make_unit(athlete, sharingStatus="shared"), await make_unit(trainer, sharingStatus="shared")
        plan = await make_plan(athlete, [(unit, 1)], sharingStatus="public")
        for place, template in ((UNITS, unit), (PLANS, plan)):
            await grant(athlete, place, template, other_athlete, "write")
        await grant(trainer, UNITS, kept, other_athlete, "write")
        await grant(trainer, UNITS, kept, athlete, "write")
        await athlete.client.request("DELETE", "/api/v1/access/me", json={"password": athlete.password})
        for place, template in ((UNITS, unit), (PLANS, plan)):
            path = f"{place}/{template['id']}"
            assert body_of(await other_athlete.client.get(path), 200)["access"] == "read"
            problem(await other_athlete.client.patch(path, json={"name": "mine now"}), 403)
        left = await connection.fetch("""
            SELECT training_unit_id::text, user_id FROM training_unit_access
            UNION ALL SELECT training_plan_id::text, user_id FROM training_plan_access
        """)
        assert [tuple(entry) for entry in left] == [(kept["id"], other_athlete.id)]
