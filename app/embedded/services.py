"""Both servers, for as long as a command needs them."""

import asyncio
import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from app.embedded.binaries import NotEmbeddable
from app.embedded.folder import Busy, DataFolder, FolderError
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.security.keys import KeyRing

Server = EmbeddedPostgres | EmbeddedValkey

_URLS: Final[Mapping[str, type[Server]]] = {"DATABASE_URL": EmbeddedPostgres, "VALKEY_URL": EmbeddedValkey}
_CONNECTIONS: Final = 100
_PATIENCE: Final = 15.0


def embedded_servers(
    folder: DataFolder, environment: Mapping[str, str], connections: int = _CONNECTIONS
) -> dict[str, Server]:
    """The servers to embed, by the variable that would have named another: those whose variable isn't set.

    Args:
        folder: the data folder.
        environment: where the variables are looked up.
        connections: that PostgreSQL has to take; it takes its usual 100 at least.

    Raises:
        NotEmbeddable: this isn't Linux.
    """
    wanted = {name: server for name, server in _URLS.items() if not environment.get(name)}
    if wanted and sys.platform != "linux":
        names, variables = (" and ".join(parts) for parts in ((server.name for server in wanted.values()), wanted))
        raise NotEmbeddable(f"{names} can be embedded on Linux only: set {variables} to what runs elsewhere.")
    servers: dict[str, Server] = {}
    if "DATABASE_URL" in wanted:
        servers["DATABASE_URL"] = EmbeddedPostgres(
            folder.path, {"max_connections": str(max(connections, _CONNECTIONS))}
        )
    if "VALKEY_URL" in wanted:
        servers["VALKEY_URL"] = EmbeddedValkey(folder.path)
    return servers


def signing_keys(folder: DataFolder, environment: Mapping[str, str]) -> dict[str, str]:
    """The variable that says where the signing keys are; makes a key when nobody brought one."""
    if environment.get("JWT_PRIVATE_KEY") or environment.get("JWT_KEYS_FILE"):
        return {}
    if not folder.keys_file.exists():
        KeyRing.generate().save(folder.keys_file)
    return {"JWT_KEYS_FILE": str(folder.keys_file)}


@contextlib.contextmanager
def open_services(data: Path, command: str, environment: Mapping[str, str] = os.environ) -> Iterator[dict[str, str]]:
    """The servers that a command works on: those that the URLs name; else those of the data folder, which are started
    for the command's time when they don't run.

    Not to be entered inside an event loop, since it runs its own: ``with open_services(…): asyncio.run(…)``.

    Args:
        data: the data folder.
        command: how others are told about us meanwhile, such as ``litestar users create``.
        environment: where DATABASE_URL and VALKEY_URL are looked up.

    Yields:
        the variables to put over the environment before the settings are read.

    Raises:
        FolderError: the data folder can't be used.
        NotEmbeddable: a server can't be embedded on this machine.
        StartFailed: a server didn't start.
    """
    found = {name: environment[name] for name in _URLS if environment.get(name)}
    folder = DataFolder(data)
    found["IRONTRACK_DATA"] = str(folder.path)
    if len(found) > len(_URLS):
        yield found
        return
    with contextlib.ExitStack() as stack:
        servers = _borrow_or_start(folder, command, environment, stack)
        found |= signing_keys(folder, environment)
        yield found | {name: server.url for name, server in servers.items()}


def _borrow_or_start(
    folder: DataFolder, command: str, environment: Mapping[str, str], stack: contextlib.ExitStack
) -> dict[str, Server]:
    limit = time.monotonic() + _PATIENCE
    while True:
        with contextlib.ExitStack() as attempt:
            try:
                attempt.enter_context(folder.owned(command))
            except Busy as busy:
                if _borrowed(folder, attempt):
                    servers = embedded_servers(folder, environment)
                    if asyncio.run(_all_ready(list(servers.values()))):
                        stack.push(attempt.pop_all())
                        return servers
                if time.monotonic() > limit:
                    raise FolderError(f"{busy} Its servers do not answer.") from None
            else:
                servers = embedded_servers(folder, environment)
                attempt.callback(_stop, list(servers.values()))
                attempt.callback(_wait_for_borrowers, folder)
                signing_keys(folder, environment)
                _start(list(servers.values()))
                stack.push(attempt.pop_all())
                return servers
        time.sleep(0.05)


def _borrowed(folder: DataFolder, stack: contextlib.ExitStack) -> bool:
    """Hold the servers: a command that started them lets them run until we are done."""
    descriptor = os.open(folder.borrowers_file, os.O_RDWR | os.O_CREAT, 0o600)
    stack.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for_borrowers(folder: DataFolder) -> None:
    descriptor = os.open(folder.borrowers_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


async def _all_ready(servers: Sequence[Server]) -> bool:
    return all(await asyncio.gather(*(server.ready() for server in servers)))


def _start(servers: Sequence[Server]) -> None:
    async def start_all() -> None:
        await asyncio.gather(*(server.start() for server in servers))

    asyncio.run(start_all())


def _stop(servers: Sequence[Server]) -> None:
    async def stop_all() -> None:
        await asyncio.gather(*(server.stop() for server in servers))

    asyncio.run(stop_all())
