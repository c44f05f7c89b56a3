"""A file as it comes: unpacked, told by what it begins with, and read into the figures of its runs."""

import gzip
import io
import zlib
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from app.domain.imports.activity import Activity, Unreadable, is_running
from app.domain.imports.figures import Figures, figures_of
from app.domain.imports.names import plain_line

__all__ = ("MAX_ACTIVITY_BYTES", "FileReading", "ReadRun", "check_bounds", "is_packed", "read_file", "unpacked")

MAX_ACTIVITY_BYTES: Final = 64_000_000
"""What a file may unpack to: a run of a day, as its largest format keeps it, takes half of that."""

_GZIP: Final = b"\x1f\x8b"
_SHORTEST_KM: Final = 0.05
_FASTEST_PACE: Final = 60
_SLOWEST_PACE: Final = 3600
_LONGEST_DAYS: Final = 100

Read = Callable[[bytes], list[Activity]]


class ReadRun(Struct, frozen=True):
    """One activity of a file.

    Attributes:
        figures: None where no run can be made of it.
        reason: why not.
        is_other_sport: whether that is because it is no running.
    """

    figures: Figures | None = None
    reason: str | None = None
    is_other_sport: bool = False


class FileReading(Struct, frozen=True):
    """What a file holds.

    Attributes:
        format: gpx, tcx or fit; None where it is none of them.
        runs: its activities, in its order.
        reason: why it could not be read at all.
    """

    format: str | None = None
    runs: tuple[ReadRun, ...] = ()
    reason: str | None = None


def read_file(content: bytes, *, trusts_sport: bool = True) -> FileReading:
    """Read a file.

    Args:
        content: as it was sent, gzipped or not.
        trusts_sport: whether the file tells which activities are runs; else all are.
    """
    kind = None
    try:
        plain = unpacked(content)
        kind = _format_of(plain)
        activities = _readers()[kind](plain)
    except Unreadable as error:
        return FileReading(kind, reason=str(error))
    return FileReading(kind, tuple(_read(activity, trusts_sport=trusts_sport) for activity in activities))


def is_packed(content: bytes) -> bool:
    """Whether bytes are gzipped."""
    return content.startswith(_GZIP)


def unpacked(content: bytes, limit: int = MAX_ACTIVITY_BYTES) -> bytes:
    """The file inside of gzip, or itself. Never more than the limit is unpacked.

    Raises:
        Unreadable: it is damaged, or larger than that.
    """
    if is_packed(content):
        try:
            with gzip.open(io.BytesIO(content)) as packed:
                content = packed.read(limit + 1)
        except EOFError:
            raise Unreadable("Its gzip is cut off.") from None
        except (gzip.BadGzipFile, zlib.error):
            raise Unreadable("Its gzip is damaged.") from None
    if len(content) > limit:
        raise Unreadable(f"It unpacks to more than {limit // 1_000_000} MB.")
    return content


def _format_of(content: bytes) -> str:
    if content[8:12] == b".FIT":
        return "fit"
    head = _as_ascii(content[:4096].lstrip())
    if b"<TrainingCenterDatabase" in head or b":TrainingCenterDatabase" in head:
        return "tcx"
    if b"<gpx" in head or b":gpx" in head or head.startswith((b"<", b"\xef\xbb\xbf<")):
        return "gpx"
    if not content:
        raise Unreadable("It is empty.")
    raise Unreadable("It is none of GPX, TCX and FIT.")


def _as_ascii(head: bytes) -> bytes:
    """The beginning of a text in whatever UTF, to be searched for names."""
    return head.replace(b"\0", b"").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")


def _readers() -> Mapping[str, Read]:
    # Imported here because they are not needed to tell that a file is none of theirs.
    from app.domain.imports.formats.fit import read_fit  # noqa: PLC0415
    from app.domain.imports.formats.gpx import read_gpx  # noqa: PLC0415
    from app.domain.imports.formats.tcx import read_tcx  # noqa: PLC0415

    return {"fit": read_fit, "gpx": read_gpx, "tcx": read_tcx}


def _read(activity: Activity, *, trusts_sport: bool) -> ReadRun:
    if trusts_sport and not is_running(activity.sport):
        return ReadRun(reason=f"Its sport is {plain_line(activity.sport, 50)}, not running.", is_other_sport=True)
    try:
        figures = figures_of(activity)
        check_bounds(figures)
    except Unreadable as error:
        return ReadRun(reason=str(error))
    return ReadRun(figures)


def check_bounds(figures: Figures) -> None:
    """Refuse what can't be a run.

    Raises:
        Unreadable: it is shorter than 50 m, its pace is no runner's, or it lasts longer than the longest does.
    """
    if figures.elapsed_seconds > _LONGEST_DAYS * 86_400:
        # As in files of a device that did not know the date when it began.
        raise Unreadable(f"From its start to its end it takes more than {_LONGEST_DAYS} days.")
    if figures.distance_km < _SHORTEST_KM:
        raise Unreadable("It is shorter than 50 m.")
    if figures.moving_seconds < _FASTEST_PACE * figures.distance_km:
        raise Unreadable("It is faster than one minute a kilometre.")
    if figures.moving_seconds > _SLOWEST_PACE * figures.distance_km:
        raise Unreadable("It is slower than one hour a kilometre.")
