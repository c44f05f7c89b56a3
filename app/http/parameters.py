"""Query parameters: a name that a route does not know is refused, and the page of a list is read in one place."""

from functools import cache
from typing import Annotated, Any
from urllib.parse import parse_qsl

from litestar import Litestar, Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.routes import HTTPRoute

from app.db.paging import MAX_OFFSET_ROWS, PageRequest
from app.errors import BrokenField, RuleBroken

__all__ = ("provide_page", "refuse_unknown_parameters")


def refuse_unknown_parameters(request: Request[Any, Any, Any], query: bytes) -> None:
    """Refuse query parameters that a handler does not have, and those that can't be text.

    Raises:
        RuleBroken: naming each of them.
    """
    known = _known_parameters(request.app)[request.route_handler]
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    broken = [
        BrokenField("unknown", name, "There is no such parameter.")
        for name in dict.fromkeys(name for name, _ in pairs)
        if name not in known
    ]
    broken += [
        BrokenField("pattern", name, "This text can't be stored.")
        for name, value in pairs
        if name in known and ("\x00" in value or "\ufffd" in value)
    ]
    if broken:
        raise RuleBroken(broken)


@cache
def _known_parameters(app: Litestar) -> dict[HTTPRouteHandler, frozenset[str]]:
    known: dict[HTTPRouteHandler, frozenset[str]] = {}
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, model in route.route_handler_map.values():
                names = frozenset(parameter.field_alias for parameter in model.expected_query_params)
                known[handler] = known.get(handler, frozenset()) | names
    return known


def provide_page(
    current_page: Annotated[int, QueryParameter(name="currentPage", ge=1, le=MAX_OFFSET_ROWS)] = 1,
    page_size: Annotated[int, QueryParameter(name="pageSize", ge=1, le=100)] = 20,
) -> PageRequest:
    """The dependency ``page``: which page of a list is wanted."""
    return PageRequest(current_page, page_size)
