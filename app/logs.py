"""Logs: structlog in front, a thread that writes behind, so that the event loop never waits for a disk.

Each request makes one line; its fields are collected on the event loop, its text is made in the thread.
"""

import atexit
import logging
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct

from app.settings import Settings

__all__ = ("AccessRecord", "LogWriter", "configure_logging", "request_id", "trace_id", "writer")

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being answered; empty outside of one."""
trace_id: ContextVar[str] = ContextVar("trace_id", default="")
"""The id of the trace that the request belongs to (W3C Trace Context); empty outside of one."""

_INTERVAL = 0.1
_SECRET_NAME = re.compile(r"password|passwd|secret|token|authorization|cookie|api_?key|private|jwk|hash", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]+\.?[\w-]*"  # JSON web tokens
    r"|irt_[\w-]{8,}"  # API tokens
    r"|(?<=/shared/)[\w-]{8,}"  # share links
    r"|\$argon2\w*\$[^\s'\"]+"  # password hashes
    r"|(?<=://)[^\s/@]+@"  # credentials in URLs
)
_REDACTED = "[redacted]"


class AccessRecord(NamedTuple):
    """What is logged of a request."""

    time: float
    request_id: str
    trace_id: str
    method: str
    path: str
    route: str
    status: int
    seconds: float
    user_id: UUID | None
    address: str


class _AccessLine(Struct):
    """An access record as it is written."""

    timestamp: datetime
    level: str
    event: str
    request_id: str
    trace_id: str
    method: str
    path: str
    route: str
    status: int
    duration_ms: float
    user_id: UUID | None
    address: str


class LogWriter:
    """Collects lines and access records, and writes them from a thread of its own.

    Attributes:
        observers: called in the thread with each access record, to count it.
        lost: lines that could not be written.
    """

    def __init__(self) -> None:
        self.observers: list[Callable[[AccessRecord], None]] = []
        self.lost = 0
        self._pending: deque[bytes | AccessRecord] = deque()
        self._renders: Callable[[AccessRecord], bytes] = render_access_json
        self._logs_access = True
        self._file: RotatingFileHandler | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._writing = threading.Lock()

    def configure(self, settings: Settings) -> None:
        """Take over the settings of the log."""
        self._renders = render_access_json if settings.log.json else render_access_console
        self._logs_access = settings.log.level in ("DEBUG", "INFO")
        if settings.log.file:
            self._file = RotatingFileHandler(settings.log.file, maxBytes=10_000_000, backupCount=5, encoding="utf-8")

    def add(self, entry: bytes | AccessRecord) -> None:
        """Hand in a line or an access record."""
        self._pending.append(entry)
        if self._thread is None:
            self._start()

    def flush(self) -> None:
        """Write what is pending."""
        with self._writing:
            lines = []
            while self._pending:
                entry = self._pending.popleft()
                if isinstance(entry, AccessRecord):
                    for observe in self.observers:
                        observe(entry)
                    if not self._logs_access:
                        continue
                    entry = self._renders(entry)
                lines.append(entry)
            if lines:
                self._write(lines)

    def _start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Write the rest and end the thread."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=2)
            self._thread = None
        self.flush()

    def _run(self) -> None:
        while not self._stopping.wait(_INTERVAL):
            self.flush()

    def _write(self, lines: list[bytes]) -> None:
        text = b"\n".join(lines) + b"\n"
        try:
            sys.stderr.buffer.write(text)
            sys.stderr.buffer.flush()
        except (OSError, ValueError, AttributeError):
            # The terminal is gone, or a test runner has replaced the stream: logging must not end the service.
            self.lost += len(lines)
        if self._file is not None:
            self._file.emit(logging.LogRecord("", 0, "", 0, text.decode("utf-8", "replace").rstrip("\n"), None, None))


_encode = msgspec.json.Encoder().encode


def _moment(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def render_access_json(record: AccessRecord) -> bytes:
    """A request as one JSON line."""
    time, identity, trace, method, path, route, status, seconds, user_id, address = record
    moment, took = datetime.fromtimestamp(time, UTC), round(seconds * 1000, 2)
    return _encode(
        _AccessLine(moment, "info", "request", identity, trace, method, path, route, status, took, user_id, address)
    )


def render_access_console(record: AccessRecord) -> bytes:
    """A request as a line for a person."""
    colour = 32 if record.status < 400 else 33 if record.status < 500 else 31
    return (
        f"{_moment(record.time)} \x1b[{colour}m{record.status}\x1b[0m {record.method} {record.path} "
        f"{record.seconds * 1000:.1f} ms {record.request_id}"
    ).encode()


writer = LogWriter()


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Leave out secrets, by the name of the field and by their looks."""
    for name, value in event.items():
        if _SECRET_NAME.search(name) and value is not None:
            event[name] = _REDACTED
        elif isinstance(value, str):
            event[name] = _SECRET_TEXT.sub(_REDACTED, value)
    return event


def _add_ids(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if current := request_id.get():
        event.setdefault("request_id", current)
        event.setdefault("trace_id", trace_id.get())
    return event


class _Lines:
    """What structlog writes to."""

    def msg(self, line: bytes | str) -> None:
        """Hand a rendered line to the writer."""
        writer.add(line if isinstance(line, bytes) else line.encode())

    debug = info = warning = error = critical = exception = fatal = log = msg


class _Bridge(logging.Handler):
    """Brings the records of libraries, which use the standard library's logging, to the same place."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelno if record.levelno in _LEVELS else logging.INFO
        structlog.get_logger(record.name).log(
            level, record.getMessage(), logger=record.name, exc_info=record.exc_info or None
        )


_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)


def configure_logging(settings: Settings) -> None:
    """Set up structlog and the standard library's logging, once for the process."""
    level = logging.getLevelNamesMapping()[settings.log.level]
    renderer: list[Any]
    if settings.log.json:
        renderer = [
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(serializer=lambda event, **_: msgspec.json.encode(event, enc_hook=repr)),
        ]
    else:
        renderer = [redact, structlog.dev.ConsoleRenderer(colors=True)]
    structlog.configure(
        processors=[
            _add_ids,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[_Bridge()], force=True)
    writer.configure(settings)
