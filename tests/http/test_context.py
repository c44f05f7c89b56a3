"""What surrounds every request."""

import asyncio
import re
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from tests.actors import Actor
from tests.answers import problem
from tests.conftest import MakeApp
from tests.factories import PASSWORD, email
from tests.service import ORIGIN, Service

ME = "/api/v1/access/me"
SESSIONS = "/api/v1/training-sessions"


class TestRequestId:
    @pytest.mark.parametrize("path", ["/ping", "/nothing", ME, "/docs", "/api/v1/openapi.json"])
    async def test_is_on_every_answer(self, client: httpx.AsyncClient, path: str) -> None:
        first, second = await client.get(path), await client.get(path)
        assert re.fullmatch(r"[A-Za-z0-9-]{16,64}", first.headers["x-request-id"])
        assert first.headers["x-request-id"] != second.headers["x-request-id"]

    @pytest.mark.parametrize("identity", ["abc", "01890a5d-ac96-774b-bcce-b302099a8057", "a.b_c:d-1", "x" * 128])
    async def test_a_sane_one_is_taken_over(self, client: httpx.AsyncClient, identity: str) -> None:
        answer = await client.get(ME, headers={"X-Request-ID": identity})
        assert answer.headers["x-request-id"] == problem(answer, 401)["requestId"] == identity

    @pytest.mark.parametrize("identity", ["", " ", "a b", "x" * 129, 'a"b', "<script>", "a,b", "\u00e9"])
    async def test_another_one_is_replaced(self, client: httpx.AsyncClient, identity: str) -> None:
        answer = await client.get("/ping", headers=[(b"X-Request-ID", identity.encode("latin-1"))])
        assert re.fullmatch(r"[A-Za-z0-9-]{16,64}", answer.headers["x-request-id"])


class TestHeaders:
    @pytest.mark.parametrize("path", ["/ping", "/nothing", ME, "/docs"])
    async def test_every_answer_carries_the_protective_ones(self, client: httpx.AsyncClient, path: str) -> None:
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "server" not in headers

    async def test_no_hsts_over_plain_http(self, client: httpx.AsyncClient) -> None:
        assert "strict-transport-security" not in (await client.get("/ping")).headers

    async def test_hsts_where_the_service_is_reached_by_https(self, make_app: MakeApp) -> None:
        service = await make_app(PUBLIC_URL="https://irontrack.example")
        assert "max-age=" in (await service.client().get("/ping")).headers["strict-transport-security"]

    async def test_answers_to_somebody_are_private(self, athlete: Actor) -> None:
        headers = (await athlete.client.get("/api/v1/exercises")).headers
        assert headers["cache-control"] == "private, no-cache"
        assert {"cookie", "authorization"} <= _names(headers["vary"])

    async def test_answers_under_access_are_never_stored(self, athlete: Actor) -> None:
        headers = (await athlete.client.get(ME)).headers
        assert headers["cache-control"] == "no-store"
        assert {"cookie", "authorization"} <= _names(headers["vary"])

    async def test_also_problems_of_somebody_are_private(self, athlete: Actor) -> None:
        assert (await athlete.client.get(f"{SESSIONS}/x")).headers["cache-control"] == "private, no-cache"

    async def test_the_answer_to_a_sign_in_is_never_stored(self, client: httpx.AsyncClient, athlete: Actor) -> None:
        body = {"email": athlete.email, "password": PASSWORD}
        answer = await client.post("/api/v1/access/signin", json=body)
        assert answer.status_code == 204
        assert answer.headers["cache-control"] == "no-store"


