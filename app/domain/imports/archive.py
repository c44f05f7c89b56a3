"""The archive in which Strava hands out all of an account: activities.csv, and beside it the files of the activities.

Nothing of it is ever written to a path that it names, and nothing is unpacked beyond bounds.
"""

import csv
import gzip
import io
import re
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from lzma import LZMAError
from pathlib import PurePosixPath
from typing import Final
from zipfile import BadZipFile, ZipFile, ZipInfo

from msgspec import Struct

from app.domain.imports.activity import Activity, Totals, Unreadable
from app.domain.imports.figures import Figures, figures_of
from app.domain.imports.formats.xml import number_of
from app.domain.imports.names import plain_line
from app.domain.imports.reading import MAX_ACTIVITY_BYTES, check_bounds, is_packed

__all__ = ("MAX_ACTIVITIES", "ArchiveActivity", "ArchiveIndex", "Member", "open_archive", "read_members")

MAX_ACTIVITIES: Final = 50_000
_TABLE: Final = "activities.csv"
_MAX_ENTRIES: Final = 300_000
_MAX_TABLE_BYTES: Final = 64_000_000
_MAX_PACKED_BYTES: Final = 32_000_000
_MAX_UNPACKED_BYTES: Final = 8_000_000_000
_ENCRYPTED: Final = 0x1
_LEVEL: Final = 6
_MAX_NOTES: Final = 10_000

_DAMAGES: Final = (BadZipFile, EOFError, LZMAError, OSError, RuntimeError, ValueError, zlib.error)
"""What zipfile and its decompressors raise for damaged entries, and for ways of packing that they do not know."""

_DATES: Final = ("%b %d, %Y, %I:%M:%S %p", "%Y-%m-%d %H:%M:%S", "%b %d, %Y, %H:%M:%S")
_BLANKS: Final = re.compile(r"\s+")
_RUN: Final = re.compile(r"\brun\b", re.IGNORECASE)
_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_REQUIRED: Final = ("Activity ID", "Activity Date", "Activity Type", "Filename")


class ArchiveActivity(Struct, frozen=True):
    """A run that the archive's table names.

    Attributes:
        name: of its file, or what else tells it to the runner.
        external_id: the activity's number at Strava.
        notes: its title and description.
        member: its file in the archive; None: the row is all there is.
        size: bytes of that file.
        figures: of the row, where there is no file.
        reason: why no run can be made of it.
    """

    name: str
    external_id: str
    notes: str | None
    member: str | None = None
    size: int = 0
    figures: Figures | None = None
    reason: str | None = None


class ArchiveIndex(Struct, frozen=True):
    """What an archive holds.

    Attributes:
        activities: its runs.
        skipped: how many activities are no runs.
        reason: why it can't be read.
    """

    activities: tuple[ArchiveActivity, ...] = ()
    skipped: int = 0
    reason: str | None = None


class Member(Struct, frozen=True):
    """A file of the archive, as it is kept.

    Attributes:
        content: gzipped.
        is_wrapped: whether it was gzipped by us, and so is handed out without.
        reason: why it can't be read.
    """

    content: bytes = b""
    is_wrapped: bool = False
    reason: str | None = None


def open_archive(path: str) -> ArchiveIndex:
    """Read the archive's table, and look whether its files can be had."""
    try:
        with ZipFile(path) as archive:
            return _index(archive)
    except Unreadable as error:
        return ArchiveIndex(reason=str(error))
    except _DAMAGES:
        return ArchiveIndex(reason="It is no zip archive, or a damaged one.")


def read_members(path: str, names: Sequence[str]) -> list[Member]:
    """Files of the archive, gzipped, in the order asked for."""
    with ZipFile(path) as archive:
        return [_member(archive, name) for name in names]


def _member(archive: ZipFile, name: str) -> Member:
    try:
        content = _read(archive, archive.getinfo(name), MAX_ACTIVITY_BYTES)
    except Unreadable as error:
        return Member(reason=str(error))
    except _DAMAGES:
        return Member(reason="It is damaged in the archive.")
    packed = content if is_packed(content) else gzip.compress(content, _LEVEL, mtime=0)
    if len(packed) > _MAX_PACKED_BYTES:
        return Member(reason=f"It is larger than {_MAX_PACKED_BYTES // 1_000_000} MB.")
    return Member(packed, packed is not content)


def _read(archive: ZipFile, entry: ZipInfo, limit: int) -> bytes:
    """The bytes of an entry, whatever it says of its size.

    Raises:
        Unreadable: it is encrypted, or larger than the limit.
    """
    if entry.flag_bits & _ENCRYPTED:
        raise Unreadable("The archive is encrypted; send it without a password.")
    with archive.open(entry) as opened:
        content = opened.read(limit + 1)
    if len(content) > limit:
        raise Unreadable(f"It unpacks to more than {limit // 1_000_000} MB.")
    return content


