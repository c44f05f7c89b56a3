"""Child processes that never outlive their parent."""

import asyncio
import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Self

_NOBODY = 65534
_PR_SET_PDEATHSIG = 1
_DIES_WITHIN = 2.0
_CAPABILITY = "+dac_override"
_FIRST_PORT_OF_ALL = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


class StartFailed(Exception):
    """A program ended, or did not answer in time, while it was started. The message says which and why."""


def die_with_parent(death: signal.Signals = signal.SIGKILL, parent: int | None = None) -> None:
    """Ask the kernel for a signal when our parent dies, however it dies; Linux only, elsewhere nothing happens.

    The kernel watches the *thread* that started us, so children are to be started by a main thread. The wish is not
    inherited: each process makes it for itself.

    Args:
        death: the signal.
        parent: who our parent is meant to be; when it's gone already, the signal comes at once.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(death), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), death)


@lru_cache
def _namespaces_allowed() -> bool:
    try:
        probe = subprocess.run([*_mapped(), "true"], capture_output=True, check=False)
    except OSError:
        return False
    return probe.returncode == 0


def _mapped() -> tuple[str, ...]:
    return "unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}", "--"


def _nameless() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return True
    return False


@lru_cache
def unprivileged() -> tuple[tuple[str, ...], int]:
    """What to put before a program that refuses to run as root (or as a user without a name), and who owns its files.

    In a user namespace we are seen as nobody and our files stay ours. Where namespaces are forbidden, root really
    becomes nobody, and keeps the one capability that lets it reach its files inside folders that only root may enter.
    """
    me = os.geteuid()
    if me != 0 and not _nameless():
        return (), me
    if _namespaces_allowed():
        return _mapped(), me
    if me != 0:
        return (), me
    drop = (f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
    return ("setpriv", *drop, f"--inh-caps={_CAPABILITY}", f"--ambient-caps={_CAPABILITY}", "--"), _NOBODY


def may_bind(port: int) -> bool:
    """Whether a program that is started with the prefix of `unprivileged` may open a port."""
    if not unprivileged()[0]:
        return True
    try:
        return port >= int(_FIRST_PORT_OF_ALL.read_text())
    except (OSError, ValueError):
        return False


def mortal(command: Sequence[str], death: signal.Signals, prefix: Sequence[str] = ()) -> list[str]:
    """The command line that makes a program get a signal when the process that starts it dies; on Linux only."""
    if sys.platform != "linux":
        return list(command)
    wish = ("setpriv", "--pdeathsig", death.name.removeprefix("SIG"), "--")
    # The wish comes too late when we die before it is made: then the program isn't started at all.
    unless_orphaned = ("sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"', str(os.getpid()))
    return [*prefix, *wish, *unless_orphaned, *command]


class Child:
    """A program that we started, the leader of its own session: a closed terminal doesn't reach it, we do."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self._process = process

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        *,
        death: signal.Signals,
        prefix: Sequence[str] = (),
        log: Path | None = None,
        said: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        descriptors: Iterable[int] = (),
    ) -> Self:
        """Start a program. Call it in the main thread, see `die_with_parent`.

        Args:
            name: how messages call it.
            command: the program and its arguments; everybody can read those, so no secrets.
            death: the signal that it gets when we die.
            prefix: what goes before it, see `unprivileged`.
            log: the file that gets its output; else it writes where we do.
            said: what it reads on its standard input, a few lines at most.
            environment: its environment, else ours.
            descriptors: files that it inherits.

        Raises:
            StartFailed: a program is missing.
        """
        output = None if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(
                mortal(command, death, prefix),
                stdin=subprocess.DEVNULL if said is None else subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                pass_fds=tuple(descriptors),
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise StartFailed(f"{name} can't be started: {error.filename} (of util-linux) is missing.") from None
        finally:
            if output is not None:
                os.close(output)
        if process.stdin is not None:
            # One that is dead already doesn't listen; whoever waits for it will see.
            with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
                pipe.write(said or b"")
        return cls(name, process)

    @property
    def pid(self) -> int:
        """Its process id, which is its group's as well."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal that killed it."""
        return self._process.poll()

    @property
    def ending(self) -> str:
        """How it ended, for a sentence about it."""
        code = self.exit_code or 0
        return f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"

    async def wait(self) -> int:
        """Wait until it has ended; the exit code."""
        if (code := self._process.poll()) is not None:
            return code
        if sys.platform == "linux":
            descriptor = os.pidfd_open(self.pid)
            try:
                await readable(descriptor)
            finally:
                os.close(descriptor)
        while True:
            if (code := self._process.poll()) is not None:
                return code
            await asyncio.sleep(0.05)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        self._process.send_signal(number)

    def send_group(self, number: signal.Signals) -> None:
        """Send a signal to it and to its children that stayed in its group, also when it's dead itself."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return

    async def stop(self, steps: Sequence[tuple[signal.Signals, float]]) -> None:
        """End it: each step is a signal and the seconds that it gets to obey; SIGKILL to the group comes last."""
        for number, grace in steps:
            self.send(number)
            try:
                async with asyncio.timeout(grace):
                    await self.wait()
                    break
            except TimeoutError:
                continue
        self.send_group(signal.SIGKILL)
        await self.wait()


async def readable(descriptor: int) -> bool:
    """Wait until something can be read, or until nothing ever can; always true."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        return await event.wait()
    finally:
        loop.remove_reader(descriptor)


def processes_in(folder: Path, program: str) -> list[int]:
    """The living processes of a program whose working folder is this one. Zombies don't count: they hold nothing."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if Path(os.readlink(entry / "cwd")) == folder and Path(os.readlink(entry / "exe")).name.startswith(program):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


async def clear(folder: Path, program: str, patience: float = 2.0) -> None:
    """Wait until no process of a program works in a folder, and kill those that still do when our patience ends.

    Only for the owner of the data folder's lock: whoever is left is the rest of a tree that was killed.

    Raises:
        StartFailed: one of them belongs to another user, or can't be killed.
    """
    limit = time.monotonic() + patience
    while left := processes_in(folder, program):
        if (late := time.monotonic() - limit) > 0:
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        if late > _DIES_WITHIN:
            raise StartFailed(f"Another {program} works in {folder} and can't be ended: process {left[0]}.")
        await asyncio.sleep(0.02)
