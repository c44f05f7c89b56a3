"""The least that an ASGI application can do: ``GET /<n>`` answers n bytes of JSON."""

from functools import cache

from litestar.types import HTTPScope, Message, Receive, Send


@cache
def _answer(path: str) -> tuple[Message, Message]:
    size = int(path.strip("/") or "2")
    body = b'"' + b"x" * (size - 2) + b'"'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    return (
        {"type": "http.response.start", "status": 200, "headers": headers},
        {"type": "http.response.body", "body": body, "more_body": False},
    )


async def app(scope: HTTPScope, _: Receive, send: Send) -> None:
    """Answer with as many bytes as the path says."""
    start, body = _answer(scope["path"])
    await send(start)
    await send(body)
