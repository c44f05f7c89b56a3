"""Routes about the service itself. They need no sign-in, and no rate limit counts them."""

from ipaddress import ip_address
from typing import Any

from litestar import Controller, MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec

from app.domain.system.dto import Health
from app.domain.system.overview import Overview
from app.domain.system.services import HealthService
from app.errors import NotFound
from app.http.admission import PUBLIC
from app.http.answers import Answer
from app.http.dto import StrictDTO
from app.http.metrics import CONTENT_TYPE, exposition
from app.http.problems import PROBLEM_TYPE, Problem
from app.security.keys import PublicJWKS
from app.security.tokens import Tokens
from app.settings import Settings, networks

__all__ = ("KeysController", "SystemController")


class SystemController(Controller):
    """Whether the service is well."""

    tags = ["System"]
    opt = PUBLIC
    return_dto = StrictDTO[Any]

    @get("/ping", media_type=MediaType.TEXT, return_dto=None, summary="Whether anybody is there")
    async def ping(self) -> str:
        """Answers OK."""
        return "OK"

    @get(
        "/health",
        summary="Whether PostgreSQL and Valkey are there",
        responses={503: ResponseSpec(Health, generate_examples=False, description="One of them is away.")},
    )
    async def health(self, health: NamedDependency[HealthService]) -> Response[Health]:
        """200 when all is well, else 503; looked up at most once a second."""
        state = await health.look()
        return Response(state, status_code=200 if state.status == "ok" else 503)

    @get("/health/live", media_type=MediaType.TEXT, return_dto=None, summary="Whether the process lives")
    async def live(self) -> str:
        """Answers OK."""
        return "OK"

    @get(
        "/health/ready",
        media_type=MediaType.TEXT,
        return_dto=None,
        summary="Whether requests can be served",
        responses={503: ResponseSpec(str, generate_examples=False, description="Not yet.", media_type=MediaType.TEXT)},
    )
    async def ready(self, health: NamedDependency[HealthService]) -> Response[str]:
        """200 when PostgreSQL answers and has this version's schema, else 503."""
        ready = await health.is_ready()
        return Response("OK" if ready else "not ready", status_code=200 if ready else 503, media_type=MediaType.TEXT)

    @get(
        "/metrics",
        media_type=MediaType.TEXT,
        return_dto=None,
        summary="Counters for Prometheus",
        responses={
            404: ResponseSpec(
                Problem, generate_examples=False, description="Not for this address.", media_type=PROBLEM_TYPE
            )
        },
    )
    async def metrics(
        self, request: Request[Any, Any, Any], settings: NamedDependency[Settings], overview: NamedDependency[Overview]
    ) -> Response[bytes]:
        """The counters of all workers, for loopback and METRICS_ALLOW only."""
        if not _may_read_metrics(request, settings):
            raise NotFound
        text = await exposition(settings.log.metrics_folder, await overview.look())
        # Not the general Response, which names the charset once more.
        return Answer(text, media_type=CONTENT_TYPE)


class KeysController(Controller):
    """The public halves of the signing keys."""

    tags = ["System"]
    opt = PUBLIC
    return_dto = StrictDTO[Any]

    @get("/.well-known/jwks.json", summary="The keys that verify our tokens")
    async def keys(self, tokens: NamedDependency[Tokens]) -> PublicJWKS:
        """A JWK set (RFC 7517)."""
        return tokens.keys.public_jwks()


def _may_read_metrics(request: Request[Any, Any, Any], settings: Settings) -> bool:
    client = request.scope.get("client")
    forwarded = any(name in request.headers for name in ("x-forwarded-for", "forwarded", "x-real-ip"))
    address = str(request.scope["client_address"])  # type: ignore[typeddict-item]
    if forwarded and client and client[0] == address:
        # A proxy that we were not told of: its own address says nothing about who asks.
        return False
    try:
        asking = ip_address(address)
    except ValueError:
        return False
    return asking.is_loopback or any(asking in network for network in networks(settings.log.metrics_allow))
