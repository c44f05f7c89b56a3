"""What surrounds every request: the outermost ASGI layer, one for what would else be many.

It gives the request its id and its caller, bounds it, refuses what browsers must not send, adds the headers that every
answer carries, and hands a record of it to the log and the metrics. It sees also what no route answers.
"""

import asyncio
import re
from ipaddress import ip_address
from random import getrandbits
from time import perf_counter, time
from typing import Protocol
from urllib.parse import urlsplit

import msgspec
from litestar.config.compression import CompressionConfig
from litestar.enums import ScopeType
from litestar.middleware.compression import CompressionMiddleware
from litestar.status_codes import HTTP_429_TOO_MANY_REQUESTS
from litestar.types import (
    ASGIApp,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    HTTPScope,
    Message,
    Receive,
    Scope,
    Send,
)
from litestar.utils.path import normalize_path

from app.errors import Forbidden, IronTrackError, Unavailable
from app.http.answers import ANSWER, KEEPABLE, EncodedAnswer
from app.http.deadlines import Deadlines
from app.http.limits import Allowance, RateLimiter, address_key
from app.http.problems import PROBLEM_TYPE, headers_for, problem_for
from app.logs import AccessRecord, request_id, trace_id, writer
from app.security.principal import Principal
from app.settings import Settings, networks

__all__ = ("ACCESS_COOKIE", "API", "REFRESH_COOKIE", "TRACE_PARENT", "Authentication", "Parts", "RequestContext")

API = "/api/v1"
ACCESS_COOKIE = "access_token"
REFRESH_COOKIE = "refresh_token"
TRACE_PARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
"""The header traceparent, version 00: trace, span and flags (W3C Trace Context level 1, section 3.2.2)."""

_SIGN_IN_PATHS = frozenset({f"{API}/access/signin", f"{API}/access/signup"})
_ADDRESS_PATHS = frozenset({f"{API}/access/refresh-jwt"})
_SYSTEM = frozenset({"/ping", "/health", "/health/live", "/health/ready", "/metrics", "/.well-known/jwks.json"})
_LINKS = f"{API}/shared/"
_NO_STORE_PATHS = (f"{API}/access/", _LINKS)
_FREE_PATHS = _SYSTEM | {API + path for path in _SYSTEM} | {f"{API}/openapi.json", "/docs", "/redoc"}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_WANTED = frozenset(
    {
        b"accept-encoding",
        b"authorization",
        b"cookie",
        b"if-none-match",
        b"origin",
        b"sec-fetch-site",
        b"traceparent",
        b"x-real-ip",
        b"x-request-id",
    }
)
_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_REFUSED_CODING = re.compile(rb";\s*q=0(?:\.0*)?\s*(?:,|$)")
_ACCESS_VALUE = re.compile(rb"(?:^|;) *access_token=([^;]+)")
_VARY = (b"vary", b"Cookie, Authorization, Accept-Encoding")
_PRIVATE = ((b"cache-control", b"private, no-cache"), _VARY)
_SECRET = ((b"cache-control", b"no-store"), _VARY)
_SECURITY: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_CONTENT_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_REPLACED_BY: dict[bytes, frozenset[bytes]] = {
    b"cache-control": frozenset({b"cache-control", b"vary"}),
    b"content-security-policy": frozenset({b"content-security-policy"}),
}
"""What is left out where an answer has a header of its own: one that may be kept says also what it varies by."""
_LIMIT_HEADERS = frozenset({b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset"})


class Authentication(Protocol):
    """Who tells the caller from a token."""

    def cached(self, token: str) -> Principal | None:
        """The caller, when this worker knows the token already and may rely on it."""

    async def authenticate(self, token: str) -> Principal | None:
        """The caller, or None when the token is not good.

        Raises:
            Unavailable: nobody can tell at the moment.
        """


class Parts(Protocol):
    """What the layer needs of a worker's parts, which exist while the app runs."""

    deadlines: Deadlines
    limiter: RateLimiter

    @property
    def authenticator(self) -> Authentication:
        """Who tells the caller from a token."""


class Exchange:
    """One request and its answer."""

    __slots__ = ("_head", "_send", "extra", "scope", "started", "status")

    def __init__(self, scope: HTTPScope, send: Send) -> None:
        self._send = send
        self._head = False
        self.scope = scope
        self.extra: list[tuple[bytes, bytes]] = []
        self.started = False
        self.status = 0

    def answer_head_as_get(self) -> None:
        """Let the GET handler answer, and leave out its body."""
        self.scope["method"] = "GET"
        self._head = True

    async def send(self, message: Message) -> None:
        """Add the headers that every answer carries."""
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self._fitting_extra(message)]
        elif self._head and message["type"] == "http.response.body":
            message = HTTPResponseBodyEvent(type="http.response.body", body=b"", more_body=message["more_body"])
        await self._send(message)

    def _fitting_extra(self, answer: HTTPResponseStartEvent) -> list[tuple[bytes, bytes]]:
        unfit: set[bytes] = set()
        for name, _ in answer["headers"]:
            if name in _REPLACED_BY:
                unfit |= _REPLACED_BY[name]
        if answer["status"] == HTTP_429_TOO_MANY_REQUESTS:
            # A refusal names the limit that was reached, which need not be the one of all requests.
            unfit |= _LIMIT_HEADERS
        return [header for header in self.extra if header[0] not in unfit] if unfit else self.extra

    async def refuse(self, error: IronTrackError) -> None:
        """Answer with a problem."""
        problem = problem_for(error, self.scope["path"], str(self.scope.get("request_id", "")))
        body = msgspec.json.encode(problem)
        headers = [
            (b"content-type", PROBLEM_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            *((name.lower().encode(), value.encode()) for name, value in headers_for(error).items()),
        ]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})


