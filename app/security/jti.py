"""Which refresh token of a session is alive: a hash in Valkey for each session, changed by one script at a time."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from msgspec import Struct
from valkey.asyncio import Valkey

from app.security.valkey import valkey_answers

GRACE_MS: Final = 10_000
"""Milliseconds in which a used refresh token still gets its successor again, while that one is unused."""

# A session's fields: jti, iat and exp of the live token; previous and rotated_at (ms) once it was rotated; ends_at.
_ROTATE = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'jti', 'iat', 'exp', 'previous', 'rotated_at', 'ends_at')
if not held[1] then return {'unknown'} end
if ARGV[1] == held[1] then
  local exp = math.min(tonumber(ARGV[4]), tonumber(held[6]))
  redis.call('HSET', KEYS[1], 'jti', ARGV[2], 'iat', ARGV[3], 'exp', exp, 'previous', ARGV[1], 'rotated_at', now)
  redis.call('EXPIREAT', KEYS[1], exp)
  return {'rotated', ARGV[2], ARGV[3], tostring(exp), held[6]}
end
if ARGV[1] == held[4] and now - tonumber(held[5]) <= tonumber(ARGV[5]) then
  return {'again', held[1], held[2], held[3], held[6]}
end
redis.call('DEL', KEYS[1])
return {'reuse'}
"""

_OPEN = """
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'jti', ARGV[1], 'iat', ARGV[2], 'exp', ARGV[3], 'ends_at', ARGV[4])
redis.call('EXPIREAT', KEYS[1], ARGV[3])
"""


class RefreshToken(Struct, frozen=True):
    """What distinguishes one refresh token of a session; instants in Unix seconds."""

    jti: UUID
    issued_at: int
    expires_at: int


class Rotated(Struct, frozen=True):
    """The token was good: this is its successor.

    Attributes:
        first: whether this use made the successor; else it is the same one again, for a second tab or a lost answer.
        ends_at: when the session ends, in Unix seconds.
    """

    token: RefreshToken
    first: bool
    ends_at: int


class Reuse(Struct, frozen=True):
    """The token was used before: somebody has a copy. The session is dead here, and must be made so in the database."""


class Unknown(Struct, frozen=True):
    """No such session is alive."""


class JTIStore:
    """The live refresh tokens. Every method raises `Unavailable` within a second when Valkey is away."""

    def __init__(self, valkey: Valkey, prefix: str = "irontrack:refresh:", grace_ms: int = GRACE_MS) -> None:
        self._valkey = valkey
        self._prefix = prefix
        self._grace_ms = grace_ms
        self._open_script = valkey.register_script(_OPEN)
        self._rotate_script = valkey.register_script(_ROTATE)

    async def open(self, sid: UUID, token: RefreshToken, ends_at: int) -> RefreshToken:
        """Makes this the live token of a session, and returns it as it may be issued: it ends with the session
        (`ends_at`, Unix seconds) at the latest.

        Raises:
            Unavailable: Valkey is away.
        """
        token = RefreshToken(token.jti, token.issued_at, min(token.expires_at, ends_at))
        async with valkey_answers():
            await self._open_script(
                keys=[self._key(sid)], args=[str(token.jti), token.issued_at, token.expires_at, ends_at]
            )
        return token

    async def rotate(self, sid: UUID, jti: UUID, candidate: RefreshToken) -> Rotated | Reuse | Unknown:
        """Uses the token `jti`: the candidate takes its place. Of two that use it at once, both get the first one's.

        Raises:
            Unavailable: Valkey is away; whether the token was used is then open, and asking again within the grace
                period answers it.
        """
        async with valkey_answers():
            answer: list[bytes] = await self._rotate_script(
                keys=[self._key(sid)],
                args=[str(jti), str(candidate.jti), candidate.issued_at, candidate.expires_at, self._grace_ms],
            )
        match answer:
            case [b"rotated" | b"again" as outcome, successor, issued_at, expires_at, ends_at]:
                token = RefreshToken(UUID(successor.decode()), int(issued_at), int(expires_at))
                return Rotated(token, first=outcome == b"rotated", ends_at=int(ends_at))
            case [b"reuse"]:
                return Reuse()
            case _:
                return Unknown()

    async def close(self, sids: Iterable[UUID]) -> None:
        """Ends sessions: none of their refresh tokens is good any more.

        Raises:
            Unavailable: Valkey is away.
        """
        keys = [self._key(sid) for sid in sids]
        if keys:
            async with valkey_answers():
                await self._valkey.unlink(*keys)

    def _key(self, sid: UUID) -> str:
        return self._prefix + sid.hex
