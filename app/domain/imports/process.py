"""The process that reads what others have made: files and archives, one request after the other.

It has a low priority, bounded memory, no secrets and no database. Whatever a file does to it, the worker that started
it lives on, answers others meanwhile, and ends it when it takes too long. Run as ``python -m``.
"""

import contextlib
import gzip
import os
import resource
import sys
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from msgspec import Struct

from app.domain.imports.archive import ArchiveIndex, Member, open_archive, read_members
from app.domain.imports.reading import FileReading, is_packed, read_file

__all__ = (
    "LENGTH",
    "Failed",
    "OpenArchive",
    "Original",
    "ReadContent",
    "ReadMembers",
    "ReadUpload",
    "Reply",
    "Request",
)

LENGTH: Final = 8
"""Bytes of the number before each message."""

_MEMORY: Final = 1 << 30
_NICENESS: Final = 5
_LEVEL: Final = 6


class ReadContent(Struct, frozen=True, tag=True):
    """Asks for the runs in a gzipped file that is sent along.

    Attributes:
        trusts_sport: see `read_file`.
    """

    content: bytes
    trusts_sport: bool = False


class ReadUpload(Struct, frozen=True, tag=True):
    """Asks for the runs in a file on this machine, and for the file as it is to be kept."""

    path: str


class OpenArchive(Struct, frozen=True, tag=True):
    """Asks what is in an archive on this machine."""

    path: str


class ReadMembers(Struct, frozen=True, tag=True):
    """Asks for files of an archive."""

    path: str
    names: list[str]


class Original(Struct, frozen=True, tag=True):
    """A file as it is to be kept, and what it holds.

    Attributes:
        content: gzipped; empty where no run came of it.
        is_wrapped: whether it was gzipped by us, and so is handed out without.
    """

    reading: FileReading
    content: bytes = b""
    is_wrapped: bool = False


class Reading(Struct, frozen=True, tag=True):
    """The runs in a file."""

    reading: FileReading


class Index(Struct, frozen=True, tag=True):
    """What is in an archive."""

    index: ArchiveIndex


class Members(Struct, frozen=True, tag=True):
    """Files of an archive."""

    members: list[Member]


class Failed(Struct, frozen=True, tag=True):
    """The request could not be answered.

    Attributes:
        reason: a sentence for the runner.
    """

    reason: str


Request = ReadContent | ReadUpload | OpenArchive | ReadMembers
Reply = Original | Reading | Index | Members | Failed

_requests: Final = msgspec.msgpack.Decoder(Request)


def answer(request: Request) -> Reply:
    """Do what is asked for."""
    match request:
        case ReadContent(content, trusts_sport):
            return Reading(read_file(content, trusts_sport=trusts_sport))
        case ReadUpload(path):
            return _original(Path(path).read_bytes())
        case OpenArchive(path):
            return Index(open_archive(path))
        case ReadMembers(path, names):
            return Members(read_members(path, names))


def _original(content: bytes) -> Original:
    reading = read_file(content)
    if not any(run.figures for run in reading.runs):
        return Original(reading)
    if is_packed(content):
        return Original(reading, content)
    return Original(reading, gzip.compress(content, _LEVEL, mtime=0), is_wrapped=True)


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until there are no more."""
    while head := requests.read(LENGTH):
        body = requests.read(int.from_bytes(head, "big"))
        try:
            reply = answer(_requests.decode(body))
        except MemoryError:
            reply = Failed("It takes too much memory to read.")
        except Exception:  # noqa: BLE001 (whatever a file has done to a parser, the next one is read)
            reply = Failed("It can't be read.")
        encoded = msgspec.msgpack.encode(reply)
        replies.write(len(encoded).to_bytes(LENGTH, "big") + encoded)
        replies.flush()


def main() -> None:
    """Give up what is not needed, and serve."""
    os.nice(_NICENESS)
    with contextlib.suppress(ValueError):
        # Not every system has this limit.
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
