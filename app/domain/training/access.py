"""Who may do what with a unit or a plan: the one rule, as SQL and as a table.

Every read starts from rows that the rule lets through, so that what is hidden is missing. A write locks the row first
and decides then, by the same rule.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.paging import Precondition
from app.db.reader import Reader
from app.db.transaction import raw_connection
from app.domain.training.models import SharingStatus
from app.errors import Forbidden, NotFound
from app.security.principal import Principal

__all__ = (
    "PLANS",
    "UNITS",
    "Access",
    "Locked",
    "Scope",
    "Template",
    "Verb",
    "access_of",
    "find_access",
    "known_access",
    "lock",
    "require",
    "rows_in_scope",
    "verb_to_revoke",
)

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)


class Access(StrEnum):
    """What the caller may do with a template that they may read."""

    OWNER = "owner"
    WRITE = "write"
    READ = "read"
    ADMIN = "admin"


class Verb(StrEnum):
    """What somebody wants to do with a template.

    Attributes:
        SHARE: to change who else may read or write it.
    """

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    SHARE = "share"


_MAY: Final[Mapping[Verb, frozenset[Access]]] = {
    Verb.READ: frozenset(Access),
    Verb.WRITE: frozenset({Access.OWNER, Access.WRITE}),
    Verb.DELETE: frozenset({Access.OWNER, Access.ADMIN}),
    Verb.SHARE: frozenset({Access.OWNER}),
}


class Scope(StrEnum):
    """Which templates a list has: by the reason why the caller may read them."""

    MINE = "mine"
    SHARED = "shared"
    PUBLIC = "public"
    ALL = "all"
    EVERYONE = "everyone"


class Template(Struct, frozen=True):
    """One of the two kinds of templates.

    Attributes:
        table: of the templates.
        grants: the table of who may do what while one is shared.
        key: the column of grants, and of links, that names the template.
        noun: what one is called in sentences.
    """

    table: str
    grants: str
    key: str
    noun: str


UNITS: Final = Template("training_units", "training_unit_access", "training_unit_id", "unit")
PLANS: Final = Template("training_plans", "training_plan_access", "training_plan_id", "plan")


def _owned(row: str, caller: str) -> str:
    return f"{row}.created_by = {caller}"


def _grant(template: Template, row: str, caller: str) -> str:
    """The level that was granted; it counts only while the status is shared."""
    return (
        f"SELECT g.access_level FROM {template.grants} g WHERE g.{template.key} = {row}.id "
        f"AND g.user_id = {caller} AND {row}.sharing_status = '{SharingStatus.SHARED}'"
    )


def _granted(template: Template, row: str, caller: str) -> str:
    return f"EXISTS ({_grant(template, row, caller)})"


def _public(row: str) -> str:
    return f"{row}.sharing_status = '{SharingStatus.PUBLIC}'"


def _in_a_plan(row: str, condition: str) -> str:
    """Who may read a plan may read its units. A plan's owner owns its units too."""
    return (
        "EXISTS (SELECT FROM training_plan_units pu JOIN training_plans p ON p.id = pu.training_plan_id "
        f"WHERE pu.training_unit_id = {row}.id AND {condition})"
    )


def _shared_with(template: Template, row: str, caller: str) -> list[str]:
    """The reasons why somebody may read a template that was shared with them."""
    found = [_granted(template, row, caller)]
    return [*found, _in_a_plan(row, _granted(PLANS, "p", caller))] if template is UNITS else found


def _open_to_all(template: Template, row: str) -> list[str]:
    """The reasons why everybody may read a template."""
    return [_public(row), _in_a_plan(row, _public("p"))] if template is UNITS else [_public(row)]


