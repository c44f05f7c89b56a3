import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest
from valkey.asyncio import Valkey

from app.errors import Unavailable
from app.security.authenticator import Authenticator, api_token_hash, new_api_token
from app.security.broadcast import Broadcast
from app.security.invalidations import EVERYBODY, SIGNING_KEYS, InvalidationRing
from app.security.keys import KeyRing
from app.security.principal import Principal, Scope
from app.security.tokens import InvalidToken, Tokens


class AlwaysSure(Broadcast):
    """A subscription that is in order, or not, as the test says."""

    is_sure = True

    @property
    def sure(self) -> bool:
        return self.is_sure


class Accounts:
    """Sessions and tokens that are alive, and how often somebody asked."""

    def __init__(self) -> None:
        self.sessions: dict[UUID, Principal] = {}
        self.api_tokens: dict[bytes, Principal] = {}
        self.asked = 0
        self.before_answer: Callable[[], Awaitable[None]] | None = None
        self.failure: Exception | None = None

    async def load_session_principal(self, sid: UUID) -> Principal | None:
        return await self._answer(self.sessions.get(sid))

    async def load_token_principal(self, token_hash: bytes) -> Principal | None:
        return await self._answer(self.api_tokens.get(token_hash))

    async def _answer(self, principal: Principal | None) -> Principal | None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        if self.before_answer is not None:
            await self.before_answer()
        return principal


def principal(**changes: object) -> Principal:
    ada = Principal(
        user_id=uuid4(),
        session_id=uuid4(),
        name="Ada",
        email="ada@example.org",
        is_superuser=False,
        role_slug="application-access",
        timezone="UTC",
        weight_unit="kg",
        distance_unit="km",
        version=1,
    )
    return msgspec.structs.replace(ada, **changes)


class Service:
    """One worker, and beside it another process of the machine that publishes."""

    def __init__(self, path: Path, tokens: Tokens) -> None:
        self.ring = InvalidationRing(path)
        self.elsewhere = InvalidationRing(path)
        self.tokens = tokens
        self.accounts = Accounts()
        self.broadcast = AlwaysSure(self.ring, Valkey())
        self.authenticator = self.worker()

    def worker(
        self, size: int = 10_000, max_age: float = 30.0, load_keys: Callable[[], KeyRing] | None = None
    ) -> Authenticator:
        return Authenticator(self.tokens, self.broadcast, self.accounts, load_keys, size, max_age)

    def sign_in(self, user: Principal) -> str:
        assert user.session_id is not None
        self.accounts.sessions[user.session_id] = user
        return self.tokens.issue_access(user.user_id, user.session_id, uuid4())

    def make_api_token(self, user: Principal, *scopes: Scope) -> str:
        new = new_api_token()
        token_user = msgspec.structs.replace(user, session_id=None, token_id=uuid4(), scopes=frozenset(scopes))
        self.accounts.api_tokens[new.hash] = token_user
        return new.token

    def close(self) -> None:
        self.ring.close()
        self.elsewhere.close()


@pytest.fixture
def service(tmp_path: Path, tokens: Tokens) -> Iterator[Service]:
    running = Service(tmp_path / "revocations", tokens)
    yield running
    running.close()


class TestAuthenticate:
    async def test_asks_once_and_then_knows(self, service: Service) -> None:
        ada = principal()
        token = service.sign_in(ada)
        assert service.authenticator.cached(token) is None
        assert await service.authenticator.authenticate(token) == ada
        assert service.authenticator.cached(token) == ada
        assert await service.authenticator.authenticate(token) == ada
        assert service.accounts.asked == 1

    async def test_a_dead_session_is_nobody(self, service: Service) -> None:
        token = service.sign_in(principal())
        service.accounts.sessions.clear()
        assert await service.authenticator.authenticate(token) is None
        assert service.authenticator.cached(token) is None

    async def test_a_session_of_somebody_else_is_nobody(self, service: Service) -> None:
        ada = principal()
        service.sign_in(ada)
        assert ada.session_id is not None
        token = service.tokens.issue_access(uuid4(), ada.session_id, uuid4())
        assert await service.authenticator.authenticate(token) is None
        assert service.authenticator.cached(token) is None

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "irt_", "irt_short", "Ünïcode", "\ud800", "x" * 1_000_000])
    async def test_nonsense_is_nobody_and_asks_nobody(self, service: Service, token: str) -> None:
        assert service.authenticator.cached(token) is None
        assert await service.authenticator.authenticate(token) is None
        assert service.accounts.asked == 0
        assert not service.authenticator._entries

    async def test_a_refresh_token_is_nobody(self, service: Service) -> None:
        ada = principal()
        service.sign_in(ada)
        assert ada.session_id is not None
        now = int(time.time())
        token = service.tokens.issue_refresh(ada.user_id, ada.session_id, uuid4(), now, now + 900)
        assert await service.authenticator.authenticate(token) is None

    async def test_a_forgery_of_a_token_used_a_moment_before(self, service: Service) -> None:
        token = service.sign_in(principal())
        assert await service.authenticator.authenticate(token)
        head, body, signature = token.split(".")
        for forged in (
            f"{head}.{body}.{signature[:-4]}AAAA",
            f"{head}.{body}.",
            f"{head}.{body}",
            f"{head}.{body}.{'A' * 86}",
            f"{head}.{body}.{signature}=",
            f"eyJhbGciOiJub25lIn0.{body}.",
        ):
            assert service.authenticator.cached(forged) is None
            assert await service.authenticator.authenticate(forged) is None
        assert service.accounts.asked == 1

    async def test_the_database_being_away_is_no_answer(self, service: Service) -> None:
        token = service.sign_in(principal())
        service.accounts.failure = ConnectionRefusedError()
        with pytest.raises(Unavailable):
            await service.authenticator.authenticate(token)
        service.accounts.failure = None
        assert await service.authenticator.authenticate(token)


