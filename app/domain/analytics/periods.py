"""Days, weeks and spans of the calendar, as runs are counted in them: always by the runner's local date."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from app.db.reader import Reader
from app.db.timezones import canonical_timezone
from app.domain.running.models import RunPeriod
from app.errors import Malformed
from app.security.principal import Principal

__all__ = ("EVER", "PlanWeek", "Span", "cover", "local_today", "monday_of", "plan_week", "weeks_within")

EVER: Final = date.min
"""The day on which "ever" starts."""

_FIRST, _BEHIND = date(1969, 1, 6), date(2102, 1, 2)
"""Between them lie all local dates that a run can have. Both are Mondays."""

_DAY, _WEEK = timedelta(days=1), timedelta(days=7)


class Span(Struct, frozen=True):
    """The periods of one kind that start from one day on, and before another."""

    period: RunPeriod
    since: date
    before: date


class PlanWeek(Struct, frozen=True):
    """A week of a plan.

    Attributes:
        number: from 1.
        first: its first day.
        last: its last day; of the last week that of the plan.
    """

    number: int
    first: date
    last: date


async def local_today(reader: Reader, principal: Principal, timezone: str | None) -> date:
    """Today where the caller is: in a zone that they name, else in their own.

    Raises:
        RuleBroken: there is no such time zone.
    """
    zone = await canonical_timezone(reader, timezone) if timezone is not None else principal.timezone
    return datetime.now(UTC).astimezone(ZoneInfo(zone)).date()


def monday_of(day: date) -> date:
    """The first day of the ISO week (ISO 8601) of a day."""
    return day - timedelta(days=day.weekday())


def _iso_year_of(monday: date) -> date:
    """The first day of the ISO year of a week: the Monday of the week with January 4th."""
    return date.fromisocalendar(monday.isocalendar().year, 1, 1)


def _next_iso_year(monday: date) -> date:
    return date.fromisocalendar(monday.isocalendar().year + 1, 1, 1)


def weeks_within(since: date | None, until: date | None) -> tuple[date, date]:
    """The whole ISO weeks between two days, both included: the first Monday, and the one behind the last week.

    The second is before the first where the days lie in one week.
    """
    first, behind = _bounds(since, until)
    return monday_of(first + timedelta(days=6)), monday_of(behind)


def _bounds(since: date | None, until: date | None) -> tuple[date, date]:
    first = min(max(since or _FIRST, _FIRST), _BEHIND)
    return first, max(min(until or _BEHIND, _BEHIND - _DAY) + _DAY, first)


def cover(since: date | None, until: date | None) -> list[Span]:
    """The fewest periods that together are the days between two, both included: whole ISO years, what is left of whole
    weeks, and what is left of days. So however long the span is, there are at most 12 days, 104 weeks and the years.

    Args:
        since: None: from the beginning.
        until: None: to the end.
    """
    if since is None and until is None:
        return [Span(RunPeriod.EVER, EVER, EVER + _DAY)]
    return [span for span in _spans(*_bounds(since, until)) if span.since < span.before]


def _spans(first: date, behind: date) -> Iterator[Span]:
    week, week_behind = monday_of(first + timedelta(days=6)), monday_of(behind)
    if week >= week_behind:
        yield Span(RunPeriod.DAY, first, behind)
        return
    yield Span(RunPeriod.DAY, first, week)
    yield from _week_spans(week, week_behind)
    yield Span(RunPeriod.DAY, week_behind, behind)


def _week_spans(week: date, behind: date) -> Iterator[Span]:
    year = week if week == _iso_year_of(week) else _next_iso_year(week)
    year_behind = _iso_year_of(behind)
    if year >= year_behind:
        yield Span(RunPeriod.WEEK, week, behind)
        return
    yield Span(RunPeriod.WEEK, week, year)
    yield Span(RunPeriod.YEAR, year, year_behind)
    yield Span(RunPeriod.WEEK, year_behind, behind)


def plan_week(start: date, end: date, today: date, number: int | None) -> PlanWeek:
    """A week of a plan: week k starts at start + 7(k - 1), and the last one is cut at the plan's end.

    Args:
        number: None: the current week inside the plan, else the first.

    Raises:
        Malformed: the plan has no such week.
    """
    if number is None:
        number = (today - start).days // 7 + 1 if start <= today <= end else 1
    weeks = (end - start).days // 7 + 1
    if not 1 <= number <= weeks:
        raise Malformed(f"This plan has the weeks 1 to {weeks}.")
    first = start + _WEEK * (number - 1)
    return PlanWeek(number, first, min(first + _WEEK - _DAY, end))
