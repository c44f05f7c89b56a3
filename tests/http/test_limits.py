"""Rate limits.

A window is a minute of the clock, and a test may see one end and the next begin. So more requests are sent than two
windows let through, and the answers are counted for each window by its X-RateLimit-Reset.
"""

import time
from collections import defaultdict
from itertools import chain, repeat

import httpx
import pytest

from tests.actors import Actor
from tests.answers import problem
from tests.conftest import MakeActor, MakeApp
from tests.factories import PASSWORD, email

ME = "/api/v1/access/me"
SESSIONS = "/api/v1/training-sessions"


def windows(answers: list[httpx.Response]) -> list[tuple[int, int]]:
    """For each window: how many answers were let through, and how many refused."""
    counted: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for answer in answers:
        counted[answer.headers["x-ratelimit-reset"]][answer.status_code == 429] += 1
    return [(through, refused) for through, refused in counted.values()]


def check(answers: list[httpx.Response], limit: int) -> None:
    """No window let more through than the limit, and the one that was used up let exactly that many through."""
    assert all(through <= limit for through, _ in windows(answers))
    assert all(through == limit for through, refused in windows(answers) if refused)
    assert any(refused for _, refused in windows(answers))


class TestHeaders:
    async def test_are_on_every_limited_answer(self, make_app: MakeApp, athlete: Actor) -> None:
        client = (await make_app(RATE_LIMIT_READS="1000")).client(cookies=athlete.client.cookies)
        for path, status in ((ME, 200), (f"{SESSIONS}/x", 404), ("/api/v1/users", 403), (f"{ME}?x=1", 422)):
            answer = await client.get(path)
            assert answer.status_code == status
            assert answer.headers["x-ratelimit-limit"] == "1000"
            assert 0 <= int(answer.headers["x-ratelimit-remaining"]) < 1000
            assert 0 < int(answer.headers["x-ratelimit-reset"]) - time.time() <= 60

    async def test_remaining_goes_down_one_by_one(self, make_app: MakeApp, athlete: Actor) -> None:
        client = (await make_app(RATE_LIMIT_READS="1000")).client(cookies=athlete.client.cookies)
        answers = [await client.get(ME) for _ in range(5)]
        by_window: dict[str, list[int]] = defaultdict(list)
        for answer in answers:
            by_window[answer.headers["x-ratelimit-reset"]].append(int(answer.headers["x-ratelimit-remaining"]))
        for left in by_window.values():
            assert left == list(range(999, 999 - len(left), -1))

    async def test_are_absent_where_there_is_no_limit(self, athlete: Actor) -> None:
        assert "x-ratelimit-limit" not in (await athlete.client.get(ME)).headers


