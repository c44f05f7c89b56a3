"""Trials: credentials end while they are in use, and every request that is sent after the answer has to be refused."""

import asyncio
import base64
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from functools import reduce
from itertools import cycle, islice, product, zip_longest
from operator import add
from select import select
from typing import NamedTuple, TypeVar, cast
from uuid import UUID

import asyncpg
import msgspec
from argon2 import PasswordHasher
from msgspec import Struct
from valkey import Valkey

from app.db.base import uuid7
from app.security.authenticator import NewAPIToken, new_api_token
from tests.factories import PASSWORD, APITokenFactory, email
from tests.revocation.workers import Answer, Call, Line, TwoWorkers

ACCESS, REFRESH = "access_token", "refresh_token"
_RUNNERS = 4
_CROWD_PAUSE = 0.02
_GRACE_MS = 10_000

_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
_CREATE = """
INSERT INTO user_account (id, email, password, is_superuser, role_id)
SELECT new.id, new.email, $3, $4, role.id
FROM unnest($1::uuid[], $2::text[]) new (id, email) JOIN role ON role.slug = $5
"""
_CREATE_TOKENS = """
INSERT INTO api_token (id, user_id, name, prefix, hash, scopes, expires_at)
SELECT new.id, new.user_id, 'phone', new.prefix, new.hash, '{write}', now() + interval '1 month'
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[]) new (id, user_id, prefix, hash)
"""
_LIVE_SESSIONS = "SELECT count(*) FROM user_session WHERE user_id = $1 AND revoked_at IS NULL"


T = TypeVar("T")


class Kind(StrEnum):
    """What ends the credentials."""

    LOGOUT = "logout"
    PASSWORD = "password change"
    DEACTIVATION = "deactivation"
    DEMOTION = "demotion"


class Tally(Struct):
    """What was found.

    Attributes:
        trials: how many.
        requests: that were sent after the answer, to both workers together.
        accepted: those of them that were accepted by mistake.
        unclear: those that were neither accepted nor refused in the right way.
    """

    trials: int = 0
    requests: int = 0
    accepted: list[str] = []
    unclear: list[str] = []

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.trials + other.trials,
            self.requests + other.requests,
            self.accepted + other.accepted,
            self.unclear + other.unclear,
        )

    @property
    def clean(self) -> bool:
        """Whether every request was refused."""
        return not self.accepted and not self.unclear

    def expect(self, found: int, status: int, what: str) -> None:
        """Note the answer to a request that was sent afterwards."""
        self.requests += 1
        if found != status:
            (self.accepted if found < 400 else self.unclear).append(f"{what}: {found} instead of {status}")


class Probe(NamedTuple):
    """A request that tells whether the old state is accepted.

    Attributes:
        alive: its status before; 0 for one that can't be sent before without using something up.
        dead: its status afterwards.
    """

    call: Call
    alive: int
    dead: int


class Account(Struct, frozen=True):
    """Somebody who is signed in."""

    id: UUID
    email: str
    access: str
    refresh: str
    api_token: str = ""

    @property
    def cookies(self) -> dict[str, str]:
        """What a browser sends to /access."""
        return {ACCESS: self.access, REFRESH: self.refresh}

    def me(self) -> Call:
        """Asks for the own profile, with the access token."""
        return Call.of("GET", "/access/me", cookies={ACCESS: self.access})


