"""The service that is measured: its data, its processes and what they cost, on a machine of our choice."""

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import msgspec
from msgspec import Struct

from app.embedded import EmbeddedPostgres
from loadtests.bench import NO_LIMITS, PASSWORD
from loadtests.openloop import request
from loadtests.processes import command_of, descendants, free_port, is_worker
from loadtests.report.cases import SERVICES, Setup
from loadtests.report.results import OTHER, WORKER
from loadtests.weakbox import Box
from tests.servers import database_url, driver_url

_STARTS_WITHIN: Final = 180.0
_ENDS_WITHIN: Final = 90
_VARIABLES: Final = {**NO_LIMITS, "LOG_LEVEL": "WARNING", "PUBLIC_URL": "http://127.0.0.1:8000"}
"""The issuer of tokens stays the same, whatever the address."""
_PROGRAMS: Final = {
    "postgres": "PostgreSQL",
    "pgbouncer": "PgBouncer",
    "valkey-server": "Valkey",
    "nginx": "proxy",
    "angie": "proxy",
}
"""Parts by the names of their processes."""
_CONFIGURED: Final = {"pgbouncer.ini": "PgBouncer", "nginx:": "proxy", "angie:": "proxy"}
"""And by their command lines, for programs that another one loads."""

_HISTORY: Final = (
    "SET session_replication_role = replica",
    """
    INSERT INTO training_sessions
        (id, user_id, unit_name_snapshot, start_time, end_time, user_timezone, status, duration_seconds)
    SELECT uuidv7(moment - now()), account.id, 'Day', moment, moment + interval '1 hour', 'Europe/Berlin', 'completed',
        3600
    FROM user_account account, generate_series(1, $1::int) number, LATERAL (SELECT now() - number * interval '2 days')
        AS long_ago (moment)
    WHERE account.email LIKE 'load-%'
    """,
    """
    INSERT INTO training_session_exercises
        (training_session_id, user_id, exercise_id, exercise_name_snapshot, mode_snapshot, order_index)
    SELECT session.id, session.user_id, exercise.id, exercise.name, 'reps', place
    FROM training_sessions session CROSS JOIN generate_series(1, 5) place
    JOIN (SELECT id, name, row_number() OVER (ORDER BY slug) - 1 AS number FROM exercises WHERE is_system_default)
        AS exercise ON exercise.number = 5 * abs(hashtext(session.id::text) % 8) + place - 1
    """,
    """
    INSERT INTO training_session_sets (session_exercise_id, mode, order_index, weight, reps_completed)
    SELECT exercise.id, 'reps', place, 40 + 5 * place, 5
    FROM training_session_exercises exercise, generate_series(1, 4) place
    """,
    "SET session_replication_role = DEFAULT",
)
_TARGETS: Final = """
    SELECT account.email, session.id::text AS session, exercise.id AS child, exercise.exercise_id::text AS exercise
    FROM user_account account
    JOIN training_sessions session ON session.user_id = account.id
    JOIN training_session_exercises exercise ON exercise.training_session_id = session.id AND exercise.order_index = 1
    WHERE account.email LIKE 'load-%' ORDER BY session.start_time DESC, account.email LIMIT 3200
"""


class Target(Struct, frozen=True):
    """A session of somebody with one of its exercises, `child` by its number there."""

    email: str
    session: str
    child: int
    exercise: str


class Service:
    """A service that runs.

    Attributes:
        box: the machine that it runs on.
    """

    def __init__(self, pid: int, box: Box, addresses: Mapping[str, list[str]]) -> None:
        self.box = box
        self._pid = pid
        self._addresses = addresses

    def urls(self, setup: Setup) -> list[str]:
        """Where the requests of a setup go."""
        return self._addresses[setup.way]

    def cpu_seconds(self) -> dict[tuple[str, int], float]:
        """CPU time of each process so far, by its part of the service and its number."""
        return {(_part(pid), pid): _cpu_seconds(pid) for pid in (self._pid, *descendants(self._pid))}


def _part(pid: int) -> str:
    with contextlib.suppress(OSError):
        if part := _PROGRAMS.get(Path(f"/proc/{pid}/comm").read_text().strip()):
            return part
    command = command_of(pid)
    for sign, part in _CONFIGURED.items():
        if sign in command:
            return part
    return WORKER if is_worker(pid) else OTHER


