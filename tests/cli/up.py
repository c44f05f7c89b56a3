"""A `litestar up` in a process of its own, as somebody at a terminal would start it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import httpx

LITESTAR = str(Path(sys.executable).with_name("litestar"))
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("DATABASE_", "VALKEY_", "JWT_", "IRONTRACK_", "PYTEST_", "PUBLIC_URL", "UV"))
} | {"ARGON2_MEMORY_KIB": "8", "ARGON2_TIME_COST": "1", "RATE_LIMIT_SIGN_IN": "0", "RATE_LIMIT_WRITES": "0"}
STARTS_WITHIN = 30.0
"""Far more than the service takes on a machine of its own."""
ENDS_WITHIN = 5.0

_PASSWORD = "Deadlift1!"


def until(condition: Callable[[], object], within: float, what: str) -> float:
    """Wait for a condition; the seconds that it took.

    A look that begins too late decides, not one during which the machine stood still.
    """
    began = time.monotonic()
    while True:
        looked = time.monotonic()
        if condition():
            return time.monotonic() - began
        if looked - began > within:
            raise AssertionError(f"not within {within:.0f} s: {what}")
        time.sleep(0.02)


class Process(NamedTuple):
    """A process, told apart from later ones with its number."""

    pid: int
    started: str
    command: str

    @property
    def alive(self) -> bool:
        """Whether it runs; a zombie doesn't."""
        fields = _fields(self.pid)
        return bool(fields) and fields[0] != "Z" and fields[19] == self.started


def _fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _command(pid: int) -> str:
    """What a process runs; empty when it has just ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def tree(root: int) -> list[Process]:
    """A process and all its descendants, parents first: by their numbers they are not, once those begin anew."""
    everybody = {int(entry.name): _fields(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found, parents = [], [root]
    while parents:
        pid = parents.pop()
        if fields := everybody.get(pid):
            found.append(Process(pid, fields[19], _command(pid)))
            parents += (child for child, state in everybody.items() if state and int(state[1]) == pid)
    return found


def wait_for_end(processes: Iterable[Process]) -> None:
    """Wait until none of them lives."""
    left = list(processes)
    until(
        lambda: not any(process.alive for process in left),
        ENDS_WITHIN,
        f"the end of {[process.command for process in left if process.alive]}",
    )


def litestar(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run another command to its end."""
    return subprocess.run(
        [LITESTAR, *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=STARTS_WITHIN,
        stdin=subprocess.DEVNULL,
        check=False,
    )


class Up:
    """A running `litestar up`."""

    command: ClassVar[tuple[str, ...]] = ("up",)
    ends_within: ClassVar[float] = ENDS_WITHIN

    def __init__(self, data: Path, *options: str, **variables: str) -> None:
        self.data = data
        self.output = data.with_suffix(".txt")
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [LITESTAR, *self.command, "--data", str(data), *(options or ("--port", "0"))],
                env=ENVIRONMENT | variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @classmethod
    @contextmanager
    def running(cls, data: Path, *options: str, **variables: str) -> Iterator[Self]:
        """One that answers; ended at the end, whatever is left of it."""
        up = cls(data, *options, **variables)
        try:
            up.wait_until_ready()
            yield up
        finally:
            up.end()

    def said(self) -> str:
        """What it wrote so far."""
        return self.output.read_text()

    def wait_until_said(self, text: str) -> None:
        """Wait for a text in its output."""

        def heard() -> bool:
            said = self.said()
            assert text in said or self.process.poll() is None, f"it ended instead of saying {text!r}:\n{said}"
            return text in said

        until(heard, STARTS_WITHIN, f"{text!r} in what it says")

    def wait_until_ready(self) -> None:
        """Wait until it has said where it answers."""
        self.wait_until_said("Health")

    @property
    def url(self) -> str:
        """Where it answers."""
        match = re.search(r"API +(http://\S+)/api/v1", self.said())
        assert match
        return match[1]

    def get(self, path: str) -> httpx.Response:
        """Ask it something, on a connection of its own."""
        return httpx.get(self.url + path, timeout=10)

    def healthy(self) -> bool:
        """Whether it's well, its servers included."""
        try:
            return self.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def sign_up(self, email: str) -> None:
        """Store a row that has to be there from then on."""
        account = {"email": email, "password": _PASSWORD, "confirmPassword": _PASSWORD}
        answer = httpx.post(f"{self.url}/api/v1/access/signup", json=account, timeout=10)
        assert answer.status_code == 201, answer.text

    def knows(self, email: str) -> bool:
        """Whether that row is there."""
        body = {"email": email, "password": _PASSWORD}
        return httpx.post(f"{self.url}/api/v1/access/signin", json=body, timeout=10).status_code == 204

    def processes(self) -> list[Process]:
        """It and all its descendants."""
        return tree(self.process.pid)

    def named(self, part: str) -> list[Process]:
        """Its descendants with something in their command line, parents first."""
        return [process for process in self.processes()[1:] if part in process.command]

    def wait_for_exit(self) -> int:
        """Wait until it ends; the exit code."""
        until(lambda: self.process.poll() is not None, self.ends_within, f"the end of litestar up:\n{self.said()}")
        return self.process.wait()

    def end(self) -> None:
        """End it, and see that nothing of it is left."""
        processes = self.processes()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(self.ends_within)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        wait_for_end(processes)
