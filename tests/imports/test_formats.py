"""What is read of files, whatever has written them."""

import gzip
import struct
import tracemalloc
from datetime import timedelta

import pytest

from app.domain.imports.activity import Activity, Point, Totals, Unreadable
from app.domain.imports.figures import figures_of
from app.domain.imports.reading import FileReading, read_file, unpacked
from tests.imports.files import START, fit, gpx, gpx_of, north, packed, tcx
from tests.imports.fit import RUNNING, fit_file, framed, seconds, semicircles

RUN = (2.0, 600)


def told(reading: FileReading) -> list[tuple[float, int] | str | None]:
    return [
        (run.figures.distance_km, run.figures.moving_seconds) if run.figures else run.reason for run in reading.runs
    ]


def track(*points: tuple[str, float]) -> bytes:
    """Times, and metres to the north."""
    written = "".join(f'<trkpt lat="{north(metre):.9f}" lon="13"><time>{time}</time></trkpt>' for time, metre in points)
    return gpx_of(f"<trk><trkseg>{written}</trkseg></trk>")


TEXT = gpx().decode()


@pytest.mark.parametrize(
    "content",
    [
        TEXT.replace("UTF-8", "UTF-16").encode("utf-16"),
        b"\xfe\xff" + TEXT.replace("UTF-8", "UTF-16").encode("utf-16-be"),
        b"\xef\xbb\xbf" + gpx(),
        b"\r\n  " + gpx(),
        TEXT.replace("UTF-8", "windows-1252").encode(),
        TEXT.replace('"1.1"', '"1.0"').replace("GPX/1/1", "GPX/1/0").encode(),
        TEXT.replace("<gpx ", '<x:gpx xmlns:x="urn:x" ').replace("</gpx>", "</x:gpx>").encode(),
        TEXT.replace("<trk>", "<wpt lat='1' lon='2'><time>2020-01-01T00:00:00Z</time></wpt><trk>").encode(),
        gzip.compress(gpx()[:300]) + gzip.compress(gpx()[300:]),
        packed(gpx()) + bytes(20),
    ],
    ids=["utf-16", "utf-16-be", "bom", "blanks", "8-bit", "gpx-1.0", "prefix", "waypoint", "two-members", "padded"],
)
def test_a_track_is_read_however_it_is_written(content: bytes) -> None:
    assert told(read_file(content)) == [RUN]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (packed(packed(gpx())), "It is none of GPX, TCX and FIT."),
        (packed(b""), "It is empty."),
        (b"\x1f\x8b", "Its gzip is cut off."),
        (b"\x1f\x8bxxxxxxxxxxxxxxxxxx", "Its gzip is damaged."),
        (packed(gpx())[:-4] + packed(gpx()), "Its gzip is damaged."),
        (packed(bytes(40_000_000)) * 2, "It unpacks to more than 64 MB."),
        (TEXT.replace("UTF-8", "klingon").encode(), "Its XML is in an encoding that is not known."),
        (TEXT.replace("UTF-8", "big5").encode(), "Its XML is in an encoding that is not known."),
        (TEXT.replace("<trk>", f'<trk a="{"x" * 30_000_000}">').encode(), "Its XML is broken: a part has no end."),
        (TEXT.replace("<trk>", f"<!--{'x' * 30_000_000}--><trk>").encode(), "Its XML is broken: a part has no end."),
        (b"<!DOCTYPE html><html></html>", "Its XML declares a document type, which no file of an activity has."),
        (gpx_of('<wpt lat="1" lon="2"><time>2026-06-01T06:00:00Z</time></wpt>'), "It has no track."),
        (fit() + bytes(40), "The file is damaged."),
        (fit()[:13], "The file is cut off."),
    ],
)
def test_what_can_not_be_read_has_its_reason(content: bytes, reason: str) -> None:
    reading = read_file(content)
    assert (reading.reason, reading.runs) == (reason, ())


