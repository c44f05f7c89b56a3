"""What a run comes to, from its points."""

from itertools import pairwise
from math import isclose
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.imports.activity import Activity, Point, Totals, Unreadable
from app.domain.imports.figures import Figures, Split, ascent, figures_of
from app.domain.imports.reading import read_file
from tests.actors import Actor
from tests.imports.files import START, Connection, gpx_of, north, send
from tests.imports.fit import CYCLING, RUNNING, fit_file, seconds

BEGUN = START.timestamp()


def _time(second: float) -> str:
    return f"2026-06-01T06:{int(second) // 60:02d}:{int(second) % 60:02d}Z"


# Seconds, metres to the north, metres above the sea, beats a minute.
WITH_A_REST = [
    (0, 0, 100, 120),
    (120, 400, 102, 130),
    (180, 410, 104, 140),
    (360, 1010, 101, 150),
    (660, 2010, 106, 160),
]
# Seconds and metres by the device, in two tracks of one lap.
WITH_A_PAUSE = [[(0, 0), (300, 1000)], [(400, 1000), (700, 2100)]]


def by_hand_gpx() -> bytes:
    points = "".join(
        f'<trkpt lat="{north(metre):.10f}" lon="13"><ele>{height}</ele><time>{_time(second)}</time>'
        f"<extensions><g:TrackPointExtension><g:hr>{beats}</g:hr></g:TrackPointExtension></extensions></trkpt>"
        for second, metre, height, beats in WITH_A_REST
    )
    return gpx_of(f"<trk><trkseg>{points}</trkseg></trk>")


def by_hand_tcx() -> bytes:
    tracks = "".join(
        "<Track>"
        + "".join(
            f"<Trackpoint><Time>{_time(second)}</Time><DistanceMeters>{metre}</DistanceMeters></Trackpoint>"
            for second, metre in track
        )
        + "</Track>"
        for track in WITH_A_PAUSE
    )
    return (
        '<TrainingCenterDatabase><Activities><Activity Sport="Running"><Lap StartTime="2026-06-01T06:00:00Z">'
        f"{tracks}</Lap></Activity></Activities></TrainingCenterDatabase>"
    ).encode()


def by_hand_fit() -> bytes:
    begun = seconds(START)
    records: list[tuple[str, dict[str, int | None]]] = [("file_id", {"type": 4, "time_created": begun})]
    for number, track in enumerate(WITH_A_PAUSE):
        records.append(("event", {"timestamp": begun + track[0][0], "event": 0, "event_type": 0}))
        records += [("record", {"timestamp": begun + second, "distance": metre * 100}) for second, metre in track]
        records.append(("event", {"timestamp": begun + track[-1][0], "event": 0, "event_type": 4 if number else 1}))
    return fit_file([*records, ("session", {"timestamp": begun + 700, "start_time": begun, "sport": RUNNING})])


