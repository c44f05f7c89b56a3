"""Passwords: what a good one is, and Argon2id off the event loop, in a bounded number of threads."""

import asyncio
import base64
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from time import perf_counter
from typing import Literal, NamedTuple, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from prometheus_client import Counter, Histogram

from app.errors import Unavailable

MIN_LENGTH = 8
MAX_LENGTH = 128
SPECIAL = "@$!%*?&_"

_SALT_BYTES = 16
_HASH_BYTES = 32
# A character of NFC comes from at most four code points, but for stacked accents, which nobody types into a password.
_MAX_RAW_LENGTH = 4 * MAX_LENGTH

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_waits = Histogram("irontrack_hash_wait_seconds", "Seconds waited for a turn to hash a password.", buckets=_BUCKETS)
_works = Histogram("irontrack_hash_seconds", "Seconds that hashing a password took.", buckets=_BUCKETS)
_refused = Counter("irontrack_hashes_refused_total", "Passwords that got no turn to be hashed in time.")

T = TypeVar("T")


class PasswordProblem(NamedTuple):
    """One rule that a new password breaks."""

    type: Literal["length", "pattern"]
    message: str


def _encodable(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


_RULES: tuple[tuple[PasswordProblem, Callable[[str], bool]], ...] = (
    (
        PasswordProblem("length", f"A password has at least {MIN_LENGTH} characters."),
        lambda text: len(text) >= MIN_LENGTH,
    ),
    (
        PasswordProblem("pattern", "A password has at least one lower case letter."),
        lambda text: any(map(str.islower, text)),
    ),
    (
        PasswordProblem("pattern", "A password has at least one upper case letter."),
        lambda text: any(map(str.isupper, text)),
    ),
    (
        PasswordProblem("pattern", "A password has at least one digit."),
        lambda text: any(map(str.isdecimal, text)),
    ),
    (
        PasswordProblem("pattern", f"A password has at least one of {SPECIAL}"),
        lambda text: any(char in SPECIAL for char in text),
    ),
    (
        PasswordProblem("pattern", "A password consists of Unicode characters."),
        _encodable,
    ),
)


def password_problems(password: str) -> list[PasswordProblem]:
    """The rules that a new password breaks.

    8 to 128 characters after NFC, a lower and an upper case letter, a digit and one of ``@$!%*?&_``. Letters and digits
    of every script count.
    """
    text = _normalised(password)
    if text is None:
        return [PasswordProblem("length", f"A password has at most {MAX_LENGTH} characters.")]
    return [problem for problem, keeps in _RULES if not keeps(text)]


class Passwords:
    """Hashes and verifies passwords with Argon2id.

    At most `threads` of them are worked on at once; each takes its memory and a core, so more would only be slower. Who
    finds no free thread waits up to `wait` seconds.

    Attributes:
        waiting: for a free thread.
        working: threads that hash.
    """

    def __init__(
        self,
        memory_kib: int = 19456,
        time_cost: int = 2,
        parallelism: int = 1,
        threads: int = 2,
        wait: float = 2.0,
    ) -> None:
        self._hasher = PasswordHasher(
            time_cost, memory_kib, parallelism, hash_len=_HASH_BYTES, salt_len=_SALT_BYTES, type=Type.ID
        )
        self._nobody = _hash_of_nothing(memory_kib, time_cost, parallelism)
        self._slots = asyncio.Semaphore(threads)
        self._wait = wait
        self.waiting = self.working = 0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")

    async def hash(self, password: str) -> str:
        """The PHC string to store.

        Raises:
            ValueError: the password is longer than a password can be.
            Unavailable: no thread was free in time.
        """
        text = _normalised(password)
        if text is None:
            raise ValueError("The password is too long.")
        return await self._work(lambda: self._hasher.hash(text))

    async def verify(self, password: str, stored: str) -> bool:
        """Whether this is the password of that PHC string. What is too long to be one is wrong without any work.

        Raises:
            Unavailable: no thread was free in time.
        """
        text = _normalised(password)
        if text is None or not _encodable(text):
            return False
        return await self._work(lambda: self._matches(text, stored))

    async def verify_nothing(self, password: str) -> None:
        """The same work as `verify`, for an account that does not exist.

        Raises:
            Unavailable: no thread was free in time.
        """
        await self.verify(password, self._nobody)

    def needs_rehash(self, stored: str) -> bool:
        """Whether the PHC string was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Lets the threads end; what waits for one is cancelled."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _matches(self, password: str, stored: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _work(self, job: Callable[[], T]) -> T:
        await self._turn()
        began = perf_counter()
        try:
            work = asyncio.get_running_loop().run_in_executor(self._pool, job)
        except BaseException:
            self._slots.release()
            raise
        self.working += 1

        def done(_: "asyncio.Future[T]") -> None:
            self.working -= 1
            self._slots.release()
            _works.observe(perf_counter() - began)

        # The slot belongs to the thread, not to the request: one that is cancelled leaves a thread that still works.
        work.add_done_callback(done)
        return await asyncio.shield(work)

    async def _turn(self) -> None:
        began = perf_counter()
        self.waiting += 1
        try:
            async with asyncio.timeout(self._wait):
                await self._slots.acquire()
        except TimeoutError:
            _refused.inc()
            raise Unavailable(
                "Too many passwords are being checked; try again in a moment.", ceil(self._wait)
            ) from None
        finally:
            self.waiting -= 1
            _waits.observe(perf_counter() - began)


def _normalised(password: str) -> str | None:
    if len(password) > _MAX_RAW_LENGTH:
        return None
    text = unicodedata.normalize("NFC", password)
    return text if len(text) <= MAX_LENGTH else None


def _hash_of_nothing(memory_kib: int, time_cost: int, parallelism: int) -> str:
    # Random bytes in place of a hash: no password has it, and making it costs nothing.
    def encoded(count: int) -> str:
        return base64.b64encode(secrets.token_bytes(count)).decode().rstrip("=")

    parameters = f"m={memory_kib},t={time_cost},p={parallelism}"
    return f"$argon2id$v=19${parameters}${encoded(_SALT_BYTES)}${encoded(_HASH_BYTES)}"
