"""Routes about the service itself."""

import asyncio
import re

import httpx
import pytest

from app.logs import writer
from app.settings import VERSION
from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.conftest import MakeApp
from tests.service import Service

PREFIXES = ["", "/api/v1"]


@pytest.mark.parametrize("prefix", PREFIXES)
class TestPing:
    async def test_answers_ok_as_text(self, client: httpx.AsyncClient, prefix: str) -> None:
        answer = await client.get(f"{prefix}/ping")
        assert (answer.status_code, answer.text) == (200, "OK")
        assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("prefix", PREFIXES)
class TestHealth:
    async def test_tells_that_all_is_well(self, client: httpx.AsyncClient, prefix: str) -> None:
        answer = await client.get(f"{prefix}/health")
        assert answer.status_code == 200
        assert answer.json() == {
            "status": "ok",
            "app": "IronTrack",
            "service": "irontrack",
            "version": VERSION,
            "database": "connected",
            "databaseStatus": "online",
            "cacheStatus": "online",
        }

    async def test_is_503_without_valkey(self, make_app: MakeApp, prefix: str) -> None:
        service = await make_app(VALKEY_URL="unix:///nonexistent/valkey.sock", APP_NAME="Gym")
        answer = await service.client().get(f"{prefix}/health")
        assert answer.status_code == 503
        body = answer.json()
        assert (body["status"], body["app"], body["database"], body["cacheStatus"]) == (
            "degraded",
            "Gym",
            "connected",
            "offline",
        )

    async def test_is_503_without_postgresql(self, make_app: MakeApp, prefix: str) -> None:
        service = await make_app(DATABASE_URL="postgresql://irontrack@127.0.0.1:1/irontrack")
        answer = await service.client().get(f"{prefix}/health")
        assert answer.status_code == 503
        body = answer.json()
        assert (body["status"], body["database"], body["databaseStatus"], body["cacheStatus"]) == (
            "degraded",
            "disconnected",
            "offline",
            "online",
        )

    async def test_the_process_lives_without_both(self, make_app: MakeApp, prefix: str) -> None:
        service = await make_app(
            DATABASE_URL="postgresql://irontrack@127.0.0.1:1/irontrack", VALKEY_URL="unix:///nonexistent/valkey.sock"
        )
        client = service.client()
        assert (await client.get(f"{prefix}/health/live")).status_code == 200
        assert (await client.get(f"{prefix}/ping")).status_code == 200
        assert (await client.get(f"{prefix}/health/ready")).status_code == 503

    async def test_is_ready_with_postgresql_alone(self, make_app: MakeApp, prefix: str) -> None:
        service = await make_app(VALKEY_URL="unix:///nonexistent/valkey.sock")
        assert (await service.client().get(f"{prefix}/health/ready")).status_code == 200


class TestLooks:
    async def test_once_a_second_at_most(self, make_app: MakeApp, statements) -> None:  # type: ignore[no-untyped-def]
        client = (await make_app()).client()
        await client.get("/health")
        with statements() as sent:
            answers = await asyncio.gather(*(client.get("/health") for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
        assert len([statement for statement in sent if "alembic_version" in statement]) <= 4


class TestReady:
    async def test_not_without_the_newest_schema(self, make_app: MakeApp, make_database) -> None:  # type: ignore[no-untyped-def]
        service = await make_app(DATABASE_URL=await make_database())
        client = service.client()
        assert (await client.get("/health/ready")).status_code == 503
        assert (await client.get("/health/live")).status_code == 200


@pytest.mark.parametrize("prefix", PREFIXES)
class TestMetrics:
    async def test_counts_requests_by_route(self, athlete: Actor, prefix: str) -> None:
        await athlete.client.get("/api/v1/exercises")
        writer.flush()
        answer = await athlete.client.get(f"{prefix}/metrics")
        assert answer.headers["content-type"].count("charset") == 1
        text = answer.text
        assert re.search(r'irontrack_requests_total\{method="GET",route="/api/v1/exercises",status="200"\} \d', text)
        assert "irontrack_request_seconds_bucket" in text

    @pytest.mark.parametrize("address", ["203.0.113.5", "2001:db8::1", "10.1.2.3", "", "nonsense"])
    async def test_are_404_for_strangers(self, service: Service, prefix: str, address: str) -> None:
        problem(await service.client(address=address).get(f"{prefix}/metrics"), 404)

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
    async def test_are_there_for_loopback(self, service: Service, prefix: str, address: str) -> None:
        assert (await service.client(address=address).get(f"{prefix}/metrics")).status_code == 200

    async def test_are_there_for_networks_that_are_named(self, make_app: MakeApp, prefix: str) -> None:
        service = await make_app(METRICS_ALLOW="10.1.0.0/16, 2001:db8::/32")
        for address, status in (("10.1.2.3", 200), ("2001:db8::1", 200), ("10.2.0.1", 404)):
            assert (await service.client(address=address).get(f"{prefix}/metrics")).status_code == status

    async def test_a_proxy_that_we_were_not_told_of_does_not_lend_its_address(
        self, service: Service, prefix: str
    ) -> None:
        for header in ("X-Real-IP", "X-Forwarded-For", "Forwarded"):
            problem(await service.client().get(f"{prefix}/metrics", headers={header: "203.0.113.5"}), 404)


class TestKeys:
    async def test_are_published_without_their_private_halves(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/.well-known/jwks.json")
        assert answer.status_code == 200
        (key,) = answer.json()["keys"]
        assert key.keys() == {"kid", "x", "kty", "crv", "alg", "use"}
        assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("OKP", "Ed25519", "Ed25519", "sig")


@pytest.mark.parametrize("path", ["/ping", "/health", "/health/live", "/health/ready"])
async def test_unknown_parameters_are_422(client: httpx.AsyncClient, path: str) -> None:
    assert broken_fields(await client.get(path, params={"x": "1"})) == {"x": "unknown"}
