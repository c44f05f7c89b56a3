"""Idempotency-Key: a POST or PUT that is sent again gets the first answer again.

A PUT may be sent again without one, but not with an If-Match that the first has left behind.
"""

import hmac
import re
from typing import Any

import msgspec
from litestar import Request, Response

from app.db.idempotency import KeptAnswer, KeyedRequest
from app.errors import Forbidden, IronTrackError, RuleBroken, TooManyRequests, Unauthorized, Unavailable
from app.http.answers import ANSWER, EncodedAnswer
from app.http.problems import PROBLEM_TYPE, headers_for, known_error, problem_for
from app.security.principal import Principal

__all__ = ("BODY_DIGEST_KEY", "KEYED_METHODS", "Replay", "encoded_answer", "keyed_request", "refused_answer", "replay")

BODY_DIGEST_KEY = "idempotency_digest_key"
"""Where the app's state keeps the secret that bodies are compared by."""

KEYED_METHODS = frozenset({"POST", "PUT"})
"""The methods of which a key is heeded."""

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT_HEADERS = frozenset({"content-type", "etag", "location"})
_NEVER_KEPT = (Unauthorized, Forbidden, TooManyRequests, Unavailable)


class Replay(Exception):
    """There is an answer already."""

    def __init__(self, answer: KeptAnswer) -> None:
        super().__init__()
        self.answer = answer


async def keyed_request(request: Request[Any, Any, Any], digest: bytes | None = None) -> KeyedRequest | None:
    """What identifies this request, if it asks for it and is of the kind that may.

    Args:
        digest: 32 bytes that no other body has, of a body that was read already; None: of the body as it is.

    Raises:
        RuleBroken: the key is not 1 to 255 visible ASCII characters.
    """
    key = request.headers.get("idempotency-key")
    user = request.scope["user"]
    path = request.scope["path"]
    if key is None or request.method not in KEYED_METHODS:
        return None
    if not isinstance(user, Principal) or path.startswith("/api/v1/access/"):
        return None
    if not _KEY.fullmatch(key):
        raise RuleBroken.of("Idempotency-Key", "Expected 1 to 255 visible ASCII characters.", "pattern")
    # Keyed, because a body may hold a password, and a plain hash of it would be quick to guess.
    known = digest or hmac.digest(request.app.state[BODY_DIGEST_KEY], await request.body(), "sha256")
    return KeyedRequest(user.user_id, key, request.method, path, known)


def encoded_answer(request: Request[Any, Any, Any]) -> KeptAnswer | None:
    """The answer that the handler has made."""
    response = request.scope.get(ANSWER)
    if not isinstance(response, EncodedAnswer):
        return None
    headers = {name.decode(): value.decode("latin-1") for name, value in response.raw_headers}
    kept = {name: value for name, value in headers.items() if name in _KEPT_HEADERS}
    return KeptAnswer(response.status_code, kept, response.body)


def refused_answer(error: Exception, request: Request[Any, Any, Any]) -> KeptAnswer | None:
    """The problem that an error will be told as; None for those that a further try may not meet."""
    known = known_error(error, request)
    if not isinstance(known, IronTrackError) or isinstance(known, _NEVER_KEPT):
        return None
    problem = problem_for(known, request.scope["path"], str(request.scope.get("request_id", "")))
    headers = {"content-type": PROBLEM_TYPE, **headers_for(known)}
    return KeptAnswer(problem.status, headers, msgspec.json.encode(problem))


def replay(_: Request[Any, Any, Any], error: Replay) -> Response[bytes]:
    """The exception handler that sends the first answer again."""
    answer = error.answer
    headers = {**answer.headers, "Idempotent-Replayed": "true"}
    media_type = headers.pop("content-type", "application/json")
    return Response(answer.body, status_code=answer.status, media_type=media_type, headers=headers)