def _cpu_seconds(pid: int) -> float:
    nanoseconds = 0
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                nanoseconds += int((thread / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


@contextlib.contextmanager
def running(service: str, data: Path, box: Box) -> Iterator[Service]:
    """A service on a data folder, until the block ends.

    Raises:
        RuntimeError: it did not start.
    """
    port, socket = free_port(), data.parent / "service.sock"
    address = ["--uds", str(socket)] if service == "up-socket" else ["--port", str(port)]
    command = [sys.executable, "-m", "litestar", *SERVICES[service], "--data", str(data), *address]
    log = data.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            box.command(command),
            env={**os.environ, **_VARIABLES, **box.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            _wait_until_ready(process, log)
            yield Service(process.pid, box, _addresses(service, data, port, socket))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_ENDS_WITHIN)


def _wait_until_ready(process: "subprocess.Popen[bytes]", log: Path) -> None:
    limit = time.monotonic() + _STARTS_WITHIN
    while "Ready." not in log.read_text():
        if process.poll() is not None or time.monotonic() > limit:
            raise RuntimeError(f"The service did not start:\n{log.read_text()}")
        time.sleep(0.05)


def _addresses(service: str, data: Path, port: int, socket: Path) -> dict[str, list[str]]:
    if service == "up-socket":
        return {"direct": [f"unix://{socket}"]}
    over_tcp = [f"http://127.0.0.1:{port}"]
    if service == "up-tcp":
        return {"direct": over_tcp}
    state = json.loads((data / "state.json").read_bytes())
    nodes = [f"unix://{path}" for path in state["nodes"].values()]
    return {"proxy": over_tcp, "sockets": nodes, "socket": nodes[:1]}


def make_data(data: Path, box: Box, users: int, sessions: int) -> list[Target]:
    """A data folder with people who have been lifting for a while; their sessions, the newest of each first.

    Args:
        users: how many.
        sessions: of each of them, one every second day.
    """
    with running("stack", data, box) as service:
        with httpx.Client(base_url=f"{service.urls(_PROXY)[0]}/api/v1", timeout=60) as client:
            for number in range(users):
                body = {"email": f"load-{number}@example.com", "password": PASSWORD, "confirmPassword": PASSWORD}
                client.post("/access/signup", json=body).raise_for_status()
        superuser = database_url(EmbeddedPostgres(data).superuser_url, "irontrack")
        return asyncio.run(_add_history(driver_url(superuser), sessions))


_PROXY: Final = Setup("", "", "stack", "proxy")


async def _add_history(url: str, sessions: int) -> list[Target]:
    connection = await asyncpg.connect(url)
    try:
        for statement in _HISTORY:
            await connection.execute(statement, *((sessions,) if "$1" in statement else ()))
        await connection.execute("VACUUM (ANALYZE)")
        return [Target(**row) for row in await connection.fetch(_TARGETS)]
    finally:
        await connection.close()


def copy_data(source: Path, target: Path) -> None:
    """A fresh copy of a data folder that nobody uses: each service begins with the same rows."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("run", "*.sock"))


def sign_in(url: str, emails: Sequence[str]) -> dict[str, str]:
    """Access tokens of people, good for 15 minutes."""
    transport = httpx.HTTPTransport(uds=url.removeprefix("unix://")) if url.startswith("unix:") else None
    base = "http://localhost" if transport else url
    tokens = {}
    with httpx.Client(base_url=f"{base}/api/v1", transport=transport, timeout=60) as client:
        for email in emails:
            client.post("/access/signin", json={"email": email, "password": PASSWORD}).raise_for_status()
            tokens[email] = client.cookies["access_token"]
            client.cookies.clear()
    return tokens


def requests_of(scenario: str, targets: Sequence[Target], tokens: Mapping[str, str]) -> list[bytes]:
    """What a scenario sends, over and over again."""
    makers = {
        "me": _me,
        "session": _session,
        "sessions": _sessions,
        "exercise": _exercise,
        "set": _set,
    }
    if scenario == "sign-in":
        emails = sorted({target.email for target in targets})
        return [_post("/access/signin", {"email": email, "password": PASSWORD}) for email in emails]
    turns = ("set", "session", "exercise") * 2 + ("set", "session", "sessions", "me")
    kinds = itertools.cycle(turns if scenario == "lifter" else (scenario,))
    return [
        makers[kind](target, f"Cookie: access_token={tokens[target.email]}")
        for kind, target in zip(kinds, targets, strict=False)
    ]


def _me(_: Target, cookie: str) -> bytes:
    return request("GET", "/api/v1/access/me", [cookie])


def _session(target: Target, cookie: str) -> bytes:
    return request("GET", f"/api/v1/training-sessions/{target.session}", [cookie])


def _sessions(_: Target, cookie: str) -> bytes:
    return request("GET", "/api/v1/training-sessions?cursor=", [cookie])


def _exercise(target: Target, cookie: str) -> bytes:
    return request("GET", f"/api/v1/exercises/{target.exercise}", [cookie])


def _set(target: Target, cookie: str) -> bytes:
    path = f"/training-sessions/{target.session}/exercises/{target.child}/sets"
    return _post(path, {"weight": 80, "repsCompleted": 5}, cookie)


def _post(path: str, body: object, *headers: str) -> bytes:
    return request("POST", f"/api/v1{path}", headers, msgspec.json.encode(body))