class TestAPITokens:
    def test_their_form(self) -> None:
        new = new_api_token()
        mark, prefix, secret = new.token.split("_", 2)
        assert (mark, prefix, len(prefix), len(secret)) == ("irt", new.prefix, 8, 43)
        assert new.hash == hashlib.sha256(new.token.encode()).digest() == api_token_hash(new.token)

    async def test_are_known_after_the_first_time(self, service: Service) -> None:
        ada = principal()
        token = service.make_api_token(ada, "read")
        for _ in range(3):
            user = await service.authenticator.authenticate(token)
            assert user is not None
            assert (user.user_id, user.session_id, user.scopes) == (ada.user_id, None, frozenset(["read"]))
        assert service.accounts.asked == 1

    async def test_end_with_their_user(self, service: Service) -> None:
        ada = principal()
        token = service.make_api_token(ada, "read")
        await service.authenticator.authenticate(token)
        service.accounts.api_tokens.clear()
        service.elsewhere.publish([ada.user_id])
        assert await service.authenticator.authenticate(token) is None

    async def test_unknown_ones_leave_nothing_behind(self, service: Service) -> None:
        for _ in range(20):
            assert await service.authenticator.authenticate(new_api_token().token) is None
        assert not service.authenticator._entries
        assert not service.authenticator._by_user

    async def test_a_session_id_does_not_pass_as_a_token(self, service: Service) -> None:
        token = service.make_api_token(principal(), "read")
        for forged in (token + "A", token[:-1], token.replace("irt_", "IRT_"), token + "\n"):
            assert await service.authenticator.authenticate(forged) is None
        assert service.accounts.asked == 0


