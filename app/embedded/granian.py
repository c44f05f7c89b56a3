"""Granian as the supervisor starts it: ``python -m app.embedded.granian``.

It differs from Granian's own command in three things. The listening sockets come from the supervisor, so connections
wait in their queues while a worker, or all of Granian, is replaced; Granian's own TCP sockets die with the worker that
made them. The application is loaded once, before the workers are forked, so a new worker is there in milliseconds. And
no signal is slept through.
"""

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import time
from argparse import ArgumentParser
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels
from granian.server.mp import MPServer, WorkerProcess

from app.embedded.listener import BACKLOG
from app.embedded.process import die_with_parent
from app.logs import writer

if TYPE_CHECKING:
    from litestar.types import ASGIApp

_EARLY = 0.5
_TOO_MANY = 8
_AT_ONCE = 5.0


class Bell:
    """Wakes Granian's main loop, in the place of a `threading.Event`.

    That one sleeps on when the kernel hands a signal to another thread, as it does with a process that was frozen when
    the signal came (by ``docker pause``, say); and a handler that sets it may wait for a lock of what it interrupts.
    """

    def __init__(self) -> None:
        self._rung = False
        self._heard, self._rope = os.pipe()
        os.set_blocking(self._rope, False)
        # Python writes here in whichever thread a signal arrives.
        signal.set_wakeup_fd(self._rope, warn_on_full_buffer=False)

    def set(self) -> None:
        """Wake the loop, or keep it from falling asleep."""
        self._rung = True
        with contextlib.suppress(BlockingIOError):
            os.write(self._rope, b"\0")

    def clear(self) -> None:
        """Let it sleep again."""
        self._rung = False

    def wait(self) -> None:
        """Sleep until it is woken; signal handlers run meanwhile."""
        while not self._rung:
            os.read(self._heard, 4096)


class InheritedSocketServer(MPServer):
    """Granian on listening sockets that exist already; the workers take turns with them when they are fewer."""

    def __init__(self, sockets: Sequence[SocketHolder], **options: Any) -> None:
        super().__init__("app.asgi:app", **options)
        self._inherited = sockets
        self._early_ends: deque[float] = deque(maxlen=_TOO_MANY)
        self.main_loop_interrupt = Bell()  # type: ignore[assignment]  # it has what is used of an event

    def _init_shared_socket(self) -> None:
        # What the parent's method does for Unix sockets, without making one.
        self._sso = None

    def _spawn_worker(self, idx: int, *options: Any, **named: Any) -> WorkerProcess:
        self._shd = self._inherited[idx % len(self._inherited)]  # type: ignore[assignment]  # Granian gives it no type
        return super()._spawn_worker(idx, *options, **named)

    def _respawn_workers(self, workers: Sequence[int], *options: Any, **named: Any) -> None:
        if "delay" not in named:
            # While it takes down the end of one worker Granian may overlook that of another: so look at all of them.
            workers = [number for number, worker in enumerate(self.wrks) if worker.inner.exitcode is not None]
            now = time.monotonic()
            self._early_ends.extend(now for number in workers if now - self.wrks[number].birth < _EARLY)
        super()._respawn_workers(workers, *options, **named)
        # Granian gives up when the same worker ends twice within seconds. A new one costs us next to nothing, so only a
        # series of early ends means that the application can't live.
        if len(self._early_ends) < _TOO_MANY or self._early_ends[-1] - self._early_ends[0] > _AT_ONCE:
            self.respawned_wrks.clear()


def announcing(app: "ASGIApp", ready: int) -> "ASGIApp":
    """The application, which tells when it has started."""

    async def announced(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return

        async def tell(message: Any) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                # Whoever waited may have stopped waiting: this worker is a later one then.
                with contextlib.suppress(OSError):
                    os.write(ready, b"\n")

        await app(scope, receive, tell)

    return announced


def main() -> None:
    """Load the application, wait for the word that everything is prepared, serve until a signal comes."""
    parser = ArgumentParser()
    parser.add_argument("--fd", type=int, action="append", required=True, help="a listening socket")
    parser.add_argument("--uds", action="store_true", help="they are Unix sockets")
    parser.add_argument("--gate", type=int, help="a pipe: a byte lets us serve, its end ends us; else serve at once")
    parser.add_argument("--ready", type=int, help="a pipe that gets a byte of each worker once its application runs")
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--workers-kill-timeout", type=int, required=True, help="seconds for requests in flight")
    options = parser.parse_args()

    # Loading makes a lot of objects and no garbage: a tenth of the time until we serve went into looking for some.
    gc.disable()
    # A template engine that Alembic brings loads Pygments where it can, for error pages that nobody sees: 5 MB.
    sys.modules["pygments"] = None  # type: ignore[assignment]
    from app.asgi import app  # noqa: PLC0415

    def load() -> Any:
        """Runs in each worker."""
        parent = multiprocessing.parent_process()
        die_with_parent(signal.SIGKILL, parent.pid if parent else None)
        gc.enable()
        return app if options.ready is None else announcing(app, options.ready)

    # A thread doesn't survive a fork: each worker starts its own writer with its first line.
    writer.stop()
    gc.freeze()
    if options.gate is not None and not os.read(options.gate, 1):
        return
    multiprocessing.set_start_method("fork")
    server = InheritedSocketServer(
        [SocketHolder(descriptor, options.uds, BACKLOG) for descriptor in options.fd],  # type: ignore[call-arg]  # its stub has none
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        loop=Loops.uvloop,
        workers=options.workers,
        backlog=BACKLOG,
        respawn_failed_workers=True,
        workers_kill_timeout=options.workers_kill_timeout,
        log_level=LogLevels.warning,
    )
    server.serve(target_loader=load, wrap_loader=False)


if __name__ == "__main__":
    main()
