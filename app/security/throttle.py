"""How often one may fail to sign in to an account, whether it exists or not.

The count is exact over any minute, not by the clock's: it is the list of the instants counted in the last 60 s. A
failure is counted before the password is checked and taken back when it was right, so that a hundred tries at once are
not a hundred checks. A client with a device cookie of the account has a count of its own, so that strangers can not
lock it out. How often an address may try is limited where all requests are, in app.http.
"""

import secrets
from typing import Final
from uuid import UUID, uuid4

from msgspec import Struct
from valkey.asyncio import Valkey

from app.errors import TooManyRequests
from app.security.tokens import InvalidToken, Tokens, account_key
from app.security.valkey import valkey_answers

WINDOW_MS: Final = 60_000

# KEYS: the list of the failures. ARGV: limit, window in ms, name of this try.
# Answers {1 if it is refused, ms until the next is free, now}.
_TRY = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
if redis.call('ZCARD', KEYS[1]) < limit then
  redis.call('ZADD', KEYS[1], now, ARGV[3])
  redis.call('PEXPIRE', KEYS[1], window)
  return {0, 0, now}
end
return {1, tonumber(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]) + window - now, now}
"""


class Attempt(Struct, frozen=True):
    """A try to sign in that was allowed, and counts as a failure until `SignInThrottle.succeeded`.

    Attributes:
        device: the device that a good device cookie named.
    """

    device: UUID | None
    key: str
    name: str


class SignInThrottle:
    """Counts failures to sign in."""

    def __init__(self, valkey: Valkey, tokens: Tokens, limit: int = 10, prefix: str = "irontrack:signin:") -> None:
        """Count in Valkey.

        Args:
            valkey: must return bytes.
            tokens: makes and verifies the device cookies.
            limit: failures in a minute for an account; 0 = no limit.
            prefix: of the keys.
        """
        self._valkey = valkey
        self._tokens = tokens
        self._limit = limit
        self._prefix = prefix
        self._script = valkey.register_script(_TRY)

    async def sign_in(self, email: str, device_cookie: str | None = None) -> Attempt:
        """Counts a try, before its password is looked at.

        Args:
            email: as it was sent.
            device_cookie: as it was sent.

        Raises:
            TooManyRequests: the account has none left.
            Unavailable: Valkey is away.
        """
        account = account_key(email)
        device = self._device(account, device_cookie)
        key = self._prefix + (f"account:{account}" if device is None else f"device:{account}:{device.hex}")
        attempt = Attempt(device, key, secrets.token_hex(8))
        if self._limit:
            await self._count(attempt)
        return attempt

    async def succeeded(self, attempt: Attempt) -> None:
        """Takes the failure back: the password was right.

        Raises:
            Unavailable: Valkey is away.
        """
        if self._limit:
            async with valkey_answers():
                await self._valkey.zrem(attempt.key, attempt.name)

    def device_cookie(self, email: str, attempt: Attempt) -> str:
        """The cookie for the client that has just signed in to this account; a device keeps its name."""
        return self._tokens.issue_device(email, attempt.device or uuid4())

    async def _count(self, attempt: Attempt) -> None:
        async with valkey_answers():
            refused, wait_ms, now_ms = await self._script(
                keys=[attempt.key], args=[self._limit, WINDOW_MS, attempt.name]
            )
        if refused:
            raise TooManyRequests(
                self._limit,
                reset=-(-(now_ms + wait_ms) // 1000),
                retry_after=max(1, -(-wait_ms // 1000)),
                message="Too many failures to sign in to this account; wait a moment.",
            )

    def _device(self, account: str, cookie: str | None) -> UUID | None:
        if cookie is None:
            return None
        try:
            claims = self._tokens.verify_device(cookie)
        except InvalidToken:
            return None
        return claims.jti if claims.sub == account else None