class Victim(Struct, frozen=True):
    """Somebody whose credentials are about to end.

    Attributes:
        turn: of its kind; victims of different turns meet different circumstances.
    """

    kind: Kind
    account: Account
    turn: int

    @property
    def known(self) -> bool:
        """Whether the workers get to know the credentials before; else they ask the database while it changes."""
        return self.turn % 2 == 0

    @property
    def worker(self) -> int:
        """The worker that is told to end them."""
        return self.turn // 2 % 2

    @property
    def overlapping(self) -> Call | None:
        """A request for new credentials, which the other worker answers at the same time."""
        account, part = self.account, self.turn // 4 % 4
        if part == 0 and self.kind is not Kind.DEMOTION:
            return refresh_with(account.refresh)
        if part == 1 and self.kind in {Kind.PASSWORD, Kind.DEACTIVATION}:
            return sign_in(account.email)
        if part == 2 and self.kind in {Kind.PASSWORD, Kind.DEACTIVATION}:
            return Call.of("POST", "/access/tokens", cookies={ACCESS: account.access}, json=APITokenFactory.build())
        return None

    @property
    def probes(self) -> list[Probe]:
        """All that has to be refused afterwards."""
        account = self.account
        probes = []
        if self.kind is Kind.DEMOTION:
            users = Call.of("GET", "/users?pageSize=1", cookies={ACCESS: account.access})
            probes.append(Probe(users, 200, 403))
        else:
            probes.append(Probe(account.me(), 200, 401))
            probes.append(Probe(refresh_with(account.refresh), 0, 401))
        if account.api_token:
            probes.append(Probe(Call.of("GET", "/access/me", bearer=account.api_token), 200, 401))
        return probes

    def end(self, root: Account) -> tuple[Call, int]:
        """The request that ends them, and its status."""
        account = self.account
        by_root = {ACCESS: root.access}
        match self.kind:
            case Kind.LOGOUT:
                return Call.of("POST", "/access/logout", cookies=account.cookies), 204
            case Kind.PASSWORD:
                body = {"currentPassword": PASSWORD, "newPassword": "New-battery_9"}
                return Call.of("PATCH", "/access/password-update", cookies=account.cookies, json=body), 204
            case Kind.DEACTIVATION:
                return Call.of("PATCH", f"/users/{account.id}", cookies=by_root, json={"isActive": False}), 200
            case Kind.DEMOTION:
                role = {"roleSlug": "superuser"}
                return Call.of("PATCH", f"/roles/{account.email}/revoke", cookies=by_root, json=role), 200


class Race(Struct, frozen=True):
    """Two requests that refreshed with the same token at the same instant, one on each worker."""

    old: Account
    answers: list[dict[str, str]]

    @property
    def sid(self) -> UUID:
        """The session."""
        return UUID(_claims(self.old.refresh)["sid"])

    @property
    def record(self) -> str:
        """Where the JTI store keeps it."""
        return f"irontrack:refresh:{self.sid.hex}"


