"""Who else may see a template: users by grants, and whoever has its link."""

import hashlib
import secrets
from datetime import UTC
from typing import Final
from uuid import UUID

import msgspec
from asyncpg import Record
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import uuid7
from app.db.paging import Precondition
from app.db.reader import Reader
from app.domain.training.access import (
    PLANS,
    UNITS,
    Template,
    Verb,
    access_of,
    known_access,
    lock,
    require,
    verb_to_revoke,
)
from app.domain.training.dto import Grant, Link, NewGrant, NewLink, SharedPlan, SharedTemplate, SharedUnit
from app.domain.training.models import SharingStatus
from app.errors import NotFound, RuleBroken
from app.security.principal import Principal

__all__ = ("GrantService", "LinkService", "SharedReader", "SharingReader", "StoredGrant")

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

_TOKEN_BYTES: Final = 32
_SHARED: Final = f"('{SharingStatus.SHARED}', '{SharingStatus.PUBLIC}')"

_GRANTS: Final = {
    template: f"""
        SELECT {access_of(template, "t", "$2::uuid", "$3::boolean")} AS access, coalesce((
            SELECT json_agg(json_build_object(
                'userId', u.id, 'name', u.name, 'email', u.email, 'accessLevel', g.access_level,
                'createdAt', g.created_at) ORDER BY g.created_at, u.id)
            FROM {template.grants} g JOIN user_account u ON u.id = g.user_id
            WHERE g.{template.key} = t.id), '[]'::json)::text AS grants
        FROM {template.table} t WHERE t.id = $1
    """
    for template in (UNITS, PLANS)
}

_GRANTEE: Final = {
    column: text(f"SELECT id, name, email FROM user_account WHERE {column} = :wanted AND is_active")
    for column in ("id", "lower(email)")
}

_GRANT: Final = {
    template: text(f"""
        INSERT INTO {template.grants} ({template.key}, user_id, granted_by, access_level)
        VALUES (:id, :user_id, :granted_by, :access_level)
        ON CONFLICT ({template.key}, user_id) DO UPDATE
        SET access_level = excluded.access_level, granted_by = excluded.granted_by
        RETURNING created_at, created_at = now() AS is_new
    """)
    for template in (UNITS, PLANS)
}

_REVOKE: Final = {
    template: text(f"DELETE FROM {template.grants} WHERE {template.key} = :id AND user_id = :user_id RETURNING user_id")
    for template in (UNITS, PLANS)
}

_LINK: Final = {
    template: f"""
        SELECT {access_of(template, "t", "$2::uuid", "$3::boolean")} AS access, l.id, l.created_at, l.expires_at
        FROM {template.table} t LEFT JOIN share_link l ON l.{template.key} = t.id WHERE t.id = $1
    """
    for template in (UNITS, PLANS)
}

_MAKE_LINK: Final = {
    template: text(f"""
        INSERT INTO share_link (id, {template.key}, token_hash, created_by, expires_at)
        VALUES (:link_id, :id, :token_hash, :created_by, :expires_at)
        ON CONFLICT ({template.key}) WHERE {template.key} IS NOT NULL DO UPDATE
        SET token_hash = excluded.token_hash, created_at = now(), expires_at = excluded.expires_at
        RETURNING created_at, expires_at
    """)
    for template in (UNITS, PLANS)
}

_END_LINK: Final = {
    template: text(f"DELETE FROM share_link WHERE {template.key} = :id RETURNING id") for template in (UNITS, PLANS)
}

