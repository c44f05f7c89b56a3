"""An own Valkey 9 on a Unix socket, its append-only file in a folder."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from app.embedded.binaries import valkey_program
from app.embedded.folder import last_words, log_file, secret, socket_folder
from app.embedded.process import Child, StartFailed, clear

_STOP: Final = ((signal.SIGTERM, 1.2),)
_ANSWER_WITHIN: Final = 1.0


class EmbeddedValkey:
    """A Valkey server that forgets nothing: append-only file, no eviction.

    Whoever starts one makes sure that nobody else starts it at the same time, see `DataFolder.owned`.
    """

    name = "Valkey"

    def __init__(self, data: Path, configuration: "Callable[[EmbeddedValkey, str], str] | None" = None) -> None:
        """
        Args:
            data: an existing folder, mode 0700; the files go into ``valkey`` in it.
            configuration: makes another one than ours, for the same socket, files and password.
        """
        self.data = data.resolve()
        self.files = self.data / "valkey"
        self.socket = socket_folder(self.data) / "valkey.sock"
        self.log = self.data / "logs" / "valkey.log"
        self.child: Child | None = None
        self._password = secret(self.data / "valkey.password")
        self._configured = configuration

    @property
    def url(self) -> str:
        """Where it is, as valkey-py wants to be told."""
        return f"unix://:{self._password}@{self.socket}?db=0"

    async def start(self, within: float = 60.0) -> None:
        """Start the server and wait until it answers.

        Args:
            within: seconds; a long append-only file takes some to read.

        Raises:
            NotEmbeddable: there is no Valkey for this machine.
            StartFailed: it ended or took too long.
        """
        program = valkey_program()
        self.files.mkdir(mode=0o700, exist_ok=True)
        await clear(self.files, "valkey")
        self.socket.unlink(missing_ok=True)
        self.log = log_file(self.data, "valkey")
        before = self.log.stat().st_size if self.log.exists() else 0
        self.child = Child.start(
            self.name,
            [str(program), "-"],
            death=signal.SIGTERM,
            log=self.log,
            said=self._configuration().encode(),
        )
        limit = time.monotonic() + within
        while not await self.ready():
            if self.child.exit_code is not None:
                raise StartFailed(f"Valkey {self.child.ending} while it started: {last_words(self.log, before)}")
            if time.monotonic() > limit:
                await self.stop()
                raise StartFailed(f"Valkey was not ready within {within:.0f} s; its log is {self.log}.")
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """End the server, in order if it obeys in time."""
        if self.child is not None:
            await self.child.stop(_STOP)

    def _configuration(self) -> str:
        """Told on the standard input, so that the password stands in one file only and on no command line."""
        if self._configured is not None:
            return self._configured(self, self._password)
        return "\n".join(
            (
                "port 0",
                f'unixsocket "{self.socket}"',
                "unixsocketperm 700",
                f"requirepass {self._password}",
                f'dir "{_quoted(self.files)}"',
                "appendonly yes",
                "appendfsync everysec",
                'save ""',
                "maxmemory-policy noeviction",
                "daemonize no",
                "",
            )
        )

    async def ready(self) -> bool:
        """Whether it answers."""
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                reader, writer = await asyncio.open_unix_connection(self.socket)
                try:
                    writer.write(f"AUTH {self._password}\r\nPING\r\n".encode())
                    return [await reader.readline(), await reader.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')
