"""Routes of the catalogue."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, delete, get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.paging import Page, PageRequest, Precondition, SortOrder, Versioned
from app.db.reader import Reader
from app.domain.catalogue.anatomy import CONTENT_POLICY, MusclePicture, MusclePictures
from app.domain.catalogue.dto import (
    MAX_ENTRY_ID,
    CustomExerciseChange,
    Entry,
    EntryChange,
    EntrySort,
    Exercise,
    ExerciseFilters,
    ExerciseScope,
    ExerciseSort,
    ExerciseSummary,
    Fields,
    MergeTarget,
    NewCustomExercise,
    NewEntry,
    NewSystemExercise,
    SystemExerciseChange,
)
from app.domain.catalogue.guards import CATALOGUE_EDITORS
from app.domain.catalogue.links import EQUIPMENT, EXERCISE_TAGS, MUSCLE_GROUPS, ReferenceList
from app.domain.catalogue.memory import CatalogueMemory
from app.domain.catalogue.models import Category, DifficultyLevel, Force, Mechanic
from app.domain.catalogue.services import (
    ExerciseReader,
    ExerciseService,
    ReferenceReader,
    ReferenceService,
)
from app.http.answers import Answer, created, document, etag
from app.http.dto import StrictDTO
from app.http.problems import PROBLEM_TYPE, Problem
from app.security.guards import principal_of
from app.security.principal import Principal
from app.settings import Settings

__all__ = (
    "CATALOGUE",
    "EquipmentController",
    "ExerciseController",
    "ExerciseTagController",
    "MuscleGroupController",
    "ReferenceController",
)

EntryIdFilter = list[Annotated[int, Meta(ge=1, le=MAX_ENTRY_ID)]]
Search = Annotated[str, QueryParameter(name="searchString", max_length=200)]
Direction = Annotated[SortOrder, QueryParameter(name="sortOrder")]


def provide_filters(
    scope_: Annotated[
        ExerciseScope, QueryParameter(name="scope", description="The system's exercises, mine, or both.")
    ] = ExerciseScope.ALL,
    primary_muscles: Annotated[EntryIdFilter | None, QueryParameter(name="primaryMuscles")] = None,
    secondary_muscles: Annotated[EntryIdFilter | None, QueryParameter(name="secondaryMuscles")] = None,
    equipment: Annotated[EntryIdFilter | None, QueryParameter(name="equipment")] = None,
    tags: Annotated[EntryIdFilter | None, QueryParameter(name="tags")] = None,
    category: Annotated[list[Category] | None, QueryParameter(name="category")] = None,
    difficulty_level: Annotated[list[DifficultyLevel] | None, QueryParameter(name="difficultyLevel")] = None,
    force: Annotated[list[Force] | None, QueryParameter(name="force")] = None,
    mechanic: Annotated[list[Mechanic] | None, QueryParameter(name="mechanic")] = None,
    include_inactive: Annotated[
        bool, QueryParameter(name="includeInactive", description="Also my archived exercises.")
    ] = False,
    search_string: Search = "",
    order_by: Annotated[
        ExerciseSort | None,
        QueryParameter(name="orderBy", description="By name if absent; best match first when something is searched."),
    ] = None,
    sort_order: Direction = SortOrder.ASC,
) -> ExerciseFilters:
    """The dependency ``filters``: which exercises a list has, and in which order."""
    return ExerciseFilters(
        scope=scope_,
        primary_muscles=primary_muscles,
        secondary_muscles=secondary_muscles,
        equipment=equipment,
        tags=tags,
        category=category,
        difficulty_level=difficulty_level,
        force=force,
        mechanic=mechanic,
        include_inactive=include_inactive,
        search=search_string,
        order_by=order_by,
        descending=sort_order is SortOrder.DESC,
    )


def provide_exercises(
    db_session: NamedDependency[AsyncSession], settings: NamedDependency[Settings]
) -> ExerciseService:
    """The service of exercises, in this request's transaction."""
    return ExerciseService(db_session, settings.app.cdn_url)


