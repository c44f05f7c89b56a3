"""Files as browsers send them: multipart/form-data, read as it comes and written to a folder of the request's own."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Final, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from msgspec import Struct
from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser, parse_options_header
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.idempotency import KeyedRequest, claim, keep
from app.db.transaction import Transactions, deadline
from app.domain.imports.names import plain_line
from app.errors import Malformed, RuleBroken, Unavailable, UnknownMediaType
from app.http.answers import Answer
from app.http.idempotency import BODY_DIGEST_KEY, Replay, encoded_answer, keyed_request, refused_answer

__all__ = ("MAX_FILES", "Upload", "UploadedFile", "answer_once", "receive")

T = TypeVar("T")
A = TypeVar("A")

MAX_FILES: Final = 100
"""Files of one request."""

_FIELD: Final = "files"
_FORM: Final = "multipart/form-data"


class UploadedFile(Struct, frozen=True):
    """A file that was sent.

    Attributes:
        name: as the sender calls it, without folders.
        path: where it lies until the request ends.
    """

    name: str
    path: str


class Upload(Struct, frozen=True):
    """What was sent.

    Attributes:
        digest: 32 bytes that no other files have, whatever stands between them.
    """

    files: tuple[UploadedFile, ...]
    digest: bytes


@asynccontextmanager
async def receive(request: Request[Any, Any, Any], limit: int, within: float) -> AsyncIterator[Upload]:
    """Receive the files of a request; they are there until the block ends.

    Instead of the time limit of other requests, the whole block has another one.

    Args:
        limit: bytes of the body.
        within: seconds.

    Raises:
        UnknownMediaType: it is no form with files.
        Malformed: its form is broken.
        RequestEntityTooLarge: it is larger than the limit.
        RuleBroken: there is no file in it, too many, or anything else.
        Unavailable: it takes too long.
    """
    if usual := deadline.get():
        usual.lift()
    try:
        async with asyncio.timeout(within) as limited:
            with TemporaryDirectory(prefix="irontrack-", ignore_cleanup_errors=True) as folder:
                yield await _received(request, limit, Path(folder))
    except TimeoutError:
        if limited.expired():
            raise Unavailable("Sending and reading the files took too long; nothing was stored.", 5) from None
        raise


async def answer_once(
    request: Request[Any, Any, Any],
    transactions: Transactions,
    digest: bytes,
    prepare: Callable[[], Awaitable[T]],
    store: Callable[[AsyncSession, T], Awaitable[Answer[A]]],
) -> Answer[A]:
    """Prepare without a transaction, store in one; with an Idempotency-Key, only the first time.

    What other routes do around their handler: here the body is too large to be kept in memory for it, and reading
    it takes too long to hold a connection meanwhile.

    Raises:
        Replay: there is an answer already.
    """
    keyed = await keyed_request(request, digest)
    try:
        if keyed:
            async with transactions.begin() as session:
                await _claim(session, keyed)
        prepared = await prepare()
        async with transactions.begin() as session:
            if keyed:
                await _claim(session, keyed)
            answer = await store(session, prepared)
            answer.to_asgi_response(request.app, request)
            if keyed and (kept := encoded_answer(request)):
                await keep(session, keyed, kept)
            return answer
    except Replay:
        raise
    except Exception as error:
        if keyed and (refusal := refused_answer(error, request)):
            async with transactions.begin() as session:
                await _claim(session, keyed)
                await keep(session, keyed, refusal)
        raise


async def _claim(session: AsyncSession, keyed: KeyedRequest) -> None:
    if answer := await claim(session, keyed):
        raise Replay(answer)


async def _received(request: Request[Any, Any, Any], limit: int, folder: Path) -> Upload:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise RequestEntityTooLarge
    form = _Form(folder, request.app.state[BODY_DIGEST_KEY])
    received = 0
    try:
        with PushMultipartParser(_boundary(request), max_segment_count=MAX_FILES + 1) as parser, form:
            async for chunk in request.stream():
                received += len(chunk)
                if received > limit:
                    raise RequestEntityTooLarge
                for part in parser.parse(chunk):
                    form.take(part)
    except ParserLimitReached:
        raise RuleBroken.of(_FIELD, f"At most {MAX_FILES} files are taken at once.", "length") from None
    except MultipartError:
        raise Malformed("The form is broken.") from None
    return form.upload()


def _boundary(request: Request[Any, Any, Any]) -> str:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != _FORM or not options.get("boundary"):
        raise UnknownMediaType(f"Send the files as {_FORM}.")
    boundary: str = options["boundary"]
    return boundary


class _Form:
    """Writes the files of a form as their parts come."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder = folder
        self._key = key
        self._digests: list[Any] = []
        self._files: list[UploadedFile] = []
        self._open: BinaryIO | None = None

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        self._close()

    def take(self, part: MultipartSegment | bytes | bytearray | None) -> None:
        """The head of a part, some of its content, or its end.

        Raises:
            RuleBroken: the part is no file, or there are too many.
        """
        if isinstance(part, MultipartSegment):
            self._begin(part)
        elif part is None:
            self._close()
        elif self._open:
            self._digests[-1].update(part)
            self._open.write(part)

    def upload(self) -> Upload:
        """All that was sent.

        Raises:
            RuleBroken: there was no file.
        """
        if not self._files:
            raise RuleBroken.of(_FIELD, "At least one file is required.", "missing")
        contents = [(file.name, digest.digest()) for file, digest in zip(self._files, self._digests, strict=True)]
        return Upload(tuple(self._files), hmac.digest(self._key, msgspec.msgpack.encode(contents), "sha256"))

    def _begin(self, head: MultipartSegment) -> None:
        if head.filename is None or head.name != _FIELD:
            raise RuleBroken.of(head.name[:100] or "body", f"Only files are taken, as {_FIELD}.", "unknown")
        if len(self._files) == MAX_FILES:
            raise RuleBroken.of(_FIELD, f"At most {MAX_FILES} files are taken at once.", "length")
        path = self._folder / str(len(self._files))
        name = _plain_name(head.filename)
        self._files.append(UploadedFile(name, str(path)))
        self._digests.append(hashlib.sha256())
        self._open = path.open("wb")

    def _close(self) -> None:
        if self._open:
            self._open.close()
            self._open = None


def _plain_name(sent: str) -> str:
    """A name without folders."""
    return plain_line(sent.replace("\\", "/").rstrip("/").rpartition("/")[2]) or "file"
