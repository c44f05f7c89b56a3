"""A running plan as a calendar (RFC 5545), for whoever is signed in or has its link.

Its workouts are events of whole days. Each keeps its UID, so that a calendar that reads it again updates what it has;
SEQUENCE and LAST-MODIFIED tell which state is newer. The format is a dozen lines of text: a library for it would bring
more than it spares.
"""

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.paging import Versioned
from app.db.reader import Reader
from app.domain.running.documents import PLAN_JSON, WORKOUT_JSON
from app.domain.running.dto import CalendarAddress, RunningPlan, RunningWorkout
from app.errors import NotFound
from app.security.principal import Principal

__all__ = ("CalendarLinkService", "CalendarReader", "calendar_of", "folded", "quoted")

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

_TOKEN_BYTES: Final = 32
_LONGEST_LINE: Final = 75
_BREAK: Final = "\r\n"

_CALENDAR: Final = f"""
SELECT p.version, ({PLAN_JSON})::text AS plan, coalesce((
    SELECT json_agg(json_build_object('version', w.version, 'workout', {WORKOUT_JSON}) ORDER BY w.scheduled_date, w.id)
    FROM running_workouts w WHERE w.plan_id = p.id AND w.scheduled_date IS NOT NULL), '[]'::json)::text AS workouts
FROM running_plans p
"""
_OWN_CALENDAR: Final = f"{_CALENDAR} WHERE p.id = $1 AND p.user_id = $2"
_LINKED_CALENDAR: Final = f"{_CALENDAR} JOIN calendar_link l ON l.plan_id = p.id WHERE l.token_hash = $1"

_LINK: Final = """
SELECT l.created_at FROM running_plans p LEFT JOIN calendar_link l ON l.plan_id = p.id
WHERE p.id = $1 AND p.user_id = $2
"""
_MAKE_LINK: Final = text("""
INSERT INTO calendar_link (plan_id, token_hash)
SELECT id, :token_hash FROM running_plans WHERE id = :id AND user_id = :user_id
ON CONFLICT (plan_id) DO UPDATE SET token_hash = excluded.token_hash, created_at = now()
RETURNING created_at
""")
_END_LINK: Final = text("""
DELETE FROM calendar_link USING running_plans p
WHERE plan_id = :id AND p.id = plan_id AND p.user_id = :user_id RETURNING plan_id
""")


class _Event(Struct):
    version: int
    workout: RunningWorkout


_plan = msgspec.json.Decoder(RunningPlan)
_events = msgspec.json.Decoder(list[_Event])


