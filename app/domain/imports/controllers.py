"""Routes of files of runs, and of imports."""

import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import quote
from uuid import UUID

from litestar import Controller, Request, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.paging import Page, PageRequest
from app.db.reader import Reader
from app.db.transaction import Transactions
from app.domain.imports.dto import FilesOutcome, RunImport
from app.domain.imports.running import ImportRunner
from app.domain.imports.services import ImportReader, ImportService, KeptFile, RunFileService
from app.domain.imports.uploads import answer_once, receive
from app.domain.imports.workshop import Workshop
from app.http.answers import Answer
from app.http.dto import StrictDTO
from app.security.principal import Principal
from app.settings import Settings

__all__ = ("IMPORTS", "ImportController", "RunFileController")

Zone = Annotated[
    str | None, QueryParameter(name="timezone", description="Where they were run; absent: the user's own zone.")
]

_PART: Final = 1 << 18


def _form(schema: Schema) -> RequestBody:
    form = Schema(type=OpenAPIType.OBJECT, properties={"files": schema}, required=["files"])
    return RequestBody({"multipart/form-data": OpenAPIMediaType(schema=form)}, required=True)


_FILE: Final = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)


@dataclass
class TakesFiles(Operation):
    """An operation whose body is a form with files."""

    def __post_init__(self) -> None:
        self.request_body = _form(Schema(type=OpenAPIType.ARRAY, items=_FILE, min_items=1, max_items=100))


@dataclass
class TakesArchive(Operation):
    """An operation whose body is a form with an archive."""

    def __post_init__(self) -> None:
        self.request_body = _form(_FILE)


def provide_run_files(workshop: NamedDependency[Workshop]) -> RunFileService:
    """The service that makes runs of files."""
    return RunFileService(workshop)


def provide_imports(workshop: NamedDependency[Workshop], transactions: NamedDependency[Transactions]) -> ImportService:
    """The service of imports."""
    return ImportService(workshop, transactions)


def provide_import_reader(reader: NamedDependency[Reader]) -> ImportReader:
    """The reader of imports and files."""
    return ImportReader(reader)


class RunFileController(Controller):
    """The files that runs are read from."""

    path = "/runs"
    tags = ["Runs"]
    dependencies = {
        "run_files": Provide(provide_run_files, sync_to_thread=False),
        "import_reader": Provide(provide_import_reader, sync_to_thread=False),
    }
    return_dto = StrictDTO[Any]

    @post(
        "/import",
        operation_id="importRuns",
        summary="Make runs of GPX, TCX and FIT files",
        request_max_body_size=None,
        operation_class=TakesFiles,
        responses={200: ResponseSpec(FilesOutcome, generate_examples=False, description="Nothing new was stored.")},
    )
    async def import_files(
        self,
        request: Request[Any, Any, Any],
        run_files: NamedDependency[RunFileService],
        principal: NamedDependency[Principal],
        transactions: NamedDependency[Transactions],
        settings: NamedDependency[Settings],
        timezone: Zone = None,
    ) -> Answer[FilesOutcome]:
        """Takes up to 100 files at once, gzipped or not, and tells what became of each: one that can't be read does not
        stop the others. An activity that is there already, in whatever format, is recognised. The files are kept.
        """
        limits = settings.limits
        async with receive(request, limits.max_upload_bytes, limits.upload_timeout) as upload:

            async def store(session: AsyncSession, files: Any) -> Answer[FilesOutcome]:
                outcome = await run_files.store(session, principal, files, timezone)
                return Answer(outcome, status_code=201 if outcome.stored else 200)

            return await answer_once(request, transactions, upload.digest, lambda: run_files.read(upload), store)

    @get(
        "/{run_id:uuid}/original",
        operation_id="getRunOriginal",
        summary="The file that a run was read from",
        media_type="application/octet-stream",
    )
    async def original(
        self,
        run_id: FromPath[UUID],
        import_reader: NamedDependency[ImportReader],
        principal: NamedDependency[Principal],
    ) -> Stream:
        """The file as it was sent, byte for byte; 404 for a run that was not read from one."""
        file = await import_reader.original(run_id, principal)
        disposition = f"attachment; filename=\"{_ascii(file.name)}\"; filename*=UTF-8''{quote(file.name, safe='')}"
        # As a header, since the route's own media type would come before that of the answer.
        headers = {"Content-Disposition": disposition, "Content-Type": file.media_type}
        return Stream(_plain(file), headers=headers)


