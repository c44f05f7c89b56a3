"""RFC 9457 problem details for every error of every layer."""

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from msgspec import UNSET, Struct, UnsetType

from app.db.base import Base
from app.db.errors import translate
from app.errors import (
    BrokenField,
    Conflict,
    Forbidden,
    Gone,
    IronTrackError,
    Malformed,
    NotFound,
    PreconditionFailed,
    RuleBroken,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnknownMediaType,
)
from app.http.admission import allowed_methods
from app.http.answers import Answer
from app.http.dto import classify
from app.http.parameters import broken_parameters

__all__ = ("PROBLEM_TYPE", "Problem", "handle_exception", "headers_for", "known_error", "problem_for")

PROBLEM_TYPE = "application/problem+json"

_STATUS: dict[type[IronTrackError], int] = {
    Malformed: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Gone: 410,
    PreconditionFailed: 412,
    UnknownMediaType: 415,
    RuleBroken: 422,
    TooManyRequests: 429,
    Unavailable: 503,
}

_log = structlog.get_logger("irontrack.error")


class Problem(Struct, kw_only=True, rename="camel"):
    """An error as it is sent.

    Attributes:
        type: a URI of the kind of problem; ``about:blank`` says that the status tells all.
        title: the status in words.
        status: the status code.
        detail: a sentence about this occurrence.
        instance: the path of the request.
        request_id: what to quote when asking about it; it stands in every log line of the request.
        message: "Validation Error" where rules are broken.
        details: each broken field.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    message: str | UnsetType = UNSET
    details: list[BrokenField] | UnsetType = UNSET


def status_of(error: IronTrackError) -> int:
    """The status code that tells an error."""
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)


def problem_for(error: IronTrackError, path: str, request_id: str) -> Problem:
    """An error of ours as it is sent."""
    status = status_of(error)
    broken = isinstance(error, RuleBroken)
    return Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=error.message,
        instance=path,
        request_id=request_id,
        message="Validation Error" if broken else UNSET,
        details=list(error.details) if isinstance(error, RuleBroken) else UNSET,
    )


def headers_for(error: IronTrackError) -> dict[str, str]:
    """The headers that belong to an error."""
    match error:
        case Unavailable():
            return {"Retry-After": str(error.retry_after)}
        case TooManyRequests():
            return {
                "Retry-After": str(error.retry_after),
                "X-RateLimit-Limit": str(error.limit),
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": str(error.reset),
            }
        case Unauthorized():
            return {"WWW-Authenticate": "Bearer"}
    return {}


def handle_exception(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The app's handler of every exception."""
    request_id = str(request.scope.get("request_id", ""))
    path = request.scope["path"]
    known = known_error(error, request)
    if known is not None:
        return _answer(problem_for(known, path, request_id), headers_for(known))
    if isinstance(error, HTTPException) and error.status_code < 500:
        return _answer(_http_problem(error, path, request_id), _http_headers(error))
    _log.error("unhandled", request_id=request_id, method=request.method, path=path, exc_info=error)
    return _answer(
        Problem(
            title="Internal Server Error",
            status=500,
            detail="Something went wrong on our side. It was logged; quote the requestId when you ask about it.",
            instance=path,
            request_id=request_id,
        ),
        {},
    )


def known_error(error: Exception, request: Request[Any, Any, Any]) -> IronTrackError | None:
    """An error in the terms of the domain; None where there is no such term."""
    if isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, IronTrackError):
        return error
    if isinstance(error, ValidationException):
        return RuleBroken(broken_parameters(request) or _parameters(error))
    if isinstance(error, HTTPException):
        return None
    return translate(error, Base.metadata)


def _parameters(error: ValidationException) -> list[BrokenField]:
    """The broken parameters of the path and the query."""
    broken = []
    for entry in error.extra if isinstance(error.extra, list) else []:
        name = str(entry.get("key", "body"))
        if name == "data":
            broken.append(BrokenField("missing", "body", "A JSON body is required."))
        else:
            kind, sentence = classify(str(entry["message"]))
            broken.append(BrokenField(kind, _wire_name(name), sentence))
    return broken or [BrokenField("missing", _missing_name(error), "This parameter is required.")]


def _missing_name(error: ValidationException) -> str:
    return error.detail.split("'")[1] if error.detail.count("'") >= 2 else "body"


def _wire_name(name: str) -> str:
    """A name of ours as it is on the wire."""
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _http_problem(error: HTTPException, path: str, request_id: str) -> Problem:
    phrase = HTTPStatus(error.status_code).phrase
    sentences: dict[type[Exception], str] = {
        NotFoundException: NotFound.sentence,
        MethodNotAllowedException: "This method is not allowed here.",
    }
    detail = sentences.get(type(error), error.detail if isinstance(error, ClientException) else phrase)
    return Problem(title=phrase, status=error.status_code, detail=detail, instance=path, request_id=request_id)


def _http_headers(error: HTTPException) -> dict[str, str]:
    headers = {name.title(): value for name, value in (error.headers or {}).items()}
    if "Allow" in headers:
        headers["Allow"] = allowed_methods(headers["Allow"].split(", "))
    return headers


def _answer(problem: Problem, headers: dict[str, str]) -> Response[bytes]:
    return Answer(msgspec.json.encode(problem), status_code=problem.status, media_type=PROBLEM_TYPE, headers=headers)
