import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from valkey.asyncio import Valkey

from app.errors import Unavailable
from app.security.jti import JTIStore, RefreshToken, Reuse, Rotated, Unknown
from app.security.valkey import ANSWER_WITHIN, open_valkey
from tests.security.conftest import FragileValkey

MONTH = 30 * 24 * 3600
SID = uuid4()


@pytest.fixture
def store(valkey: Valkey) -> JTIStore:
    return JTIStore(valkey)


@pytest.fixture
def impatient(valkey: Valkey) -> JTIStore:
    """Its grace period is over at once."""
    return JTIStore(valkey, grace_ms=-1)


def token(expires_in: int = MONTH) -> RefreshToken:
    now = int(time.time())
    return RefreshToken(uuid4(), now, now + expires_in)


def session_end() -> int:
    return int(time.time()) + 3 * MONTH


async def forgotten_at(valkey: Valkey) -> float:
    """When the one key goes, in Unix seconds."""
    (key,) = await valkey.keys()
    return time.time() + int(await valkey.pttl(key)) / 1000


async def opened(store: JTIStore, sid: UUID = SID) -> RefreshToken:
    return await store.open(sid, token(), session_end())


class TestRotate:
    async def test_the_successor_takes_its_place(self, store: JTIStore) -> None:
        first, second, third = await opened(store), token(), token()
        answer = await store.rotate(SID, first.jti, second)
        assert isinstance(answer, Rotated)
        assert (answer.token, answer.first) == (second, True)
        answer = await store.rotate(SID, second.jti, third)
        assert isinstance(answer, Rotated)
        assert (answer.token, answer.first) == (third, True)

    async def test_a_second_use_gets_the_same_successor(self, store: JTIStore) -> None:
        first, second = await opened(store), token()
        await store.rotate(SID, first.jti, second)
        for _ in range(3):
            again = await store.rotate(SID, first.jti, token(99))
            assert isinstance(again, Rotated)
            assert (again.token, again.first) == (second, False)
        assert isinstance(await store.rotate(SID, second.jti, token()), Rotated)

    async def test_two_at_the_same_instant_on_two_workers(self, valkey_server: FragileValkey, valkey: Valkey) -> None:
        async with open_valkey(valkey_server.url) as other:
            stores = [JTIStore(valkey), JTIStore(other)]
            for _ in range(50):
                sid = uuid4()
                first = await opened(stores[0], sid)
                answers = await asyncio.gather(*(store.rotate(sid, first.jti, token()) for store in stores * 2))
                rotated = [answer for answer in answers if isinstance(answer, Rotated)]
                assert len(rotated) == 4
                assert len({answer.token for answer in rotated}) == 1
                assert sum(answer.first for answer in rotated) == 1

    async def test_a_use_after_the_grace_period_is_theft(self, impatient: JTIStore) -> None:
        first, second = await opened(impatient), token()
        await impatient.rotate(SID, first.jti, second)
        assert await impatient.rotate(SID, first.jti, token()) == Reuse()
        assert await impatient.rotate(SID, second.jti, token()) == Unknown()
        assert await impatient.rotate(SID, first.jti, token()) == Unknown()

    async def test_a_use_after_the_successor_was_used_is_theft(self, store: JTIStore) -> None:
        first, second, third = await opened(store), token(), token()
        await store.rotate(SID, first.jti, second)
        await store.rotate(SID, second.jti, third)
        assert await store.rotate(SID, first.jti, token()) == Reuse()
        assert await store.rotate(SID, third.jti, token()) == Unknown()

    async def test_a_token_that_was_never_given_out_ends_the_session(self, store: JTIStore) -> None:
        first = await opened(store)
        assert await store.rotate(SID, uuid4(), token()) == Reuse()
        assert await store.rotate(SID, first.jti, token()) == Unknown()

    async def test_an_unknown_session_is_dead(self, store: JTIStore) -> None:
        assert await store.rotate(uuid4(), uuid4(), token()) == Unknown()

    async def test_sessions_do_not_touch_each_other(self, store: JTIStore) -> None:
        other = uuid4()
        mine, theirs = await opened(store), await opened(store, other)
        assert await store.rotate(SID, theirs.jti, token()) == Reuse()
        assert isinstance(await store.rotate(other, theirs.jti, token()), Rotated)
        assert await store.rotate(SID, mine.jti, token()) == Unknown()

    async def test_scripts_survive_a_restart(self, fragile_valkey: FragileValkey) -> None:
        await fragile_valkey.start()
        async with open_valkey(fragile_valkey.url) as client:
            store = JTIStore(client)
            first, second = await opened(store), token()
            await store.rotate(SID, first.jti, second)
            await fragile_valkey.stop()
            await fragile_valkey.start()
            assert isinstance(await store.rotate(SID, second.jti, token()), Rotated)