class TestUsers:
    async def test_a_read_past_the_limit_is_429(self, make_app: MakeApp, athlete: Actor) -> None:
        client = (await make_app(RATE_LIMIT_READS="7")).client(cookies=athlete.client.cookies)
        answers = [await client.get(ME) for _ in range(16)]
        check(answers, 7)
        refused = next(answer for answer in answers if answer.status_code == 429)
        problem(refused, 429)
        assert 0 < int(refused.headers["retry-after"]) <= 60
        assert refused.headers["x-ratelimit-remaining"] == "0"

    async def test_reads_and_writes_are_counted_apart(self, make_app: MakeApp, athlete: Actor) -> None:
        service = await make_app(RATE_LIMIT_READS="5", RATE_LIMIT_WRITES="3")
        client = service.client(cookies=athlete.client.cookies)
        check([await client.get(ME) for _ in range(12)], 5)
        check([await client.post(SESSIONS, json={}) for _ in range(8)], 3)

    async def test_all_workers_share_the_count(self, make_app: MakeApp, athlete: Actor) -> None:
        clients = [(await make_app(RATE_LIMIT_READS="50")).client(cookies=athlete.client.cookies) for _ in range(3)]
        answers = [await client.get(ME) for client in chain.from_iterable(repeat(clients, 45))]
        counted = windows(answers)
        assert all(through <= 50 for through, _ in counted)
        assert any(refused for _, refused in counted)
        # A worker that used up its part may be refused a little before the others have used theirs.
        assert any(through == 50 for through, refused in counted if refused)

    async def test_a_user_is_one_whatever_the_address_and_the_session(self, make_app: MakeApp, athlete: Actor) -> None:
        service = await make_app(RATE_LIMIT_READS="10")
        bearer = {"Authorization": f"Bearer {athlete.client.cookies['access_token']}"}
        clients = [
            service.client(cookies=athlete.client.cookies),
            service.client(address="203.0.113.9", headers=bearer),
        ]
        check([await client.get(ME) for client in chain.from_iterable(repeat(clients, 12))], 10)

    async def test_users_behind_one_address_do_not_share(self, make_app: MakeApp, make_actor: MakeActor) -> None:
        service = await make_app(RATE_LIMIT_READS="10")
        for actor in (await make_actor(), await make_actor()):
            client = service.client(cookies=actor.client.cookies)
            assert [(await client.get(ME)).status_code for _ in range(10)] == [200] * 10

    async def test_head_is_a_read_and_options_is_free(self, make_app: MakeApp, athlete: Actor) -> None:
        client = (await make_app(RATE_LIMIT_READS="6")).client(cookies=athlete.client.cookies)
        assert [(await client.options(ME)).status_code for _ in range(20)] == [204] * 20
        check([await client.head(ME) for _ in range(14)], 6)

    async def test_system_routes_are_free(self, make_app: MakeApp) -> None:
        client = (await make_app(RATE_LIMIT_READS="1")).client()
        for path in (
            "/ping",
            "/health",
            "/health/live",
            "/health/ready",
            "/api/v1/ping",
            "/metrics",
            "/api/v1/metrics",
        ):
            answers = [await client.get(path) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200] * 3, path
            assert all("x-ratelimit-limit" not in answer.headers for answer in answers)


class TestAddresses:
    async def test_who_is_not_signed_in_is_counted_by_address(self, make_app: MakeApp) -> None:
        service = await make_app(RATE_LIMIT_READS="4")
        check([await service.client(address="203.0.113.1").get(ME) for _ in range(10)], 4)
        assert (await service.client(address="203.0.113.2").get(ME)).status_code == 401

    async def test_bad_credentials_too(self, make_app: MakeApp) -> None:
        client = (await make_app(RATE_LIMIT_READS="4")).client(headers={"Authorization": "Bearer nonsense"})
        check([await client.get(ME) for _ in range(10)], 4)

    async def test_an_ipv6_network_is_one_address(self, make_app: MakeApp) -> None:
        service = await make_app(RATE_LIMIT_READS="4")
        check([await service.client(address=f"2001:db8:0:1::{n:x}").get(ME) for n in range(10)], 4)
        assert (await service.client(address="2001:db8:0:2::1").get(ME)).status_code == 401

    @pytest.mark.parametrize("path", ["signin", "signup"])
    async def test_sign_in_and_sign_up_have_a_limit_of_their_own(self, make_app: MakeApp, path: str) -> None:
        service = await make_app(RATE_LIMIT_SIGN_IN="5")
        client = service.client(address="203.0.113.3")
        answers = [
            await client.post(f"/api/v1/access/{path}", json={"email": email(), "password": PASSWORD})
            for _ in range(12)
        ]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert len(answers) - len(refused) in range(5, 11)
        assert all(0 < int(answer.headers["retry-after"]) <= 60 for answer in refused)
        assert all(answer.headers["x-ratelimit-limit"] == "5" for answer in answers)


async def test_no_way_of_writing_a_path_leads_past_the_limit(make_app: MakeApp) -> None:
    client = (await make_app(RATE_LIMIT_SIGN_IN="5")).client(address="203.0.113.3")
    paths = ("/api/v1/access/signin", "/api/v1/access/signin/", "/api/v1//access/signin")
    answers = [await client.post(path, json={"email": email(), "password": PASSWORD}) for path in paths * 4]
    assert len([answer for answer in answers if answer.status_code == 429]) >= 2


async def test_without_valkey_requests_are_let_through(make_app: MakeApp, athlete: Actor) -> None:
    service = await make_app(RATE_LIMIT_READS="2", VALKEY_URL="unix:///nonexistent/valkey.sock")
    client = service.client(cookies=athlete.client.cookies)
    assert [(await client.get(ME)).status_code for _ in range(5)] == [200] * 5
