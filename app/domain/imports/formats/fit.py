"""FIT, the binary format of watches: each session of a file is an activity, the pauses of its timer end segments."""

import io
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fitdecode import CrcCheck, ErrorHandling, FitDataMessage, FitEOFError, FitError, FitReader

from app.domain.imports.activity import MAX_POINTS, Activity, Point, Totals, Unreadable

__all__ = ("read_fit",)

_EPOCH: Final = 631_065_600
"""1989-12-31T00:00:00Z, from which FIT counts, as Unix seconds."""
_LATEST: Final = 4_133_980_800
_SEMICIRCLE: Final = 180 / 2**31
_ACTIVITY: Final = frozenset({4, "activity"})

_SHORTEST: Final = 12

_FILE, _SESSION, _RECORD, _EVENT = 0, 18, 20, 21

# Numbers of the fields that matter, by message; https://developer.garmin.com/fit/protocol/ has them all.
_WANTED: Final[Mapping[int, Mapping[int, str]]] = {
    _FILE: {0: "type"},
    _SESSION: {
        253: "timestamp",
        2: "start_time",
        5: "sport",
        7: "elapsed",
        8: "timer",
        9: "distance",
        16: "heart_rate",
        22: "ascent",
    },
    _RECORD: {
        253: "timestamp",
        0: "latitude",
        1: "longitude",
        2: "altitude",
        3: "heart_rate",
        5: "distance",
        78: "enhanced_altitude",
    },
    _EVENT: {253: "timestamp", 0: "event", 1: "event_type"},
}
_TIMER: Final = frozenset({0, "timer"})
_STARTS: Final = frozenset({0, "start"})


class _Session:
    """What a file says of one session, and the points that belong to it."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        sport = values.get("sport")
        elapsed, timer = _amount(values.get("elapsed")), _amount(values.get("timer"))
        started, ended = _time(values.get("start_time")), _time(values.get("timestamp"))
        rate = _amount(values.get("heart_rate"))
        self.begins = started if started is not None else 0.0
        self.ends = max(ended or 0.0, self.begins + max(elapsed or 0.0, timer or 0.0))
        self.activity = Activity(
            "" if sport is None else str(sport).lower(),
            [],
            Totals(
                started,
                elapsed,
                timer,
                _amount(values.get("distance")),
                _amount(values.get("ascent")),
                None if rate is None else round(rate),
            ),
        )


class _File:
    """Takes the messages of a file in their order."""

    def __init__(self) -> None:
        self.kind: object = None
        self.sessions: list[_Session] = []
        self.points: list[Point] = []
        self._segment = 0
        self._is_stopped = False
        self.untimed = 0

    def take(self, message: int, values: Mapping[str, Any]) -> None:
        """A message with those of its fields that matter."""
        if message == _RECORD:
            self._take_record(values)
        elif message == _EVENT:
            self._take_event(values)
        elif message == _SESSION:
            self.sessions.append(_Session(values))
        elif self.kind is None:
            self.kind = values.get("type")

    def _take_event(self, values: Mapping[str, Any]) -> None:
        if values.get("event") not in _TIMER:
            return
        starts = values.get("event_type") in _STARTS
        if starts and self._is_stopped:
            self._segment += 1
        self._is_stopped = not starts

    def _take_record(self, values: Mapping[str, Any]) -> None:
        if len(self.points) >= MAX_POINTS:
            raise Unreadable(f"It has more than {MAX_POINTS:,} points.")
        time = _time(values.get("timestamp"))
        if time is None:
            self.untimed += 1
            return
        latitude, longitude = _degrees(values.get("latitude"), 90), _degrees(values.get("longitude"), 180)
        is_place = latitude is not None and longitude is not None
        altitude = values.get("enhanced_altitude", values.get("altitude"))
        rate = _amount(values.get("heart_rate"))
        self.points.append(
            Point(
                time,
                self._segment,
                latitude if is_place else None,
                longitude if is_place else None,
                float(altitude) if isinstance(altitude, int | float) else None,
                _amount(values.get("distance")),
                None if rate is None else round(rate),
            )
        )

    def activities(self) -> list[Activity]:
        """The sessions with their points; without sessions, as a watch that ran empty leaves a file, all points."""
        if len(self.sessions) <= 1:
            activity = self.sessions[0].activity if self.sessions else Activity("", [], Totals())
            activity.points, activity.untimed = self.points, self.untimed
            return [activity]
        for point in self.points:
            for session in self.sessions:
                if session.begins <= point.time <= session.ends:
                    session.activity.points.append(point)
                    break
        return [session.activity for session in self.sessions]


def read_fit(content: bytes) -> list[Activity]:
    """The sessions of a file.

    Raises:
        Unreadable: it is damaged or cut off, or holds no activity but a course, a workout or settings.
    """
    file = _File()
    if _is_damaged(content):
        raise Unreadable("The file is damaged: its checksum is wrong.")
    try:
        for message, values in _messages(content):
            file.take(message, values)
    except FitEOFError:
        raise Unreadable("The file is cut off.") from None
    except (FitError, struct.error, ValueError, TypeError, LookupError, ArithmeticError):
        # The parser meets hostile bytes with whatever Python says of them.
        raise Unreadable("The file is damaged.") from None
    if file.kind is not None and file.kind not in _ACTIVITY:
        raise Unreadable("It is a FIT file, but not of an activity.")
    if not file.sessions and not file.points:
        raise Unreadable("It has no activity.")
    return file.activities()


def _is_damaged(content: bytes) -> bool:
    """Whether one of the files in it, of which there may be several, has a wrong checksum: CRC-16/ARC, by bytes."""
    begins = 0
    while len(content) - begins > _SHORTEST:
        ends = begins + content[begins] + int.from_bytes(content[begins + 4 : begins + 8], "little") + 2
        if ends > len(content):
            # Cut off, which the parser says better.
            return False
        value = 0
        for byte in content[begins:ends]:
            value = (value >> 8) ^ _CRC[(value ^ byte) & 0xFF]
        if value:
            return True
        begins = ends
    return False


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0xA001 if byte & 1 else 0)
    return byte


_CRC: Final = tuple(map(_crc_of, range(256)))


def _messages(content: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    source = io.BytesIO(content)
    # Without its processor, which would make a datetime of each timestamp, and its checksum, which takes a quarter of
    # the time; ours takes a fiftieth.
    with FitReader(source, processor=None, check_crc=CrcCheck.DISABLED, error_handling=ErrorHandling.IGNORE) as reader:
        for frame in reader:
            if not isinstance(frame, FitDataMessage) or (wanted := _WANTED.get(frame.global_mesg_num)) is None:
                continue
            yield (
                frame.global_mesg_num,
                {wanted[field.def_num]: field.value for field in frame.fields if field.def_num in wanted},
            )


def _time(value: object) -> float | None:
    if not isinstance(value, int) or value < 0 or value + _EPOCH >= _LATEST:
        return None
    return float(value + _EPOCH)


def _amount(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value >= 0 else None


def _degrees(value: object, most: int) -> float | None:
    if not isinstance(value, int | float):
        return None
    degrees = value * _SEMICIRCLE
    return degrees if abs(degrees) <= most else None