_SHARED_UNIT: Final = """
json_build_object('name', u.name, 'description', u.description, 'exercises', coalesce((
    SELECT json_agg(json_build_object(
        'exerciseName', e.exercise_name_snapshot, 'mode', e.mode, 'orderIndex', e.order_index,
        'notes', e.unit_exercise_notes, 'targetWeight', e.target_weight::float8, 'sets', e.sets,
        'repsMin', e.reps_min, 'repsMax', e.reps_max, 'targetTimeSeconds', e.target_time_seconds,
        'targetDistanceKm', e.target_distance_km::float8, 'restSeconds', e.rest_seconds,
        'supersetGroup', e.superset_group) ORDER BY e.order_index)
    FROM training_unit_exercises e WHERE e.training_unit_id = u.id), '[]'::json))
"""

_BY_TOKEN: Final = f"""
SELECT o.name AS owner_name,
    (SELECT {_SHARED_UNIT}::text FROM training_units u WHERE u.id = l.training_unit_id) AS unit,
    (SELECT json_build_object(
        'name', p.name, 'description', p.description, 'difficultyLevel', p.difficulty_level, 'units', coalesce((
            SELECT json_agg(json_build_object(
                'dayNumber', d.day_number, 'orderIndex', d.order_index, 'unit', {_SHARED_UNIT})
                ORDER BY d.day_number, d.order_index)
            FROM training_plan_units d JOIN training_units u ON u.id = d.training_unit_id
            WHERE d.training_plan_id = p.id), '[]'::json))::text
        FROM training_plans p WHERE p.id = l.training_plan_id) AS plan
FROM share_link l JOIN user_account o ON o.id = l.created_by
WHERE l.token_hash = $1 AND (l.expires_at IS NULL OR l.expires_at > now()) AND (
    EXISTS (SELECT FROM training_units t WHERE t.id = l.training_unit_id AND t.sharing_status IN {_SHARED})
    OR EXISTS (SELECT FROM training_plans t WHERE t.id = l.training_plan_id AND t.sharing_status IN {_SHARED}))
"""

_grants_decoder = msgspec.json.Decoder(list[Grant])
_unit_decoder = msgspec.json.Decoder(SharedUnit)
_plan_decoder = msgspec.json.Decoder(SharedPlan)


class StoredGrant(msgspec.Struct, frozen=True):
    """A grant as it is now.

    Attributes:
        is_new: false when there was one already.
    """

    grant: Grant
    is_new: bool