def test_no_more_is_unpacked_than_is_read() -> None:
    bomb = packed(bytes(20_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable, match="more than 1 MB"):
            unpacked(bomb, 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gpx(every=0), "Nothing in it moves."),
        (gpx_of("<trk><trkseg/></trk>"), "It has no points."),
        (gpx([kilometre * 10_000 for kilometre in range(102)], 3600), "It is longer than 1,000 km."),
        (gpx((0, 100, 200), 3600), "Nothing in it moves."),
        (
            track(("1970-01-01T00:00:00Z", 0), ("2026-06-01T06:00:00Z", 0), ("2026-06-01T06:05:00Z", 1000)),
            "From its start to its end it takes more than 100 days.",
        ),
        (
            tcx((), sport="Running").replace(b"<DistanceMeters>0", b"<DistanceMeters>900").replace(b"-300", b"3300"),
            "It is slower than one hour a kilometre.",
        ),
    ],
)
def test_what_is_no_run_has_its_reason(content: bytes, reason: str) -> None:
    assert told(read_file(content)) == [reason]


def test_a_treadmill_without_points_has_the_figures_of_its_laps() -> None:
    content = tcx(()).replace(b"<DistanceMeters>0", b"<DistanceMeters>5000").replace(b"-300", b"1800")
    assert told(read_file(content)) == [(5.0, 1800)]


def test_a_device_that_measures_nothing_leaves_the_distance_to_its_positions() -> None:
    content = tcx().decode()
    for metre in ("1000", "2000"):
        content = content.replace(f"<DistanceMeters>{metre}<", "<DistanceMeters>0<")
    assert told(read_file(content.encode())) == [RUN]


def test_a_first_position_that_is_far_off_is_left_out() -> None:
    begun = START.timestamp()
    true = [Point(begun + second, 0, north(3.0 * second), 13.0) for second in range(10, 600, 10)]
    first = Point(begun, 0, north(50_000), 13.0)
    figures = figures_of(Activity("", [first, *true], Totals()))
    assert (figures.distance_km, figures.moving_seconds) == (1.74, 580)


@pytest.mark.parametrize(("metre", "kilometres"), [(124, 0.248), (126, None)])
def test_nobody_runs_faster_than_the_fastest(metre: int, kilometres: float | None) -> None:
    begun = START.timestamp()
    points = [Point(begun + 10 * number, 0, north(metre * number), 13.0) for number in range(3)]
    activity = Activity("", points, Totals())
    if kilometres:
        assert figures_of(activity).distance_km == kilometres
    else:
        with pytest.raises(Unreadable, match="moves"):
            figures_of(activity)


def test_of_several_points_at_a_time_the_first_counts() -> None:
    begun = START.timestamp()
    points = [
        Point(begun + second, distance=float(metre)) for second, metre in ((0, 0), (300, 900), (300, 1500), (600, 2000))
    ]
    # 100 of the 1,100 m that follow the first: 27 s.
    assert [split.duration_seconds for split in figures_of(Activity("", points, Totals())).splits] == [327, 273]


def test_a_leap_over_a_gap_is_not_run() -> None:
    begun = START.timestamp()
    here = [Point(begun + second, 0, north(3.0 * second), 13.0) for second in range(0, 310, 10)]
    # By train, with the watch still on.
    there = [Point(begun + 400 + second, 0, north(9000 + 3.0 * second), 13.0) for second in range(0, 310, 10)]
    figures = figures_of(Activity("", here + there, Totals()))
    assert (figures.distance_km, figures.moving_seconds, figures.elapsed_seconds) == (1.8, 600, 700)


# Seconds and metres to the north: a walk of 100 m, at 1 m/s, while the recording is paused.
PIECES = [[(0, 0), (300, 1000)], [(400, 1100), (700, 2100)]]


def paused_gpx() -> bytes:
    pieces = [track(*((moment(second), metre) for second, metre in piece)).decode() for piece in PIECES]
    segments = [piece[piece.index("<trkseg>") : piece.index("</trk>")] for piece in pieces]
    return gpx_of(f"<trk>{''.join(segments)}</trk>")


def paused_tcx() -> bytes:
    tracks = "".join(
        "<Track>"
        + "".join(
            f"<Trackpoint><Time>{moment(second)}</Time><Position><LatitudeDegrees>{north(metre):.9f}</LatitudeDegrees>"
            "<LongitudeDegrees>13</LongitudeDegrees></Position></Trackpoint>"
            for second, metre in piece
        )
        + "</Track>"
        for piece in PIECES
    )
    activity = f"<Activity Sport='Running'><Lap>{tracks}</Lap></Activity>"
    return f"<TrainingCenterDatabase>{activity}</TrainingCenterDatabase>".encode()