class Trials:
    """Trials on a running service.

    Attributes:
        root: a superuser.
    """

    def __init__(self, workers: TwoWorkers) -> None:
        self._workers = workers
        self.root = self._accounts(1, superuser=True)[0]

    def victims(self, each: int, kinds: Sequence[Kind] = tuple(Kind)) -> list[Victim]:
        """So many of each kind, by turns."""
        found: list[list[Victim]] = []
        for kind in kinds:
            accounts = self._accounts(each, superuser=kind is Kind.DEMOTION, with_tokens=kind is not Kind.LOGOUT)
            found.append([Victim(kind, account, turn) for turn, account in enumerate(accounts)])
        return [victim for turn in zip(*found, strict=True) for victim in turn]

    def run(self, victims: Sequence[Victim], runners: int = _RUNNERS) -> Tally:
        """End the credentials of each while they are in use on both workers, and try them on both afterwards."""
        return self._in_parallel(victims, self._run, runners)

    def warm(self, victims: Sequence[Victim]) -> None:
        """Let both workers get to know the credentials."""
        self._in_parallel(victims, self._warm)

    def repeat(self, victims: Sequence[Victim]) -> Tally:
        """Try credentials that have ended, once more on both workers."""
        return self._in_parallel(victims, self._repeat)

    @contextmanager
    def crowd(self) -> Iterator[None]:
        """Others, who use both workers all the time and are served all the time."""
        ending = threading.Event()
        account = self._accounts(1)[0]
        with ThreadPoolExecutor() as pool, self._workers.lines() as lines:
            busy = [pool.submit(_stay_busy, line, account, ending) for (line,) in lines]
            try:
                yield
            finally:
                ending.set()
            for one in busy:
                one.result()

    def races(self, count: int) -> list[Race]:
        """Refresh with the same token at the same instant on both workers.

        Afterwards there is one session, and one live refresh token.
        """
        races = []
        with self._workers.lines() as ((first,), (second,)), self._valkey() as valkey:
            for account in self._accounts(count):
                call = refresh_with(account.refresh)
                for line in (first, second):
                    line.send(call)
                answers = [line.receive() for line in (first, second)]
                assert [answer.status for answer in answers] == [204, 204], answers
                race = Race(account, [answer.cookies for answer in answers])
                successors = {cookies[REFRESH] for cookies in race.answers}
                assert len(successors) == 1
                live = cast("bytes", valkey.hget(race.record, "jti"))
                assert live.decode() == _claims(successors.pop())["jti"]
                for cookies in race.answers:
                    for line in (first, second):
                        line.get(Call.of("GET", "/access/me", cookies={ACCESS: cookies[ACCESS]}), 200)
                races.append(race)
        self._assert_sessions(races, 1)
        return races

    def move_back(self, races: Sequence[Race]) -> None:
        """Let the rotations lie further back than the period of grace, without waiting for that."""
        with self._valkey() as valkey:
            for race in races:
                rotated_at = cast("bytes", valkey.hget(race.record, "rotated_at"))
                valkey.hset(race.record, "rotated_at", str(int(rotated_at) - _GRACE_MS - 1))

    def use_again(self, races: Sequence[Race]) -> Tally:
        """Use the old tokens once more: the sessions are dead for both sides, durably, on both workers."""
        tally = Tally(trials=len(races))
        with self._workers.lines() as ((first,), (second,)):
            for race, line in zip(races, cycle((first, second)), strict=False):
                tally.expect(line.ask(refresh_with(race.old.refresh)).status, 401, "the old refresh token")
                self._try_everything(race, (first, second), tally)
        self._assert_sessions(races, 0)
        return tally

    def use_dead(self, races: Sequence[Race]) -> Tally:
        """Try all tokens of sessions that have died."""
        tally = Tally(trials=len(races))
        with self._workers.lines() as ((first,), (second,)):
            for race in races:
                self._try_everything(race, (first, second), tally)
        self._assert_sessions(races, 0)
        return tally

    def _run(self, victims: Sequence[Victim]) -> Tally:
        tally = Tally(trials=len(victims))
        with self._workers.lines(3) as lines:
            main, busy, overlapping = zip(*lines, strict=True)
            for victim in victims:
                if victim.known:
                    _make_known(victim, main)
                late = self._trial(victim, main[victim.worker], busy, overlapping[1 - victim.worker])
                _try_dead(victim, main, tally)
                _try_late(victim, late, main, tally)
        return tally

    def _trial(self, victim: Victim, line: Line, busy: Sequence[Line], overlapping: Line) -> list[Call]:
        """The credentials are in use, on the one worker and on the other by turns, until the answer is there.

        Returns:
            requests with new ones, if such were given out meanwhile.
        """
        call, status = victim.end(self.root)
        if victim.overlapping:
            overlapping.send(victim.overlapping)
        line.send(call)
        for probe, other in cycle(product(filter(_can_be_used, victim.probes), busy)):
            other.send(probe.call)
            ready = select([line, other], [], [])[0]
            if line in ready:
                break
            _assert_either(other, probe)
        answer = line.receive()
        _assert_either(other, probe)
        assert answer.status == status, f"{call}: {answer}"
        if not victim.overlapping:
            return []
        late = overlapping.receive()
        assert late.status in {201, 204, 401, 503}, f"{victim.overlapping}: {late}"
        return _calls_with(late)

    def _warm(self, victims: Sequence[Victim]) -> Tally:
        with self._workers.lines() as ((first,), (second,)):
            for victim in victims:
                _make_known(victim, (first, second))
        return Tally()

    def _repeat(self, victims: Sequence[Victim]) -> Tally:
        tally = Tally(trials=len(victims))
        with self._workers.lines() as ((first,), (second,)):
            for victim in victims:
                _try_dead(victim, (first, second), tally)
        return tally

    def _try_everything(self, race: Race, lines: Sequence[Line], tally: Tally) -> None:
        tokens = {race.old.refresh, *(cookies[REFRESH] for cookies in race.answers)}
        calls = [refresh_with(token) for token in tokens]
        calls += [Call.of("GET", "/access/me", cookies={ACCESS: cookies[ACCESS]}) for cookies in race.answers]
        for line in lines:
            for call in calls:
                tally.expect(line.ask(call).status, 401, str(call))

    def _in_parallel(
        self, victims: Sequence[Victim], work: Callable[[Sequence[Victim]], Tally], runners: int = _RUNNERS
    ) -> Tally:
        with ThreadPoolExecutor(runners) as pool:
            return reduce(add, pool.map(work, _shares(victims, runners)), Tally())

    def _accounts(self, count: int, *, superuser: bool = False, with_tokens: bool = False) -> list[Account]:
        """Their rows are there at once, their sessions come from a real sign-in."""
        ids, emails = [uuid7() for _ in range(count)], [email() for _ in range(count)]
        tokens = [new_api_token() for _ in range(count if with_tokens else 0)]
        role = "superuser" if superuser else "application-access"
        asyncio.run(self._create(ids, emails, tokens, superuser, role))
        people = list(zip_longest(ids, emails, [token.token for token in tokens], fillvalue=""))
        with ThreadPoolExecutor(_RUNNERS) as pool:
            return [account for share in pool.map(self._sign_in, _shares(people, _RUNNERS)) for account in share]

    def _sign_in(self, people: Sequence[tuple[UUID, str, str]]) -> list[Account]:
        with self._workers.lines() as ((first,), (second,)):
            return [_signed_in(line, *person) for person, line in zip(people, cycle((first, second)), strict=False)]

    async def _create(
        self, ids: list[UUID], emails: list[str], tokens: list[NewAPIToken], superuser: bool, role: str
    ) -> None:
        connection = await asyncpg.connect(self._workers.database)
        try:
            await connection.execute(_CREATE, ids, emails, _HASH, superuser, role)
            if tokens:
                token_ids = [uuid7() for _ in tokens]
                prefixes, hashes = [token.prefix for token in tokens], [token.hash for token in tokens]
                await connection.execute(_CREATE_TOKENS, token_ids, ids, prefixes, hashes)
        finally:
            await connection.close()

    def _assert_sessions(self, races: Sequence[Race], expected: int) -> None:
        """In the table, and in the JTI store."""
        found = asyncio.run(_fetch_each(self._workers.database, _LIVE_SESSIONS, [race.old.id for race in races]))
        assert found == [expected] * len(races)
        with self._valkey() as valkey:
            assert all(valkey.exists(race.record) == expected for race in races)

    @contextmanager
    def _valkey(self) -> Iterator[Valkey]:
        with Valkey.from_url(self._workers.valkey_url) as client:
            yield client