class TestEnds:
    async def test_with_its_token(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        before = time.time()
        token = service.sign_in(principal())
        now = time.time()
        assert await service.authenticator.authenticate(token)
        monkeypatch.setattr(time, "time", lambda: before + 898)
        assert service.authenticator.cached(token)
        monkeypatch.setattr(time, "time", lambda: now + 900)
        monkeypatch.setattr(service.tokens, "_clock", time.time)
        assert service.authenticator.cached(token) is None
        assert await service.authenticator.authenticate(token) is None
        assert service.accounts.asked == 1

    async def test_with_its_session(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        now = time.time()
        token = service.sign_in(principal(valid_until=now + 100))
        assert await service.authenticator.authenticate(token)
        monkeypatch.setattr(time, "time", lambda: now + 100)
        assert service.authenticator.cached(token) is None
        assert await service.authenticator.authenticate(token) is None

    async def test_one_that_has_ended_is_nobody(self, service: Service) -> None:
        token = service.sign_in(principal(valid_until=time.time() - 1))
        assert await service.authenticator.authenticate(token) is None

    async def test_is_asked_about_again_when_it_is_old(self, service: Service) -> None:
        service.authenticator = service.worker(max_age=0)
        ada = principal()
        token = service.sign_in(ada)
        assert await service.authenticator.authenticate(token) == ada
        renamed = msgspec.structs.replace(ada, name="Countess")
        service.sign_in(renamed)
        assert await service.authenticator.authenticate(token) == renamed
        service.accounts.sessions.clear()
        assert await service.authenticator.authenticate(token) is None
        assert service.accounts.asked == 3


class TestInvalidation:
    async def test_shows_in_the_next_request(self, service: Service) -> None:
        ada, grace = principal(), principal()
        tokens = [service.sign_in(ada), service.sign_in(ada), service.sign_in(grace)]
        for token in tokens:
            await service.authenticator.authenticate(token)
        service.elsewhere.publish([ada.user_id])
        assert [service.authenticator.cached(token) for token in tokens] == [None, None, grace]
        service.accounts.sessions.clear()
        assert await service.authenticator.authenticate(tokens[0]) is None

    async def test_of_everybody(self, service: Service) -> None:
        token = service.sign_in(principal())
        await service.authenticator.authenticate(token)
        service.elsewhere.publish([EVERYBODY])
        assert service.authenticator.cached(token) is None
        assert not service.authenticator._by_user

    async def test_from_another_machine(self, service: Service) -> None:
        ada = principal()
        token = service.sign_in(ada)
        await service.authenticator.authenticate(token)
        for listener in service.broadcast._listeners:
            listener(frozenset([ada.user_id]))
        assert service.authenticator.cached(token) is None

    @pytest.mark.parametrize("everybody", [True, False])
    async def test_while_the_database_is_asked(self, service: Service, everybody: bool) -> None:
        ada = principal()
        token = service.sign_in(ada)

        async def publish() -> None:
            service.elsewhere.publish([EVERYBODY if everybody else ada.user_id])

        service.accounts.before_answer = publish
        assert await service.authenticator.authenticate(token) == ada
        service.accounts.before_answer = None
        assert service.authenticator.cached(token) is None

    async def test_of_another_user_meanwhile_does_not_matter(self, service: Service) -> None:
        token = service.sign_in(principal())

        async def publish() -> None:
            service.elsewhere.publish([uuid4()])

        service.accounts.before_answer = publish
        await service.authenticator.authenticate(token)
        assert service.authenticator.cached(token)

    async def test_of_anybody_while_an_api_token_is_asked_about(self, service: Service) -> None:
        token = service.make_api_token(principal(), "read")

        async def publish() -> None:
            service.elsewhere.publish([uuid4()])

        service.accounts.before_answer = publish
        assert await service.authenticator.authenticate(token)
        assert service.authenticator.cached(token) is None

    async def test_no_old_principal_survives_many_changes_at_once(self, service: Service) -> None:
        ada = principal()
        token = service.sign_in(ada)
        assert ada.session_id is not None
        for version in range(200):
            asks = [asyncio.create_task(service.authenticator.authenticate(token)) for _ in range(3)]
            await asyncio.sleep(0)
            service.accounts.sessions[ada.session_id] = msgspec.structs.replace(ada, version=version)
            service.elsewhere.publish([ada.user_id])
            user = await service.authenticator.authenticate(token)
            assert user is not None
            assert user.version == version
            await asyncio.gather(*asks)
            known = service.authenticator.cached(token)
            assert known is None or known.version == version


class TestUnsure:
    async def test_asks_each_time(self, service: Service) -> None:
        token = service.sign_in(principal())
        await service.authenticator.authenticate(token)
        service.broadcast.is_sure = False
        assert service.authenticator.cached(token) is None
        assert await service.authenticator.authenticate(token)
        service.accounts.sessions.clear()
        assert await service.authenticator.authenticate(token) is None
        assert service.accounts.asked == 3

    async def test_does_not_verify_the_signature_again(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        token = service.sign_in(principal())
        await service.authenticator.authenticate(token)
        service.broadcast.is_sure = False
        monkeypatch.setattr(service.tokens, "verify_access", None)
        assert await service.authenticator.authenticate(token)


class TestSigningKeys:
    async def test_a_rotation_is_followed_and_a_retired_key_is_dead(self, service: Service, keys: KeyRing) -> None:
        rings = [keys]
        service.authenticator = service.worker(load_keys=lambda: rings[-1])
        old = service.sign_in(principal())
        assert await service.authenticator.authenticate(old)
        rings.append(keys.rotate())
        service.elsewhere.publish([SIGNING_KEYS])
        assert await service.authenticator.authenticate(old)
        new = service.sign_in(principal())
        header = new.split(".")[0]
        assert header != old.split(".")[0]
        rings.append(rings[-1].retire(keys.signing_kid))
        service.elsewhere.publish([SIGNING_KEYS])
        assert await service.authenticator.authenticate(old) is None
        assert await service.authenticator.authenticate(new)

    async def test_a_rotation_shows_in_the_next_token(self, service: Service, keys: KeyRing) -> None:
        rings = [keys]
        service.authenticator = service.worker(load_keys=lambda: rings[-1])
        old = service.tokens.issue_refresh(uuid4(), uuid4(), uuid4(), 0, 10**10)
        rings.append(keys.rotate())
        service.elsewhere.publish([SIGNING_KEYS])
        new = service.tokens.issue_refresh(uuid4(), uuid4(), uuid4(), 0, 10**10)
        rings.append(rings[-1].retire(keys.signing_kid))
        service.elsewhere.publish([SIGNING_KEYS])
        assert service.tokens.verify_refresh(new)
        with pytest.raises(InvalidToken):
            service.tokens.verify_refresh(old)
        assert service.tokens.keys is rings[-1]

    async def test_a_broken_file_leaves_the_keys_in_use(self, service: Service) -> None:
        service.authenticator = service.worker(load_keys=lambda: KeyRing.from_json(json.dumps({"keys": []})))
        token = service.sign_in(principal())
        service.elsewhere.publish([SIGNING_KEYS])
        assert await service.authenticator.authenticate(token)


class TestSize:
    async def test_is_bounded_and_the_oldest_go_first(self, service: Service) -> None:
        service.authenticator = service.worker(size=3)
        tokens = [service.sign_in(principal()) for _ in range(5)]
        for token in tokens:
            await service.authenticator.authenticate(token)
        assert [service.authenticator.cached(token) is not None for token in tokens] == [False, False, True, True, True]
        assert len(service.authenticator._by_user) == 3