def paused_fit() -> bytes:
    begun = seconds(START)
    messages: list[tuple[str, dict[str, int | None]]] = [("file_id", {"type": 4})]
    for piece in PIECES:
        messages.append(("event", {"timestamp": begun + piece[0][0], "event": 0, "event_type": 0}))
        messages += [
            (
                "record",
                {
                    "timestamp": begun + second,
                    "position_lat": semicircles(north(metre)),
                    "position_long": semicircles(13),
                },
            )
            for second, metre in piece
        ]
        messages.append(("event", {"timestamp": begun + piece[-1][0], "event": 0, "event_type": 4}))
    return fit_file([*messages, ("session", {"timestamp": begun + 700, "start_time": begun, "sport": RUNNING})])


def moment(second: int) -> str:
    return f"{START + timedelta(seconds=second):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("content", [paused_gpx(), paused_tcx(), paused_fit()], ids=["gpx", "tcx", "fit"])
def test_what_is_walked_in_a_pause_does_not_count(content: bytes) -> None:
    [run] = read_file(content).runs
    assert run.figures
    assert (run.figures.distance_km, run.figures.moving_seconds, run.figures.elapsed_seconds) == (2.0, 600, 700)


class TestFit:
    """What a watch may write in other ways than the writer of the other tests."""

    BEGUN = seconds(START)
    # Definitions: the file, a record with its time and distance, the session.
    FILE = struct.pack("<BBBHB", 0x43, 0, 0, 0, 1) + bytes([0, 1, 0, 3, 4])
    RECORD = struct.pack("<BBBHB", 0x40, 0, 0, 20, 2) + bytes([253, 4, 0x86, 5, 4, 0x86])
    SESSION = struct.pack("<BBBHB", 0x42, 0, 0, 18, 3) + bytes([253, 4, 0x86, 2, 4, 0x86, 5, 1, 0])
    END = SESSION + struct.pack("<BIIB", 2, BEGUN + 600, BEGUN, 1)

    def records(self, form: str = "<BII") -> bytes:
        every = range(0, 601, 10)
        return b"".join(struct.pack(form, 0, self.BEGUN + second, second * 1000 // 3) for second in every)

    def test_compressed_times(self) -> None:
        short = struct.pack("<BBBHB", 0x41, 0, 0, 20, 1) + bytes([5, 4, 0x86])
        points = b"".join(
            struct.pack("<BI", 0xA0 | (self.BEGUN + second) & 31, second * 1000 // 3) for second in range(10, 601, 10)
        )
        first = struct.pack("<BII", 0, self.BEGUN, 0)
        assert told(read_file(framed(self.FILE + self.RECORD + first + short + points + self.END))) == [RUN]

    def test_the_other_order_of_bytes(self) -> None:
        record = struct.pack(">BBBHB", 0x40, 0, 1, 20, 2) + bytes([253, 4, 0x86, 5, 4, 0x86])
        assert told(read_file(framed(self.FILE + record + self.records(">BII") + self.END))) == [RUN]

    def test_fields_of_developers(self) -> None:
        record = struct.pack("<BBBHB", 0x60, 0, 0, 20, 2) + bytes([253, 4, 0x86, 5, 4, 0x86, 1, 0, 2, 0])
        points = b"".join(
            struct.pack("<BIIH", 0, self.BEGUN + second, second * 1000 // 3, 7) for second in range(0, 601, 10)
        )
        assert told(read_file(framed(self.FILE + record + points + self.END))) == [RUN]

    def test_a_watch_that_ran_empty_leaves_no_session(self) -> None:
        assert told(read_file(framed(self.FILE + self.RECORD + self.records()))) == [RUN]

    def test_a_course_is_no_activity(self) -> None:
        course = self.FILE[:-1] + b"\x06"
        reading = read_file(framed(course + self.RECORD + self.records() + self.END))
        assert (reading.reason, reading.runs) == ("It is a FIT file, but not of an activity.", ())

    def test_files_may_follow_each_other(self) -> None:
        reading = read_file(fit() + fit(start=START + timedelta(days=1)))
        assert told(reading) == [RUN, RUN]
        assert [run.figures.started for run in reading.runs if run.figures] == [
            START.timestamp(),
            START.timestamp() + 86_400,
        ]
