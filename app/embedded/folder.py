"""The data folder: what lies where in it, who owns it at the moment, and its secrets."""

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_SOCKET_PATH_BYTES = 107
_LONGEST_SOCKET_NAME = ".s.PGSQL.5432"
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/+-]+")
_LOOKS_TAKE = 0.2
_LOG_BYTES = 10_000_000


class FolderError(Exception):
    """The data folder can't be used. The message is one line that says why."""


class Owner(NamedTuple):
    """The process that owns a data folder."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"`{self.command}` (process {self.pid})"


class Busy(FolderError):
    """Another process owns the data folder."""

    def __init__(self, folder: Path, owner: Owner) -> None:
        super().__init__(f"The data folder {folder} is in use by {owner}.")
        self.owner = owner


class DataFolder:
    """A folder with the data of both servers, mode 0700.

    Attributes:
        path: the folder itself, absolute.
    """

    _CONTENT = (
        *("postgres", "postgres.new", "postgres.password", "valkey", "valkey.password", "keys.json"),
        *("database.password", "pgbouncer.password", "stack", "run", "logs", "metrics"),
        *("state.json", "borrowers", "lock"),
    )

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.lock_file = self.path / "lock"
        self.borrowers_file = self.path / "borrowers"
        self.keys_file = self.path / "keys.json"
        self.state_file = self.path / "state.json"
        self.logs = self.path / "logs"

    def prepare(self) -> None:
        """Make the folder, or take over an empty one.

        Raises:
            FolderError: it holds something else, or isn't ours to write.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.lock_file.exists() and any(entry.name not in self._CONTENT for entry in self.path.iterdir()):
                raise FolderError(f"{self.path} is not empty and was not made by `litestar up`: name another folder.")
            if stat.S_IMODE(self.path.stat().st_mode) != 0o700:
                self.path.chmod(0o700)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            self.lock_file.touch(mode=0o600)
        except OSError as error:
            raise FolderError(f"The data folder {self.path} can't be used: {error.strerror}.") from None

    @contextlib.contextmanager
    def owned(self, command: str) -> Iterator[None]:
        """Own the folder: only the owner starts servers in it. The kernel ends this when we die.

        Args:
            command: how others name us, such as ``litestar up``.

        Raises:
            Busy: another process owns it.
            FolderError: the folder can't be used.
        """
        self.prepare()
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            limit = time.monotonic() + _LOOKS_TAKE
            while not _locked(descriptor, fcntl.LOCK_EX):
                # Somebody who only looks whether there is an owner holds the lock for a moment, too.
                if time.monotonic() > limit:
                    raise Busy(self.path, self._read_owner())
                time.sleep(0.01)
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {command}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def owner(self) -> Owner | None:
        """Who owns the folder now; None when nobody does."""
        try:
            descriptor = os.open(self.lock_file, os.O_RDWR)
        except OSError:
            return None
        try:
            # A shared lock that can't be had says that somebody has the exclusive one.
            return None if _locked(descriptor, fcntl.LOCK_SH) else self._read_owner()
        finally:
            os.close(descriptor)

    def _read_owner(self) -> Owner:
        try:
            pid, _, command = self.lock_file.read_text().strip().partition(" ")
            return Owner(int(pid), command)
        except (OSError, ValueError):
            # It has the lock and is about to write who it is.
            return Owner(0, "another command")

    def erase(self) -> None:
        """Delete all that we ever put into the folder, and the folder when nothing else is in it."""
        for name in self._CONTENT:
            entry = self.path / name
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        shutil.rmtree(_short_socket_folder(self.path), ignore_errors=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def socket_folder(data: Path) -> Path:
    """Where the sockets of a data folder lie; made when missing, mode 0700.

    In the data folder itself, unless its path is too long for the address of a socket or would need quoting in a URL.

    Raises:
        FolderError: somebody else made the folder that we wanted to use.
    """
    folder = data / "run"
    longest = len(os.fsencode(folder / _LONGEST_SOCKET_NAME))
    if longest > _SOCKET_PATH_BYTES or not _PLAIN_PATH.fullmatch(str(folder)):
        folder = _short_socket_folder(data)
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
        raise FolderError(f"{folder} belongs to somebody else: remove it, or use a data folder with a shorter path.")
    folder.chmod(0o700)
    return folder


def _short_socket_folder(data: Path) -> Path:
    temporary = tempfile.gettempdir()
    if len(temporary) > 40 or not _PLAIN_PATH.fullmatch(temporary):
        temporary = "/tmp"  # noqa: S108 (the folder is made with mode 0700 and its owner is checked)
    return Path(temporary, f"irontrack-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}")


def secret(path: Path) -> str:
    """The password in a file; generated when there is no file yet, mode 0600."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    draft = _draft(path, secrets.token_urlsafe(24))
    # Two commands may come here at the same time: the first one's is everybody's.
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
    sync_folder(path.parent)
    return path.read_text().strip()


def replace_secret(path: Path, password: str) -> None:
    """Put another password in the place of the one in a file, or in a new file."""
    _draft(path, password).replace(path)
    sync_folder(path.parent)


def _draft(path: Path, password: str) -> Path:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(password)
        file.flush()
        os.fsync(file.fileno())
    return draft


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def log_file(data: Path, name: str) -> Path:
    """A server's log; the one before it is kept once it has grown."""
    folder = data / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    log = folder / f"{name}.log"
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    return log


def last_words(log: Path, start: int = 0) -> str:
    """The last line of a log that tells why something went wrong, to go into a sentence."""
    try:
        lines = log.read_bytes()[start:].decode(errors="replace").splitlines()
    except OSError:
        return ""
    reasons = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "ERROR", "error"))]
    return (reasons or lines or [""])[-1].strip()
