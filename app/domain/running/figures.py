"""What follows from the figures of one run. Kilometres, seconds, seconds per kilometre."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

__all__ = ("duration_at", "fits_pace", "matches_target", "pace_of", "pace_text")

_PACE_TOLERANCE: Final = Decimal("18.6")
"""Around a target, in s/km: 30 seconds a mile (30 / 1.609344 = 18.64)."""

_DISTANCE_TOLERANCE: Final = Decimal("0.1")
"""Around a planned distance, as a part of it."""

_SENT_TOLERANCE: Final = 1
"""How far a pace that is sent may be from the one that follows, in s/km: each is rounded somewhere."""


def pace_of(distance_km: Decimal, duration_seconds: int) -> float:
    """The mean pace in s/km: duration / distance."""
    # As decimals: divided as floats, the slowest pace that is allowed may come out above it, and can't be sent back.
    return float(duration_seconds / distance_km)


def pace_text(distance_km: Decimal, duration_seconds: int) -> str:
    """The mean pace as runners read it, such as "5:04/km".

    It is rounded to a whole second (half to even) before it is split into minutes and seconds, so that 4:59.7 is 5:00
    and never 4:60.
    """
    pace = int((Decimal(duration_seconds) / distance_km).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    minutes, seconds = divmod(pace, 60)
    return f"{minutes}:{seconds:02}/km"


def duration_at(distance_km: Decimal, pace: float) -> int:
    """The duration in whole seconds (half to even) that a pace makes: distance · pace."""
    return int((distance_km * Decimal(str(pace))).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def fits_pace(distance_km: Decimal, duration_seconds: int, pace: float) -> bool:
    """Whether a pace is the one of a distance and a duration: |duration / distance - pace| <= 1 s/km."""
    return abs(duration_seconds - Decimal(str(pace)) * distance_km) <= _SENT_TOLERANCE * distance_km


def matches_target(
    distance_km: Decimal,
    duration_seconds: int,
    fastest: int | None,
    slowest: int | None,
    planned_km: Decimal | None,
) -> bool | None:
    """Whether a run is what its workout asked for: its pace within the target ± 18.6 s/km, its distance within ± 10 %
    of the planned one, all bounds included. None without a target.

    Args:
        fastest: the faster end of the target pace, in s/km.
        slowest: the slower end.
        planned_km: None, as cross-training may have it, asks for no distance.
    """
    if fastest is None or slowest is None:
        return None
    # Multiplied, not divided: so it is exact.
    least, most = (fastest - _PACE_TOLERANCE) * distance_km, (slowest + _PACE_TOLERANCE) * distance_km
    is_at_pace = least <= duration_seconds <= most
    return is_at_pace and (planned_km is None or abs(distance_km - planned_km) <= _DISTANCE_TOLERANCE * planned_km)