class KeptAnswers:
    """Answers that follow from the caller alone, such as the own profile.

    They are kept for as long as the worker keeps the very same principal, and so end the moment something is published
    about that user.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._answers: dict[int, tuple[Principal, str, EncodedAnswer]] = {}

    def find(self, scope: HTTPScope, headers: dict[bytes, bytes]) -> EncodedAnswer | None:
        """The answer to this request, if one is kept."""
        principal = scope["user"]
        entry = self._answers.get(id(principal))
        if (
            entry is None
            or entry[0] is not principal
            or entry[1] != scope["path"]
            or scope["method"] != "GET"
            or scope["query_string"]
            or b"if-none-match" in headers
        ):
            return None
        scope["path_template"] = entry[1]
        return entry[2]

    def keep(self, scope: HTTPScope) -> None:
        """Keep the answer that was just given, if it follows from the caller alone."""
        answer = scope.get(ANSWER)
        if not scope.get(KEEPABLE) or not isinstance(answer, EncodedAnswer) or answer.status_code != 200:
            return
        if len(self._answers) >= self._size:
            self._answers.clear()
        principal = scope["user"]
        self._answers[id(principal)] = (principal, scope["path"], answer)


class RequestContext:
    """The outermost layer around the app."""

    def __init__(self, app: ASGIApp, settings: Settings, parts: Parts) -> None:
        self._app = app
        self._compressing = CompressionMiddleware(app, CompressionConfig("brotli", brotli_quality=4))
        self._parts = parts
        self._limits = settings.limits
        self._kept = KeptAnswers()
        self._proxies = networks(settings.limits.trusted_proxies)
        self._origins = frozenset({settings.app.public_url, *settings.app.allowed_origins})
        secure = urlsplit(settings.app.public_url).scheme == "https"
        self._always = [*_SECURITY, *([(b"strict-transport-security", b"max-age=31536000")] if secure else [])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == ScopeType.HTTP:
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        headers = _wanted_headers(scope)
        identity = _request_id(headers)
        scope["request_id"] = identity  # type: ignore[typeddict-unknown-key]
        request_id.set(identity)
        trace = _trace_id(headers)
        trace_id.set(trace)
        address = self._client_address(scope, headers)
        scope["client_address"] = address  # type: ignore[typeddict-unknown-key]
        scope["user"] = None
        exchange = Exchange(scope, send)
        method: str = scope["method"]
        # As the router will read it: else a further slash would lead past what is decided here by the path.
        path = scope["path"] = normalize_path(scope["path"])
        exchange.extra += self._always
        exchange.extra.append((b"x-request-id", identity.encode()))
        exchange.extra.append(_CONTENT_POLICY)
        try:
            await self._run(scope, receive, exchange, headers, address)
        except IronTrackError as error:
            if exchange.started:
                raise
            await exchange.refuse(error)
        finally:
            user = scope["user"]
            writer.add(
                AccessRecord(
                    time(),
                    identity,
                    trace,
                    method,
                    # Who knows the rest of such a path may read what the link leads to.
                    f"{_LINKS}[redacted]" if path.startswith(_LINKS) else path,
                    scope.get("path_template", ""),
                    exchange.status,
                    perf_counter() - began,
                    user.user_id if user else None,
                    address,
                )
            )

    async def _run(
        self, scope: HTTPScope, receive: Receive, exchange: Exchange, headers: dict[bytes, bytes], address: str
    ) -> None:
        """Admit the request and let the app answer it, within one time limit: telling who asks may take long too."""
        deadlines = self._parts.deadlines
        limit = deadlines.begin()
        try:
            if scope["path"] not in _FREE_PATHS:
                await self._admit(scope, headers, address, exchange)
            if scope["method"] == "HEAD":
                exchange.answer_head_as_get()
            if kept := self._kept.find(scope, headers):
                await kept(scope, receive, exchange.send)
                return
            app = self._compressing if _takes_compressed(headers) else self._app
            await app(scope, receive, exchange.send)
            self._kept.keep(scope)
        except asyncio.CancelledError:
            if not limit.expired or exchange.started:
                raise
            if task := asyncio.current_task():
                task.uncancel()
            raise Unavailable("The request took too long; nothing was stored.", 5) from None
        finally:
            deadlines.end(limit)

    async def _admit(self, scope: HTTPScope, headers: dict[bytes, bytes], address: str, exchange: Exchange) -> None:
        """Tell who is asking, and refuse what is too much or comes from a foreign page."""
        method, path = scope["method"], scope["path"]
        principal = None
        if token := _token(headers):
            authenticator = self._parts.authenticator
            principal = authenticator.cached(token) or await authenticator.authenticate(token)
            scope["user"] = principal
        if path.startswith(_NO_STORE_PATHS):
            exchange.extra += _SECRET
        elif principal is not None:
            exchange.extra += _PRIVATE
        if method == "OPTIONS":
            return
        if method not in _SAFE:
            self._refuse_foreign(path, headers)
        limit, key = self._limit_of(method, path, principal, address)
        if limit:
            limiter = self._parts.limiter
            allowance = limiter.take_leased(key, limit) or await limiter.take(key, limit)
            if allowance:
                exchange.extra.extend(_limit_headers(allowance))

    def _limit_of(self, method: str, path: str, principal: Principal | None, address: str) -> tuple[int, str]:
        if path in _SIGN_IN_PATHS:
            return self._limits.sign_in, f"sign-in:{address_key(address)}"
        user = None if path in _ADDRESS_PATHS else principal
        caller = user.user_id.hex if user else address_key(address)
        if method in _SAFE:
            return self._limits.reads, f"read:{caller}"
        return self._limits.writes, f"write:{caller}"

    def _refuse_foreign(self, path: str, headers: dict[bytes, bytes]) -> None:
        """Refuse an unsafe request that a page of another site may have made a browser send.

        Raises:
            Forbidden: it carries cookies, or signs in, and its origin is not one of ours.
        """
        if b"authorization" in headers or not (path in _SIGN_IN_PATHS or _has_session_cookie(headers)):
            return
        origin = headers.get(b"origin")
        if origin is not None:
            if origin.decode("latin-1") not in self._origins:
                raise Forbidden("This origin may not send requests here; see PUBLIC_URL and ALLOWED_ORIGINS.")
        elif headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            raise Forbidden("Requests from other sites are not accepted.")

    def _client_address(self, scope: HTTPScope, headers: dict[bytes, bytes]) -> str:
        """The client's address: as the proxy set it, where the peer is a proxy that we trust."""
        client = scope.get("client")
        peer = client[0] if client else ""
        claimed = headers.get(b"x-real-ip")
        if claimed is None or (peer and not self._trusts(peer)):
            return peer
        try:
            return str(ip_address(claimed.decode("ascii").strip()))
        except (ValueError, UnicodeDecodeError):
            return peer

    def _trusts(self, peer: str) -> bool:
        try:
            return bool(self._proxies) and any(ip_address(peer) in network for network in self._proxies)
        except ValueError:
            # A peer without an address is a Unix socket, which only our own proxy can open.
            return True


