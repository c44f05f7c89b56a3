import asyncio
import time
from pathlib import Path
from uuid import uuid4

import pytest
from valkey.asyncio import Valkey

from app.errors import TooManyRequests, Unavailable
from app.security import throttle as module
from app.security.throttle import SignInThrottle
from app.security.tokens import Tokens
from app.security.valkey import open_valkey
from tests.security.conftest import eventually

ADA = "ada@example.org"


@pytest.fixture
def throttle(valkey: Valkey, tokens: Tokens) -> SignInThrottle:
    return SignInThrottle(valkey, tokens)


def addresses() -> list[str]:
    return [f"192.0.2.{number}" for number in range(256)]


class TestAddress:
    async def test_ten_tries_whatever_comes_of_them(self, throttle: SignInThrottle) -> None:
        for remaining in range(9, -1, -1):
            attempt = await throttle.sign_in("192.0.2.1", f"{uuid4()}@example.org")
            await throttle.succeeded(attempt)
            assert attempt.allowance is not None
            assert (attempt.allowance.limit, attempt.allowance.remaining) == (10, remaining)
            assert 58 <= attempt.allowance.reset - time.time() <= 61
        with pytest.raises(TooManyRequests) as caught:
            await throttle.sign_in("192.0.2.1", ADA)
        assert caught.value.limit == 10
        assert 58 <= caught.value.retry_after <= 60
        assert abs(caught.value.reset - time.time() - caught.value.retry_after) <= 1
        await throttle.sign_in("192.0.2.2", ADA)

    async def test_sign_ups_count_together_with_sign_ins(self, throttle: SignInThrottle) -> None:
        for number in range(5):
            await throttle.sign_in("192.0.2.1", f"{number}@example.org")
            await throttle.sign_up("192.0.2.1")
        for refused in (throttle.sign_up("192.0.2.1"), throttle.sign_in("192.0.2.1", ADA)):
            with pytest.raises(TooManyRequests):
                await refused

    async def test_a_hundred_at_once_are_ten(self, throttle: SignInThrottle) -> None:
        answers = await asyncio.gather(*(throttle.sign_up("192.0.2.1") for _ in range(30)), return_exceptions=True)
        assert sum(not isinstance(answer, BaseException) for answer in answers) == 10
        assert all(isinstance(answer, TooManyRequests) for answer in answers if isinstance(answer, BaseException))

    async def test_refused_tries_do_not_prolong_the_wait(
        self, throttle: SignInThrottle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "WINDOW_MS", 300)
        for _ in range(10):
            await throttle.sign_up("192.0.2.1")

        async def allowed() -> bool:
            try:
                await throttle.sign_up("192.0.2.1")
            except TooManyRequests:
                return False
            return True

        assert not await allowed()
        await eventually(allowed, within=2)


class TestAccount:
    async def test_ten_failures_from_anywhere(self, throttle: SignInThrottle) -> None:
        for address in addresses()[:10]:
            await throttle.sign_in(address, ADA)
        for email in (ADA, " ADA@Example.ORG"):
            with pytest.raises(TooManyRequests):
                await throttle.sign_in("198.51.100.1", email)
        await throttle.sign_in("198.51.100.1", "grace@example.org")

    async def test_a_success_is_no_failure(self, throttle: SignInThrottle) -> None:
        for address in addresses()[:25]:
            await throttle.succeeded(await throttle.sign_in(address, ADA))
        attempt = await throttle.sign_in("198.51.100.1", ADA)
        assert attempt.allowance is not None
        assert attempt.allowance.remaining == 9

    async def test_tries_at_once_are_counted_before_they_are_checked(self, throttle: SignInThrottle) -> None:
        tries = (throttle.sign_in(address, ADA) for address in addresses()[:40])
        answers = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(not isinstance(answer, BaseException) for answer in answers) == 10

    async def test_a_success_does_not_forgive_the_failures_before_it(self, throttle: SignInThrottle) -> None:
        for address in addresses()[:9]:
            await throttle.sign_in(address, ADA)
        await throttle.succeeded(await throttle.sign_in("198.51.100.1", ADA))
        await throttle.sign_in("198.51.100.2", ADA)
        with pytest.raises(TooManyRequests):
            await throttle.sign_in("198.51.100.3", ADA)

    async def test_the_key_does_not_show_the_address(self, throttle: SignInThrottle, valkey: Valkey) -> None:
        await throttle.sign_in("192.0.2.1", ADA)
        keys = await valkey.keys()
        assert not any(b"ada" in key for key in keys)
        assert all([0 < await valkey.pttl(key) <= 60_000 for key in keys])


