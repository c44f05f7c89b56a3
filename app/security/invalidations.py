"""Who has changed: news that reach every worker of this machine before the answer is sent, and other nodes at once.

On the machine a file in shared memory carries them: a ring of topics and a sequence number that every worker compares
with its own on each request. Between machines Valkey's pub/sub does, in `app.security.broadcast`.
"""

import contextlib
import enum
import fcntl
import mmap
import os
import secrets
from collections.abc import Collection, Iterator
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, Literal, Self
from uuid import UUID


class Everything(enum.Enum):
    """Some news were missed: whatever is kept may be old."""

    EVERYTHING = "everything"


EVERYTHING: Final = Everything.EVERYTHING
Topics = frozenset[UUID] | Literal[Everything.EVERYTHING]

EVERYBODY: Final = UUID(int=0)
"""A topic that stands for all others."""
SIGNING_KEYS: Final = UUID(int=1)
"""A topic: the signing keys have changed."""

_NOTHING: Final[frozenset[UUID]] = frozenset()

# The header consists of machine words, because a reader must see the sequence whole: a copy byte by byte would not do.
_MAGIC = int.from_bytes(b"ITRING01", "little")
_MAGIC_AT, _NODE_AT, _SLOTS_AT, _SEQUENCE_AT = range(4)
_HEADER_BYTES = 64
_TOPIC_BYTES = 16
_MAX_SLOTS = 1 << 20
_LOST = -1


class InvalidationRing:
    """A ring of topics in a file that all processes of the machine map.

    A writer holds the lock of the file (which the kernel takes back from a process that dies), writes a topic and then
    raises the sequence; a reader needs no lock. The file never shrinks: that would kill those who have it mapped. One
    that can not be used is made anew in place, and losing it loses nothing: who missed something is told so. One object
    is one reader, for one thread.
    """

    def __init__(self, path: Path, slots: int = 4096) -> None:
        """Map the file.

        Args:
            path: best in memory (tmpfs); made when it is not there.
            slots: how many topics a reader may lag behind, for a file that is made.

        Raises:
            OSError: the file can not be made or mapped.
        """
        if not 1 < slots <= _MAX_SLOTS:
            raise ValueError(f"slots must lie in 2..{_MAX_SLOTS}")
        self._path = path
        self._slots = slots
        self._writing = Lock()
        self._file = _MappedFile(path, slots)
        self._words = self._file.words
        self._seen = self._words[_SEQUENCE_AT]

    def catch_up(self) -> Topics:
        """The topics published since the last call. Costs next to nothing when there are none."""
        if self._words[_SEQUENCE_AT] == self._seen:
            return _NOTHING
        return self._read()

    def publish(self, topics: Collection[UUID]) -> None:
        """Tells every process of the machine: when it returns, the next `catch_up` of each has the topics.

        Raises:
            OSError: the file can not be mapped or locked any more.
        """
        with self._writing:
            if not self._file.fits():
                self._reopen()
            with _locked(self._file.descriptor):
                for topic in topics if len(topics) < self._file.slots else (EVERYBODY,):
                    self._append(topic)

    @property
    def behind(self) -> int:
        """Topics that this reader has not read yet. It reads them before it answers the next request."""
        return 0 if self._seen == _LOST else self._words[_SEQUENCE_AT] - self._seen

    @property
    def node(self) -> int:
        """A number that those who map the same file have in common, and nobody else."""
        return self._words[_NODE_AT]

    def follow(self) -> None:
        """Maps the file of that path when it is no longer the one that is mapped: somebody removed it.

        Raises:
            OSError: it can not be mapped; the old one stays.
        """
        with contextlib.suppress(FileNotFoundError):
            there = self._path.stat()
            if (there.st_dev, there.st_ino) == self._file.identity:
                return
        self._reopen()

    def close(self) -> None:
        """Unmaps the file, which stays."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reopen(self) -> None:
        old = self._file
        self._file = _MappedFile(self._path, self._slots)
        self._words = self._file.words
        self._seen = _LOST
        old.close()

    def _append(self, topic: UUID) -> None:
        sequence = self._words[_SEQUENCE_AT]
        self._file.topics[self._file.slot(sequence)] = topic.bytes
        self._words[_SEQUENCE_AT] = (sequence + 1) % (1 << 63)

    def _read(self) -> Topics:
        if not self._file.fits():
            self._reopen()
        since, until = self._seen, self._words[_SEQUENCE_AT]
        self._seen = until
        if since == _LOST or not 0 < until - since < self._file.slots:
            return EVERYTHING
        topics = frozenset(self._topic(number) for number in range(since, until))
        # Writers may have come round meanwhile, the one at work now included, whose topic is not announced yet.
        lapped = not 0 < self._words[_SEQUENCE_AT] - since < self._file.slots
        if lapped or not self._file.fits() or EVERYBODY in topics:
            return EVERYTHING
        return topics

    def _topic(self, sequence: int) -> UUID:
        return UUID(bytes=bytes(self._file.topics[self._file.slot(sequence)]))


class _MappedFile:
    """The file in memory, made or made anew where that is needed."""

    def __init__(self, path: Path, slots: int) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            state = os.fstat(self.descriptor)
            self.identity = (state.st_dev, state.st_ino)
            # Those who start at the same time take turns: the second finds what the first has made.
            with _locked(self.descriptor):
                os.fchmod(self.descriptor, 0o600)
                self._map(slots)
        except BaseException:
            os.close(self.descriptor)
            raise

    def _map(self, wanted_slots: int) -> None:
        slots = _slots_of(self.descriptor)
        self.slots = slots or wanted_slots
        size = _HEADER_BYTES + _TOPIC_BYTES * self.slots
        missing = size - os.fstat(self.descriptor).st_size
        if missing > 0:
            # Real zeros: in a file with holes, a full disk would kill whoever writes to the memory later.
            os.pwrite(self.descriptor, bytes(missing), size - missing)
        self._memory = mmap.mmap(self.descriptor, size)
        whole = memoryview(self._memory)
        self.words = whole[:_HEADER_BYTES].cast("Q")
        self.topics = whole[_HEADER_BYTES:]
        if slots is None:
            self._initialise()

    def _initialise(self) -> None:
        self.words[_NODE_AT] = secrets.randbits(64)
        self.words[_SLOTS_AT] = self.slots
        # A number that no process can have seen before, so that each that has the file mapped already notices.
        self.words[_SEQUENCE_AT] = secrets.randbits(62)
        self.words[_MAGIC_AT] = _MAGIC

    def fits(self) -> bool:
        """Whether the header is still what it was when the file was mapped."""
        return self.words[_MAGIC_AT] == _MAGIC and self.words[_SLOTS_AT] == self.slots

    def slot(self, sequence: int) -> slice:
        """Where the topic of that number is."""
        start = sequence % self.slots * _TOPIC_BYTES
        return slice(start, start + _TOPIC_BYTES)

    def close(self) -> None:
        self.words.release()
        self.topics.release()
        self._memory.close()
        os.close(self.descriptor)


def _slots_of(descriptor: int) -> int | None:
    """The slots of a file of ours that is whole."""
    header = os.pread(descriptor, _HEADER_BYTES, 0)
    if len(header) < _HEADER_BYTES:
        return None
    words = memoryview(header).cast("Q")
    slots = words[_SLOTS_AT]
    whole = os.fstat(descriptor).st_size >= _HEADER_BYTES + _TOPIC_BYTES * slots
    return slots if words[_MAGIC_AT] == _MAGIC and 1 < slots <= _MAX_SLOTS and whole else None


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
