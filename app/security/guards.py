"""Who may call a route. Guards are async: Litestar runs the others in a thread."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from app.errors import Forbidden, Unauthorized
from app.security.principal import Principal

_READS = frozenset({"GET", "HEAD"})


def principal_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal:
    """The signed-in caller.

    Raises:
        Unauthorized: there is none.
    """
    user = connection.scope.get("user")
    if not isinstance(user, Principal):
        raise Unauthorized
    return user


def signed_in(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal:
    """A session, or an API token with the scope that the method needs: read for GET and HEAD, write for the others.

    Raises:
        Unauthorized: nobody is signed in.
        Forbidden: the token lacks the scope.
    """
    principal = principal_of(connection)
    allowed = principal.may_read() if connection.scope.get("method") in _READS else principal.may_write()
    if not allowed:
        raise Forbidden("This API token lacks the scope for it.")
    return principal


async def requires_session(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A session, not an API token: for accounts, users and roles.

    Raises:
        Unauthorized: nobody is signed in.
        Forbidden: it is an API token.
    """
    if principal_of(connection).token_id is not None:
        raise Forbidden("An API token does not reach this; sign in.")


async def requires_superuser(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A superuser, and the scope that the method needs where it is an API token.

    Raises:
        Unauthorized: nobody is signed in.
        Forbidden: the caller is no superuser, or the token lacks the scope.
    """
    if not signed_in(connection).is_superuser:
        raise Forbidden
