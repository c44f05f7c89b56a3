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
from tests.waiting import eventually

ADA = "ada@example.org"


@pytest.fixture
def throttle(valkey: Valkey, tokens: Tokens) -> SignInThrottle:
    return SignInThrottle(valkey, tokens)


class TestAccount:
    async def test_ten_failures_from_anywhere(self, throttle: SignInThrottle) -> None:
        for _ in range(10):
            await throttle.sign_in(ADA)
        for email in (ADA, " ADA@Example.ORG"):
            with pytest.raises(TooManyRequests):
                await throttle.sign_in(email)
        await throttle.sign_in("grace@example.org")

    async def test_a_success_is_no_failure(self, throttle: SignInThrottle) -> None:
        for _ in range(25):
            await throttle.succeeded(await throttle.sign_in(ADA))
        for _ in range(10):
            await throttle.sign_in(ADA)
        with pytest.raises(TooManyRequests):
            await throttle.sign_in(ADA)

    async def test_tries_at_once_are_counted_before_they_are_checked(self, throttle: SignInThrottle) -> None:
        tries = (throttle.sign_in(ADA) for _ in range(40))
        answers = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(not isinstance(answer, BaseException) for answer in answers) == 10

    async def test_a_success_does_not_forgive_the_failures_before_it(self, throttle: SignInThrottle) -> None:
        for _ in range(9):
            await throttle.sign_in(ADA)
        await throttle.succeeded(await throttle.sign_in(ADA))
        await throttle.sign_in(ADA)
        with pytest.raises(TooManyRequests):
            await throttle.sign_in(ADA)

    async def test_the_key_does_not_show_the_address(self, throttle: SignInThrottle, valkey: Valkey) -> None:
        await throttle.sign_in(ADA)
        keys = await valkey.keys()
        assert not any(b"ada" in key for key in keys)
        assert all([0 < await valkey.pttl(key) <= 60_000 for key in keys])

    async def test_refused_tries_do_not_prolong_the_wait(
        self, throttle: SignInThrottle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "WINDOW_MS", 2_000)
        for _ in range(10):
            await throttle.sign_in(ADA)

        async def allowed() -> bool:
            try:
                await throttle.sign_in(ADA)
            except TooManyRequests:
                return False
            return True

        assert not await allowed()
        await eventually(allowed)

    async def test_a_refusal_says_when_the_next_is_free(self, throttle: SignInThrottle) -> None:
        for _ in range(10):
            await throttle.sign_in(ADA)
        with pytest.raises(TooManyRequests) as caught:
            await throttle.sign_in(ADA)
        assert caught.value.limit == 10
        assert 58 <= caught.value.retry_after <= 60
        assert abs(caught.value.reset - time.time() - caught.value.retry_after) <= 1


class TestDevice:
    async def locked(self, throttle: SignInThrottle, email: str = ADA) -> None:
        for _ in range(10):
            await throttle.sign_in(email)

    async def test_strangers_do_not_lock_it_out(self, throttle: SignInThrottle) -> None:
        cookie = throttle.device_cookie(ADA, await throttle.sign_in(ADA))
        await self.locked_out(throttle)
        attempt = await throttle.sign_in(ADA, cookie)
        assert attempt.device is not None

    async def locked_out(self, throttle: SignInThrottle) -> None:
        for _ in range(9):
            await throttle.sign_in(ADA)
        with pytest.raises(TooManyRequests):
            await throttle.sign_in(ADA)

    async def test_it_has_ten_failures_of_its_own(self, throttle: SignInThrottle) -> None:
        cookie = throttle.device_cookie(ADA, await throttle.sign_in(ADA))
        for _ in range(10):
            await throttle.sign_in(ADA, cookie)
        with pytest.raises(TooManyRequests):
            await throttle.sign_in(ADA, cookie)
        await throttle.sign_in(ADA)

    async def test_it_keeps_its_name(self, throttle: SignInThrottle, tokens: Tokens) -> None:
        first = throttle.device_cookie(ADA, await throttle.sign_in(ADA))
        second = throttle.device_cookie(ADA, await throttle.sign_in(ADA, first))
        assert tokens.verify_device(first).jti == tokens.verify_device(second).jti

    async def test_one_of_another_account_or_forged_counts_for_nothing(
        self, throttle: SignInThrottle, tokens: Tokens
    ) -> None:
        grace = throttle.device_cookie("grace@example.org", await throttle.sign_in("g@example.org"))
        access = tokens.issue_access(uuid4(), uuid4(), uuid4())
        await self.locked(throttle)
        for cookie in (grace, grace[:-4] + "AAAA", access, "", "x" * 100_000):
            with pytest.raises(TooManyRequests):
                await throttle.sign_in(ADA, cookie)


class TestSettings:
    async def test_zero_is_no_limit(self, valkey: Valkey, tokens: Tokens) -> None:
        throttle = SignInThrottle(valkey, tokens, limit=0)
        for _ in range(30):
            await throttle.sign_in(ADA)
        await throttle.succeeded(await throttle.sign_in(ADA))
        assert await valkey.keys() == []

    async def test_a_lowered_limit_holds_at_once(self, valkey: Valkey, tokens: Tokens) -> None:
        for _ in range(8):
            await SignInThrottle(valkey, tokens).sign_in(ADA)
        with pytest.raises(TooManyRequests):
            await SignInThrottle(valkey, tokens, limit=3).sign_in(ADA)


class TestValkeyAway:
    async def test_nobody_signs_in(self, tokens: Tokens, tmp_path: Path) -> None:
        async with open_valkey(f"unix://{tmp_path}/nothing") as client:
            throttle = SignInThrottle(client, tokens)
            with pytest.raises(Unavailable):
                await throttle.sign_in(ADA)