class TestByHand:
    """Two runs, reckoned with pencil and paper.

    The first rests from 120 s to 180 s: 10 m in 60 s are less than 0.5 m/s. So it moves for 660 - 60 = 600 s. Its first
    kilometre ends 590 of the 600 m into the third leg of 180 s: 120 + 177 = 297 s; the second 990 of 1000 m into the
    last one of 300 s: 300 + 297 = 597 s, so it takes 300 s; 10 m remain, in 3 s. It climbs 4 m (to 104 m; 102 m was not
    3 m up), falls by 3 m, and climbs 5 m. Its heart beats 120 for 120 s, 130 for 60 s, 140 for 180 s and 150 for 300 s:
    92,400 / 660 = 140.

    The second pauses from 300 s to 400 s. Its first kilometre takes 300 s, its second 300 * 1000 / 1100 = 272.7 s, and
    ends at 572.7 s; what remains, 100 m, takes 27.3 s: rounded at their ends, 300, 273 and 27 s.
    """

    async def test_with_a_rest(self, athlete: Actor, connection: Connection) -> None:
        await send(athlete, ("rest.gpx", by_hand_gpx()))
        [run] = await connection.fetch(
            "SELECT distance_km::float8, duration_seconds, elapsed_seconds, elevation_gain_m::float8, avg_heart_rate,"
            " splits::text FROM runs"
        )
        assert tuple(run)[:5] == (2.01, 600, 660, 9.0, 140)
        assert _splits(run["splits"]) == [(1, 297), (1, 300), (0.01, 3)]

    @pytest.mark.parametrize(("name", "content"), [("a.tcx", by_hand_tcx()), ("a.fit", by_hand_fit())])
    async def test_with_a_pause(self, athlete: Actor, connection: Connection, name: str, content: bytes) -> None:
        await send(athlete, (name, content))
        [run] = await connection.fetch(
            "SELECT distance_km::float8, duration_seconds, elapsed_seconds, elevation_gain_m::float8, avg_heart_rate,"
            " splits::text FROM runs"
        )
        assert tuple(run)[:5] == (2.1, 600, 700, None, None)
        assert _splits(run["splits"]) == [(1, 300), (1, 273), (0.1, 27)]


def _splits(text: str) -> list[tuple[float, int]]:
    return [(split["distanceKm"], split["durationSeconds"]) for split in msgspec.json.decode(text)]


def run_of(points: list[Point]) -> Figures:
    return figures_of(Activity("", points, Totals()))


@st.composite
def walks(draw: st.DrawFn, *, measured: bool | None = None) -> list[Point]:
    """Points that move and rest, pause and go on, with distances of a device or with positions alone."""
    by_device = draw(st.booleans()) if measured is None else measured
    time, metre, segment = BEGUN, 0.0, 0
    points = []
    for _ in range(draw(st.integers(2, 15))):
        points.append(
            Point(
                time,
                segment,
                None if by_device else north(metre),
                None if by_device else 13.0,
                draw(st.none() | st.floats(-100, 4000)),
                metre if by_device else None,
                draw(st.none() | st.integers(0, 255)),
            )
        )
        step = draw(st.integers(1, 600))
        time += step
        if draw(st.integers(0, 3)):
            metre += step * draw(st.sampled_from([0.0, 0.2, 0.5, 2.0, 3.3, 6.0]))
        else:
            segment += 1
    for seconds_on, further in ((0, 0), (300, 900), (500, 1700)):
        there = metre + further
        latitude, longitude = (None, None) if by_device else (north(there), 13.0)
        distance = there if by_device else None
        points.append(Point(time + seconds_on, segment, latitude, longitude, None, distance))
    return points


@settings(max_examples=50)
@given(walks())
def test_splits_add_up(points: list[Point]) -> None:
    run = run_of(points)
    assert run.splits
    assert isclose(sum(split.distance_km for split in run.splits), run.distance_km, abs_tol=1e-6)
    assert sum(split.duration_seconds for split in run.splits) == run.moving_seconds
    assert all(split.distance_km == 1 for split in run.splits[:-1])
    assert 0 < run.moving_seconds <= run.elapsed_seconds
    assert run.elapsed_seconds <= round(points[-1].time - points[0].time)


@settings(max_examples=50)
@given(walks(), st.randoms(use_true_random=False))
def test_the_order_of_points_means_nothing(points: list[Point], random: Any) -> None:
    mixed = list(points)
    random.shuffle(mixed)
    assert run_of(mixed) == run_of(points)


@settings(max_examples=50)
@given(walks(measured=True), st.floats(-80, 80), st.floats(-170, 170))
def test_what_a_device_has_measured_needs_no_places(points: list[Point], latitude: float, longitude: float) -> None:
    placed = [Point(p.time, p.segment, latitude, longitude, p.altitude, p.distance, p.heart_rate) for p in points]
    assert run_of(placed) == run_of(points)