class TestLifetime:
    async def test_no_token_outlives_its_session(self, store: JTIStore) -> None:
        end = int(time.time()) + 100
        first = await store.open(SID, token(), end)
        assert first.expires_at == end
        answer = await store.rotate(SID, first.jti, token())
        assert isinstance(answer, Rotated)
        assert (answer.token.expires_at, answer.ends_at) == (end, end)

    async def test_the_store_forgets_with_the_token(self, store: JTIStore, valkey: Valkey) -> None:
        first = await opened(store)
        assert abs(await forgotten_at(valkey) - first.expires_at) < 1
        second = token(MONTH + 5)
        await store.rotate(SID, first.jti, second)
        assert abs(await forgotten_at(valkey) - second.expires_at) < 1

    async def test_a_session_past_its_end_is_unknown(self, store: JTIStore) -> None:
        first = await store.open(SID, token(), int(time.time()) - 1)
        assert await store.rotate(SID, first.jti, token()) == Unknown()


class TestClose:
    async def test_ends_those_and_no_others(self, store: JTIStore, valkey: Valkey) -> None:
        sids = [uuid4() for _ in range(3)]
        tokens = [await opened(store, sid) for sid in sids]
        await store.close(sids[:2])
        answers = [await store.rotate(sid, first.jti, token()) for sid, first in zip(sids, tokens, strict=True)]
        assert [type(answer) for answer in answers] == [Unknown, Unknown, Rotated]
        assert len(await valkey.keys()) == 1

    async def test_none(self, store: JTIStore) -> None:
        await store.close([])


class TestValkeyAway:
    @pytest.fixture
    async def gone(self, tmp_path: Path) -> AsyncIterator[JTIStore]:
        async with open_valkey(f"unix://{tmp_path}/nothing") as client:
            yield JTIStore(client)

    async def test_is_told_at_once(self, gone: JTIStore) -> None:
        for question in (gone.rotate(SID, uuid4(), token()), opened(gone), gone.close([SID])):
            begin = time.monotonic()
            with pytest.raises(Unavailable) as caught:
                await question
            assert time.monotonic() - begin < ANSWER_WITHIN
            assert caught.value.retry_after >= 1

    async def test_a_frozen_server_is_given_a_second(self, fragile_valkey: FragileValkey) -> None:
        await fragile_valkey.start()
        async with open_valkey(fragile_valkey.url) as client:
            store = JTIStore(client)
            first = await opened(store)
            fragile_valkey.signal(signal.SIGSTOP)
            begin = time.monotonic()
            with pytest.raises(Unavailable):
                await store.rotate(SID, first.jti, token())
            assert time.monotonic() - begin < 3 * ANSWER_WITHIN
            fragile_valkey.signal(signal.SIGCONT)
            # What it was asked while it was frozen counts: a second try is within the grace period.
            assert isinstance(await store.rotate(SID, first.jti, token()), Rotated)

    async def test_a_cancelled_question_spoils_no_connection(self, store: JTIStore) -> None:
        first = await opened(store)
        for _ in range(20):
            asked = asyncio.create_task(store.rotate(SID, uuid4(), token()))
            await asyncio.sleep(0)
            asked.cancel()
            await asyncio.wait([asked])
        first = await opened(store)
        assert isinstance(await store.rotate(SID, first.jti, token()), Rotated)


async def emptied(client: Valkey) -> None:
    await client.flushdb()
    await client.aclose()


class _Session(RuleBasedStateMachine):
    """Whatever is asked in whatever order: at most one token can be used to make a new one."""

    store: JTIStore
    runner: asyncio.Runner

    @initialize()
    def begin(self) -> None:
        self.sid = uuid4()
        self.issued = [self.runner.run(opened(self.store, self.sid))]
        self.live: RefreshToken | None = self.issued[0]
        self.previous: RefreshToken | None = None

    @rule(back=st.integers(0, 4))
    def use(self, back: int) -> None:
        used = self.issued[max(0, len(self.issued) - 1 - back)]
        candidate = token()
        answer = self.runner.run(self.store.rotate(self.sid, used.jti, candidate))
        if self.live is None:
            assert answer == Unknown()
        elif used == self.live:
            assert isinstance(answer, Rotated)
            assert answer.token == candidate
            self.previous, self.live = used, candidate
            self.issued.append(candidate)
        elif used == self.previous:
            assert isinstance(answer, Rotated)
            assert (answer.token, answer.first) == (self.live, False)
        else:
            assert answer == Reuse()
            self.live = None


def test_any_sequence_of_uses(valkey_server: FragileValkey) -> None:
    with asyncio.Runner() as runner:
        client = open_valkey(valkey_server.url)

        class Session(_Session):
            pass

        Session.store, Session.runner = JTIStore(client), runner
        run_state_machine_as_test(Session, settings=settings(deadline=None, max_examples=50))
        runner.run(emptied(client))
