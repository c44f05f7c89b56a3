"""One process that starts PostgreSQL, Valkey and Granian, watches them, and ends them."""

import asyncio
import contextlib
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final, Protocol

import msgspec

from app.embedded.folder import DataFolder
from app.embedded.listener import Address, answers
from app.embedded.process import Child, StartFailed, die_with_parent, readable
from app.embedded.services import embedded_servers, signing_keys
from app.settings import load_settings

Say = Callable[[str], None]
Prepare = Callable[[Mapping[str, str]], None]

_ROOT: Final = Path(__file__).resolve().parents[2]
OTHER_CONNECTIONS: Final = 20
_GRACE: Final = 2
_RESTARTS: Final = 5
_RESTARTS_WITHIN: Final = 60.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Running(msgspec.Struct, frozen=True):
    """What runs, written into the data folder for `litestar status`. True for as long as somebody owns the folder."""

    pid: int
    address: Address
    workers: int
    servers: dict[str, str]
    """PostgreSQL and Valkey: ``embedded`` or ``external``."""


class Service(Protocol):
    """What the supervisor watches."""

    name: str
    child: Child | None

    async def start(self) -> None:
        """Start it and wait until it answers."""

    async def stop(self) -> None:
        """End it."""


class Granian:
    """Granian on listening sockets that the supervisor holds."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        address: Address,
        workers: int,
        environment: Mapping[str, str],
        *,
        name: str = "Granian",
        grace: int = _GRACE,
        log: Path | None = None,
    ) -> None:
        """
        Args:
            name: how messages call it.
            grace: seconds for requests in flight when it ends.
            log: the file that gets what its workers log; else they write where we do.
            environment: of the next one that is started.
        """
        self.name = name
        self.child: Child | None = None
        self._grace = grace
        self._log = log
        self._descriptors = tuple(listener.fileno() for listener in listeners)
        self._address = address
        self._workers = workers
        self.environment = environment
        self._gate = -1
        self._ready = -1

    def load(self) -> None:
        """Start it: it loads the application and waits for `serve`, which takes a second or two."""
        self._close_pipes()
        gate, self._gate = os.pipe()
        self._ready, ready = os.pipe()
        options = {"--gate": gate, "--ready": ready, "--workers": self._workers, "--workers-kill-timeout": self._grace}
        command = [sys.executable, "-m", "app.embedded.granian"]
        command += (f"{name}={value}" for name, value in options.items())
        command += (f"--fd={descriptor}" for descriptor in self._descriptors)
        try:
            self.child = Child.start(
                self.name,
                [*command, "--uds"] if self._address.uds else command,
                death=signal.SIGKILL,
                log=self._log,
                environment=self.environment,
                descriptors=(*self._descriptors, gate, ready),
            )
        finally:
            os.close(gate)
            os.close(ready)

    async def serve(self, within: float = 60.0) -> None:
        """Let it serve, and wait until it answers.

        Raises:
            StartFailed: it ended or took too long.
        """
        if self.child is None:
            raise StartFailed(f"{self.name} is not there.")
        # When it's dead already, the tasks below find out.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._gate, b"\n")
        answered = asyncio.create_task(self._answered())
        ended = asyncio.create_task(self.child.wait())
        try:
            await asyncio.wait((answered, ended), timeout=within, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                where = "above" if self._log is None else f"in {self._log}"
                raise StartFailed(f"{self.name} {self.child.ending} while it started; its messages are {where}.")
            if not answered.done():
                raise StartFailed(f"The service did not answer within {within:.0f} s.")
        finally:
            answered.cancel()
            ended.cancel()

    async def start(self) -> None:
        """Start it and wait until it answers."""
        self.load()
        await self.serve()

    async def stop(self) -> None:
        """End it once the requests in flight are answered, which have the seconds of its grace."""
        self._close_pipes()
        if self.child is not None:
            await self._end(self.child)

    async def replace(self) -> None:
        """Let a new one serve beside it, on the same sockets; then end the old one as `stop` does.

        Raises:
            StartFailed: the new one doesn't serve; the old one goes on.
        """
        old = self.child
        self.load()
        try:
            await self.serve()
        except BaseException:
            new, self.child = self.child, old
            if new is not None:
                await new.stop(())
            raise
        if old is not None:
            await self._end(old)

    async def _end(self, child: Child) -> None:
        # A worker that was just being started loses a signal, so it's sent again, to all of them.
        child.send(signal.SIGTERM)
        for _ in range(3):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._grace / 3):
                    await child.wait()
                    break
            child.send_group(signal.SIGTERM)
        await child.stop([(signal.SIGTERM, 0.3)])

    async def _answered(self) -> None:
        """Each of its own workers runs: an answer alone may be that of an older one on the same sockets."""
        waiting = self._workers
        while waiting and await readable(self._ready):
            if not (told := os.read(self._ready, waiting)):
                # It is about to end, of which `serve` hears by itself.
                await asyncio.get_running_loop().create_future()
            waiting -= len(told)
        await _answered(self._address)

    def _close_pipes(self) -> None:
        for descriptor in (self._gate, self._ready):
            if descriptor >= 0:
                os.close(descriptor)
        self._gate = self._ready = -1


class Overseer(ABC):
    """Runs parts until a signal comes, or until one ends that can't be started again."""

    def __init__(self, folder: DataFolder, *, prepare: Prepare, say: Say) -> None:
        """
        Args:
            folder: the data folder, which we own.
            prepare: brings the database up to date; runs in a forked process, gets the environment of the service.
            say: tells the person at the terminal.
        """
        self._folder = folder
        # A former owner that was killed has left its own: nobody may take that for ours.
        folder.state_file.unlink(missing_ok=True)
        self._prepare = prepare
        self._say = say
        self._preparing: BaseProcess | None = None
        self._restarts: deque[float] = deque(maxlen=_RESTARTS)
        self._stopping = False

    async def run(self, ready: Callable[[], None]) -> None:
        """Run the service. Returns after a signal.

        Args:
            ready: called once the service answers.

        Raises:
            StartFailed: a part didn't start, or ended too often.
        """
        loop = asyncio.get_running_loop()
        life = loop.create_task(self._live(ready))
        launcher = _launcher()
        if launcher is not None:
            loop.add_reader(launcher, self._end, life)
        for number in _SIGNALS:
            # Whoever was told to ignore this one (nohup) outlives its terminal.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._end, life)
        try:
            await life
        except asyncio.CancelledError:
            self._say("Stopping.")
        finally:
            self._stopping = True
            if self._preparing is not None and self._preparing.is_alive():
                self._preparing.kill()
                self._preparing.join()
            await self._stop()
            self._folder.state_file.unlink(missing_ok=True)

    def _end(self, life: asyncio.Task[None]) -> None:
        # Whatever comes while we are stopping already: a second signal changes nothing.
        if not self._stopping:
            self._stopping = True
            life.cancel()

    @abstractmethod
    async def _live(self, ready: Callable[[], None]) -> None:
        """Start everything, say so, and watch it."""

    @abstractmethod
    async def _stop(self) -> None:
        """End everything."""

    async def _start(self, server: Service) -> None:
        await server.start()
        self._say(f"{server.name} runs.")

    async def _bring_up_to_date(self, environment: Mapping[str, str]) -> None:
        """In a forked process, which has loaded everything already and can be ended at any time."""
        self._preparing = multiprocessing.get_context("fork").Process(
            target=_in_child, args=(self._prepare, environment, os.getpid())
        )
        self._preparing.start()
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._preparing.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._preparing.sentinel)
        self._preparing.join()
        if code := self._preparing.exitcode:
            how = "see above" if code > 0 else f"that process was killed ({signal.Signals(-code).name})"
            raise StartFailed(f"The service could not be prepared: {how}.")

    async def _keep(self, service: Service) -> None:
        while (child := service.child) is not None:
            await child.wait()
            if service.child is not child:
                # It was replaced, not lost.
                continue
            self._say(f"{service.name} {child.ending}; starting it again.")
            await self._revive(service, child.ending)
            self._say(f"{service.name} runs again.")

    async def _revive(self, service: Service, ending: str) -> None:
        """Start a part again that has ended.

        Raises:
            StartFailed: it does not start, or all of them have ended too often.
        """
        now = time.monotonic()
        if len(self._restarts) == _RESTARTS and now - self._restarts[0] < _RESTARTS_WITHIN:
            raise StartFailed(f"{service.name} {ending}, after {_RESTARTS} restarts within a minute.")
        self._restarts.append(now)
        await service.stop()
        await service.start()

    def _write_state(self, state: msgspec.Struct) -> None:
        draft = self._folder.state_file.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(state))
        draft.replace(self._folder.state_file)


