"""Traces for OpenTelemetry: a span for each request, below it one for each of its statements.

Imported only where they are wanted: the packages are an extra. Paths, addresses and callers stay in the log: a span has
the route and the id that finds them.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    NoOpTracer,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from app.db.statements import Statement, statement_observers
from app.http.context import TRACE_PARENT
from app.settings import VERSION, Settings

__all__ = ("Tracing",)

_HEADER: Final = b"traceparent"
_LAST_WORDS: Final = 1.0
"""Seconds for what is still to be exported when the worker ends."""


class Tracing:
    """Makes spans and exports them, in batches and from a thread of its own, over OTLP/HTTP.

    What OpenTelemetry's own variables say about sampling, batches, headers and certificates holds.
    """

    def __init__(self, settings: Settings) -> None:
        self._endpoint = f"{settings.log.traces_endpoint}/v1/traces"
        self._tracer: Tracer = NoOpTracer()

    @asynccontextmanager
    async def exported(self) -> AsyncIterator[None]:
        """Export while the block runs. In each worker by itself, since threads do not survive a fork."""
        name = os.environ.get("OTEL_SERVICE_NAME") or "irontrack"
        resource = Resource.create({"service.name": name, "service.version": VERSION})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(self._endpoint)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = provider.get_tracer("irontrack", VERSION)
        statement_observers.append(self._note_statement)
        try:
            yield
        finally:
            statement_observers.remove(self._note_statement)
            ending = asyncio.create_task(asyncio.to_thread(provider.shutdown))
            if not (await asyncio.wait({ending}, timeout=_LAST_WORDS))[0]:
                # The collector is away: nothing is tried again from here on.
                exporter.shutdown()  # type: ignore[no-untyped-call]
                await ending

    def around(self, app: ASGIApp) -> ASGIApp:
        """The app, with a span around each request."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == ScopeType.HTTP:
                await self._trace(app, scope, receive, send)
            else:
                await app(scope, receive, send)

        return traced

    async def _trace(self, app: ASGIApp, scope: HTTPScope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        with self._tracer.start_as_current_span(
            method,
            _parent(scope),
            SpanKind.SERVER,
            # What it says may be values of a row; the log has it.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            # From here on we are the one before: the log names the trace that the span is in.
            others = [header for header in scope["headers"] if header[0] != _HEADER]
            scope["headers"] = [*others, (_HEADER, _header(span.get_span_context()))]

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    span.set_attribute("http.response.status_code", status)
                    if status >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            try:
                await app(scope, receive, noting)
            except Exception:  # whatever it is, the span has failed; raised again, since answering it is not our part
                span.set_status(StatusCode.ERROR)
                raise
            finally:
                route = scope.get("path_template", "")
                span.update_name(f"{method} {route}".strip())
                span.set_attributes(
                    {
                        "http.request.method": method,
                        "http.route": route,
                        "irontrack.request_id": str(scope.get("request_id", "")),
                    }
                )

    def _note_statement(self, statement: Statement) -> None:
        if not get_current_span().get_span_context().trace_flags.sampled:
            return
        ended = time.time_ns()
        words = statement.text.split(maxsplit=1)
        span = self._tracer.start_span(
            words[0].rstrip(";") if words else "?",
            kind=SpanKind.CLIENT,
            attributes={"db.system.name": "postgresql", "db.query.text": statement.text},
            start_time=ended - int(statement.seconds * 1e9),
        )
        if statement.error is not None:
            span.set_attribute("error.type", statement.sqlstate or type(statement.error).__name__)
            span.set_status(StatusCode.ERROR)
        span.end(ended)


def _parent(scope: HTTPScope) -> Context:
    """Where the request says that it comes from."""
    sent = [value for name, value in scope["headers"] if name == _HEADER]
    if len(sent) != 1 or not (found := TRACE_PARENT.fullmatch(sent[0])):
        return Context()
    trace, span, flags = (int(part, 16) for part in found.groups())
    return set_span_in_context(NonRecordingSpan(SpanContext(trace, span, True, TraceFlags(flags))), Context())  # noqa: FBT003


def _header(span: SpanContext) -> bytes:
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}".encode()