class ImportController(Controller):
    """Imports of whole archives."""

    path = "/imports"
    tags = ["Imports"]
    dependencies = {
        "imports": Provide(provide_imports, sync_to_thread=False),
        "import_reader": Provide(provide_import_reader, sync_to_thread=False),
    }
    return_dto = StrictDTO[Any]

    @post(
        operation_id="beginImport",
        summary="Import Strava's archive of an account",
        status_code=202,
        request_max_body_size=None,
        operation_class=TakesArchive,
    )
    async def begin(
        self,
        request: Request[Any, Any, Any],
        imports: NamedDependency[ImportService],
        import_runner: NamedDependency[ImportRunner],
        principal: NamedDependency[Principal],
        transactions: NamedDependency[Transactions],
        settings: NamedDependency[Settings],
        timezone: Zone = None,
    ) -> Answer[RunImport]:
        """Takes the zip archive with activities.csv and the activities' files. The runs in it are stored in the
        background; other activities are skipped. One import runs at a time.
        """
        limits = settings.limits
        async with (
            receive(request, limits.max_archive_bytes, limits.upload_timeout) as upload,
            imports.receiving() as import_id,
        ):

            async def prepare() -> None:
                await imports.receive(import_id, principal, upload, timezone)

            async def store(session: AsyncSession, _: None) -> Answer[RunImport]:
                begun = await imports.begin(session, import_id, principal)
                return Answer(begun, status_code=202, headers={"Location": f"/api/v1/imports/{begun.id}"})

            answer = await answer_once(request, transactions, upload.digest, prepare, store)
        import_runner.wake()
        return answer

    @get(operation_id="listImports", summary="My imports, newest first")
    async def find(
        self,
        import_reader: NamedDependency[ImportReader],
        principal: NamedDependency[Principal],
        page: NamedDependency[PageRequest],
    ) -> Page[RunImport]:
        """Imports that run, have ended or were cancelled."""
        return await import_reader.find(principal, page)

    @get("/{import_id:uuid}", operation_id="getImport", summary="How far an import has come")
    async def read(
        self,
        import_id: FromPath[UUID],
        import_reader: NamedDependency[ImportReader],
        principal: NamedDependency[Principal],
    ) -> RunImport:
        """Its numbers so far, and the first hundred of what could not be stored, with reasons."""
        return await import_reader.read(import_id, principal)

    @delete("/{import_id:uuid}", operation_id="cancelImport", summary="Cancel an import")
    async def cancel(
        self,
        import_id: FromPath[UUID],
        db_session: NamedDependency[AsyncSession],
        imports: NamedDependency[ImportService],
        principal: NamedDependency[Principal],
    ) -> None:
        """Ends an import that is running: what was stored stays, and the rest is dropped. One that has ended leaves the
        list, and its runs stay.
        """
        await imports.cancel(db_session, import_id, principal)


def _ascii(name: str) -> str:
    """A name for those who know no other: printable ASCII without what has a meaning in a header."""
    return "".join(char if " " <= char <= "~" and char not in '"\\%' else "_" for char in name)


async def _plain(file: KeptFile) -> AsyncIterator[bytes]:
    """The file as it was sent, in parts, so that it is never unpacked as a whole."""
    if not file.is_wrapped:
        yield file.content
        return
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    part = unpacking.decompress(file.content, _PART)
    while part:
        yield part
        part = unpacking.decompress(unpacking.unconsumed_tail, _PART)


IMPORTS: list[type[Controller]] = [RunFileController, ImportController]
"""Routes of files and imports."""
