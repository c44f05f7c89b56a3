"""`litestar up` and its companions, as processes: they start, they are killed, nothing is lost and nothing is left."""

import contextlib
import json
import os
import pty
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from app.embedded import DataFolder
from app.security.keys import KeyRing
from tests.cli.up import ENVIRONMENT, LITESTAR, STARTS_WITHIN, Up, litestar, tree, until, wait_for_end

_SERVERS = {"Granian": "app.embedded.granian", "PostgreSQL": "bin/postgres", "Valkey": "valkey-server"}

pytestmark = [pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """One data folder for all tests of this file, so that only the first makes a cluster."""
    with TemporaryDirectory(prefix="irontrack-test-") as folder:
        yield Path(folder) / "data"


def test_serves_and_tells_where_and_stops_on_demand(data: Path) -> None:
    with Up.running(data) as up:
        for path in ("/api/v1/ping", "/docs", "/health"):
            assert up.get(path).status_code == 200
        for place in (f"{up.url}/docs", f"{up.url}/health", "litestar users create --superuser"):
            assert place in up.said()
        up.sign_up("first@example.org")

        found = json.loads(litestar("status", "--json", "--data", str(data)).stdout)
        assert found["running"] is True
        assert found["pid"] == up.process.pid
        assert found["url"] == up.url
        assert found["health"]["status"] == "ok"

        second = litestar("up", "--data", str(data), "--port", "0")
        assert second.returncode == 1
        assert "in use by `litestar up`" in second.stderr
        assert up.knows("first@example.org")

        everybody = up.processes()
        assert litestar("down", "--data", str(data)).returncode == 0
        wait_for_end(everybody)
        assert up.wait_for_exit() == 0

    assert litestar("status", "--data", str(data)).returncode == 3


def test_secrets_are_for_the_owner_only_and_never_shown(data: Path) -> None:
    with Up.running(data) as up:
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        secrets = [data / name for name in ("postgres.password", "valkey.password", "keys.json")]
        for file in secrets:
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        private = json.loads(secrets[2].read_text())["keys"][0]["d"]
        shown = up.said() + "".join(process.command for process in up.processes())
        for secret in (secrets[0].read_text(), secrets[1].read_text(), private):
            assert secret not in shown


@pytest.mark.parametrize("moment", ["Valkey runs", "PostgreSQL runs", "Applying migrations", "Ready"])
def test_a_signal_during_the_start_ends_everything(data: Path, moment: str) -> None:
    up = Up(data)
    try:
        up.wait_until_said(moment)
        everybody = up.processes()
        up.process.send_signal(signal.SIGTERM)
        assert up.wait_for_exit() == 0
        wait_for_end(everybody)
    finally:
        up.end()


def test_killed_servers_are_started_again(data: Path) -> None:
    with Up.running(data) as up:
        up.sign_up("committed@example.org")
        for name, part in _SERVERS.items():
            victim, *_ = up.named(part)
            os.kill(victim.pid, signal.SIGKILL)
            up.wait_until_said(f"{name} runs again")
            until(up.healthy, STARTS_WITHIN, "health")
            assert victim not in up.named(part)
            assert up.knows("committed@example.org")
        assert up.process.poll() is None


def test_killed_workers_are_replaced_and_no_later_request_is_lost(data: Path) -> None:
    with Up.running(data) as up:
        granian, *killed = up.named("app.embedded.granian")
        assert len(killed) == 2
        for _ in range(3):
            workers = up.named("app.embedded.granian")[1:]
            for worker in workers:
                os.kill(worker.pid, signal.SIGKILL)
            killed += workers
            # Each has a connection of its own, so half of them wait in the queue of a worker that isn't there yet.
            for _ in range(20):
                assert up.get("/health/live").status_code == 200
        again = up.named("app.embedded.granian")
        assert again[0] == granian
        assert len(again) == 3
        assert not set(again) & set(killed)


@pytest.mark.parametrize("victims", ["the supervisor", "everybody"])
def test_after_a_kill_nothing_is_left_and_nothing_hinders(data: Path, victims: str) -> None:
    up = Up(data)
    try:
        up.wait_until_ready()
        email = f"{victims.replace(' ', '-')}@example.org"
        up.sign_up(email)
        everybody = up.processes()
        for process in everybody if victims == "everybody" else everybody[:1]:
            # Who dies with its parent may be gone already.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        up.process.wait()
        wait_for_end(everybody)
    finally:
        up.end()
    with Up.running(data) as again:
        assert again.knows(email)


def test_a_closed_terminal_ends_everything(data: Path) -> None:
    child, terminal = pty.fork()
    if child == 0:
        # The tests themselves may have been started by nohup, whose children stay when a terminal is closed.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.execve(LITESTAR, [LITESTAR, "up", "--data", str(data), "--port", "0"], ENVIRONMENT)
    said = b""
    while b"Health" not in said:
        said += os.read(terminal, 4096)
    everybody = tree(child)
    os.close(terminal)
    wait_for_end(everybody)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("option", [socket.SO_REUSEADDR, socket.SO_REUSEPORT])
def test_a_port_that_is_taken_is_an_error(data: Path, option: int) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, option, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = litestar("up", "--data", str(data), "--port", str(port))
    assert refused.returncode == 1
    assert f"Port {port}" in refused.stderr
    assert DataFolder(data).owner() is None


def test_serves_on_a_unix_socket_that_a_dead_server_left_behind(data: Path) -> None:
    path = data.with_name("s.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    up = Up(data, "--uds", str(path), "--workers", "1")
    try:
        up.wait_until_said("Unix socket")
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=10) as client:
            assert client.get("http://localhost/health").status_code == 200
    finally:
        up.end()
    assert not path.exists()


def test_reset_deletes_what_is_ours_only(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    KeyRing.generate().save(folder.keys_file)
    other = folder.path / "notes.txt"
    other.write_text("not ours")

    refused = litestar("reset", "--data", str(folder.path))
    assert refused.returncode == 1
    assert "--yes" in refused.stderr
    assert folder.keys_file.exists()

    assert litestar("reset", "--yes", "--data", str(folder.path)).returncode == 0
    assert [entry.name for entry in folder.path.iterdir()] == ["notes.txt"]
