"""How often one may try to sign in: per address, and by failures per account, whether it exists or not.

The counts are exact over any 60 s, not by the minutes of the clock: each is the list of the instants counted. A failure
is counted before the password is looked at and taken back when that was right, so that a hundred tries at once are no
hundred checks. A client with a device cookie of the account has a count of its own: strangers can not lock it out.
"""

import secrets
from typing import Final
from uuid import UUID, uuid4

import structlog
from msgspec import Struct
from valkey.asyncio import Valkey

from app.errors import TooManyRequests, Unavailable
from app.security.tokens import InvalidToken, Tokens, account_key
from app.security.valkey import valkey_answers

WINDOW_MS: Final = 60_000

# KEYS: one list for each limit. ARGV: limit, window in ms, name of this try.
# Answers {the key that refuses or 0, free tries, ms until there is one more, now}, of the refusing list or the fullest.
_TRY = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local free, wait, refused = limit, window, 0
for number, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  local count = redis.call('ZCARD', key)
  if count >= limit then
    refused = number
  else
    redis.call('ZADD', key, now, ARGV[3])
    redis.call('PEXPIRE', key, window)
    count = count + 1
  end
  if limit - count < free or refused == number then
    free = math.max(limit - count, 0)
    local next = refused == number and count - limit or 0
    wait = tonumber(redis.call('ZRANGE', key, next, next, 'WITHSCORES')[2]) + window - now
  end
  if refused > 0 then break end
end
return {refused, free, wait, now}
"""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Allowance(Struct, frozen=True):
    """What the X-RateLimit headers say of a try that was allowed.

    Attributes:
        limit: tries in a minute.
        remaining: tries left.
        reset: Unix seconds at which there is one more.
    """

    limit: int
    remaining: int
    reset: int


class Attempt(Struct, frozen=True):
    """A try to sign in that was allowed, and counts as a failure until `SignInThrottle.succeeded`.

    Attributes:
        allowance: None when there is no limit.
        device: the device that a good device cookie named.
    """

    allowance: Allowance | None
    device: UUID | None
    key: str
    name: str


class SignInThrottle:
    """Counts tries to sign in and to sign up.

    Attributes:
        failures: how often a sign-up went uncounted because Valkey was away.
    """

    def __init__(self, valkey: Valkey, tokens: Tokens, limit: int = 10, prefix: str = "irontrack:signin:") -> None:
        """Count in Valkey.

        Args:
            valkey: must return bytes.
            tokens: makes and verifies the device cookies.
            limit: tries in a minute for an address, and failures for an account; 0 = no limit.
            prefix: of the keys.
        """
        self.failures = 0
        self._valkey = valkey
        self._tokens = tokens
        self._limit = limit
        self._prefix = prefix
        self._script = valkey.register_script(_TRY)

    async def sign_in(self, address: str, email: str, device_cookie: str | None = None) -> Attempt:
        """Counts a try, before its password is looked at.

        Args:
            address: what counts as one client: an IPv4 address or an IPv6 /64.
            email: as it was sent.
            device_cookie: as it was sent.

        Raises:
            TooManyRequests: the address or the account has none left.
            Unavailable: Valkey is away.
        """
        account = account_key(email)
        device = self._device(account, device_cookie)
        key = self._prefix + (f"account:{account}" if device is None else f"device:{account}:{device.hex}")
        name = secrets.token_hex(8)
        allowance = await self._try([self._address_key(address), key], name) if self._limit else None
        return Attempt(allowance, device, key, name)

    async def succeeded(self, attempt: Attempt) -> None:
        """Takes the failure back: the password was right. The try of the address stays counted.

        Raises:
            Unavailable: Valkey is away.
        """
        if attempt.allowance is not None:
            async with valkey_answers():
                await self._valkey.zrem(attempt.key, attempt.name)

    async def sign_up(self, address: str) -> Allowance | None:
        """Counts a sign-up on the address, together with its tries to sign in. None: not limited, or Valkey is away.

        Raises:
            TooManyRequests: the address has none left.
        """
        if not self._limit:
            return None
        try:
            return await self._try([self._address_key(address)], secrets.token_hex(8))
        except Unavailable:
            self.failures += 1
            log.warning("sign-up not counted: Valkey is away")
            return None

    def device_cookie(self, email: str, attempt: Attempt) -> str:
        """The cookie for the client that has just signed in to this account; a device keeps its name."""
        return self._tokens.issue_device(email, attempt.device or uuid4())

    async def _try(self, keys: list[str], name: str) -> Allowance:
        async with valkey_answers():
            refused, free, wait_ms, now_ms = await self._script(keys=keys, args=[self._limit, WINDOW_MS, name])
        reset = -(-(now_ms + wait_ms) // 1000)
        if refused:
            raise TooManyRequests(
                self._limit, reset, max(1, -(-wait_ms // 1000)), "Too many tries to sign in; wait a moment."
            )
        return Allowance(self._limit, free, reset)

    def _device(self, account: str, cookie: str | None) -> UUID | None:
        if cookie is None:
            return None
        try:
            claims = self._tokens.verify_device(cookie)
        except InvalidToken:
            return None
        return claims.jti if claims.sub == account else None

    def _address_key(self, address: str) -> str:
        return f"{self._prefix}address:{address}"
