"""One node of the application in a container or a unit: Granian on one socket, without a supervisor."""

import os
import socket
import sys
from pathlib import Path
from typing import Final, NoReturn

from app.embedded.listener import Address, AddressError, listen
from app.settings import Settings

__all__ = ("serve_node",)

_FIRST_INHERITED: Final = 3


def serve_node(address: Address, workers: int, settings: Settings) -> NoReturn:
    """Become Granian, on the socket that systemd has opened or on one at an address.

    Args:
        address: a path, or a host and a port; not used when systemd hands a socket over.
        workers: processes that answer.
        settings: say how long requests may take.

    Raises:
        AddressError: the path is taken.
    """
    if settings.log.metrics_folder:
        for counters in Path(settings.log.metrics_folder).glob("*.db"):
            # Of processes that have ended: ours may get their numbers.
            counters.unlink(missing_ok=True)
    descriptor = _handed_over()
    if descriptor is None:
        (listener,), _ = listen(address, 1)
        descriptor = listener.detach()
    os.set_inheritable(descriptor, True)  # noqa: FBT003 (its only argument)
    grace = int(settings.limits.request_timeout) + 5
    with socket.socket(fileno=os.dup(descriptor)) as listening:
        uds = ("--uds",) if listening.family == socket.AF_UNIX else ()
    options = (f"--fd={descriptor}", *uds, f"--workers={workers}", f"--workers-kill-timeout={grace}")
    root = str(Path(__file__).parents[2])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
        "MALLOC_MMAP_THRESHOLD_": os.environ.get("MALLOC_MMAP_THRESHOLD_") or str(1 << 20),
    }
    os.execve(sys.executable, [sys.executable, "-m", "app.embedded.granian", *options], environment)  # noqa: S606


def _handed_over() -> int | None:
    """The socket of a unit that is started by its socket (sd_listen_fds).

    Raises:
        AddressError: there are several, of which only one would be answered.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    if (handed := os.environ.get("LISTEN_FDS")) != "1":
        raise AddressError(f"A node listens on one socket, and systemd has handed over {handed}.")
    return _FIRST_INHERITED