@given(st.lists(st.floats(-500, 9000), min_size=1), st.floats(-100, 100))
def test_ascent_is_what_was_climbed(altitudes: list[float], higher: float) -> None:
    climbed = ascent(altitudes)
    assert climbed is not None
    rises = sum(max(0.0, there - here) for here, there in pairwise(altitudes))
    assert 0 <= climbed <= rises + 0.1
    assert ascent(sorted(altitudes, reverse=True)) == 0
    assert isclose(ascent([altitude + higher for altitude in altitudes]) or 0, climbed, abs_tol=len(altitudes) * 3 + 1)


def test_noise_is_no_ascent() -> None:
    assert ascent([100, 102.9, 100, 102.9, 97.2, 100.1]) == 0
    assert ascent([100, 103, 100, 103]) == 6
    assert ascent([]) is None


def test_a_position_that_nobody_can_have_reached_is_left_out() -> None:
    points = [Point(BEGUN + second, 0, north(3.0 * second), 13.0) for second in range(0, 600, 10)]
    expected = run_of(points)
    points.insert(30, Point(points[29].time + 5, 0, north(5000), 13.0))
    assert run_of(points) == expected


def test_what_lies_between_segments_was_not_run() -> None:
    points = [Point(BEGUN, 0, 0.0, 13.0), Point(BEGUN + 300, 0, north(1000), 13.0)]
    points += [Point(BEGUN + 400, 1, north(1500), 13.0), Point(BEGUN + 700, 1, north(2500), 13.0)]
    run = run_of(points)
    assert (run.distance_km, run.moving_seconds, run.elapsed_seconds) == (2.0, 600, 700)


def test_a_rest_of_no_time_takes_a_second_of_the_kilometre_before() -> None:
    points = [Point(BEGUN, distance=0.0), Point(BEGUN + 300, distance=1001.0)]
    assert run_of(points).splits == (Split(1.0, 299), Split(0.001, 1))


def test_the_middle_of_the_earth_is_no_place() -> None:
    content = gpx_of(
        "<trk><trkseg>"
        + "".join(
            f'<trkpt lat="{lat}" lon="0"><time>{_time(n)}</time></trkpt>' for n, lat in enumerate(["91", "nan", "x"])
        )
        + "</trkseg></trk>"
    )
    assert [run.reason for run in read_file(content).runs] == ["It has neither positions nor a distance."]


def test_each_session_of_a_file_has_its_own_points() -> None:
    begun = seconds(START)
    messages: list[tuple[str, dict[str, int | None]]] = [("file_id", {"type": 4, "time_created": begun})]
    # One records on while the sport changes; the distance goes on too.
    messages += [("record", {"timestamp": begun + second, "distance": second * 300}) for second in range(0, 1900, 100)]
    for start, end, sport in ((0, 600, RUNNING), (700, 1200, CYCLING), (1300, 1800, RUNNING)):
        session = {"timestamp": begun + end, "start_time": begun + start, "sport": sport}
        messages.append(("session", {**session, "total_elapsed_time": (end - start) * 1000}))
    reading = read_file(fit_file(messages))
    assert [run.is_other_sport for run in reading.runs] == [False, True, False]
    told = [
        (run.figures.started - BEGUN, run.figures.distance_km, run.figures.moving_seconds)
        for run in reading.runs
        if run.figures
    ]
    assert told == [(0, 1.8, 600), (1300, 1.5, 500)]


@given(st.binary(max_size=200))
def test_any_bytes_have_a_clear_result(content: bytes) -> None:
    for sent in (content, by_hand_fit()[:30] + content, b"<gpx>" + content):
        reading = read_file(sent)
        assert reading.reason or all(run.figures or run.reason for run in reading.runs)


@given(st.integers(0, len(by_hand_fit()) - 1), st.integers(1, 255))
def test_a_changed_byte_is_found(place: int, change: int) -> None:
    content = bytearray(by_hand_fit())
    content[place] ^= change
    assert read_file(bytes(content)).reason


def test_without_anything_there_is_no_run() -> None:
    with pytest.raises(Unreadable, match="no points"):
        run_of([])