def _hash(token: str) -> bytes:
    """What is stored of a token. It is random, so that a plain hash can't be guessed back."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


class SharingReader:
    """Reads what the owner of a template has shared, each time in one statement."""

    def __init__(self, reader: Reader, template: Template) -> None:
        self._reader = reader
        self._template = template

    async def grants(self, template_id: UUID, principal: Principal) -> list[Grant]:
        """What others may do with a template, the oldest grant first.

        Raises:
            NotFound: there is no such template.
            Forbidden: it is somebody else's.
        """
        row = await self._owned(_GRANTS[self._template], template_id, principal)
        grants = _grants_decoder.decode(row["grants"])
        for grant in grants:
            grant.created_at = grant.created_at.astimezone(UTC)
        return grants

    async def link(self, template_id: UUID, principal: Principal) -> Link:
        """The link to a template, without its token.

        Raises:
            NotFound: there is no such template, or no link to it.
            Forbidden: it is somebody else's.
        """
        row = await self._owned(_LINK[self._template], template_id, principal)
        if row["id"] is None:
            raise NotFound
        return Link(created_at=row["created_at"], expires_at=row["expires_at"])

    async def _owned(self, statement: str, template_id: UUID, principal: Principal) -> Record:
        row = await self._reader.fetchrow(statement, template_id, principal.user_id, principal.is_superuser)
        if row is None:
            raise NotFound
        require(known_access(row["access"]), Verb.SHARE)
        return row


class GrantService:
    """Gives and takes what others may do with a template."""

    def __init__(self, session: AsyncSession, template: Template) -> None:
        self._session = session
        self._template = template

    async def grant(
        self, template_id: UUID, data: NewGrant, principal: Principal, precondition: Precondition
    ) -> StoredGrant:
        """Let another user read, or read and write, while the template is shared.

        Raises:
            NotFound: there is no such template, or no active user as named.
            Forbidden: the template is somebody else's.
            PreconditionFailed: it was changed in the meantime.
            RuleBroken: the user is the owner.
        """
        await lock(self._session, self._template, template_id, principal, Verb.SHARE, precondition)
        grantee = await self._grantee(data)
        if grantee["id"] == principal.user_id:
            raise RuleBroken.of("userId" if data.user_id else "email", "Nobody grants access to themselves.")
        values = {
            "id": template_id,
            "user_id": grantee["id"],
            "granted_by": principal.user_id,
            "access_level": data.access_level,
        }
        row = (await self._session.execute(_GRANT[self._template], values)).one()
        grant = Grant(grantee["id"], grantee["name"], grantee["email"], data.access_level, row.created_at)
        return StoredGrant(grant, row.is_new)

    async def revoke(self, template_id: UUID, user_id: UUID, principal: Principal, precondition: Precondition) -> None:
        """Take back what was granted; whoever it was granted to may give it up.

        Raises:
            NotFound: there is no such template, or nothing was granted to this user.
            Forbidden: the template is somebody else's, and so is the grant.
            PreconditionFailed: the template was changed in the meantime.
        """
        verb = verb_to_revoke(user_id, principal)
        await lock(self._session, self._template, template_id, principal, verb, precondition)
        values = {"id": template_id, "user_id": user_id}
        if (await self._session.execute(_REVOKE[self._template], values)).first() is None:
            raise NotFound

    async def _grantee(self, data: NewGrant) -> RowMapping:
        column, wanted = ("id", data.user_id) if data.user_id else ("lower(email)", str(data.email))
        row = (await self._session.execute(_GRANTEE[column], {"wanted": wanted})).mappings().one_or_none()
        if row is None or data.email not in (None, row["email"]):
            raise NotFound("There is no such user.")
        return row


class LinkService:
    """Makes and ends the link to a template."""

    def __init__(self, session: AsyncSession, template: Template) -> None:
        self._session = session
        self._template = template

    async def make(self, template_id: UUID, data: NewLink, principal: Principal, precondition: Precondition) -> Link:
        """Make a link, in place of one that there may have been.

        Raises:
            NotFound: there is no such template.
            Forbidden: it is somebody else's.
            PreconditionFailed: it was changed in the meantime.
        """
        await lock(self._session, self._template, template_id, principal, Verb.SHARE, precondition)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        values = {
            "link_id": uuid7(),
            "id": template_id,
            "token_hash": _hash(token),
            "created_by": principal.user_id,
            "expires_at": data.expires_at,
        }
        row = (await self._session.execute(_MAKE_LINK[self._template], values)).one()
        return Link(token=token, path=f"/api/v1/shared/{token}", created_at=row.created_at, expires_at=row.expires_at)

    async def end(self, template_id: UUID, principal: Principal, precondition: Precondition) -> None:
        """End the link to a template.

        Raises:
            NotFound: there is no such template, or no link to it.
            Forbidden: it is somebody else's.
            PreconditionFailed: it was changed in the meantime.
        """
        await lock(self._session, self._template, template_id, principal, Verb.SHARE, precondition)
        if (await self._session.execute(_END_LINK[self._template], {"id": template_id})).first() is None:
            raise NotFound


class SharedReader:
    """Reads what links lead to, for whoever has them."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def read(self, token: str) -> SharedTemplate:
        """The template of a link.

        Raises:
            NotFound: there is no such link, it has expired, or the template is private now.
        """
        row = await self._reader.fetchrow(_BY_TOKEN, _hash(token))
        if row is None:
            raise NotFound
        return SharedTemplate(
            owner_name=row["owner_name"],
            unit=_unit_decoder.decode(row["unit"]) if row["unit"] else None,
            plan=_plan_decoder.decode(row["plan"]) if row["plan"] else None,
        )