class CalendarReader:
    """Reads plans as calendars, each time in one statement."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def own(self, plan_id: UUID, principal: Principal) -> Versioned[str]:
        """The calendar of a plan of the caller.

        Raises:
            NotFound: the caller has no such plan.
        """
        return await self._read(_OWN_CALENDAR, plan_id, principal.user_id)

    async def linked(self, token: str) -> Versioned[str]:
        """The calendar that a link leads to.

        Raises:
            NotFound: there is no such link.
        """
        return await self._read(_LINKED_CALENDAR, _hash(token))

    async def link(self, plan_id: UUID, principal: Principal) -> CalendarAddress:
        """The link to a calendar, without its token.

        Raises:
            NotFound: the caller has no such plan, or there is no link to it.
        """
        row = await self._reader.fetchrow(_LINK, plan_id, principal.user_id)
        if row is None or row["created_at"] is None:
            raise NotFound
        return CalendarAddress(created_at=row["created_at"])

    async def _read(self, statement: str, *values: object) -> Versioned[str]:
        row = await self._reader.fetchrow(statement, *values)
        if row is None:
            raise NotFound
        events = [(event.workout, event.version) for event in _events.decode(row["workouts"])]
        return Versioned(calendar_of(_plan.decode(row["plan"]), row["version"], events), row["version"])


class CalendarLinkService:
    """Makes and ends the links by which calendars read plans."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def make(self, plan_id: UUID, principal: Principal) -> CalendarAddress:
        """Make a link, in place of one that there may have been.

        Raises:
            NotFound: the caller has no such plan.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        values = {"id": plan_id, "user_id": principal.user_id, "token_hash": _hash(token)}
        row = (await self._session.execute(_MAKE_LINK, values)).one_or_none()
        if row is None:
            raise NotFound
        return CalendarAddress(
            token=token, path=f"/api/v1/shared/{token}/calendar.ics", created_at=row.created_at.astimezone(UTC)
        )

    async def end(self, plan_id: UUID, principal: Principal) -> None:
        """End the link to a plan.

        Raises:
            NotFound: the caller has no such plan, or there is no link to it.
        """
        values = {"id": plan_id, "user_id": principal.user_id}
        if (await self._session.execute(_END_LINK, values)).first() is None:
            raise NotFound


def _hash(token: str) -> bytes:
    """What is stored of a token. It is random, so that a plain hash can't be guessed back."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def calendar_of(plan: RunningPlan, version: int, workouts: Iterable[tuple[RunningWorkout, int]]) -> str:
    """A plan as a calendar: its workouts that have a date, and its race.

    Args:
        version: of the plan; with each workout comes its own.
    """
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//IronTrack//Running plans//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"NAME:{quoted(plan.name)}",
        f"X-WR-CALNAME:{quoted(plan.name)}",
        "REFRESH-INTERVAL;VALUE=DURATION:PT1H",
    ]
    for workout, changes in workouts:
        if workout.scheduled_date:
            lines += _event(str(workout.id), workout.scheduled_date, changes, workout.updated_at, workout.name)
            lines += [f"DESCRIPTION:{quoted(_description(workout))}", f"CATEGORIES:{workout.workout_type.upper()}"]
            lines.append("END:VEVENT")
    if plan.goal_race_date:
        lines += _event(f"race-{plan.id}", plan.goal_race_date, version, plan.updated_at, f"Race: {plan.name}")
        lines.append("END:VEVENT")
    lines.append("END:VCALENDAR")
    return "".join(folded(line) + _BREAK for line in lines)


def _event(uid: str, day: date, version: int, changed_at: datetime, name: str) -> Iterator[str]:
    moment = f"{changed_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    yield "BEGIN:VEVENT"
    yield f"UID:{uid}@irontrack"
    # Of what is published, the stamp is the time of its last change (section 3.8.7.2).
    yield f"DTSTAMP:{moment}"
    yield f"LAST-MODIFIED:{moment}"
    yield f"SEQUENCE:{version - 1}"
    yield f"DTSTART;VALUE=DATE:{day:%Y%m%d}"
    yield f"DTEND;VALUE=DATE:{day + timedelta(days=1):%Y%m%d}"
    yield f"SUMMARY:{quoted(name)}"
    yield "TRANSP:TRANSPARENT"


def _description(workout: RunningWorkout) -> str:
    lines = [workout.workout_type.replace("_", " ").capitalize()]
    if workout.planned_distance_km is not None:
        lines[0] += f", {workout.planned_distance_km} km"
    if workout.target_pace_min_sec is not None and workout.target_pace_max_sec is not None:
        fastest, slowest = (_pace(pace) for pace in (workout.target_pace_min_sec, workout.target_pace_max_sec))
        lines.append(f"{fastest} to {slowest}/km")
    if workout.notes:
        lines.append(workout.notes)
    return "\n".join(lines)


def _pace(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02}"


def quoted(value: str) -> str:
    """A text as a property has it (section 3.3.11), without control characters, which have no place in it."""
    escaped = value.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\r\n", "\n")
    escaped = escaped.replace("\n", "\\n").replace("\r", "\\n")
    return "".join(sign for sign in escaped if sign == "\t" or not (sign < " " or "\x7f" <= sign < "\xa0"))


def folded(line: str) -> str:
    """A line of at most 75 octets, the rest on further ones that begin with a blank (section 3.1). No character is cut
    in two.
    """
    parts, part, octets = [], "", 0
    for sign in line:
        size = len(sign.encode())
        if octets + size > _LONGEST_LINE:
            parts.append(part)
            part, octets = "", 1
        part += sign
        octets += size
    return f"{_BREAK} ".join([*parts, part])
