"""Traces, as a collector gets them."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from time import monotonic

import asyncpg
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from app import create_app
from app.settings import SettingsError, load_settings
from tests.actors import Actor
from tests.history.workouts import SESSIONS
from tests.service import Service
from tests.test_logs import Log, log
from tests.waiting import eventually

__all__ = ("log",)

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
_LONG = 30.0
"""Far more seconds than an export takes."""


class Collector:
    """Takes OTLP over HTTP.

    Attributes:
        spans: that were exported so far.
        services: that they are of.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take what comes over one connection."""
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n"):
                assert head[0] == "POST /v1/traces HTTP/1.1"
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
                self._take(await reader.readexactly(int(headers["content-length"])))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _take(self, body: bytes) -> None:
        for exported in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {
                each.value.string_value for each in exported.resource.attributes if each.key == "service.name"
            }
            self.spans += [span for scope in exported.scope_spans for span in scope.spans]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    async def has(self, name: str) -> None:
        """Wait for a span: at its end the service waits for nobody for long."""
        await eventually(lambda: bool(self.named(name)), _LONG)


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    taking = Collector()
    server = await asyncio.start_server(taking.serve, "127.0.0.1", 0)
    taking.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield taking
    server.close()


def attributes(span: Span) -> dict[str, str | int]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


async def test_a_request_and_its_statements_are_spans_of_the_callers_trace(
    base_environment: dict[str, str], athlete: Actor, collector: Collector, log: Log
) -> None:
    variables = {**base_environment, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "LOG_LEVEL": "INFO"}
    async with Service.running(variables) as service:
        client = service.client(cookies=athlete.client.cookies, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
        written = await client.post(SESSIONS, json={})
        read = await client.get(f"{SESSIONS}/{written.json()['id']}")
        assert (written.status_code, read.status_code) == (201, 200)
        await collector.has(f"GET {SESSIONS}/{{session_id}}")
    assert collector.services == {"irontrack"}
    for answer, name in ((written, f"POST {SESSIONS}"), (read, f"GET {SESSIONS}/{{session_id}}")):
        (request,) = collector.named(name)
        assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, SPAN)
        assert request.kind == Span.SPAN_KIND_SERVER
        told = attributes(request)
        assert told["http.response.status_code"] == answer.status_code
        assert told["http.route"] == name.split()[1]
        assert told["irontrack.request_id"] == answer.headers["x-request-id"]
        below = [span for span in collector.spans if span.parent_span_id == request.span_id]
        assert {span.trace_id.hex() for span in below} == {TRACE}
        assert any("training_sessions" in str(attributes(span)["db.query.text"]) for span in below)
        assert all(request.start_time_unix_nano <= span.start_time_unix_nano for span in below)
        assert log.of(answer)[-1]["trace_id"] == TRACE


async def test_without_a_caller_the_log_names_the_trace_that_is_exported(
    base_environment: dict[str, str], clean: None, collector: Collector, log: Log
) -> None:
    variables = {**base_environment, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "LOG_LEVEL": "INFO"}
    async with Service.running(variables) as service:
        answer = await service.client().get("/ping", headers={"traceparent": f"00-{TRACE.upper()}-{SPAN}-01"})
        await collector.has("GET /ping")
    (request,) = collector.named("GET /ping")
    assert not request.parent_span_id
    assert [line["trace_id"] for line in log.of(answer)] == [request.trace_id.hex()]


async def test_failures_are_told_and_neither_paths_nor_values_are(
    base_environment: dict[str, str],
    athlete: Actor,
    connection: "asyncpg.Connection[asyncpg.Record]",
    collector: Collector,
) -> None:
    variables = {**base_environment, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    async with Service.running(variables) as service:
        client = service.client(cookies=athlete.client.cookies)
        await connection.execute("ALTER TABLE share_link RENAME TO share_link_away")
        try:
            answer = await client.get("/api/v1/shared/a-link-that-is-a-password-x")
        finally:
            await connection.execute("ALTER TABLE share_link_away RENAME TO share_link")
        await eventually(lambda: any(span.kind == Span.SPAN_KIND_SERVER for span in collector.spans), _LONG)
    assert answer.status_code == 500
    (request,) = [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]
    assert request.status.code == Status.STATUS_CODE_ERROR
    failed = [span for span in collector.spans if span.parent_span_id == request.span_id and span.status.code]
    assert [attributes(span)["error.type"] for span in failed] == ["42P01"]
    assert "a-link-that-is-a-password-x" not in str(collector.spans)


async def test_a_collector_that_is_away_delays_nobody_for_long(
    base_environment: dict[str, str], athlete: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Left to itself it would go on trying for the half minute after which the SDK gives up.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "300")
    variables = {**base_environment, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    async with Service.running(variables) as service:
        assert (await service.client(cookies=athlete.client.cookies).get(SESSIONS)).status_code == 200
        ending = monotonic()
    assert monotonic() - ending < 25


def test_nothing_of_it_is_loaded_where_nobody_wants_it() -> None:
    unwanted = ("app.telemetry", "opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http", "requests")
    program = f"import sys, app.asgi; print([name for name in {unwanted} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"


def test_without_the_extra_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "app.telemetry", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    settings = load_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
    with pytest.raises(SettingsError, match="uv sync --extra otel"):
        create_app(settings)


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "grpc://127.0.0.1:4317", "http://127.0.0.1:4318/"])
def test_the_collector_is_a_url_without_a_slash_at_its_end(url: str) -> None:
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        load_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": url})