class Supervisor(Overseer):
    """PostgreSQL, Valkey and one Granian that everybody can reach: what `litestar up` runs."""

    def __init__(
        self,
        folder: DataFolder,
        listeners: Sequence[socket.socket],
        address: Address,
        workers: int,
        *,
        prepare: Prepare,
        say: Say,
        environment: Mapping[str, str],
    ) -> None:
        """
        Args:
            folder: the data folder, which we own.
            listeners: the listening sockets.
            address: where they listen.
            workers: of Granian.
            prepare: brings the database up to date; runs in a forked process, gets the environment of the service.
            say: tells the person at the terminal.
            environment: which decides what is embedded.
        """
        super().__init__(folder, prepare=prepare, say=say)
        self._address = address
        self._workers = workers
        pools = workers * load_settings(environment).database.pool_size
        self._servers = embedded_servers(folder, environment, pools + OTHER_CONNECTIONS)
        urls = {name: server.url for name, server in self._servers.items()}
        if not address.uds:
            urls["PUBLIC_URL"] = environment.get("PUBLIC_URL") or address.url
        self.environment = worker_environment(folder, environment) | urls
        self._granian = Granian(listeners, address, workers, self.environment)

    async def _live(self, ready: Callable[[], None]) -> None:
        self._granian.load()
        await together(*(self._start(server) for server in self._servers.values()))
        await self._bring_up_to_date(self.environment)
        await self._granian.serve()
        servers = {
            "postgresql": "embedded" if "DATABASE_URL" in self._servers else "external",
            "valkey": "embedded" if "VALKEY_URL" in self._servers else "external",
        }
        self._write_state(Running(os.getpid(), self._address, self._workers, servers))
        ready()
        await together(*(self._keep(service) for service in (*self._servers.values(), self._granian)))

    async def _stop(self) -> None:
        await self._granian.stop()
        await together(*(server.stop() for server in self._servers.values()))


