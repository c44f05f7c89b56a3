"""The sockets that the service listens on. The supervisor holds them, so they outlive every Granian."""

import asyncio
import contextlib
import errno
import http.client
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

BACKLOG: Final = 1024
_UDS_MODE: Final = 0o660
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 (what to connect to where somebody listens everywhere)


class AddressError(Exception):
    """The service can't listen there. The message is one line that says why."""


class Address(msgspec.Struct, frozen=True):
    """Where the service listens: on a host and a port, or on a Unix socket."""

    host: str = "127.0.0.1"
    port: int = 8000
    uds: str = ""

    @property
    def url(self) -> str:
        """What to open in a browser on this machine."""
        if self.uds:
            return f"http+unix://{self.uds.replace('/', '%2F')}"
        host = _ANYWHERE.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def get(self, path: str, timeout: float) -> tuple[int, bytes]:
        """Ask the service; status and body.

        Raises:
            OSError: nobody answers there, or not in time.
        """
        connection = _Connection(self, timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()


async def answers(address: Address) -> bool:
    """Whether the service is there and well. As long as it's only being started, the answer may take a while."""
    try:
        async with asyncio.timeout(5):
            if address.uds:
                reader, writer = await asyncio.open_unix_connection(address.uds)
            else:
                reader, writer = await asyncio.open_connection(_ANYWHERE.get(address.host, address.host), address.port)
            try:
                writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: Address, timeout: float) -> None:
        super().__init__(_ANYWHERE.get(address.host, address.host), address.port, timeout=timeout)
        self._uds = address.uds

    def connect(self) -> None:
        if not self._uds:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._uds)


def listen(address: Address, workers: int) -> tuple[list[socket.socket], Address]:
    """Open the sockets, one for each worker; also the address with the port that the kernel chose, if it was 0.

    The kernel spreads connections over the sockets of a port. A Unix socket can't be shared in this way: there is one.

    Raises:
        AddressError: the port or the path is taken or not allowed, or there is no such host.
    """
    if address.uds:
        return [_listen_on_path(Path(address.uds))], msgspec.structs.replace(address, uds=os.path.abspath(address.uds))
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, name = found[0]
        with _bound(family, name) as first:
            # Alone at first, so that a port which another server is ready to share counts as taken.
            name = first.getsockname()
        listeners = [_bound(family, name, socket.SO_REUSEPORT) for _ in range(workers)]
    except socket.gaierror as error:
        raise AddressError(f"There is no host {address.host!r} to listen on: {error.strerror}.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressError(
                f"Port {address.port} of {address.host} is taken by another program: stop that, or choose with --port."
            ) from None
        raise AddressError(f"Can't listen on port {address.port} of {address.host}: {error.strerror}.") from None
    for listener in listeners:
        listener.listen(BACKLOG)
    return listeners, msgspec.structs.replace(address, port=name[1])


def _bound(family: int, name: Any, *options: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in (socket.SO_REUSEADDR, *options):
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.settimeout(0)
        bound.bind(name)
    except OSError:
        bound.close()
        raise
    return bound


def _listen_on_path(path: Path) -> socket.socket:
    """A path that a dead server left behind is taken over; one that somebody answers on, or another file, isn't."""
    if path.exists() and not path.is_socket():
        raise AddressError(f"{path} exists and is no socket: choose another path with --uds.")
    if path.exists() and _answers(path):
        raise AddressError(f"The socket {path} is taken by another program: stop that, or choose with --uds.")
    listener = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(_UDS_MODE)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise AddressError(f"Can't listen on {path}: {error.strerror or error}.") from None
    listener.settimeout(0)
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
        return True


def release(listeners: Iterable[socket.socket], address: Address) -> None:
    """Close the sockets, and remove the path unless somebody else listens there by now."""
    for listener in listeners:
        listener.close()
    path = Path(address.uds)
    with contextlib.suppress(OSError):
        if address.uds and not _answers(path):
            path.unlink()