class TestCompression:
    @pytest.mark.parametrize("accepted", ["gzip;q=0", "br;q=0, gzip ; q=0.0", "gzip; q=0.000, identity"])
    async def test_a_coding_that_is_refused_is_not_sent(self, athlete: Actor, accepted: str) -> None:
        answer = await athlete.client.get("/api/v1/exercises?pageSize=50", headers={"Accept-Encoding": accepted})
        assert "content-encoding" not in answer.headers

    async def test_a_weight_alone_refuses_nothing(self, athlete: Actor) -> None:
        answer = await athlete.client.get("/api/v1/exercises?pageSize=50", headers={"Accept-Encoding": "gzip;q=0.5"})
        assert answer.headers["content-encoding"] == "gzip"

    async def test_a_plain_answer_says_that_there_are_others(self, athlete: Actor) -> None:
        answer = await athlete.client.get("/api/v1/exercises?pageSize=50", headers={"Accept-Encoding": "identity"})
        assert "accept-encoding" in _names(answer.headers["vary"])

    @pytest.mark.parametrize("coding", ["gzip", "br"])
    async def test_a_long_answer_is_compressed(self, athlete: Actor, coding: str) -> None:
        plain = await athlete.client.get("/api/v1/exercises?pageSize=50", headers={"Accept-Encoding": "identity"})
        packed = await athlete.client.get("/api/v1/exercises?pageSize=50", headers={"Accept-Encoding": coding})
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == coding
        assert packed.json() == plain.json()
        assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
        assert "accept-encoding" in _names(packed.headers["vary"])

    async def test_head_of_a_compressed_answer_has_no_body(self, athlete: Actor) -> None:
        answer = await athlete.client.head("/api/v1/exercises?pageSize=50", headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        assert answer.content == b""

    async def test_the_etag_of_a_compressed_answer_still_fits(self, athlete: Actor) -> None:
        made = (await athlete.client.post(SESSIONS, json={"notes": "x" * 5000})).json()
        path = f"{SESSIONS}/{made['id']}"
        packed = await athlete.client.get(path, headers={"Accept-Encoding": "gzip"})
        again = await athlete.client.get(path, headers={"If-None-Match": packed.headers["etag"]})
        assert again.status_code == 304


class TestOrigins:
    """Unsafe requests that a foreign page may have made a browser send."""

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Origin": "http://127.0.0.1:8000"},
            {"Sec-Fetch-Site": "same-origin"},
            {"Sec-Fetch-Site": "none"},
            {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"},
        ],
        ids=str,
    )
    async def test_our_own_are_taken(self, athlete: Actor, headers: dict[str, str]) -> None:
        assert (await athlete.client.patch(ME, json={"name": "Ada L."}, headers=headers)).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": ""},
            {"Origin": "http://127.0.0.1:8001"},
            {"Origin": "https://127.0.0.1:8000"},
            {"Origin": "http://127.0.0.1:8000.evil.example"},
            {"Origin": "http://127.0.0.1:8000", "Referer": "x"} | {"Origin": "http://localhost:8000"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "nonsense"},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    async def test_foreign_ones_are_403(
        self, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]", headers: dict[str, str], method: str
    ) -> None:
        answer = await athlete.client.request(method, SESSIONS, json={}, headers=headers)
        problem(answer, 403)
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 0

    async def test_foreign_reads_are_answered(self, athlete: Actor) -> None:
        assert (await athlete.client.get(ME, headers={"Origin": "https://evil.example"})).status_code == 200

    @pytest.mark.parametrize("path", ["signin", "signup"])
    async def test_sign_in_and_sign_up_need_one_of_ours_without_any_cookie(
        self, client: httpx.AsyncClient, athlete: Actor, path: str
    ) -> None:
        body = {"email": athlete.email, "password": PASSWORD}
        answer = await client.post(f"/api/v1/access/{path}", json=body, headers={"Origin": "https://evil.example"})
        problem(answer, 403)
        assert not client.cookies

    @pytest.mark.parametrize(
        "path",
        ["//api/v1/access/signin", "/api/v1/access/signin/", "/api//v1/access/signin", "/api/v1/access/%73ignin"],
    )
    async def test_no_way_of_writing_a_path_leads_past_this(
        self, client: httpx.AsyncClient, athlete: Actor, path: str
    ) -> None:
        body = {"email": athlete.email, "password": PASSWORD}
        answer = await client.post(f"{ORIGIN}{path}", json=body, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403
        assert not client.cookies

    async def test_a_refresh_needs_one_of_ours(self, athlete: Actor) -> None:
        foreign = {"Origin": "https://evil.example"}
        problem(await athlete.client.post("/api/v1/access/refresh-jwt", headers=foreign), 403)

    async def test_a_bearer_header_is_exempt(self, service: Service, athlete: Actor) -> None:
        bearer = {"Authorization": f"Bearer {athlete.client.cookies['access_token']}", "Origin": "https://evil.example"}
        assert (await service.client().post(SESSIONS, json={}, headers=bearer)).status_code == 201

    async def test_a_bearer_header_alone_decides(self, athlete: Actor) -> None:
        for value in ("Bearer nonsense", "Bearer ", "Basic YTpi", "Bearer"):
            problem(await athlete.client.get(ME, headers={"Authorization": value}), 401)

    async def test_further_origins_are_exact_and_get_cors(self, make_app: MakeApp, athlete: Actor) -> None:
        origin = "https://app.example"
        service = await make_app(ALLOWED_ORIGINS=f"{origin},https://other.example:8443")
        client = service.client(cookies=athlete.client.cookies)
        taken = await client.patch(ME, json={"name": "Ada L."}, headers={"Origin": origin})
        assert taken.status_code == 200
        assert taken.headers["access-control-allow-origin"] == origin
        assert taken.headers["access-control-allow-credentials"] == "true"
        foreign = await client.get(ME, headers={"Origin": "https://app.example.evil.example"})
        assert "access-control-allow-origin" not in foreign.headers

    async def test_a_preflight_is_answered(self, make_app: MakeApp) -> None:
        service = await make_app(ALLOWED_ORIGINS="https://app.example")
        asks = {"Origin": "https://app.example", "Access-Control-Request-Method": "PATCH"}
        answer = await service.client().options(ME, headers=asks)
        assert answer.status_code == 204
        assert "PATCH" in answer.headers["access-control-allow-methods"]

    async def test_cors_is_off_by_default(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/ping", headers={"Origin": "https://app.example"})
        assert "access-control-allow-origin" not in answer.headers


class TestTimeLimit:
    async def test_a_handler_over_it_is_503_and_nothing_is_stored(
        self, make_app: MakeApp, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        service = await make_app(REQUEST_TIMEOUT="1")
        client = service.client(cookies=athlete.client.cookies)
        made = (await athlete.client.post(SESSIONS, json={"notes": "before"})).json()
        async with connection.transaction():
            await connection.execute("SELECT FROM training_sessions FOR UPDATE")
            answer = await client.patch(f"{SESSIONS}/{made['id']}", json={"notes": "after"})
            problem(answer, 503)
            assert int(answer.headers["retry-after"]) > 0
        row = await connection.fetchrow("SELECT notes, version FROM training_sessions")
        assert row is not None
        assert tuple(row) == ("before", 1)
        answer = await client.patch(f"{SESSIONS}/{made['id']}", json={"notes": "after"})
        assert answer.status_code == 200, "the connection is usable again"

    async def test_the_pool_survives_many_of_them(
        self, make_app: MakeApp, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        service = await make_app(REQUEST_TIMEOUT="1")
        client = service.client(cookies=athlete.client.cookies)
        made = (await athlete.client.post(SESSIONS, json={})).json()
        path = f"{SESSIONS}/{made['id']}"
        async with connection.transaction():
            await connection.execute("SELECT FROM training_sessions FOR UPDATE")
            answers = await asyncio.gather(*(client.patch(path, json={"notes": str(n)}) for n in range(12)))
            assert {answer.status_code for answer in answers} == {503}
        assert (await athlete.client.get(path)).json()["notes"] is None

    async def test_also_telling_who_asks_is_limited(
        self, make_app: MakeApp, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        service = await make_app(REQUEST_TIMEOUT="0.3")
        client = service.client(cookies=athlete.client.cookies)
        async with connection.transaction():
            await connection.execute("LOCK TABLE user_account IN ACCESS EXCLUSIVE MODE")
            answers = await asyncio.wait_for(asyncio.gather(*(client.get(ME) for _ in range(3))), 10)
            for answer in answers:
                problem(answer, 503)
                assert int(answer.headers["retry-after"]) > 0
        assert (await client.get(ME)).status_code == 200


class TestAddress:
    """Whom a request without a user is counted for, told by the limit that it uses up."""

    async def _remaining(self, client: httpx.AsyncClient, **headers: str) -> int:
        return int((await client.get(ME, headers=headers)).headers["x-ratelimit-remaining"])

    async def test_a_stranger_can_not_say_who_it_is(self, make_app: MakeApp) -> None:
        service = await make_app(RATE_LIMIT_READS="1000000")
        client = service.client(address="203.0.113.7")
        first = await self._remaining(client, **{"X-Real-IP": "198.51.100.1"})
        second = await self._remaining(client, **{"X-Real-IP": "198.51.100.2"})
        assert second == first - 1

    @pytest.mark.parametrize("address", ["10.0.0.1", ""])
    async def test_a_trusted_proxy_can(self, make_app: MakeApp, address: str) -> None:
        service = await make_app(RATE_LIMIT_READS="1000000", TRUSTED_PROXIES="10.0.0.0/8")
        proxy = service.client(address=address)
        first = await self._remaining(proxy, **{"X-Real-IP": "198.51.100.1"})
        assert await self._remaining(proxy, **{"X-Real-IP": "198.51.100.2"}) == first
        assert await self._remaining(proxy, **{"X-Real-IP": "198.51.100.1"}) == first - 1


@pytest.mark.parametrize(
    "cookie", [b"access_token=\xff\xfe", b"access_token=" + b"x" * 100_000, b"=;=;", b"access_token", b"\x00"], ids=len
)
async def test_cookies_of_any_bytes_are_no_500(client: httpx.AsyncClient, cookie: bytes) -> None:
    problem(await client.get(ME, headers=[(b"Cookie", cookie), (b"User-Agent", b"\xff")]), 401)


async def test_links_are_paths_of_this_service(athlete: Actor) -> None:
    made = await athlete.client.post(SESSIONS, json={})
    assert urlsplit(made.headers["location"]).path == f"{SESSIONS}/{made.json()['id']}"
    assert (await athlete.client.get(made.headers["location"])).json() == made.json()


async def test_sign_up_answers_with_where_the_account_is(client: httpx.AsyncClient) -> None:
    body = {"email": email(), "password": PASSWORD, "confirmPassword": PASSWORD}
    answer = await client.post("/api/v1/access/signup", json=body)
    assert answer.status_code == 201
    assert urlsplit(answer.headers["location"]).path == ME


def _names(header: str) -> set[str]:
    return {name.strip().lower() for name in header.split(",")}
