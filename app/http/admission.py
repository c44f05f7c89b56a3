"""What every request passes before its handler runs."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from litestar import Litestar, Request
from litestar.routes import HTTPRoute

from app.errors import NotFound
from app.http.answers import Answer
from app.http.parameters import refuse_unknown_parameters
from app.security.guards import signed_in

__all__ = ("PUBLIC", "admit", "allowed_methods")

PUBLIC = {"public": True}
"""The ``opt`` of a route that needs no sign-in. Every other route does: what is forgotten is closed, not open."""


async def admit(request: Request[Any, Any, Any]) -> Answer[None] | None:
    """Let a request pass if its caller may use the route at all, and the route knows its parameters.

    What may be asked of a path (OPTIONS) is answered here: Litestar's own answer leaves out methods of the same path
    that were registered later.

    A hook rather than a guard, because Litestar copies the whole route for each guard that it calls: 20 µs.

    Raises:
        Unauthorized: nobody is signed in.
        Forbidden: the API token lacks the scope.
        NotFound: a number in the path is not written as one.
        RuleBroken: the route has no such query parameter.
    """
    if request.method == "OPTIONS":
        methods = _methods(request.app).get(request.scope["path_template"], ())
        return Answer(None, status_code=204, headers={"Allow": allowed_methods(methods)})
    if "public" not in request.route_handler.opt:
        signed_in(request)
    path: str = request.scope["path"]
    if any(isinstance(value, int) and f"/{value}" not in path for value in request.path_params.values()):
        # Python reads 1_0 and +5 as numbers too; no such path exists.
        raise NotFound
    if query := request.scope["query_string"]:
        refuse_unknown_parameters(request, query)
    return None


def allowed_methods(methods: Iterable[str]) -> str:
    """The value of an Allow header: every GET is a HEAD too."""
    found = {"OPTIONS", *methods}
    return ", ".join(sorted(found | {"HEAD"} if "GET" in found else found))


@cache
def _methods(app: Litestar) -> dict[str, set[str]]:
    """The methods of each path template."""
    return {route.path_format: set(route.methods) for route in app.routes if isinstance(route, HTTPRoute)}