def worker_environment(folder: DataFolder, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of the workers, those of the servers excepted; their folder of counters is made anew."""
    metrics = folder.path / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(mode=0o700)
    return {
        **environment,
        **signing_keys(folder, environment),
        "IRONTRACK_DATA": str(folder.path),
        "METRICS_FOLDER": str(metrics),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        # Else glibc keeps the memory of the last password hash, 19 MiB in each worker.
        "MALLOC_MMAP_THRESHOLD_": environment.get("MALLOC_MMAP_THRESHOLD_") or str(1 << 20),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), environment.get("PYTHONPATH")))),
    }


def _launcher() -> int | None:
    """A descriptor that tells when `uv run` dies, which started us and waits for us; killed, it would leave us behind.

    Not so for a shell, whose end a service started in its background is meant to survive.
    """
    if sys.platform != "linux":
        return None
    parent = os.getppid()
    try:
        descriptor = os.pidfd_open(parent)
        if Path(f"/proc/{parent}/comm").read_text().strip() == "uv":
            return descriptor
        os.close(descriptor)
    except OSError:
        return None
    return None


def _in_child(prepare: Prepare, environment: Mapping[str, str], parent: int) -> None:
    """What a forked process does: first of all forget the event loop's signals, and die with the supervisor."""
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    die_with_parent(signal.SIGKILL, parent)
    os.environ.update(environment)
    prepare(environment)


async def _answered(address: Address) -> None:
    while True:
        if await answers(address):
            return
        await asyncio.sleep(0.02)


async def together(*steps: Coroutine[None, None, None]) -> None:
    """Do all at the same time; the first failure ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