def refresh_with(token: str) -> Call:
    """Exchanges a refresh token."""
    return Call.of("POST", "/access/refresh-jwt", cookies={REFRESH: token})


def sign_in(address: str) -> Call:
    """Opens a session."""
    return Call.of("POST", "/access/signin", json={"email": address, "password": PASSWORD})


def _shares(things: Sequence[T], runners: int) -> list[list[T]]:
    return [share for start in range(runners) if (share := list(islice(things, start, None, runners)))]


def _signed_in(line: Line, user_id: UUID, address: str, token: str) -> Account:
    cookies = line.get(sign_in(address), 204).cookies
    return Account(user_id, address, cookies[ACCESS], cookies[REFRESH], token)


def _can_be_used(probe: Probe) -> bool:
    return bool(probe.alive)


def _make_known(victim: Victim, lines: Sequence[Line]) -> None:
    for probe in filter(_can_be_used, victim.probes):
        for line in lines:
            line.get(probe.call, probe.alive)


def _try_dead(victim: Victim, lines: Sequence[Line], tally: Tally) -> None:
    for probe in victim.probes:
        for line in lines:
            line.send(probe.call)
        for line in lines:
            tally.expect(line.receive().status, probe.dead, f"after {victim.kind}, {probe.call}")


def _calls_with(answer: Answer) -> list[Call]:
    """Requests with the credentials that an answer gave out."""
    if answer.status == 201:
        return [Call.of("GET", "/access/me", bearer=msgspec.json.decode(answer.body)["token"])]
    if answer.status == 204:
        access = {ACCESS: answer.cookies[ACCESS]}
        return [Call.of("GET", "/access/me", cookies=access), refresh_with(answer.cookies[REFRESH])]
    return []


def _try_late(victim: Victim, calls: Sequence[Call], lines: Sequence[Line], tally: Tally) -> None:
    for call, line in product(calls, lines):
        tally.expect(line.ask(call).status, 401, f"after {victim.kind}, given out meanwhile, {call}")


def _assert_either(line: Line, probe: Probe) -> None:
    """The answer to a request that was sent before the other answer was there."""
    status = line.receive().status
    assert status in {probe.alive, probe.dead}, f"{probe.call}: {status}"


def _stay_busy(line: Line, account: Account, ending: threading.Event) -> None:
    calls = cycle((account.me(), Call.of("GET", "/exercises?pageSize=1", cookies={ACCESS: account.access})))
    while not ending.wait(_CROWD_PAUSE):
        line.get(next(calls), 200)


def _claims(token: str) -> dict[str, str]:
    payload = token.split(".")[1]
    claims: dict[str, str] = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


async def _fetch_each(database: str, statement: str, ids: Sequence[UUID]) -> list[int]:
    connection = await asyncpg.connect(database)
    try:
        return [await connection.fetchval(statement, one) for one in ids]
    finally:
        await connection.close()