def provide_pictures(
    reader: NamedDependency[Reader], catalogue_memory: NamedDependency[CatalogueMemory]
) -> MusclePictures:
    """Who draws the muscles of exercises."""
    return MusclePictures(reader.connection, catalogue_memory)


class ExerciseController(Controller):
    """Exercises of the system and of users."""

    path = "/exercises"
    tags = ["Exercises"]
    dependencies = {"exercises": Provide(provide_exercises, sync_to_thread=False)}
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @get(
        operation_id="listExercises",
        summary="Find exercises",
        dependencies={"filters": Provide(provide_filters, sync_to_thread=False)},
    )
    async def browse(
        self,
        exercise_reader: NamedDependency[ExerciseReader],
        filters: NamedDependency[ExerciseFilters],
        page: NamedDependency[PageRequest],
        principal: NamedDependency[Principal],
        fields: Annotated[
            Fields | None, QueryParameter(name="fields", description="Whole exercises, with instructions and aliases.")
        ] = None,
    ) -> Page[ExerciseSummary] | Page[Exercise]:
        """The system's exercises and mine. Search looks at names and aliases, and forgives typing errors."""
        browse = exercise_reader.browse if fields is None else exercise_reader.browse_whole
        return await browse(filters, page, principal)

    @get(
        "/criteria",
        operation_id="findExercise",
        summary="An exercise by its name or slug",
        responses={
            400: ResponseSpec(
                Problem, generate_examples=False, description="Not exactly one of the two.", media_type=PROBLEM_TYPE
            ),
            404: ResponseSpec(Problem, generate_examples=False, description="There is none.", media_type=PROBLEM_TYPE),
        },
    )
    async def find(
        self,
        request: Request[Any, Any, Any],
        exercise_reader: NamedDependency[ExerciseReader],
        name: Annotated[str | None, QueryParameter(name="name", description="Exactly, of one of mine.")] = None,
        slug: Annotated[str | None, QueryParameter(name="slug", description="Of one of the system's.")] = None,
    ) -> Answer[Exercise]:
        """One of mine by its exact name, or one of the system's by its slug; give exactly one of the two."""
        return document(await exercise_reader.find(name, slug, principal_of(request)))

    @get("/{exercise_id:uuid}", operation_id="getExercise", summary="An exercise")
    async def read(
        self,
        request: Request[Any, Any, Any],
        exercise_id: FromPath[UUID],
        exercise_reader: NamedDependency[ExerciseReader],
    ) -> Answer[Exercise]:
        """One of the system's or of mine, archived or not; anybody's for trainers and superusers."""
        return document(await exercise_reader.read(exercise_id, principal_of(request)))

    @get(
        "/{exercise_id:uuid}/muscles.svg",
        operation_id="getMusclePicture",
        summary="A picture of the muscles that an exercise works",
        media_type="image/svg+xml",
        dto=None,
        return_dto=None,
        dependencies={"pictures": Provide(provide_pictures, sync_to_thread=False)},
        responses={304: ResponseSpec(None, description="If-None-Match names this picture.")},
    )
    async def picture(
        self,
        request: Request[Any, Any, Any],
        exercise_id: FromPath[UUID],
        exercise_reader: NamedDependency[ExerciseReader],
        pictures: NamedDependency[MusclePictures],
        version: Annotated[
            str | None, QueryParameter(name="v", max_length=64, description="The picture's ETag, to keep it for good.")
        ] = None,
    ) -> Answer[bytes]:
        """Front and back of a body, primary muscles filled, secondary ones hatched; for light and dark pages."""
        exercise = (await exercise_reader.read(exercise_id, principal_of(request))).document
        return _picture(await pictures.of(exercise), version)

    @post("/user", operation_id="createCustomExercise", summary="Add an exercise of my own")
    async def create_custom(
        self,
        data: JSONBody[NewCustomExercise],
        exercises: NamedDependency[ExerciseService],
        principal: NamedDependency[Principal],
    ) -> Answer[Exercise]:
        """Adds an exercise that only I, trainers and superusers see."""
        return _created(await exercises.create_custom(data, principal))

    @post(
        "/system",
        operation_id="createSystemExercise",
        summary="Add an exercise for everybody",
        guards=CATALOGUE_EDITORS,
    )
    async def create_system(
        self,
        data: JSONBody[NewSystemExercise],
        exercises: NamedDependency[ExerciseService],
        principal: NamedDependency[Principal],
    ) -> Answer[Exercise]:
        """Adds an exercise to the catalogue. Its slug is made from its name."""
        return _created(await exercises.create_system(data, principal))

    @patch("/user/{exercise_id:uuid}", operation_id="changeCustomExercise", summary="Change one of my exercises")
    async def change_custom(
        self,
        exercise_id: FromPath[UUID],
        data: JSONBody[CustomExerciseChange],
        exercises: NamedDependency[ExerciseService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[Exercise]:
        """Changes an exercise of mine (RFC 7396)."""
        return document(await exercises.change_custom(exercise_id, data, precondition, principal))

    @patch(
        "/system/{exercise_id:uuid}",
        operation_id="changeSystemExercise",
        summary="Change an exercise of the system",
        guards=CATALOGUE_EDITORS,
    )
    async def change_system(
        self,
        exercise_id: FromPath[UUID],
        data: JSONBody[SystemExerciseChange],
        exercises: NamedDependency[ExerciseService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[Exercise]:
        """Changes an exercise of the catalogue (RFC 7396); the slug follows the name."""
        return document(await exercises.change_system(exercise_id, data, precondition, principal))

    @delete("/{exercise_id:uuid}", operation_id="deleteExercise", summary="Delete an exercise")
    async def delete(
        self,
        exercise_id: FromPath[UUID],
        exercises: NamedDependency[ExerciseService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> None:
        """Deletes one of mine, or as a superuser one of the system's. One that is in use is archived instead."""
        await exercises.delete(exercise_id, precondition, principal)

    @post("/{exercise_id:uuid}/archive", operation_id="archiveExercise", summary="Archive an exercise", status_code=200)
    async def archive(
        self,
        exercise_id: FromPath[UUID],
        exercises: NamedDependency[ExerciseService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[Exercise]:
        """Takes an exercise out of lists and search; what refers to it stays."""
        return document(await exercises.archive(exercise_id, precondition, principal))

    @post("/{exercise_id:uuid}/restore", operation_id="restoreExercise", summary="Restore an exercise", status_code=200)
    async def restore(
        self,
        exercise_id: FromPath[UUID],
        exercises: NamedDependency[ExerciseService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[Exercise]:
        """Brings an archived exercise back."""
        return document(await exercises.restore(exercise_id, precondition, principal))

    @post(
        "/{exercise_id:uuid}/promote",
        operation_id="promoteExercise",
        summary="Give a user's exercise to everybody",
        guards=CATALOGUE_EDITORS,
        status_code=200,
    )
    async def promote(
        self,
        exercise_id: FromPath[UUID],
        exercises: NamedDependency[ExerciseService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[Exercise]:
        """Makes a custom exercise one of the system; what refers to it stays."""
        return document(await exercises.promote(exercise_id, precondition, principal))

    @post("/{exercise_id:uuid}/merge", operation_id="mergeExercise", summary="Merge an exercise", status_code=200)
    async def merge(
        self,
        exercise_id: FromPath[UUID],
        data: JSONBody[MergeTarget],
        exercises: NamedDependency[ExerciseService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[Exercise]:
        """Puts another exercise in the place of one of mine, in templates and history, and answers with it."""
        return document(await exercises.merge(exercise_id, data.into_id, precondition, principal))


def _created(exercise: Versioned[Exercise]) -> Answer[Exercise]:
    return created(exercise, f"/api/v1/exercises/{exercise.document.id}")


def _picture(picture: MusclePicture, version: str | None) -> Answer[bytes]:
    """A picture; one that is asked for by its content is the same for whoever may know it, and for ever."""
    headers = {"ETag": etag(picture.digest), "Content-Security-Policy": CONTENT_POLICY}
    if version == picture.digest:
        headers["Cache-Control"] = "private, max-age=31536000, immutable"
    else:
        headers |= {"Cache-Control": "private, max-age=3600", "Vary": "Cookie, Authorization"}
    return Answer(picture.svg, headers=headers)


def _operation_id(handler: HTTPRouteHandler, _: object, path: Sequence[object]) -> str:
    """Such as browseMuscleGroups or addEquipment: what a handler does, on which list."""
    action = handler.handler_name.rpartition(".")[2]
    name = str(path[path.index("catalogs") + 1])
    return action + name.title().replace("-", "")


class ReferenceController(Controller):
    """What the routes of the reference lists have in common."""

    tags = ["Catalogue"]
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @get(operation_id=_operation_id, summary="The whole list")
    async def browse(
        self,
        entries_reader: NamedDependency[ReferenceReader],
        search_string: Search = "",
        order_by: Annotated[EntrySort, QueryParameter(name="orderBy")] = EntrySort.ID,
        sort_order: Direction = SortOrder.ASC,
    ) -> list[Entry]:
        """All rows, or those whose names contain the searched text."""
        return await entries_reader.browse(search_string, order_by, descending=sort_order is SortOrder.DESC)

    @get("/{entry_id:int}", operation_id=_operation_id, summary="One row")
    async def read(self, entry_id: FromPath[int], entries_reader: NamedDependency[ReferenceReader]) -> Entry:
        """One row of the list."""
        return await entries_reader.read(entry_id)

    @post(operation_id=_operation_id, summary="Add a row", guards=CATALOGUE_EDITORS)
    async def add(
        self, request: Request[Any, Any, Any], data: JSONBody[NewEntry], entries: NamedDependency[ReferenceService]
    ) -> Answer[Entry]:
        """Adds a row; its name is kept in lower case."""
        entry = await entries.add(data)
        return Answer(entry, status_code=201, headers={"Location": f"{request.scope['path'].rstrip('/')}/{entry.id}"})

    @patch("/{entry_id:int}", operation_id=_operation_id, summary="Rename a row", guards=CATALOGUE_EDITORS)
    async def change(
        self, entry_id: FromPath[int], data: JSONBody[EntryChange], entries: NamedDependency[ReferenceService]
    ) -> Entry:
        """Renames a row; exercises show the new name at once."""
        return await entries.change(entry_id, data)

    @delete("/{entry_id:int}", operation_id=_operation_id, summary="Delete a row", guards=CATALOGUE_EDITORS)
    async def remove(self, entry_id: FromPath[int], entries: NamedDependency[ReferenceService]) -> None:
        """Deletes a row that no exercise refers to."""
        await entries.remove(entry_id)


def _provide(entries: ReferenceList) -> dict[str, Provide]:
    def provide_entries(db_session: NamedDependency[AsyncSession]) -> ReferenceService:
        return ReferenceService(db_session, entries)

    def provide_reader(
        reader: NamedDependency[Reader], catalogue_memory: NamedDependency[CatalogueMemory]
    ) -> ReferenceReader:
        return ReferenceReader(reader.connection, entries, catalogue_memory)

    return {
        "entries": Provide(provide_entries, sync_to_thread=False),
        "entries_reader": Provide(provide_reader, sync_to_thread=False),
    }


class MuscleGroupController(ReferenceController):
    """The groups of muscles."""

    path = "/catalogs/muscle-groups"
    dependencies = _provide(MUSCLE_GROUPS)


class EquipmentController(ReferenceController):
    """What can be trained with."""

    path = "/catalogs/equipment"
    dependencies = _provide(EQUIPMENT)


class ExerciseTagController(ReferenceController):
    """Words that exercises are found by."""

    path = "/catalogs/exercise-tags"
    dependencies = _provide(EXERCISE_TAGS)


CATALOGUE: list[type[Controller]] = [
    ExerciseController,
    MuscleGroupController,
    EquipmentController,
    ExerciseTagController,
]
