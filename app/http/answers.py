"""Answers with what the protocol adds to a document: its ETag, its place, and the short answer to If-None-Match."""

import re
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from litestar import Request, Response
from litestar.response.base import ASGIResponse

from app.db.paging import Precondition, Versioned

__all__ = ("Answer", "created", "document", "etag", "precondition", "tags")

T = TypeVar("T")

ANSWER = "irontrack.answer"
"""Where a request's scope keeps its encoded answer, for whoever has to store it with the write."""

_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_CODING = re.compile(r"[-;]+(?:gzip|br|zstd|deflate)$")


def etag(tag: str) -> str:
    """The header's value for a state."""
    return f'"{tag}"'


def tags(header: str) -> frozenset[str] | None:
    """The states that an If-Match or If-None-Match header names; None for ``*``.

    The weakness mark and a suffix for the compression are left out: proxies add them.
    """
    if header.strip() == "*":
        return None
    return frozenset(_CODING.sub("", tag) for tag in _TAG.findall(header))


class Answer(Response[T], Generic[T]):
    """An answer that is kept in the request's scope once encoded, and is short when the client has this state already."""

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **options: Any) -> ASGIResponse:
        """Encode; 304 without a body when If-None-Match names this state."""
        if request.method == "GET" and (known := request.headers.get("if-none-match")) and self._is_known(known):
            self.status_code, self.content, self.media_type = 304, None, None  # type: ignore[assignment]
        encoded = super().to_asgi_response(app, request, **options)
        request.scope[ANSWER] = encoded  # type: ignore[typeddict-unknown-key]
        return encoded

    def _is_known(self, known: str) -> bool:
        current = self.headers.get("etag")
        if current is None:
            return False
        named = tags(known)
        return named is None or current.strip('"') in named


def document(versioned: Versioned[T]) -> Answer[T]:
    """A document with its ETag."""
    return Answer(versioned.document, headers={"ETag": etag(versioned.tag)})


def created(versioned: Versioned[T], location: str, status_code: int = 201) -> Answer[T]:
    """A document that was just made, with its ETag and its place."""
    return Answer(
        versioned.document, status_code=status_code, headers={"ETag": etag(versioned.tag), "Location": location}
    )


async def precondition(request: Request[Any, Any, Any]) -> Precondition:
    """The dependency ``precondition``: what If-Match says about the stored state."""
    headers: Iterable[str] = request.headers.getall("if-match", [])
    header = ", ".join(headers)
    return Precondition(tags(header)) if header else Precondition()
