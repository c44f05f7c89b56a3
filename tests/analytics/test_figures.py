"""Periods, streaks, predictions and progress, as they are reckoned."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby, pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.domain.analytics.periods import Span, cover, monday_of, plan_week, weeks_within
from app.domain.analytics.predictions import PREDICTED_KM, riegel
from app.domain.analytics.progress import Counts, adherence, progress_of
from app.domain.analytics.streaks import Streaks, streaks
from app.domain.running.models import RunPeriod
from app.errors import Malformed

DAY = timedelta(days=1)
DATES = st.dates(date(1970, 1, 1), date(2100, 12, 31))


def days_in(span: Span) -> list[date]:
    """The days of the periods that start in a span."""
    day, days = span.since, []
    while day < span.before:
        match span.period:
            case RunPeriod.DAY:
                behind = day + DAY
            case RunPeriod.WEEK:
                assert day == monday_of(day)
                behind = day + 7 * DAY
            case _:
                assert day.isocalendar()[1:] == (1, 1)
                behind = date.fromisocalendar(day.isocalendar().year + 1, 1, 1)
        days += [day + n * DAY for n in range((behind - day).days)]
        day = behind
    assert day == span.before
    return days


class TestCover:
    @given(since=DATES, length=st.integers(0, 3000))
    def test_has_each_day_once_in_few_periods(self, since: date, length: int) -> None:
        until = min(since + length * DAY, date(2100, 12, 31))
        spans = cover(since, until)
        days = [day for span in spans for day in days_in(span)]
        assert days == [since + n * DAY for n in range((until - since).days + 1)]
        counts = {kind: sum((s.before - s.since).days for s in spans if s.period is kind) for kind in RunPeriod}
        assert counts[RunPeriod.DAY] <= 12
        assert counts[RunPeriod.WEEK] <= 7 * 104

    def test_of_no_days_is_nothing(self) -> None:
        assert cover(date(2026, 6, 2), date(2026, 6, 1)) == []

    def test_of_everything_is_one(self) -> None:
        [span] = cover(None, None)
        assert span.period is RunPeriod.EVER

    @given(day=DATES)
    def test_has_open_ends(self, day: date) -> None:
        for spans in (cover(day, None), cover(None, day)):
            assert any(span.since <= day < span.before for span in spans)
            assert sum((span.before - span.since).days for span in spans if span.period is RunPeriod.DAY) <= 12

    @pytest.mark.parametrize("day", [date.min, date.max])
    def test_takes_any_date(self, day: date) -> None:
        cover(day, None), cover(None, day), cover(day, day), weeks_within(day, day)


class TestPlanWeek:
    @given(start=DATES, length=st.integers(1, 366), today=DATES)
    def test_weeks_part_the_plan(self, start: date, length: int, today: date) -> None:
        end = start + length * DAY
        assume(end.year <= 2100)
        weeks = [plan_week(start, end, today, number + 1) for number in range(length // 7 + 1)]
        assert weeks[0].first == start
        assert weeks[-1].last == end
        assert all(one.last + DAY == other.first for one, other in pairwise(weeks))
        assert all((week.last - week.first).days == 6 for week in weeks[:-1])
        current = plan_week(start, end, today, None)
        assert current.first <= today <= current.last if start <= today <= end else current == weeks[0]
        for number in (0, -1, len(weeks) + 1):
            with pytest.raises(Malformed):
                plan_week(start, end, today, number)


def years_of(mondays: set[date]) -> dict[date, int]:
    years: dict[date, int] = {}
    for monday in mondays:
        year, week, _ = monday.isocalendar()
        first = date.fromisocalendar(year, 1, 1)
        years[first] = years.get(first, 0) | 1 << (week - 1)
    return years


class TestStreaks:
    @given(weeks=st.sets(st.integers(0, 120)), today=st.integers(0, 130), start=DATES)
    def test_are_those_that_are_counted_week_by_week(self, weeks: set[int], today: int, start: date) -> None:
        monday = monday_of(start)
        assume(monday + 150 * 7 * DAY < date.max)
        runs = [sum(1 for _ in group) for is_run, group in groupby(range(122), weeks.__contains__) if is_run]
        last = today if today in weeks else today - 1
        current = 0
        while last - current in weeks:
            current += 1
        found = streaks(years_of({monday + week * 7 * DAY for week in weeks}), monday + today * 7 * DAY + 3 * DAY)
        assert found == Streaks(current, max(runs, default=0))

    def test_go_on_over_years_of_53_weeks(self) -> None:
        mondays = {date(2026, 12, 21) + n * 7 * DAY for n in range(4)}
        assert streaks(years_of(mondays), date(2027, 1, 17)) == Streaks(4, 4)
        assert streaks(years_of(mondays), date(2027, 1, 24)) == Streaks(4, 4)
        assert streaks(years_of(mondays), date(2027, 1, 25)) == Streaks(0, 4)


class TestPredictions:
    def test_are_those_of_the_formula(self) -> None:
        # 20:00 over 5 km: 1200 · 2^1.06 = 2501.9 s.
        assert [riegel(1200, 5, target) for target in PREDICTED_KM] == [1200, 2502, 5520, 11509]

    @given(seconds=st.integers(300, 40_000), distance=st.floats(3, 100), target=st.sampled_from(PREDICTED_KM))
    def test_longer_is_slower(self, seconds: int, distance: float, target: float) -> None:
        pace, predicted = seconds / distance, riegel(seconds, distance, target) / target
        assert predicted >= pace - 1 if target >= distance else predicted <= pace + 1

    @given(seconds=st.integers(300, 40_000))
    def test_of_the_same_distance_is_the_same(self, seconds: int) -> None:
        assert riegel(seconds, 10, 10) == seconds


class TestProgress:
    @given(
        completed=st.integers(0, 300),
        missed=st.integers(0, 300),
        pending=st.integers(0, 300),
        planned=st.integers(0, 10_000),
        to_date=st.integers(0, 10_000),
        actual=st.integers(0, 10_000),
    )
    def test_adds_up(self, completed: int, missed: int, pending: int, planned: int, to_date: int, actual: int) -> None:
        total = completed + missed + pending
        figures = progress_of(Counts(total, completed, missed, Decimal(planned), Decimal(to_date), Decimal(actual)))
        assert figures.pending_workouts == pending
        assert 0 <= figures.adherence_percentage <= 100
        assert abs(figures.adherence_percentage * total - 100 * completed) <= 0.0501 * total
        assert figures.on_target == (missed == 0 and 10 * actual >= 9 * to_date)

    @pytest.mark.parametrize(
        ("missed", "metres", "on_target"), [(0, 8999, False), (0, 9000, True), (0, 20_000, True), (1, 20_000, False)]
    )
    def test_is_on_target_from_nine_tenths_on(self, missed: int, metres: int, on_target: bool) -> None:
        counts = Counts(5, 1, missed, Decimal(30), Decimal(10), Decimal(metres) / 1000)
        assert progress_of(counts).on_target is on_target

    def test_is_nothing_without_workouts(self) -> None:
        assert adherence(0, 0) == 0

    def test_has_one_decimal(self) -> None:
        assert (adherence(1, 3), adherence(2, 3), adherence(1, 16)) == (
            Decimal("33.3"),
            Decimal("66.7"),
            Decimal("6.2"),
        )
