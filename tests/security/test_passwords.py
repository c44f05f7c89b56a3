import asyncio
import threading
import unicodedata
from collections.abc import Iterator
from typing import Self

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import Unavailable
from app.security.passwords import MAX_LENGTH, Passwords, password_problems

GOOD = "Str0ng&Heavy"


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    cheap = Passwords(memory_kib=64, time_cost=1, threads=1, wait=0.3)
    yield cheap
    cheap.close()


class Held:
    """Keeps the one hash thread busy until it is let go."""

    def __init__(self, passwords: Passwords) -> None:
        self._gate = threading.Event()
        self._passwords = passwords
        self.request: asyncio.Task[bool] | None = None

    async def __aenter__(self) -> Self:
        entered = asyncio.Event()
        loop = asyncio.get_running_loop()

        def work() -> bool:
            loop.call_soon_threadsafe(entered.set)
            return self._gate.wait(10)

        self.request = asyncio.create_task(self._passwords._work(work))
        await entered.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gate.set()
        assert self.request is not None
        await asyncio.gather(self.request, return_exceptions=True)


class TestRules:
    @pytest.mark.parametrize(
        "password",
        [GOOD, "aA1@aaaa", "aA1_" + "x" * 124, "Zażółć gęślą 1!", "  aA1!  ", "ßÖ٣&日本語日", "aA1!\x00\x01\x02\x03"],
    )
    def test_good(self, password: str) -> None:
        assert password_problems(password) == []

    @pytest.mark.parametrize(
        ("password", "types", "word"),
        [
            ("aA1@aaa", ["length"], "at least 8"),
            ("aA1@" + "x" * 125, ["length"], "at most 128"),
            ("x" * 1_000_000, ["length"], "at most 128"),
            ("AAAAAAA1!", ["pattern"], "lower"),
            ("aaaaaaa1!", ["pattern"], "upper"),
            ("aaaaaaaA!", ["pattern"], "digit"),
            ("aaaaaaaA1", ["pattern"], "one of @$!%*?&_"),
            ("aaaaaaA1#-.", ["pattern"], "one of @$!%*?&_"),
            ("aA1!aaaa\ud800", ["pattern"], "Unicode"),
            ("", ["length", "pattern", "pattern", "pattern", "pattern"], "at least 8"),
        ],
    )
    def test_bad(self, password: str, types: list[str], word: str) -> None:
        problems = password_problems(password)
        assert [problem.type for problem in problems] == types
        assert word in problems[0].message

    def test_length_is_that_of_the_composed_form(self) -> None:
        decomposed = "aA1!" + unicodedata.normalize("NFD", "é") * 124
        assert len(decomposed) > MAX_LENGTH
        assert password_problems(decomposed) == []

    @settings(deadline=None)
    @given(st.text(max_size=140))
    def test_both_forms_are_judged_alike(self, password: str) -> None:
        forms = [unicodedata.normalize(form, password) for form in ("NFC", "NFD")]
        assert password_problems(forms[0]) == password_problems(forms[1])

    @settings(deadline=None)
    @given(st.text(min_size=4, max_size=100))
    def test_any_characters_are_allowed(self, middle: str) -> None:
        assert password_problems("aA1!" + unicodedata.normalize("NFC", middle) + "1234") == []


