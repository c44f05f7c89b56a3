"""Rate limits, shared by all workers through Valkey.

A window is a minute of the clock. A worker leases a part of what is left of a caller's window and counts it down by
itself, so that most requests ask nobody; the leases shrink as the window fills, so that the limit stays right. While
Valkey is away requests are let through, and counted.
"""

from ipaddress import IPv6Address, ip_address
from time import monotonic, time

import structlog
from msgspec import Struct
from prometheus_client import Counter
from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from app.errors import TooManyRequests

__all__ = ("Allowance", "RateLimiter", "address_key")

WINDOW = 60
_SHARE = 10
_PAUSE = 1.0

_LEASE = """
local left = tonumber(ARGV[1]) - tonumber(redis.call('GET', KEYS[1]) or '0')
if left <= 0 then return {0, 0} end
local lease = math.max(1, math.floor(left / tonumber(ARGV[2])))
if redis.call('INCRBY', KEYS[1], lease) == lease then redis.call('EXPIRE', KEYS[1], tonumber(ARGV[3])) end
return {lease, left - lease}
"""

_unlimited = Counter("irontrack_rate_limit_unavailable_total", "Requests let through while Valkey was away.")
_log = structlog.get_logger("irontrack.limits")


class Allowance(Struct):
    """What is left of a caller's window.

    Attributes:
        limit: requests in the window.
        reset: Unix seconds at which it ends.
        leased: requests that this worker may still let through by itself.
        unleased: requests left in Valkey when this worker last looked.
    """

    limit: int
    reset: int
    leased: int
    unleased: int

    @property
    def remaining(self) -> int:
        """Requests left, as far as this worker knows."""
        return self.leased + self.unleased


class RateLimiter:
    """Counts the requests of each caller in each minute."""

    def __init__(self, valkey: Valkey) -> None:
        self._lease = valkey.register_script(_LEASE)
        self._window = 0
        self._allowances: dict[str, Allowance] = {}
        self._paused_until = 0.0

    def take_leased(self, key: str, limit: int) -> Allowance | None:
        """Count a request against what this worker has leased already.

        Returns:
            what is left; None when Valkey has to be asked (see ``take``).

        Raises:
            TooManyRequests: the window is used up.
        """
        window = int(time()) // WINDOW
        if window != self._window:
            self._window = window
            self._allowances.clear()
        allowance = self._allowances.get(key)
        if allowance is None:
            return None
        if allowance.leased:
            allowance.leased -= 1
            return allowance
        if allowance.unleased:
            return None
        raise _used_up(limit, allowance.reset)

    async def take(self, key: str, limit: int) -> Allowance | None:
        """Count a request.

        Returns:
            what is left; None when Valkey is away.

        Raises:
            TooManyRequests: the window is used up.
        """
        if allowance := self.take_leased(key, limit):
            return allowance
        if monotonic() < self._paused_until:
            _unlimited.inc()
            return None
        window = self._window
        try:
            lease, unleased = await self._lease(keys=[f"limit:{key}:{window}"], args=[limit, _SHARE, 2 * WINDOW])
        except (ValkeyError, OSError, TimeoutError):
            self._paused_until = monotonic() + _PAUSE
            _unlimited.inc()
            _log.warning("rate limits are off while Valkey is away")
            return None
        return self._book(key, Allowance(limit, (window + 1) * WINDOW, lease, unleased))

    def _book(self, key: str, fetched: Allowance) -> Allowance:
        known = self._allowances.get(key)
        if known is None or known.reset != fetched.reset:
            known = self._allowances[key] = fetched
        else:
            known.leased += fetched.leased
            known.unleased = fetched.unleased
        if not known.leased:
            raise _used_up(known.limit, known.reset)
        known.leased -= 1
        return known


def _used_up(limit: int, reset: int) -> TooManyRequests:
    return TooManyRequests(limit, reset, max(1, reset - int(time())))


def address_key(address: str) -> str:
    """What an address is counted as: an IPv4 address by itself, an IPv6 address as its /64."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return str(parsed)
