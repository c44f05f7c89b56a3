"""Files of runs, as devices and Strava write them."""

import csv
import gzip
import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import degrees
from typing import TYPE_CHECKING, Any, TypeAlias

from asyncpg import Connection as AsyncpgConnection
from asyncpg import Record

from app.domain.imports.figures import EARTH_RADIUS
from tests.imports.fit import RUNNING, altitude, fit_file, seconds, semicircles

if TYPE_CHECKING:
    # Load tests need the files alone; importing the app takes them seconds.
    from tests.actors import Actor

Connection: TypeAlias = "AsyncpgConnection[Record]"

START = datetime(2026, 6, 1, 6, tzinfo=UTC)
FILES, IMPORTS, RUNS = "/api/v1/runs/import", "/api/v1/imports", "/api/v1/runs"

COLUMNS = [
    "Activity ID",
    "Activity Date",
    "Activity Name",
    "Activity Type",
    "Activity Description",
    "Elapsed Time",
    "Distance",
    "Max Heart Rate",
    "Filename",
    "Elapsed Time",
    "Moving Time",
    "Distance",
    "Elevation Gain",
    "Max Heart Rate",
    "Average Heart Rate",
]


def north(metres: float) -> float:
    """Degrees of latitude that are so many metres."""
    return degrees(metres / EARTH_RADIUS)


def gpx(
    metres: Sequence[float] = (0, 1000, 2000),
    every: float = 300,
    start: datetime = START,
    *,
    kind: str = "running",
    altitudes: Sequence[float] = (),
    beats: int = 150,
) -> bytes:
    """A track to the north."""
    points = ""
    for place, metre in enumerate(metres):
        moment = start + timedelta(seconds=place * every)
        height = f"<ele>{altitudes[place]}</ele>" if altitudes else ""
        points += (
            f'<trkpt lat="{north(metre):.9f}" lon="13">{height}<time>{moment:%Y-%m-%dT%H:%M:%S.%fZ}</time><extensions>'
            f"<g:TrackPointExtension><g:hr>{beats}</g:hr></g:TrackPointExtension></extensions></trkpt>"
        )
    return gpx_of(f"<trk><type>{kind}</type><trkseg>{points}</trkseg></trk>")


def gpx_of(tracks: str) -> bytes:
    """A GPX file."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"'
        f' xmlns:g="http://www.garmin.com/xmlschemas/TrackPointExtension/v1">{tracks}</gpx>'
    ).encode()


def tcx(
    metres: Sequence[float] = (0, 1000, 2000),
    every: float = 300,
    start: datetime = START,
    *,
    sport: str = "Running",
    positions: bool = True,
) -> bytes:
    """An activity of one lap, with the distances of the device."""
    points = ""
    for place, metre in enumerate(metres):
        moment = start + timedelta(seconds=place * every)
        position = (
            f"<Position><LatitudeDegrees>{north(metre):.9f}</LatitudeDegrees>"
            "<LongitudeDegrees>13</LongitudeDegrees></Position>"
            if positions
            else ""
        )
        points += (
            f"<Trackpoint><Time>{moment:%Y-%m-%dT%H:%M:%SZ}</Time>{position}<DistanceMeters>{metre}</DistanceMeters>"
            "<HeartRateBpm><Value>150</Value></HeartRateBpm></Trackpoint>"
        )
    total = every * (len(metres) - 1)
    return (
        '<?xml version="1.0"?>'
        '<TrainingCenterDatabase xmlns="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2"><Activities>'
        f'<Activity Sport="{sport}"><Id>{start:%Y-%m-%dT%H:%M:%SZ}</Id><Lap><TotalTimeSeconds>{total}'
        f"</TotalTimeSeconds><DistanceMeters>{metres[-1] if metres else 0}</DistanceMeters><Track>{points}</Track>"
        "</Lap></Activity></Activities></TrainingCenterDatabase>"
    ).encode()


def fit(
    metres: Sequence[float] = (0, 1000, 2000),
    every: int = 300,
    start: datetime = START,
    *,
    sport: int = RUNNING,
    positions: bool = True,
) -> bytes:
    """An activity of one session."""
    begun, last = seconds(start), every * (len(metres) - 1)
    messages: list[tuple[str, Mapping[str, int | None]]] = [
        ("file_id", {"type": 4, "manufacturer": 1, "serial_number": 1, "time_created": begun})
    ]
    for place, metre in enumerate(metres):
        record: dict[str, int | None] = {
            "timestamp": begun + place * every,
            "distance": round(metre * 100),
            "heart_rate": 150,
            "altitude": altitude(100),
        }
        if positions:
            record |= {"position_lat": semicircles(north(metre)), "position_long": semicircles(13)}
        messages.append(("record", record))
    session = {
        "timestamp": begun + last,
        "start_time": begun,
        "sport": sport,
        "total_elapsed_time": last * 1000,
        "total_timer_time": last * 1000,
        "total_distance": round(metres[-1] * 100) if metres else 0,
    }
    return fit_file([*messages, ("session", session)])


def row(number: int, start: datetime = START, *, kind: str = "Run", file: str = "", **more: str) -> list[str]:
    """A row of activities.csv: 2 km in 10 minutes."""
    date = f"{start:%b} {start.day}, {start:%Y}, {start.hour % 12 or 12}:{start:%M:%S %p}"
    values = {"name": "Morning run", "description": "", "distance": "2000.0", **more}
    return [
        str(number),
        date,
        values["name"],
        kind,
        values["description"],
        "700",
        "2.00",
        "170",
        file,
        "700.0",
        "600.0",
        values["distance"],
        "12.5",
        "170.0",
        "151.4",
    ]


def archive(
    rows: Sequence[Sequence[str]],
    files: Mapping[str, bytes] | None = None,
    *,
    columns: Sequence[str] = COLUMNS,
    folder: str = "",
) -> bytes:
    """What Strava sends."""
    table = io.StringIO()
    csv.writer(table).writerows([columns, *rows])
    sent = io.BytesIO()
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(f"{folder}activities.csv", table.getvalue())
        for name, content in (files or {}).items():
            zipped.writestr(folder + name, content)
    return sent.getvalue()


def packed(content: bytes) -> bytes:
    """The same, gzipped."""
    return gzip.compress(content, mtime=0)


async def send(actor: "Actor", *files: tuple[str, bytes], status: int = 201) -> dict[str, Any]:
    """Send files of runs; what became of them."""
    answer = await actor.client.post(FILES, files=[("files", file) for file in files])
    assert answer.status_code == status, answer.text
    outcome: dict[str, Any] = answer.json()
    return outcome