class TestDevice:
    async def locked(self, throttle: SignInThrottle, email: str = ADA) -> None:
        for address in addresses()[:10]:
            await throttle.sign_in(address, email)

    async def test_strangers_do_not_lock_it_out(self, throttle: SignInThrottle) -> None:
        cookie = throttle.device_cookie(ADA, await throttle.sign_in("198.51.100.1", ADA))
        await self.locked_out(throttle)
        attempt = await throttle.sign_in("198.51.100.2", ADA, cookie)
        assert attempt.device is not None

    async def locked_out(self, throttle: SignInThrottle) -> None:
        for address in addresses()[:9]:
            await throttle.sign_in(address, ADA)
        with pytest.raises(TooManyRequests):
            await throttle.sign_in("198.51.100.9", ADA)

    async def test_it_has_ten_failures_of_its_own(self, throttle: SignInThrottle) -> None:
        cookie = throttle.device_cookie(ADA, await throttle.sign_in("198.51.100.1", ADA))
        for address in addresses()[:10]:
            await throttle.sign_in(address, ADA, cookie)
        with pytest.raises(TooManyRequests):
            await throttle.sign_in("198.51.100.2", ADA, cookie)
        await throttle.sign_in("198.51.100.2", ADA)

    async def test_it_keeps_its_name(self, throttle: SignInThrottle, tokens: Tokens) -> None:
        first = throttle.device_cookie(ADA, await throttle.sign_in("198.51.100.1", ADA))
        second = throttle.device_cookie(ADA, await throttle.sign_in("198.51.100.1", ADA, first))
        assert tokens.verify_device(first).jti == tokens.verify_device(second).jti

    async def test_one_of_another_account_or_forged_counts_for_nothing(
        self, throttle: SignInThrottle, tokens: Tokens
    ) -> None:
        grace = throttle.device_cookie("grace@example.org", await throttle.sign_in("198.51.100.1", "g@example.org"))
        access = tokens.issue_access(uuid4(), uuid4(), uuid4())
        await self.locked(throttle)
        for cookie in (grace, grace[:-4] + "AAAA", access, "", "x" * 100_000):
            with pytest.raises(TooManyRequests):
                await throttle.sign_in("198.51.100.7", ADA, cookie)


class TestSettings:
    async def test_zero_is_no_limit(self, valkey: Valkey, tokens: Tokens) -> None:
        throttle = SignInThrottle(valkey, tokens, limit=0)
        for _ in range(30):
            assert (await throttle.sign_in("192.0.2.1", ADA)).allowance is None
            assert await throttle.sign_up("192.0.2.1") is None
        await throttle.succeeded(await throttle.sign_in("192.0.2.1", ADA))
        assert await valkey.keys() == []

    async def test_a_lowered_limit_holds_at_once(self, valkey: Valkey, tokens: Tokens) -> None:
        for _ in range(8):
            await SignInThrottle(valkey, tokens).sign_up("192.0.2.1")
        with pytest.raises(TooManyRequests):
            await SignInThrottle(valkey, tokens, limit=3).sign_up("192.0.2.1")


class TestValkeyAway:
    async def test_nobody_signs_in_and_anybody_signs_up(self, tokens: Tokens, tmp_path: Path) -> None:
        async with open_valkey(f"unix://{tmp_path}/nothing") as client:
            throttle = SignInThrottle(client, tokens)
            with pytest.raises(Unavailable):
                await throttle.sign_in("192.0.2.1", ADA)
            assert await throttle.sign_up("192.0.2.1") is None
            assert throttle.failures == 1
