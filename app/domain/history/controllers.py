"""Routes of training sessions."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency, Provide
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.paging import CursorPage, Precondition
from app.db.reader import Reader
from app.db.standby import StandbyReader
from app.domain.history.dto import (
    MAX_CHILDREN,
    NewSession,
    NewSessionExercise,
    NewSet,
    NextDay,
    Order,
    PlanProgress,
    PreviousExercise,
    SessionChange,
    SessionEnd,
    SessionExercise,
    SessionExerciseChange,
    SessionFilters,
    SessionSet,
    SetChange,
    TrainingSession,
    TrainingStatistics,
    WholeSession,
)
from app.domain.history.models import SessionStatus
from app.domain.history.progress import PlanProgressReader
from app.domain.history.replacing import WholeSessionService
from app.domain.history.services import (
    SessionExerciseService,
    SessionReader,
    SessionService,
    SessionSetService,
)
from app.domain.history.statistics import StatisticsReader
from app.http.answers import Answer, created, document
from app.http.dto import StrictDTO
from app.http.problems import PROBLEM_TYPE, Problem
from app.security.principal import Principal

__all__ = (
    "HISTORY",
    "PlanProgressController",
    "SessionController",
    "SessionExerciseController",
    "SessionSetController",
)

ChildId = Annotated[int, PathParameter(ge=1, le=2**63 - 1)]
Cursor = Annotated[
    str | None, QueryParameter(name="cursor", description="nextCursor of the part before; empty: the first part.")
]
PageSize = Annotated[int, QueryParameter(name="pageSize", ge=1, le=100)]
From = Annotated[date | None, QueryParameter(name="from", description="The first local date.")]
To = Annotated[date | None, QueryParameter(name="to", description="The last local date.")]
Statuses = Annotated[list[SessionStatus] | None, QueryParameter(name="status")]
PlanIds = Annotated[list[UUID] | None, QueryParameter(name="trainingPlanId")]
UnitIds = Annotated[list[UUID] | None, QueryParameter(name="trainingUnitId")]
ExerciseIds = Annotated[
    list[UUID] | None, QueryParameter(name="exerciseId", description="Sessions with this exercise.")
]
SetBodies = Annotated[list[NewSet], Meta(min_length=1, max_length=MAX_CHILDREN)]


def provide_sessions(db_session: NamedDependency[AsyncSession]) -> SessionService:
    """The service of sessions, in this request's transaction."""
    return SessionService(db_session)


def provide_session_exercises(db_session: NamedDependency[AsyncSession]) -> SessionExerciseService:
    """The service of the exercises in sessions, in this request's transaction."""
    return SessionExerciseService(db_session)


def provide_session_sets(db_session: NamedDependency[AsyncSession]) -> SessionSetService:
    """The service of the sets in sessions, in this request's transaction."""
    return SessionSetService(db_session)


def provide_whole_sessions(db_session: NamedDependency[AsyncSession]) -> WholeSessionService:
    """The service of whole sessions, in this request's transaction."""
    return WholeSessionService(db_session)


def provide_statistics(standby_reader: NamedDependency[StandbyReader]) -> StatisticsReader:
    """Who adds up the caller's history."""
    return StatisticsReader(standby_reader)


def provide_plan_progress(reader: NamedDependency[Reader]) -> PlanProgressReader:
    """The reader of the caller's progress in plans."""
    return PlanProgressReader(reader)


