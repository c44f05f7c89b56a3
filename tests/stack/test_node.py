"""One node by itself, as a container or a unit runs it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from app.embedded.listener import Address
from tests.cli.up import LITESTAR, until
from tests.stack.running import SLOW

pytestmark = pytest.mark.timeout(300)

_TELL = """
import os, sys
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": sys.argv.pop(1)}
os.execv(sys.argv[1], sys.argv[1:])
"""
_HAND_OVER = f"import os, sys; os.dup2(int(sys.argv.pop(1)), 3){_TELL}"


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="irontrack-test-") as name:
        yield Path(name)


@pytest.mark.parametrize("handed_over", [False, True])
def test_a_node_serves_on_its_socket_and_ends_when_told(
    base_environment: dict[str, str], folder: Path, handed_over: bool
) -> None:
    path = str(folder / "node.sock")
    environment = {**os.environ, **base_environment, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    command = [LITESTAR, "stack", "serve", "--workers", "1"]
    with socket.socket(socket.AF_UNIX) as listener:
        if handed_over:
            listener.bind(path)
            listener.listen()
            command = [sys.executable, "-c", _HAND_OVER, str(listener.fileno()), "1", *command]
        else:
            command += ["--uds", path]
        node = subprocess.Popen(command, env=environment, pass_fds=(listener.fileno(),))
    try:
        until(lambda: _ready(path) or node.poll() is not None, SLOW, "readiness")
        assert node.poll() is None
        probe = [sys.executable, "-m", "app.stack.probe", path]
        assert subprocess.run(probe, check=False).returncode == 0
        node.send_signal(signal.SIGTERM)
        assert node.wait(SLOW) == 0
        assert subprocess.run(probe, capture_output=True, check=False).returncode == 1
    finally:
        node.kill()
        node.wait()


def test_a_node_refuses_several_sockets(base_environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", _TELL, "2", LITESTAR, "stack", "serve", "--port", "1"]
    refused = subprocess.run(
        command, env={**os.environ, **base_environment}, capture_output=True, text=True, timeout=SLOW, check=False
    )
    assert refused.returncode == 1
    assert "one socket" in refused.stderr


def _ready(path: str) -> bool:
    try:
        return Address(uds=path).get("/health/ready", timeout=5)[0] == 200
    except OSError:
        return False
