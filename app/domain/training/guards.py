"""Who may change a unit or a plan, before anything else is looked at.

Reads have no guard: their statement begins from what the caller may see. A write asks here first, so that whoever may
not do it learns nothing from what a body breaks, takes no lock, and gets no kept answer of when they still might. What
counts is decided once more inside the write, with the row locked; both go by the rule in `access`.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from app.db.reader import Reader
from app.domain.training.access import PLANS, UNITS, Template, Verb, find_access, require, verb_to_revoke
from app.security.guards import signed_in

__all__ = ("MAY_DELETE", "MAY_READ", "MAY_SHARE", "MAY_WRITE", "READER")

READER = "reader"
"""Where the app's state keeps what sends the statements of guards."""

_READS = frozenset({"GET", "HEAD"})


def _may(template: Template, verb: Verb) -> list[Guard]:
    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        await _ask(connection, template, verb)

    return [guard]


def _may_share(template: Template) -> list[Guard]:
    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        if connection.scope.get("method") not in _READS:
            verb = verb_to_revoke(connection.path_params.get("user_id"), signed_in(connection))
            await _ask(connection, template, verb)

    return [guard]


async def _ask(connection: ASGIConnection[Any, Any, Any, Any], template: Template, verb: Verb) -> None:
    principal = signed_in(connection)
    reader: Reader = connection.app.state[READER]
    require(await find_access(reader, template, connection.path_params["template_id"], principal), verb)


MAY_READ = {template: _may(template, Verb.READ) for template in (UNITS, PLANS)}
"""Who may read it may copy it."""

MAY_WRITE = {template: _may(template, Verb.WRITE) for template in (UNITS, PLANS)}

MAY_DELETE = {template: _may(template, Verb.DELETE) for template in (UNITS, PLANS)}

MAY_SHARE = {template: _may_share(template) for template in (UNITS, PLANS)}
"""The owner alone; but who was granted something may give it up. Of the same routes, reads decide by themselves."""