class TestHash:
    async def test_is_argon2id_with_the_given_parameters(self, passwords: Passwords) -> None:
        stored = await passwords.hash(GOOD)
        parameters = extract_parameters(stored)
        assert stored.startswith("$argon2id$v=19$m=64,t=1,p=1$")
        assert (parameters.salt_len, parameters.hash_len) == (16, 32)

    def test_the_defaults_are_those_of_owasp(self) -> None:
        passwords = Passwords()
        assert not passwords.needs_rehash(PasswordHasher(2, 19456, 1, hash_len=32, salt_len=16).hash(GOOD))
        passwords.close()

    async def test_verifies_what_it_hashed_and_nothing_else(self, passwords: Passwords) -> None:
        stored = await passwords.hash(GOOD)
        assert await passwords.verify(GOOD, stored)
        assert not await passwords.verify(GOOD + " ", stored)
        assert not await passwords.verify("", stored)
        assert not await passwords.verify("\ud800", stored)

    async def test_the_form_in_which_it_is_typed_does_not_matter(self, passwords: Passwords) -> None:
        stored = await passwords.hash("Cafe\u0301 1!aA")
        assert await passwords.verify("Caf\u00e9 1!aA", stored)

    async def test_a_nul_does_not_end_it(self, passwords: Passwords) -> None:
        stored = await passwords.hash("aA1!aaaa\x00b")
        assert not await passwords.verify("aA1!aaaa\x00c", stored)

    async def test_what_is_stored_may_be_no_hash(self, passwords: Passwords) -> None:
        assert not await passwords.verify(GOOD, "")
        assert not await passwords.verify(GOOD, "$argon2id$v=19$nonsense")

    async def test_other_parameters_ask_for_a_new_hash(self, passwords: Passwords) -> None:
        stored = await passwords.hash(GOOD)
        stronger = Passwords(memory_kib=128, time_cost=1)
        assert not passwords.needs_rehash(stored)
        assert stronger.needs_rehash(stored)
        assert await stronger.verify(GOOD, stored)
        stronger.close()

    async def test_a_megabyte_is_refused_without_work(self, passwords: Passwords) -> None:
        stored = await passwords.hash(GOOD)
        # Nothing else is free to hash them.
        async with Held(passwords):
            assert not await passwords.verify("x" * 1_000_000, stored)
            with pytest.raises(ValueError, match="too long"):
                await passwords.hash("x" * 1_000_000)

    async def test_an_unknown_account_costs_exactly_one_verification(
        self, passwords: Passwords, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        verified: list[str] = []
        original = PasswordHasher.verify

        def counting(hasher: PasswordHasher, stored: str, password: str) -> bool:
            verified.append(stored)
            return original(hasher, stored, password)

        monkeypatch.setattr(PasswordHasher, "verify", counting)
        await passwords.verify_nothing(GOOD)
        assert len(verified) == 1
        assert not passwords.needs_rehash(verified[0])


class TestSlots:
    async def test_who_finds_none_in_time_is_told_when_to_come_back(self, passwords: Passwords) -> None:
        async with Held(passwords):
            with pytest.raises(Unavailable) as caught:
                await passwords.verify_nothing(GOOD)
            assert caught.value.retry_after >= 1
        await passwords.verify_nothing(GOOD)

    async def test_the_event_loop_stays_free(self, passwords: Passwords) -> None:
        async with Held(passwords) as held:
            assert held.request is not None
            await asyncio.sleep(0)
            assert not held.request.done()

    async def test_a_cancelled_wait_takes_no_slot(self, passwords: Passwords) -> None:
        async with Held(passwords):
            waiting = [asyncio.create_task(passwords.verify_nothing(GOOD)) for _ in range(5)]
            await asyncio.sleep(0)
            for task in waiting:
                task.cancel()
            assert all(isinstance(end, BaseException) for end in await asyncio.gather(*waiting, return_exceptions=True))
        await passwords.verify_nothing(GOOD)

    async def test_a_cancelled_request_keeps_its_slot_while_the_thread_works(self, passwords: Passwords) -> None:
        async with Held(passwords) as held:
            assert held.request is not None
            held.request.cancel()
            await asyncio.wait([held.request])
            assert held.request.cancelled()
            with pytest.raises(Unavailable):
                await passwords.verify_nothing(GOOD)
        await passwords.verify_nothing(GOOD)

    async def test_a_failed_job_gives_its_slot_back(self, passwords: Passwords) -> None:
        for _ in range(3):
            with pytest.raises(UnicodeEncodeError):
                await passwords.hash("\ud800")
        await passwords.verify_nothing(GOOD)
