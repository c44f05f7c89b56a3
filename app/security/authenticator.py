"""From a token to a principal, fast: a token is verified once per worker, and news of changes are pushed."""

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol
from uuid import UUID

import asyncpg
import structlog
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError

from app.errors import Unavailable
from app.security.broadcast import Broadcast
from app.security.invalidations import EVERYTHING, SIGNING_KEYS, Topics
from app.security.keys import KeyRing
from app.security.principal import Principal
from app.security.tokens import InvalidToken, Tokens

API_TOKEN_MARK = "irt_"  # noqa: S105 -- public by design
"""What a Bearer credential begins with when it is an API token and no JWT."""
_API_TOKEN = re.compile(r"irt_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}", re.ASCII)
_PREFIX_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_PREFIX_LENGTH = 8
_SECRET_BYTES = 32
_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    SQLAlchemyError,
)
"""What says that the database can't be asked."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class NewAPIToken(NamedTuple):
    """A personal API token at the only moment when it is known whole.

    Attributes:
        token: for its owner, once.
        prefix: eight characters by which the owner recognises it in lists.
        hash: SHA-256, what is stored. The secret has 256 random bits, so a slow hash would add nothing.
    """

    token: str
    prefix: str
    hash: bytes


def new_api_token() -> NewAPIToken:
    """``irt_<prefix>_<secret>``."""
    prefix = "".join(secrets.choice(_PREFIX_ALPHABET) for _ in range(_PREFIX_LENGTH))
    token = f"{API_TOKEN_MARK}{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return NewAPIToken(token, prefix, api_token_hash(token))


def api_token_hash(token: str) -> bytes:
    """What an API token is looked up by."""
    return hashlib.sha256(token.encode()).digest()


class PrincipalLoader(Protocol):
    """The truth about who somebody is: one SQL statement each."""

    async def load_session_principal(self, sid: UUID) -> Principal | None:
        """The user of a session that is alive, if active."""

    async def load_token_principal(self, token_hash: bytes) -> Principal | None:
        """The user of an API token that is alive, if active."""


class _Entry(Struct):
    """A token that was verified. `sid` is None for an API token."""

    principal: Principal
    sid: UUID | None
    expires_at: float
    fresh_until: float


class _Load(Struct, eq=False):
    """A question to the database under way; its answer is old when something was published meanwhile."""

    user_id: UUID | None
    overtaken: bool = False


class Authenticator:
    """Knows the caller of a token. One for each worker.

    A principal is kept until its token ends, something is published about its user, it is `max_age` seconds old, or
    `size` younger ones push it out. While it is not sure that news from other machines arrive, the loader is asked on
    each request.
    """

    def __init__(
        self,
        tokens: Tokens,
        broadcast: Broadcast,
        loader: PrincipalLoader,
        load_keys: Callable[[], KeyRing] | None = None,
        size: int = 10_000,
        max_age: float = 30.0,
    ) -> None:
        """Start knowing nobody.

        Args:
            tokens: verifies JWTs.
            broadcast: news of changes.
            loader: asked about whoever is not known.
            load_keys: reads the signing keys again, when it is published that they have changed.
            size: principals that are kept at most.
            max_age: seconds after which a principal is loaded again.
        """
        self._tokens = tokens
        self._broadcast = broadcast
        self._loader = loader
        self._load_keys = load_keys
        self._size = size
        self._max_age = max_age
        # In the order of loading, so that the first is the one to push out.
        self._entries: dict[bytes, _Entry] = {}
        self._by_user: dict[UUID, set[bytes]] = {}
        self._loads: set[_Load] = set()
        broadcast.listen(self.drop)
        tokens.before_use(broadcast.catch_up)

    def cached(self, token: str) -> Principal | None:
        """The principal of a token, when that is known for sure without asking anybody."""
        self._broadcast.catch_up()
        entry = self._entries.get(hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest())
        if (
            entry is not None
            and time.monotonic() < entry.fresh_until
            and time.time() < entry.expires_at
            and self._broadcast.sure
        ):
            return entry.principal
        return None

    async def authenticate(self, token: str) -> Principal | None:
        """The principal of a token; None when the token is not good, or its session or user is not any more.

        Raises:
            Unavailable: the database is away, and the token looks good.
        """
        principal = self.cached(token)
        if principal is not None:
            return principal
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        entry = self._entries.get(digest)
        if entry is not None and time.time() < entry.expires_at:
            # The signature was verified when the entry was made; what may have changed is the rest.
            return await self._load(digest, entry.sid, entry.principal.user_id, entry.expires_at)
        if token.startswith(API_TOKEN_MARK):
            return await self._load(digest, None, None, float("inf")) if _API_TOKEN.fullmatch(token) else None
        try:
            claims = self._tokens.verify_access(token)
        except InvalidToken:
            return None
        return await self._load(digest, claims.sid, claims.sub, claims.exp)

    def drop(self, topics: Topics) -> None:
        """Forgets what was known of these users."""
        if topics is EVERYTHING or SIGNING_KEYS in topics:
            self._reload_keys()
            self._entries.clear()
            self._by_user.clear()
            for load in self._loads:
                load.overtaken = True
            return
        for load in self._loads:
            load.overtaken |= load.user_id is None or load.user_id in topics
        for user_id in topics & self._by_user.keys():
            for digest in self._by_user.pop(user_id):
                del self._entries[digest]

    async def _load(
        self, digest: bytes, sid: UUID | None, user_id: UUID | None, token_expires_at: float
    ) -> Principal | None:
        load = _Load(user_id)
        self._loads.add(load)
        try:
            principal = await self._ask(digest, sid)
            self._broadcast.catch_up()
        finally:
            self._loads.discard(load)
        self._forget(digest)
        if principal is None or user_id not in (None, principal.user_id):
            return None
        expires_at = min(token_expires_at, principal.valid_until or float("inf"))
        if time.time() >= expires_at:
            return None
        if not load.overtaken:
            self._keep(digest, _Entry(principal, sid, expires_at, time.monotonic() + self._max_age))
        return principal

    async def _ask(self, digest: bytes, sid: UUID | None) -> Principal | None:
        try:
            if sid is None:
                return await self._loader.load_token_principal(digest)
            return await self._loader.load_session_principal(sid)
        except _AWAY as error:
            # Not the error itself: it may quote the statement's parameters.
            log.warning("principal not loaded", error=type(error).__name__)
            raise Unavailable from error

    def _keep(self, digest: bytes, entry: _Entry) -> None:
        if len(self._entries) >= self._size:
            self._forget(next(iter(self._entries)))
        self._entries[digest] = entry
        self._by_user.setdefault(entry.principal.user_id, set()).add(digest)

    def _forget(self, digest: bytes) -> None:
        entry = self._entries.pop(digest, None)
        if entry is None:
            return
        digests = self._by_user[entry.principal.user_id]
        digests.discard(digest)
        if not digests:
            del self._by_user[entry.principal.user_id]

    def _reload_keys(self) -> None:
        if self._load_keys is None:
            return
        try:
            self._tokens.keys = self._load_keys()
        except Exception:
            # The keys in use stay: half an answer to a broken file is better than none to anybody.
            log.exception("signing keys not read again")
