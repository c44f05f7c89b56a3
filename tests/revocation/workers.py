"""A service with two workers, and connections that are known to lead to the one or the other."""

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from select import select
from socket import MSG_PEEK
from tempfile import TemporaryDirectory
from typing import Self

import msgspec
from msgspec import Struct

from app.embedded import EmbeddedPostgres, EmbeddedValkey
from app.http.context import API
from tests.cli.up import STARTS_WITHIN, Up, until
from tests.servers import driver_url

_QUIET = {"RATE_LIMIT_READS": "0", "LOG_LEVEL": "WARNING", "PUBLIC_URL": "http://127.0.0.1:8000"}
_ESTABLISHED = "01"
_ATTEMPTS = 200
_LOOKS = 10
_ANSWERS_WITHIN = 15.0


class Call(Struct, frozen=True):
    """A request below /api/v1, ready to be sent any number of times."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None = None

    @classmethod
    def of(
        cls, method: str, path: str, *, cookies: Mapping[str, str] | None = None, bearer: str = "", json: object = None
    ) -> Self:
        """With these cookies or this token, and this body."""
        headers = {"Content-Type": "application/json"} if json is not None else {}
        if cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        return cls(method, path, headers, None if json is None else msgspec.json.encode(json))

    def __str__(self) -> str:
        how = "Bearer" if "Authorization" in self.headers else self.headers.get("Cookie", "").partition("=")[0]
        return f"{self.method} {self.path} ({how})"


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    body: bytes
    cookies: dict[str, str]


class Line:
    """A connection that is kept alive, and so stays with the worker that took it.

    Attributes:
        local_port: the client's end.
    """

    def __init__(self, port: int) -> None:
        self._http = HTTPConnection("127.0.0.1", port, timeout=_ANSWERS_WITHIN)
        self._http.connect()
        self._http.auto_open = 0  # a connection that is made anew may lead to the other worker
        self.local_port: int = self._http.sock.getsockname()[1]

    def fileno(self) -> int:
        """Lets `select` tell when an answer is there."""
        return self._http.sock.fileno()

    @property
    def hung_up(self) -> bool:
        """Whether the server has closed it, as it does with one that was idle for 30 seconds."""
        readable, _, _ = select([self._http.sock], [], [], 0)
        return bool(readable) and self._http.sock.recv(1, MSG_PEEK) == b""

    def send(self, call: Call) -> None:
        """Send a request."""
        self._http.request(call.method, API + call.path, call.body, call.headers)

    def receive(self) -> Answer:
        """Wait for the answer to it."""
        answer = self._http.getresponse()
        body = answer.read()
        cookies: SimpleCookie = SimpleCookie()
        for header in answer.headers.get_all("set-cookie", []):
            cookies.load(header)
        return Answer(answer.status, body, {name: morsel.value for name, morsel in cookies.items()})

    def ask(self, call: Call) -> Answer:
        """Send a request, and wait for the answer."""
        self.send(call)
        return self.receive()

    def get(self, call: Call, status: int) -> Answer:
        """Ask what has to be answered with this status."""
        answer = self.ask(call)
        assert answer.status == status, f"{call}: {answer.status} instead of {status}: {answer.body!r}"
        return answer

    def close(self) -> None:
        """Hang up."""
        self._http.close()


class TwoWorkers:
    """`litestar up` with two workers.

    Attributes:
        up: the running service.
        database: its PostgreSQL, as asyncpg wants to be told.
        valkey_url: its Valkey, as valkey-py wants to be told.
        pids: of the workers.
    """

    def __init__(self, up: Up) -> None:
        self.up = up
        self.port = int(up.url.rpartition(":")[2])
        self.database = driver_url(EmbeddedPostgres(up.data).url)
        self._valkey = EmbeddedValkey(up.data)
        self.valkey_url = self._valkey.url
        _, *workers = up.named("app.embedded.granian")
        self.pids = [worker.pid for worker in workers]
        assert len(self.pids) == 2

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """On a data folder of their own, without rate limits."""
        with (
            TemporaryDirectory(prefix="irontrack-trials-") as folder,
            Up.running(Path(folder) / "data", "--port", "0", "--workers", "2", **_QUIET) as up,
        ):
            yield cls(up)

    @contextmanager
    def valkey_away(self, how: signal.Signals) -> Iterator[None]:
        """Valkey was told to end, or killed: it comes back when it does, and at the end it is there."""
        before, *_ = self.up.named("valkey-server")
        os.kill(before.pid, how)
        yield
        until(lambda: not before.alive and asyncio.run(self._valkey.ready()), STARTS_WITHIN, "a new Valkey")

    @contextmanager
    def valkey_frozen(self) -> Iterator[None]:
        """Valkey says nothing, and hangs up on nobody; at the end it goes on."""
        process, *_ = self.up.named("valkey-server")
        os.kill(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process.pid, signal.SIGCONT)

    @contextmanager
    def lines(self, each: int = 1) -> Iterator[tuple[list[Line], list[Line]]]:
        """That many connections to the first worker, and to the second; at the end they still lead there."""
        found: dict[int, list[Line]] = {pid: [] for pid in self.pids}
        surplus: list[Line] = []
        try:
            for _ in range(_ATTEMPTS):
                line = Line(self.port)
                surplus.append(line)
                line.get(Call.of("GET", "/ping"), 200)
                taken = found[self._worker_of(line)]
                if len(taken) < each:
                    taken.append(surplus.pop())
                if all(len(lines) == each for lines in found.values()):
                    break
            else:
                raise AssertionError(f"one worker took all of {_ATTEMPTS} connections")
            first, second = found.values()
            yield first, second
            for pid, lines in found.items():
                assert all(self._worker_of(line) == pid for line in lines if not line.hung_up)
        finally:
            for line in (*surplus, *(line for lines in found.values() for line in lines)):
                line.close()

    def _worker_of(self, line: Line) -> int:
        """The process that holds the other end, as the kernel tells."""
        # While connections come and go the list may show one twice, or leave one out.
        for _ in range(_LOOKS):
            for inode in _inodes(self.port, line.local_port):
                for pid in self.pids:
                    if f"socket:[{inode}]" in _files_of(pid):
                        return pid
        raise AssertionError("no worker holds the connection")


def _inodes(port: int, peer: int) -> Iterator[str]:
    for fields in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:]):
        if fields[3] == _ESTABLISHED and (_port(fields[1]), _port(fields[2])) == (port, peer):
            yield fields[9]


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _files_of(pid: int) -> Iterator[str]:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield os.readlink(descriptor)
        except FileNotFoundError:
            continue
