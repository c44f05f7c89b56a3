import os
import signal
import subprocess
import sys
from pathlib import Path

from app.embedded.process import Child, may_bind, mortal, unprivileged
from tests.cli.up import tree, until, wait_for_end

_PARENT = """
import os, signal, subprocess, sys, time
from app.embedded.process import mortal
child = subprocess.Popen(mortal(["sleep", "60"], signal.SIGTERM))
print(child.pid, flush=True)
time.sleep(60)
"""
_BIND = """
import socket, sys
try:
    socket.socket(type=socket.SOCK_DGRAM).bind(("127.0.0.1", int(sys.argv[1])))
except PermissionError:
    sys.exit(3)
except OSError:
    pass
"""


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def test_a_child_dies_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        until(lambda: command_of(child) == "sleep 60", 5, "the child's program")
        parent.kill()
    until(lambda: not command_of(child), 5, "the child's end")


def test_a_program_whose_parent_died_before_the_wish_is_not_started() -> None:
    command = mortal(["echo", "started"], signal.SIGTERM)
    somebody_else = [str(os.getpid() + 1) if part == str(os.getpid()) else part for part in command]
    assert subprocess.run(somebody_else, capture_output=True, text=True, check=False).stdout == ""
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == "started\n"


async def test_one_that_does_not_obey_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = Child.start("sh", ["sh", "-c", "trap '' TERM; echo ready; sleep 60"], death=signal.SIGKILL, log=log)
    until(lambda: log.exists() and log.read_text(), 5, "its trap")
    everybody = tree(child.pid)
    await child.stop([(signal.SIGTERM, 0.1)])
    assert child.ending == "was killed (SIGKILL)"
    wait_for_end(everybody)


async def test_the_end_of_a_child_is_noticed_and_told() -> None:
    child = Child.start("sh", ["sh", "-c", "exit 3"], death=signal.SIGKILL)
    assert await child.wait() == 3
    assert child.ending == "ended with exit code 3"


def test_it_is_known_beforehand_which_ports_a_program_may_open() -> None:
    prefix, _ = unprivileged()
    for port in (443, 40_443):
        tried = subprocess.run([*prefix, sys.executable, "-c", _BIND, str(port)], check=False)
        assert may_bind(port) == (tried.returncode == 0) or not prefix