def access_of(template: Template, row: str, caller: str, is_superuser: str) -> str:
    """What a caller may do with a template, as an SQL expression; NULL: it is hidden.

    Args:
        row: the alias of the template's row.
        caller: the parameter that holds the user's id.
        is_superuser: the parameter that says whether that is a superuser.
    """
    readable = " OR ".join([*_shared_with(template, row, caller), *_open_to_all(template, row)])
    return (
        f"CASE WHEN {_owned(row, caller)} THEN '{Access.OWNER}' "
        f"WHEN {is_superuser} THEN '{Access.ADMIN}' "
        f"ELSE coalesce(({_grant(template, row, caller)}), CASE WHEN {readable} THEN '{Access.READ}' END) END"
    )


def rows_in_scope(template: Template, scope: Scope, caller: str) -> str:
    """The ids of the templates in a scope, as an SQL query: by the same reasons as `access_of`.

    Each reason is a query of its own, so that each finds its rows by an index.
    """
    mine, shared, public = [_owned("t", caller)], _shared_with(template, "t", caller), _open_to_all(template, "t")
    reasons = {
        Scope.MINE: mine,
        Scope.SHARED: shared,
        Scope.PUBLIC: public,
        Scope.ALL: [*mine, *shared, *public],
        Scope.EVERYONE: ["true"],
    }[scope]
    return " UNION ".join(f"SELECT t.id FROM {template.table} t WHERE {reason}" for reason in reasons)


def require(access: Access | None, verb: Verb) -> Access:
    """The access, when it suffices.

    Raises:
        NotFound: the template is hidden, or there is none.
        Forbidden: the caller may read it, and no more than that.
    """
    if access is None:
        raise NotFound
    if access not in _MAY[verb]:
        raise Forbidden
    return access


def verb_to_revoke(user_id: UUID | None, principal: Principal) -> Verb:
    """What it takes to end a user's grant: whoever it was granted to may give it up."""
    return Verb.READ if user_id == principal.user_id else Verb.SHARE


_FIND: Final = {
    template: f"""
        SELECT {access_of(template, "t", "$2::uuid", "$3::boolean")} AS access FROM {template.table} t WHERE t.id = $1
    """
    for template in (UNITS, PLANS)
}


async def find_access(reader: Reader, template: Template, template_id: UUID, principal: Principal) -> Access | None:
    """What the caller may do with a template; None: it is hidden, or there is none."""
    row = await reader.fetchrow(_FIND[template], template_id, principal.user_id, principal.is_superuser)
    return known_access(row and row["access"])


def known_access(access: str | None) -> Access | None:
    """The access that the rule says; None: hidden."""
    return Access(access) if access else None


class Locked(NamedTuple):
    """A template whose row this transaction has locked."""

    version: int
    access: Access
    created_by: UUID | None
    sharing_status: SharingStatus


# Not FOR UPDATE: a plan that takes up a unit must not wait for the unit's writer, who may wait for the plan.
_LOCK: Final = {
    template: text(f"SELECT id FROM {template.table} WHERE id = :id FOR NO KEY UPDATE") for template in (UNITS, PLANS)
}
# By itself, since a statement that has waited for a row still sees the grants of when it began.
_LOCKED: Final = {
    template: f"""
        SELECT t.version, {access_of(template, "t", "$2::uuid", "$3::boolean")} AS access, t.created_by,
            t.sharing_status
        FROM {template.table} t WHERE t.id = $1
    """
    for template in (UNITS, PLANS)
}


async def lock(
    session: AsyncSession,
    template: Template,
    template_id: UUID,
    principal: Principal,
    verb: Verb,
    precondition: Precondition,
) -> Locked:
    """Lock a template's row, and decide whether the caller may do what they want to.

    Raises:
        NotFound: it is hidden, or there is none.
        Forbidden: the caller may read it, but not do this.
        PreconditionFailed: it was changed in the meantime.
    """
    await session.execute(_LOCK[template], {"id": template_id})
    connection = await raw_connection(session)
    row = await connection.fetchrow(_LOCKED[template], template_id, principal.user_id, principal.is_superuser)
    if row is None:
        raise NotFound
    access = require(known_access(row["access"]), verb)
    precondition.check(row["version"], access)
    return Locked(row["version"], access, row["created_by"], SharingStatus(row["sharing_status"]))
