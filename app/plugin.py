"""The one plugin that puts the parts together: routes, dependencies, errors, life span and commands."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from advanced_alchemy.extensions.litestar import SQLAlchemyAsyncConfig
from click import Group
from litestar import Litestar, Request, Router
from litestar.config.app import AppConfig
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.plugins import CLIPlugin, InitPlugin
from litestar.types import ASGIApp

from app.domain.accounts.controllers import ACCOUNTS
from app.domain.analytics.controllers import ANALYTICS
from app.domain.catalogue.controllers import CATALOGUE
from app.domain.history.controllers import HISTORY
from app.domain.imports.controllers import IMPORTS
from app.domain.running.controllers import RUNNING
from app.domain.sync.controllers import SYNC
from app.domain.system.controllers import KeysController, SystemController
from app.domain.training.controllers import TRAINING
from app.domain.training.guards import READER
from app.http.admission import admit
from app.http.answers import Answer, encode_scalar, precondition
from app.http.context import API, RequestContext
from app.http.fields import Scalar
from app.http.idempotency import BODY_DIGEST_KEY, Replay, replay
from app.http.metrics import count
from app.http.openapi import DocumentsController, ScalarSchemaPlugin, assets_router, openapi_config
from app.http.parameters import provide_page
from app.http.problems import handle_exception
from app.http.session import provide_db_session
from app.logs import configure_logging, writer
from app.resources import Resources
from app.security.guards import principal_of
from app.security.principal import Principal
from app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from app.telemetry import Tracing

__all__ = ("IronTrackPlugin", "surrounded")


class IronTrackPlugin(InitPlugin, CLIPlugin):
    """IronTrack as a plugin of Litestar.

    Attributes:
        resources: the parts of the worker; usable while the app runs.
        tracing: makes spans, where they are exported.
    """

    def __init__(self, settings: Settings, database: SQLAlchemyAsyncConfig) -> None:
        """
        Args:
            database: the configuration of Advanced Alchemy's plugin, which comes before this one.
        """
        self.settings = settings
        self.resources = Resources(settings, database)
        self.tracing = _tracing(settings) if settings.log.traces_endpoint else None

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Register everything."""
        configure_logging(self.settings)
        if count not in writer.observers:
            writer.observers.append(count)
        # The session is closed by our own dependency; Advanced Alchemy's hook would look for one before each message.
        app_config.before_send.clear()
        app_config.plugins.append(ScalarSchemaPlugin())
        app_config.lifespan.append(self._run)
        app_config.route_handlers.extend(self._routes())
        app_config.dependencies.update(self._dependencies())
        app_config.exception_handlers.update({Exception: handle_exception, Replay: replay})
        app_config.before_request = admit
        app_config.response_class = Answer
        app_config.type_encoders = {**(app_config.type_encoders or {}), Scalar: encode_scalar}
        app_config.openapi_config = openapi_config(self.settings)
        app_config.logging_config = None
        if origins := self.settings.app.allowed_origins:
            app_config.cors_config = _cors(list(origins))
        return app_config

    def on_cli_init(self, cli: Group) -> None:
        """Add the commands."""
        # Imported here because only the command line needs them, and every worker would pay for them at its start.
        from app.cli.commands import register  # noqa: PLC0415

        register(cli)

    @asynccontextmanager
    async def _run(self, app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if self.tracing:
                await stack.enter_async_context(self.tracing.exported())
            resources = await stack.enter_async_context(self.resources.open())
            app.state[BODY_DIGEST_KEY] = resources.tokens.keys.secret("idempotency")
            app.state[READER] = resources.reader
            yield

    def _routes(self) -> list[Any]:
        domains = [*ACCOUNTS, *CATALOGUE, *TRAINING, *HISTORY, *RUNNING, *ANALYTICS, *IMPORTS, *SYNC]
        return [
            SystemController,
            KeysController,
            DocumentsController,
            assets_router(),
            Router(API, route_handlers=[SystemController, KeysController, *domains]),
        ]

    def _dependencies(self) -> dict[str, Provide]:
        resources = self.resources
        parts: dict[str, Any] = {
            "settings": lambda: resources.settings,
            "transactions": lambda: resources.transactions,
            "tokens": lambda: resources.tokens,
            "passwords": lambda: resources.passwords,
            "jti": lambda: resources.jti,
            "throttle": lambda: resources.throttle,
            "health": lambda: resources.health,
            "overview": lambda: resources.overview,
            "reader": lambda: resources.reader,
            "standby_reader": lambda: resources.standby_reader,
            "catalogue_memory": lambda: resources.catalogue_memory,
            "exercise_reader": lambda: resources.exercise_reader,
            "session_reader": lambda: resources.session_reader,
            "change_reader": lambda: resources.change_reader,
            "workshop": lambda: resources.workshop,
            "import_runner": lambda: resources.import_runner,
            "principal": _principal,
            "page": provide_page,
        }
        return {
            **{name: Provide(part, sync_to_thread=False) for name, part in parts.items()},
            "precondition": Provide(precondition),
            "db_session": Provide(provide_db_session),
        }


def surrounded(app: Litestar) -> ASGIApp:
    """The app inside of what surrounds every request."""
    plugin = app.plugins.get(IronTrackPlugin)
    context = RequestContext(app, plugin.settings, plugin.resources)
    return plugin.tracing.around(context) if plugin.tracing else context


def _tracing(settings: Settings) -> "Tracing":
    # Imported here because it is an extra, which takes time and memory where nobody wants it.
    try:
        from app.telemetry import Tracing  # noqa: PLC0415
    except ModuleNotFoundError:
        raise SettingsError("OTEL_EXPORTER_OTLP_ENDPOINT needs the extra `otel`: uv sync --extra otel.") from None
    return Tracing(settings)


def _principal(request: Request[Any, Any, Any]) -> Principal:
    return principal_of(request)


def _cors(origins: list[str]) -> CORSConfig:
    return CORSConfig(
        allow_origins=origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key", "X-Request-ID"],
        expose_headers=["ETag", "Location", "X-Request-ID", "Idempotent-Replayed", "Retry-After"],
        allow_credentials=True,
        max_age=600,
    )
