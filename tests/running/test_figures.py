"""What follows from the figures of one run, and which workout it fulfils."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.base import uuid7
from app.domain.running.calendar import folded, quoted
from app.domain.running.figures import duration_at, fits_pace, matches_target, pace_of, pace_text
from app.domain.running.recording import OpenWorkout, best_workout
from app.domain.running.rules import wrong_run

DISTANCES = st.integers(50, 1_000_000).map(lambda metres: Decimal(metres) / 1000)
PACES = st.integers(60, 3600)
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


class TestPace:
    @pytest.mark.parametrize(
        ("distance", "duration", "text"),
        [("10", 3035, "5:04/km"), ("10", 2997, "5:00/km"), ("1", 3600, "60:00/km"), ("1", 60, "1:00/km")],
    )
    def test_is_rounded_then_split(self, distance: str, duration: int, text: str) -> None:
        assert pace_text(Decimal(distance), duration) == text

    @given(distance=DISTANCES, pace=PACES)
    def test_text_is_within_half_a_second(self, distance: Decimal, pace: int) -> None:
        duration = max(1, duration_at(distance, pace))
        minutes, seconds = pace_text(distance, duration).removesuffix("/km").split(":")
        assert len(seconds) == 2
        assert int(seconds) < 60
        assert abs(int(minutes) * 60 + int(seconds) - pace_of(distance, duration)) <= 0.5 + 1e-9

    @given(distance=DISTANCES, pace=PACES)
    def test_makes_a_duration_that_it_fits(self, distance: Decimal, pace: int) -> None:
        duration = duration_at(distance, pace)
        assert abs(duration - pace * distance) <= Decimal("0.5")
        assert distance < Decimal("0.5") or fits_pace(distance, duration, pace)

    def test_fits_within_a_second(self) -> None:
        assert fits_pace(Decimal(10), 3000, 301)
        assert fits_pace(Decimal(10), 3000, 299)
        assert not fits_pace(Decimal(10), 3000, 301.01)


class TestTarget:
    @pytest.mark.parametrize(
        ("duration", "matches"), [(2813, False), (2814, True), (3000, True), (3486, True), (3487, False)]
    )
    def test_has_18_6_seconds_around(self, duration: int, matches: bool) -> None:
        assert matches_target(Decimal(10), duration, 300, 330, Decimal(10)) is matches

    @pytest.mark.parametrize(("metres", "matches"), [(8999, False), (9000, True), (11000, True), (11001, False)])
    def test_has_a_tenth_around(self, metres: int, matches: bool) -> None:
        distance = Decimal(metres) / 1000
        assert matches_target(distance, int(distance * 310), 300, 330, Decimal(10)) is matches

    def test_may_be_without_a_distance(self) -> None:
        assert matches_target(Decimal(3), 930, 300, 330, None) is True

    @given(distance=DISTANCES, pace=PACES)
    def test_without_a_pace_is_none(self, distance: Decimal, pace: int) -> None:
        assert matches_target(distance, duration_at(distance, pace), None, None, distance) is None

    @given(distance=DISTANCES, pace=st.integers(100, 2000))
    def test_is_met_by_what_was_planned(self, distance: Decimal, pace: int) -> None:
        # A duration in whole seconds is up to 0.5 / 0.05 = 10 s/km off, over the shortest distance.
        assert matches_target(distance, duration_at(distance, pace), pace, pace, distance) is True


class TestMatch:
    @given(
        distance=DISTANCES,
        planned=st.lists(st.tuples(DISTANCES, st.integers(0, 3)), max_size=6),
    )
    def test_is_the_nearest_then_the_oldest(self, distance: Decimal, planned: list[tuple[Decimal, int]]) -> None:
        workouts = [OpenWorkout(uuid7(), uuid7(), km, MIDNIGHT.replace(hour=hour)) for km, hour in planned]
        chosen = best_workout(distance, workouts)
        if not workouts:
            assert chosen is None
            return
        assert chosen is not None

        def off(workout: OpenWorkout) -> Fraction:
            return abs(Fraction(distance) - Fraction(workout.planned_km)) / Fraction(workout.planned_km)

        least = min(map(off, workouts))
        assert off(chosen) == pytest.approx(least, rel=1e-20)
        assert all(chosen.created_at <= other.created_at for other in workouts if off(other) == off(chosen))


class TestRules:
    @given(distance=DISTANCES, pace=PACES)
    def test_what_has_a_pace_in_bounds_is_right(self, distance: Decimal, pace: int) -> None:
        duration = duration_at(distance, pace)
        broken = wrong_run(distance, duration, duration, None)
        assert bool(broken) == (not 60 * distance <= duration <= 3600 * distance)


class TestCalendarText:
    @given(st.text())
    def test_lines_are_folded_without_loss(self, text: str) -> None:
        line = quoted(text)
        parts = folded(line).split("\r\n")
        assert all(len(part.encode("utf-8", "surrogatepass")) <= 75 for part in parts)
        assert "".join([parts[0], *(part.removeprefix(" ") for part in parts[1:])]) == line
        assert all(part.startswith(" ") for part in parts[1:])

    def test_is_escaped(self) -> None:
        assert quoted("a,b;c\\d\ne\r\nf\x00\x85") == "a\\,b\\;c\\\\d\\ne\\nf"
