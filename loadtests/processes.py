"""The servers that are measured, and what their worker costs."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from loadtests.client import Outcome, Plan

_START_WITHIN = 120.0


class Worker:
    """The one process of a server that answers.

    Attributes:
        port: where.
    """

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self._process = Path(f"/proc/{pid}")

    def cpu_seconds(self) -> float:
        """CPU time of all its threads so far."""
        nanoseconds = 0
        for thread in (self._process / "task").iterdir():
            nanoseconds += int((thread / "schedstat").read_text().split()[0])
        return nanoseconds / 1e9

    def resident_megabytes(self) -> float:
        """Its resident memory, in units of 10^6 bytes."""
        status = (self._process / "status").read_text().splitlines()
        line = next(line for line in status if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024 / 1e6


def run(plan: Plan) -> Outcome:
    """Run a plan in a client process of its own."""
    return finish(start(plan))


def start(plan: Plan) -> "subprocess.Popen[bytes]":
    """Let a client process begin with a plan."""
    command = [sys.executable, "-m", "loadtests.client"]
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert client.stdin is not None
    with client.stdin:
        client.stdin.write(msgspec.json.encode(plan))
    return client


def finish(client: "subprocess.Popen[bytes]") -> Outcome:
    """Wait for a client process to end; what it says."""
    assert client.stdout is not None
    with client.stdout:
        said = client.stdout.read()
    if client.wait():
        raise RuntimeError("The client failed; its message is above.")
    return msgspec.json.decode(said, type=Outcome)


@contextlib.contextmanager
def service(data: Path, **variables: str) -> Iterator[Worker]:
    """The whole service on a data folder, with one worker, as ``litestar up`` starts it."""
    port = free_port()
    options = ["--data", str(data), "--port", str(port), "--workers", "1"]
    with _started([sys.executable, "-m", "litestar", "up", *options], port, "/api/v1/health/ready", variables) as pid:
        yield Worker(port, _worker_below(pid))


@contextlib.contextmanager
def bare_handler() -> Iterator[Worker]:
    """The bare handler on Granian, with the same options as the service."""
    port = free_port()
    options = [
        "--interface",
        "asginl",
        "--http",
        "1",
        "--no-ws",
        "--loop",
        "uvloop",
        "--workers",
        "1",
        "--no-access-log",
    ]
    command = [
        sys.executable,
        "-m",
        "granian",
        *options,
        "--port",
        str(port),
        "--log-level",
        "warning",
        "loadtests.bare:app",
    ]
    with _started(command, port, "/2", {}) as pid:
        yield Worker(port, _worker_below(pid))


@contextlib.contextmanager
def _started(command: list[str], port: int, path: str, variables: Mapping[str, str]) -> Iterator[int]:
    with tempfile.TemporaryFile() as log:
        environment = {**os.environ, **variables}
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            limit = time.monotonic() + _START_WITHIN
            while not _answers(port, path):
                if process.poll() is not None or time.monotonic() > limit:
                    log.seek(0)
                    raise RuntimeError(f"{' '.join(command)} did not start:\n{log.read().decode()}")
                time.sleep(0.05)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _worker_below(pid: int) -> int:
    """The process that holds no child of its own and runs Granian's worker: the youngest of its kind."""
    workers = [found for found in descendants(pid) if is_worker(found)]
    if len(workers) != 1:
        raise RuntimeError(f"Expected one worker, found {len(workers)}.")
    return workers[0]


def is_worker(pid: int) -> bool:
    """Whether a process is one of Granian's workers."""
    command = command_of(pid)
    parent = command_of(_parent(pid))
    return "granian" in command and "granian" in parent and "resource_tracker" not in command


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            children.setdefault(_parent(int(entry.name)), []).append(int(entry.name))
    found, left = [], children.get(pid, [])
    while left:
        found.append(left.pop())
        left = left + children.get(found[-1], [])
    return found


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def command_of(pid: int) -> str:
    """The command line of a process; empty when it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
