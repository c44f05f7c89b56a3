"""A worker's side of the process that reads files: started when needed, ended when it is idle or takes too long."""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec
import structlog

from app.domain.imports.archive import ArchiveIndex, Member
from app.domain.imports.process import (
    LENGTH,
    Failed,
    Index,
    Members,
    OpenArchive,
    Original,
    ReadContent,
    Reading,
    ReadMembers,
    ReadUpload,
    Reply,
    Request,
)
from app.domain.imports.reading import FileReading

__all__ = ("Workshop",)

R = TypeVar("R", Original, Reading, Index, Members)

_ROOT: Final = Path(__file__).parents[3]
_MODULE: Final = "app.domain.imports.process"
_WITHIN: Final = 30.0
_ARCHIVE_WITHIN: Final = 120.0
_IDLE: Final = 60.0
_TRIES: Final = 2
_TOO_LONG: Final = "It takes too long to read."
_TOO_MUCH: Final = "It can't be read."

_replies: Final = msgspec.msgpack.Decoder(Reply)
_log = structlog.get_logger("irontrack.imports")


class Workshop:
    """Reads files, one after the other, in a process of its own."""

    def __init__(self, within: float = _WITHIN, idle: float = _IDLE) -> None:
        """
        Args:
            within: seconds that a file may take.
            idle: seconds after which a process without work is ended.
        """
        self._within = within
        self._idle = idle
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._ending: asyncio.TimerHandle | None = None

    @classmethod
    @asynccontextmanager
    async def opened(cls) -> AsyncIterator[Self]:
        """A workshop, whose process ends with the block."""
        workshop = cls()
        try:
            yield workshop
        finally:
            await workshop.close()

    async def close(self) -> None:
        """End the process."""
        if self._ending:
            self._ending.cancel()
        if process := self._process:
            self._end()
            await process.wait()

    async def read_content(self, content: bytes) -> FileReading:
        """The runs in a file whose sport is known to be running."""
        reply = await self._ask(ReadContent(content), Reading, self._within)
        return FileReading(reason=reply.reason) if isinstance(reply, Failed) else reply.reading

    async def read_upload(self, path: str) -> Original:
        """The runs in a file on this machine."""
        reply = await self._ask(ReadUpload(path), Original, self._within)
        return Original(FileReading(reason=reply.reason)) if isinstance(reply, Failed) else reply

    async def open_archive(self, path: str) -> ArchiveIndex:
        """What is in an archive on this machine."""
        reply = await self._ask(OpenArchive(path), Index, _ARCHIVE_WITHIN)
        return ArchiveIndex(reason=reply.reason) if isinstance(reply, Failed) else reply.index

    async def read_members(self, path: str, names: list[str]) -> list[Member]:
        """Files of an archive."""
        reply = await self._ask(ReadMembers(path, names), Members, _ARCHIVE_WITHIN)
        return [Member(reason=reply.reason)] * len(names) if isinstance(reply, Failed) else reply.members

    async def _ask(self, request: Request, kind: type[R], within: float) -> R | Failed:
        async with self._turn:
            if self._ending:
                self._ending.cancel()
            try:
                async with asyncio.timeout(within):
                    reply = await self._exchanged(request)
            except TimeoutError:
                self._end()
                return Failed(_TOO_LONG)
            except BaseException:
                # Cancelled between a request and its reply, which nobody is to take for that to another one.
                self._end()
                raise
            self._ending = asyncio.get_running_loop().call_later(self._idle, self._end)
            return reply if isinstance(reply, kind | Failed) else Failed(_TOO_MUCH)

    async def _exchanged(self, request: Request) -> Reply:
        """The reply of a process; of another one when the first has died, which may be nothing that the file did."""
        for _ in range(_TRIES):
            try:
                return await self._exchange(request)
            except (OSError, EOFError):
                _log.warning("the process that reads files has died", request=type(request).__name__)
                self._end()
        return Failed(_TOO_MUCH)

    async def _exchange(self, request: Request) -> Reply:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await self._start()
        if process.stdin is None or process.stdout is None:
            raise EOFError
        encoded = msgspec.msgpack.encode(request)
        process.stdin.write(len(encoded).to_bytes(LENGTH, "big"))
        process.stdin.write(encoded)
        await process.stdin.drain()
        head = await process.stdout.readexactly(LENGTH)
        reply: Reply = _replies.decode(await process.stdout.readexactly(int.from_bytes(head, "big")))
        return reply

    async def _start(self) -> Process:
        # None of our variables: they hold passwords and keys, which have no business beside hostile files.
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "TZ", "TMPDIR") if name in os.environ}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _MODULE,
            cwd=_ROOT,
            env=environment,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            start_new_session=True,
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