class SessionController(Controller):
    """Training sessions of the caller."""

    path = "/training-sessions"
    tags = ["Training sessions"]
    dependencies = {
        "training_sessions": Provide(provide_sessions, sync_to_thread=False),
        "whole_sessions": Provide(provide_whole_sessions, sync_to_thread=False),
    }
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @post(
        operation_id="startTrainingSession",
        summary="Start a session",
        responses={
            200: ResponseSpec(TrainingSession, generate_examples=False, description="This id was there already."),
            410: ResponseSpec(
                Problem, generate_examples=False, description="This id was deleted.", media_type=PROBLEM_TYPE
            ),
        },
    )
    async def start(
        self,
        data: JSONBody[NewSession],
        training_sessions: NamedDependency[SessionService],
        principal: NamedDependency[Principal],
    ) -> Answer[TrainingSession]:
        """Starts a session: from a day of a plan, from a unit, or from nothing; the template's targets are copied. Of
        several days with the unit it takes the first undone. With an id that is there already: 200, and what is stored.
        """
        started = await training_sessions.start(data, principal)
        location = f"/api/v1/training-sessions/{started.session.document.id}"
        return created(started.session, location, 201 if started.is_new else 200)

    @get(operation_id="listTrainingSessions", summary="My sessions, newest first")
    async def find(
        self,
        session_reader: NamedDependency[SessionReader],
        principal: NamedDependency[Principal],
        cursor: Cursor = None,
        page_size: PageSize = 20,
        from_: From = None,
        to: To = None,
        status: Statuses = None,
        training_plan_id: PlanIds = None,
        training_unit_id: UnitIds = None,
        exercise_id: ExerciseIds = None,
    ) -> CursorPage[TrainingSession]:
        """A part of my history; a shorter one where sessions are long, so go by nextCursor. A cursor belongs to the
        filters that it was made with.
        """
        filters = SessionFilters.of(from_, to, status, training_plan_id, training_unit_id, exercise_id)
        return await session_reader.find(principal, filters, cursor, page_size)

    @get(
        "/statistics",
        operation_id="getTrainingStatistics",
        summary="What my sessions add up to",
        dependencies={"statistics": Provide(provide_statistics, sync_to_thread=False)},
    )
    async def add_up(
        self,
        statistics: NamedDependency[StatisticsReader],
        principal: NamedDependency[Principal],
        from_: From = None,
        to: To = None,
    ) -> TrainingStatistics:
        """Sets, reps, weight, time and distance of my completed sessions, in all and by exercise, without warm-ups."""
        return await statistics.add_up(principal, from_, to)

    @get("/{session_id:uuid}", operation_id="getTrainingSession", summary="A session with its exercises and sets")
    async def read(
        self,
        session_id: FromPath[UUID],
        session_reader: NamedDependency[SessionReader],
        principal: NamedDependency[Principal],
    ) -> Answer[TrainingSession]:
        """One of my sessions, in full."""
        return document(await session_reader.read(session_id, principal))

    @get("/{session_id:uuid}/previous", operation_id="getPreviousSets", summary="What I did the last time")
    async def previous(
        self,
        session_id: FromPath[UUID],
        session_reader: NamedDependency[SessionReader],
        principal: NamedDependency[Principal],
    ) -> list[PreviousExercise]:
        """For each exercise of a session, the sets of the last session before it in which I did any."""
        return await session_reader.previous(session_id, principal)

    @put(
        "/{session_id:uuid}",
        operation_id="putTrainingSession",
        summary="Make or replace a whole session",
        responses={
            201: ResponseSpec(TrainingSession, generate_examples=False, description="This id was new."),
            410: ResponseSpec(
                Problem, generate_examples=False, description="This id was deleted.", media_type=PROBLEM_TYPE
            ),
        },
    )
    async def replace(
        self,
        session_id: FromPath[UUID],
        data: JSONBody[WholeSession],
        whole_sessions: NamedDependency[WholeSessionService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[TrainingSession]:
        """Stores a session as the client has it; sent again, it changes nothing more. Exercises and sets are matched by
        id, else by their place; the others are added or deleted. A lower clientRevision than the stored one changes
        nothing, and the answer is what is stored.
        """
        kept = await whole_sessions.put(session_id, data, principal, precondition)
        if not kept.is_new:
            return document(kept.session)
        return created(kept.session, f"/api/v1/training-sessions/{session_id}")

    @patch("/{session_id:uuid}", operation_id="changeTrainingSession", summary="Correct a session")
    async def change(
        self,
        session_id: FromPath[UUID],
        data: JSONBody[SessionChange],
        training_sessions: NamedDependency[SessionService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[TrainingSession]:
        """Changes times, time zone and notes (RFC 7396), whatever the status; the duration follows."""
        return document(await training_sessions.change(session_id, data, principal, precondition))

    @delete("/{session_id:uuid}", operation_id="deleteTrainingSession", summary="Delete a session")
    async def delete(
        self,
        session_id: FromPath[UUID],
        training_sessions: NamedDependency[SessionService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> None:
        """Deletes a session for good; its id can't be used again."""
        await training_sessions.delete(session_id, principal, precondition)

    @post(
        "/{session_id:uuid}/complete",
        operation_id="completeTrainingSession",
        summary="Complete a session",
        status_code=200,
    )
    async def complete(
        self,
        session_id: FromPath[UUID],
        training_sessions: NamedDependency[SessionService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
        data: JSONBody[SessionEnd | None] = None,
    ) -> Answer[TrainingSession]:
        """Ends a session in progress as done; 409 for any other."""
        end = data.end_time if data else None
        return document(await training_sessions.complete(session_id, end, principal, precondition))

    @post("/{session_id:uuid}/abort", operation_id="abortTrainingSession", summary="Abort a session", status_code=200)
    async def abort(
        self,
        session_id: FromPath[UUID],
        training_sessions: NamedDependency[SessionService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[TrainingSession]:
        """Ends a session in progress as given up; 409 for any other."""
        return document(await training_sessions.abort(session_id, principal, precondition))


class SessionExerciseController(Controller):
    """Exercises of a session. ETag and If-Match are the session's."""

    path = "/training-sessions/{session_id:uuid}/exercises"
    tags = ["Training sessions"]
    dependencies = {"session_exercises": Provide(provide_session_exercises, sync_to_thread=False)}
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @post(operation_id="addSessionExercise", summary="Add an exercise to a session")
    async def add(
        self,
        session_id: FromPath[UUID],
        data: JSONBody[NewSessionExercise],
        session_exercises: NamedDependency[SessionExerciseService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[SessionExercise]:
        """Adds an exercise of the catalogue, or one that has only a name."""
        added = await session_exercises.add(session_id, data, principal, precondition)
        return created(added, f"/api/v1/training-sessions/{session_id}")

    @put("/order", operation_id="orderSessionExercises", summary="Reorder the exercises of a session")
    async def reorder(
        self,
        session_id: FromPath[UUID],
        data: JSONBody[Order],
        session_exercises: NamedDependency[SessionExerciseService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[TrainingSession]:
        """Takes the ids of all exercises, each once; answers with the session."""
        return document(await session_exercises.reorder(session_id, data.ids, principal, precondition))

    @patch("/{child_id:int}", operation_id="changeSessionExercise", summary="Change an exercise of a session")
    async def change(
        self,
        session_id: FromPath[UUID],
        child_id: ChildId,
        data: JSONBody[SessionExerciseChange],
        session_exercises: NamedDependency[SessionExerciseService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[SessionExercise]:
        """Swaps the exercise, renames it or corrects its mode; the mode only while it has no sets, else 409."""
        return document(await session_exercises.change(session_id, child_id, data, principal, precondition))

    @delete("/{child_id:int}", operation_id="removeSessionExercise", summary="Remove an exercise from a session")
    async def remove(
        self,
        session_id: FromPath[UUID],
        child_id: ChildId,
        session_exercises: NamedDependency[SessionExerciseService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> None:
        """Removes an exercise with its sets."""
        await session_exercises.remove(session_id, child_id, principal, precondition)


class SessionSetController(Controller):
    """Sets of an exercise in a session. ETag and If-Match are the session's."""

    path = "/training-sessions/{session_id:uuid}/exercises/{child_id:int}/sets"
    tags = ["Training sessions"]
    dependencies = {"session_sets": Provide(provide_session_sets, sync_to_thread=False)}
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @post(operation_id="addSessionSets", summary="Add one set or several")
    async def add(
        self,
        session_id: FromPath[UUID],
        child_id: ChildId,
        data: JSONBody[NewSet | SetBodies],
        session_sets: NamedDependency[SessionSetService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[SessionSet | list[SessionSet]]:
        """Adds one set, or a list of them: all or none."""
        added = await session_sets.add(session_id, child_id, data, principal, precondition)
        return created(added, f"/api/v1/training-sessions/{session_id}")

    @put("/order", operation_id="orderSessionSets", summary="Reorder the sets of an exercise")
    async def reorder(
        self,
        session_id: FromPath[UUID],
        child_id: ChildId,
        data: JSONBody[Order],
        session_sets: NamedDependency[SessionSetService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[SessionExercise]:
        """Takes the ids of all sets, each once; answers with the exercise."""
        return document(await session_sets.reorder(session_id, child_id, data.ids, principal, precondition))

    @patch("/{set_id:int}", operation_id="changeSessionSet", summary="Correct a set")
    async def change(
        self,
        session_id: FromPath[UUID],
        child_id: ChildId,
        set_id: ChildId,
        data: JSONBody[SetChange],
        session_sets: NamedDependency[SessionSetService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[SessionSet]:
        """Changes the given values (RFC 7396)."""
        return document(await session_sets.change(session_id, child_id, set_id, data, principal, precondition))

    @delete("/{set_id:int}", operation_id="removeSessionSet", summary="Remove a set")
    async def remove(
        self,
        session_id: FromPath[UUID],
        child_id: ChildId,
        set_id: ChildId,
        session_sets: NamedDependency[SessionSetService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> None:
        """Removes a set."""
        await session_sets.remove(session_id, child_id, set_id, principal, precondition)


class PlanProgressController(Controller):
    """How far the caller has come in a plan, by their own sessions."""

    path = "/training-plans/{plan_id:uuid}"
    tags = ["Training plans"]
    dependencies = {"plan_progress": Provide(provide_plan_progress, sync_to_thread=False)}
    return_dto = StrictDTO[Any]

    @get("/next", operation_id="getNextPlanDay", summary="Which day of a plan comes next for me")
    async def next_day(
        self,
        plan_id: FromPath[UUID],
        plan_progress: NamedDependency[PlanProgressReader],
        principal: NamedDependency[Principal],
    ) -> NextDay:
        """The first day that I have not completed in this round; a round ends when every day was done once more."""
        return await plan_progress.next_day(plan_id, principal)

    @get("/progress", operation_id="getPlanProgress", summary="Which days of a plan I have done, and when")
    async def progress(
        self,
        plan_id: FromPath[UUID],
        plan_progress: NamedDependency[PlanProgressReader],
        principal: NamedDependency[Principal],
    ) -> PlanProgress:
        """All days of a plan, how often I have completed each, and the last time."""
        return await plan_progress.progress(plan_id, principal)


HISTORY = [SessionController, SessionExerciseController, SessionSetController, PlanProgressController]
"""The routes of this domain."""