def _wanted_headers(scope: HTTPScope) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _WANTED:
            found[name] = found[name] + b"; " + value if name in found else value
    return found


def _request_id(headers: dict[bytes, bytes]) -> str:
    sent = headers.get(b"x-request-id")
    if sent is not None and _SANE_ID.fullmatch(sent):
        return sent.decode("ascii")
    return f"{getrandbits(128):032x}"


def _trace_id(headers: dict[bytes, bytes]) -> str:
    """The trace that the request belongs to by its traceparent, or else the id of a new one.

    It is believed as the request id is: whoever sends it chooses what finds the request in the log, and no more.
    """
    sent = headers.get(b"traceparent")
    if sent is not None and (found := TRACE_PARENT.fullmatch(sent)):
        return found[1].decode("ascii")
    return f"{getrandbits(128):032x}"


def _takes_compressed(headers: dict[bytes, bytes]) -> bool:
    """Whether a compressed answer may be sent: not where a coding is refused, since the middleware reads no weights."""
    accepted = headers.get(b"accept-encoding")
    return accepted is not None and not _REFUSED_CODING.search(accepted)


def _token(headers: dict[bytes, bytes]) -> str | None:
    """The token that decides: a Bearer header alone if there is one, else the cookie."""
    authorization = headers.get(b"authorization")
    if authorization is not None:
        kind, _, token = authorization.partition(b" ")
        return token.strip().decode("latin-1") if kind.lower() == b"bearer" else None
    if (cookies := headers.get(b"cookie")) and (found := _ACCESS_VALUE.search(cookies)):
        return found[1].strip(b' "').decode("latin-1")
    return None


def _has_session_cookie(headers: dict[bytes, bytes]) -> bool:
    cookies = headers.get(b"cookie", b"")
    return b"access_token=" in cookies or b"refresh_token=" in cookies


def _limit_headers(allowance: Allowance) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"x-ratelimit-limit", b"%d" % allowance.limit),
        (b"x-ratelimit-remaining", b"%d" % allowance.remaining),
        (b"x-ratelimit-reset", b"%d" % allowance.reset),
    )