def _index(archive: ZipFile) -> ArchiveIndex:
    if len(archive.filelist) > _MAX_ENTRIES:
        raise Unreadable(f"The archive has more than {_MAX_ENTRIES:,} entries.")
    entries = {entry.filename: entry for entry in archive.infolist()}
    table = min((name for name in entries if PurePosixPath(name).name == _TABLE), key=len, default=None)
    if table is None:
        raise Unreadable("The archive has no activities.csv; send the one that Strava has made.")
    content = _read(archive, entries[table], _MAX_TABLE_BYTES)
    folder = table.removesuffix(_TABLE)
    files = {name.removeprefix(folder): entry for name, entry in entries.items() if name.startswith(folder)}
    activities: list[ArchiveActivity] = []
    taken: set[str] = set()
    skipped = 0
    for row in _rows(content):
        if not _RUN.search(row.get("Activity Type", "")):
            skipped += 1
            continue
        activities.append(_once(_activity(row, files), taken))
        if len(activities) > MAX_ACTIVITIES:
            raise Unreadable(f"The archive has more than {MAX_ACTIVITIES:,} runs.")
    if sum(activity.size for activity in activities) > _MAX_UNPACKED_BYTES:
        raise Unreadable(f"Its files unpack to more than {_MAX_UNPACKED_BYTES // 1_000_000_000} GB.")
    return ArchiveIndex(tuple(activities), skipped)


def _rows(content: bytes) -> Iterator[Mapping[str, str]]:
    """The rows of the table, by the names of their columns.

    Several columns have the same name. The later one holds the plain number (the distance in metres, the times in
    seconds), where the earlier one is rounded for people; it is taken unless it is empty.

    Raises:
        Unreadable: it is no such table.
    """
    try:
        text = content.decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        if missing := [name for name in _REQUIRED if name not in header]:
            raise Unreadable(
                f"activities.csv has no column {missing[0]}; ask Strava for the archive with English as its language."
            )
        distances = [index for index, name in enumerate(header) if name == "Distance"]
        for cells in reader:
            row = {name: value for name, value in zip(header, cells, strict=False) if value.strip()}
            if not any(value.strip() for index in distances[1:] for value in cells[index : index + 1]):
                # A row, or an older archive, with the kilometres alone.
                row["Distance"] = _metres("".join(cells[index] for index in distances[:1] if index < len(cells)))
            if any(row.values()):
                yield row
    except UnicodeDecodeError:
        raise Unreadable("activities.csv is not in UTF-8.") from None
    except csv.Error:
        raise Unreadable("activities.csv is damaged.") from None


def _metres(kilometres: str) -> str:
    value = number_of(kilometres.replace(",", ""))
    return "" if value is None else str(value * 1000)


def _activity(row: Mapping[str, str], files: Mapping[str, ZipInfo]) -> ArchiveActivity:
    external_id, filename = row.get("Activity ID", "").strip(), row.get("Filename", "").strip()
    name = plain_line(filename or row.get("Activity Name", "") or external_id) or "?"
    notes = _notes(row)
    if not _ID.fullmatch(external_id):
        return ArchiveActivity(name, "", notes, reason="Its row in activities.csv has no number.")
    if filename:
        entry = files.get(filename)
        if entry is None:
            return ArchiveActivity(name, external_id, notes, reason="Its file is not in the archive.")
        return ArchiveActivity(name, external_id, notes, entry.filename, entry.file_size)
    try:
        return ArchiveActivity(name, external_id, notes, figures=_figures(row))
    except Unreadable as error:
        return ArchiveActivity(name, external_id, notes, reason=str(error))


def _once(activity: ArchiveActivity, taken: set[str]) -> ArchiveActivity:
    """An activity whose file no row before it has: else a small archive would fill the database with copies."""
    if activity.member is None:
        return activity
    if activity.member in taken:
        return ArchiveActivity(
            activity.name, activity.external_id, activity.notes, reason="Another row of activities.csv has its file."
        )
    taken.add(activity.member)
    return activity


def _figures(row: Mapping[str, str]) -> Figures:
    """The figures of a run that was entered by hand.

    Raises:
        Unreadable: its date can't be read, or its figures are no run's.
    """
    heart_rate = _number(row, "Average Heart Rate")
    totals = Totals(
        _started(row.get("Activity Date", "")),
        _number(row, "Elapsed Time"),
        _number(row, "Moving Time"),
        _number(row, "Distance"),
        _number(row, "Elevation Gain"),
        None if heart_rate is None else round(heart_rate),
    )
    figures = figures_of(Activity("run", [], totals))
    check_bounds(figures)
    return figures


def _number(row: Mapping[str, str], column: str) -> float | None:
    value = number_of(row.get(column, "").replace(",", ""))
    return value if value is not None and value >= 0 else None


def _started(date: str) -> float:
    """Strava writes the dates of the table in UTC.

    Raises:
        Unreadable: it is written in another way.
    """
    plain = _BLANKS.sub(" ", date).strip()
    for pattern in _DATES:
        try:
            return datetime.strptime(plain, pattern).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    raise Unreadable(f"Its date can't be read: {plain_line(plain, 60)}.")


def _notes(row: Mapping[str, str]) -> str | None:
    parts = (row.get("Activity Name", ""), row.get("Activity Description", ""))
    text = "\n\n".join(_CONTROL.sub("", part.replace("\r\n", "\n")).strip() for part in parts if part.strip())
    return unicodedata.normalize("NFC", text)[:_MAX_NOTES] or None
