"""Query parameters: unknown ones are refused, every broken one is named, and pages are read in one place."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, get_args, get_origin
from urllib.parse import parse_qs

import msgspec
from litestar import Litestar, Request
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.routes import HTTPRoute

from app.db.paging import MAX_OFFSET_ROWS, PageRequest
from app.errors import BrokenField, RuleBroken
from app.http.dto import classify
from app.http.fields import FieldError, decode_hook

__all__ = ("broken_parameters", "parameter_kinds", "provide_page", "refuse_unknown_parameters")

_INTEGER = re.compile(r"-?[0-9]{1,19}")


def refuse_unknown_parameters(request: Request[Any, Any, Any], query: bytes) -> None:
    """Refuse query parameters that a handler does not have, and those that can't be what it expects.

    Raises:
        RuleBroken: naming each of them.
    """
    kinds = parameter_kinds(request.app)[request.route_handler]
    values = _values(query)
    if (
        any(name not in kinds for name in values)
        or any(map(_unstorable, values.values()))
        or _odd_integers(values, kinds)
        or _odd_nulls(values, kinds)
        or any(_is_repeated(texts, kinds[name]) for name, texts in values.items())
    ):
        raise RuleBroken(broken_parameters(request))


def broken_parameters(request: Request[Any, Any, Any]) -> list[BrokenField]:
    """Every query parameter of a request that breaks a rule."""
    kinds = parameter_kinds(request.app).get(request.route_handler, {})
    return list(_broken(_values(request.scope["query_string"]), kinds))


def _values(query: bytes) -> dict[str, list[str]]:
    return parse_qs(query.decode("latin-1"), keep_blank_values=True)


def _unstorable(texts: list[str]) -> bool:
    return any("\x00" in text or "\ufffd" in text for text in texts)


def _odd_integers(values: Mapping[str, list[str]], kinds: Mapping[str, Any]) -> bool:
    return any(
        _is_integer(kinds[name]) and not all(map(_INTEGER.fullmatch, texts))
        for name, texts in values.items()
        if name in kinds
    )


def _odd_nulls(values: Mapping[str, list[str]], kinds: Mapping[str, Any]) -> bool:
    return any(_is_null(texts, kinds[name]) for name, texts in values.items() if name in kinds)


def _is_repeated(texts: list[str], kind: Any) -> bool:
    return len(texts) > 1 and not _is_list(kind)


def _is_null(texts: list[str], kind: Any) -> bool:
    """Whether the word null stands where no text does: it would be read as if the parameter was absent."""
    return _inside(kind) is not str and any(text.lower() == "null" for text in texts)


def _broken(values: Mapping[str, list[str]], kinds: Mapping[str, Any]) -> Iterator[BrokenField]:
    for name, texts in values.items():
        if name not in kinds:
            yield BrokenField("unknown", name, "There is no such parameter.")
        elif _unstorable(texts):
            yield BrokenField("pattern", name, "This text can't be stored.")
        elif _is_integer(kinds[name]) and not all(map(_INTEGER.fullmatch, texts)):
            yield _no_integer(name, texts)
        elif _is_null(texts, kinds[name]):
            yield BrokenField("null", name, "Leave the parameter out instead.")
        elif _is_repeated(texts, kinds[name]):
            yield BrokenField("rule", name, "Give this parameter once.")
        else:
            try:
                value = texts if _is_list(kinds[name]) else texts[-1]
                msgspec.convert(value, kinds[name], strict=False, dec_hook=decode_hook)
            except msgspec.ValidationError as error:
                yield _named(name, error)


def _no_integer(name: str, texts: list[str]) -> BrokenField:
    if all(text.removeprefix("-").isdecimal() for text in texts):
        return BrokenField("range", name, "This number is out of range.")
    return BrokenField("type", name, "Expected a whole number.")


def _named(name: str, error: msgspec.ValidationError) -> BrokenField:
    if isinstance(error.__cause__, FieldError):
        return BrokenField(error.__cause__.kind, name, error.__cause__.message)
    kind, sentence = classify(str(error))
    return BrokenField(kind, name, sentence)


@cache
def parameter_kinds(app: Litestar) -> dict[HTTPRouteHandler, dict[str, Any]]:
    """The query parameters of each handler, those of its dependencies included, with their types."""
    found: dict[HTTPRouteHandler, dict[str, Any]] = {}
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, model in route.route_handler_map.values():
                kinds = _signature_kinds(handler)
                known = found.setdefault(handler, {})
                for parameter in model.expected_query_params:
                    known[parameter.field_alias] = kinds.get(parameter.field_name, str)
    return found


def _signature_kinds(handler: HTTPRouteHandler) -> dict[str, Any]:
    kinds: dict[str, Any] = {}
    for part in (handler, *handler.resolve_dependencies().values()):
        model = part.signature_model if isinstance(part, (HTTPRouteHandler, Provide)) else None
        if model is not None:
            kinds = {**model.__annotations__, **kinds}
    return kinds


def _inside(kind: Any) -> Any:
    """The type below Annotated and optional types."""
    while get_origin(kind) is Annotated or type(None) in get_args(kind):
        kind = next(part for part in get_args(kind) if part is not type(None))
    return kind


def _is_list(kind: Any) -> bool:
    return get_origin(_inside(kind)) is list


def _is_integer(kind: Any) -> bool:
    inside = _inside(kind)
    return (_inside(get_args(inside)[0]) if get_origin(inside) is list else inside) is int


def provide_page(
    current_page: Annotated[int, QueryParameter(name="currentPage", ge=1, le=MAX_OFFSET_ROWS)] = 1,
    page_size: Annotated[int, QueryParameter(name="pageSize", ge=1, le=100)] = 20,
) -> PageRequest:
    """The dependency ``page``: which page of a list is wanted."""
    return PageRequest(current_page, page_size)
