"""Weeks in a row."""

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

from app.domain.analytics.periods import monday_of

__all__ = ("Streaks", "streaks")


class Streaks(NamedTuple):
    """Weeks in a row with a run: now, and at most."""

    current: int
    longest: int


def streaks(years: Mapping[date, int], today: date) -> Streaks:
    """How many ISO weeks in a row have a run.

    The current ones end this week, or the last one: a week without a run breaks a streak when it is over.

    Args:
        years: by the first Monday of each ISO year, a bit for each of its weeks with a run, the lowest for the first.
    """
    if not years:
        return Streaks(0, 0)
    first = min(years)
    weeks = 0
    for monday, bits in years.items():
        weeks |= bits << _weeks_between(first, monday)
    longest = max(map(len, f"{weeks:b}".split("0")))
    return Streaks(_ending_at(weeks, _weeks_between(first, monday_of(today))), longest)


def _weeks_between(first: date, monday: date) -> int:
    return (monday - first).days // 7


def _ending_at(weeks: int, this: int) -> int:
    if this < 0:
        return 0
    past = weeks & (1 << this + 1) - 1
    if past.bit_length() < max(this, 1):
        return 0
    written = f"{past:b}"
    return len(written) - len(written.lstrip("1"))
