"""Routes of units and plans."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar
from uuid import UUID

from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency, Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.paging import Page, PageRequest, Precondition, SortOrder, Versioned
from app.db.reader import Reader
from app.db.standby import StandbyReader
from app.domain.catalogue.models import DifficultyLevel
from app.domain.training.access import PLANS, UNITS, Scope, Template
from app.domain.training.children import PlanUnitService, UnitExerciseService
from app.domain.training.documents import PlanReader, UnitReader
from app.domain.training.dto import (
    ExerciseOrder,
    Grant,
    Link,
    NewGrant,
    NewLink,
    NewPlan,
    NewPlanUnit,
    NewUnit,
    NewUnitExercise,
    PlanChange,
    PlanDocument,
    PlanUnit,
    PlanUnitChange,
    SharedTemplate,
    TemplateFilters,
    TemplateSort,
    TrainingPlan,
    TrainingUnit,
    UnitChange,
    UnitDocument,
    UnitExercise,
    UnitExerciseChange,
    UnitOrder,
)
from app.domain.training.guards import MAY_DELETE, MAY_READ, MAY_SHARE, MAY_WRITE
from app.domain.training.models import SharingStatus
from app.domain.training.services import PlanService, UnitService
from app.domain.training.sharing import GrantService, LinkService, SharedReader, SharingReader
from app.http.admission import PUBLIC
from app.http.answers import Answer, created, document
from app.http.dto import StrictDTO
from app.security.principal import Principal

__all__ = (
    "TRAINING",
    "PlanController",
    "PlanSharingController",
    "PlanUnitController",
    "SharedController",
    "SharingController",
    "UnitController",
    "UnitExerciseController",
    "UnitSharingController",
)

_UNITS = "/training-units"
_PLANS = "/training-plans"

ChildId = Annotated[int, PathParameter(ge=1, le=2**31 - 1)]
Search = Annotated[str, QueryParameter(name="searchString", max_length=200, description="A part of the name.")]
InScope = Annotated[
    Scope,
    QueryParameter(
        name="scope",
        description="Mine; shared with me; public; all of these; or everyone's, for superusers.",
    ),
]
Statuses = Annotated[list[SharingStatus] | None, QueryParameter(name="sharingStatus")]
Levels = Annotated[list[DifficultyLevel] | None, QueryParameter(name="difficultyLevel")]
Order = Annotated[TemplateSort, QueryParameter(name="orderBy")]
Direction = Annotated[
    SortOrder | None,
    QueryParameter(name="sortOrder", description="When absent: names from the first on, times from the last on."),
]


def _filters(
    scope: Scope,
    search: str,
    statuses: list[SharingStatus] | None,
    levels: list[DifficultyLevel] | None,
    order_by: TemplateSort,
    direction: SortOrder | None,
) -> TemplateFilters:
    usual = SortOrder.ASC if order_by is TemplateSort.NAME else SortOrder.DESC
    return TemplateFilters(
        scope=scope,
        search=search,
        sharing_status=statuses or (),
        difficulty_level=levels or (),
        order_by=order_by,
        descending=(direction or usual) is SortOrder.DESC,
    )


def provide_unit_filters(
    scope_: InScope = Scope.MINE,
    search_string: Search = "",
    sharing_status: Statuses = None,
    order_by: Order = TemplateSort.UPDATED_AT,
    sort_order: Direction = None,
) -> TemplateFilters:
    """The dependency ``filters`` of units: which ones a list has, and in which order."""
    return _filters(scope_, search_string, sharing_status, None, order_by, sort_order)


def provide_plan_filters(
    scope_: InScope = Scope.MINE,
    search_string: Search = "",
    sharing_status: Statuses = None,
    difficulty_level: Levels = None,
    order_by: Order = TemplateSort.UPDATED_AT,
    sort_order: Direction = None,
) -> TemplateFilters:
    """The dependency ``filters`` of plans: which ones a list has, and in which order."""
    return _filters(scope_, search_string, sharing_status, difficulty_level, order_by, sort_order)


def provide_units(db_session: NamedDependency[AsyncSession]) -> UnitService:
    """The service of units, in this request's transaction."""
    return UnitService(db_session)


def provide_plans(db_session: NamedDependency[AsyncSession]) -> PlanService:
    """The service of plans, in this request's transaction."""
    return PlanService(db_session)


def provide_unit_exercises(db_session: NamedDependency[AsyncSession]) -> UnitExerciseService:
    """The service of the exercises in units, in this request's transaction."""
    return UnitExerciseService(db_session)


def provide_plan_units(db_session: NamedDependency[AsyncSession]) -> PlanUnitService:
    """The service of the units in plans, in this request's transaction."""
    return PlanUnitService(db_session)


def provide_unit_reader(reader: NamedDependency[Reader], standby_reader: NamedDependency[StandbyReader]) -> UnitReader:
    """Who reads units."""
    return UnitReader(reader, standby_reader)


def provide_plan_reader(reader: NamedDependency[Reader], standby_reader: NamedDependency[StandbyReader]) -> PlanReader:
    """Who reads plans."""
    return PlanReader(reader, standby_reader)


def provide_shared_reader(reader: NamedDependency[Reader]) -> SharedReader:
    """Who reads what links lead to."""
    return SharedReader(reader)


class UnitController(Controller):
    """Training units: one workout each."""

    path = _UNITS
    tags = ["Training units"]
    dependencies = {
        "units": Provide(provide_units, sync_to_thread=False),
        "unit_reader": Provide(provide_unit_reader, sync_to_thread=False),
    }
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @post(operation_id="createTrainingUnit", summary="Make a unit")
    async def create(
        self,
        data: JSONBody[NewUnit],
        units: NamedDependency[UnitService],
        principal: NamedDependency[Principal],
    ) -> Answer[TrainingUnit]:
        """Makes a unit of mine, with its exercises in their order."""
        return _created(_UNITS, await units.create(data, principal))

    @get(
        operation_id="listTrainingUnits",
        summary="Find units",
        dependencies={"filters": Provide(provide_unit_filters, sync_to_thread=False)},
    )
    async def browse(
        self,
        unit_reader: NamedDependency[UnitReader],
        filters: NamedDependency[TemplateFilters],
        page: NamedDependency[PageRequest],
        principal: NamedDependency[Principal],
    ) -> Page[TrainingUnit]:
        """The units of a scope, the last changed first; each as its detail shows it."""
        return await unit_reader.browse(filters, page, principal)

    @get("/{template_id:uuid}", operation_id="getTrainingUnit", summary="A unit with its exercises")
    async def read(
        self,
        template_id: FromPath[UUID],
        unit_reader: NamedDependency[UnitReader],
        principal: NamedDependency[Principal],
    ) -> Answer[TrainingUnit]:
        """One that I may read: mine, shared with me, public, or in a plan that I may read."""
        return document(await unit_reader.read(template_id, principal))

    @patch("/{template_id:uuid}", operation_id="changeTrainingUnit", summary="Change a unit", guards=MAY_WRITE[UNITS])
    async def change(
        self,
        template_id: FromPath[UUID],
        data: JSONBody[UnitChange],
        units: NamedDependency[UnitService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[TrainingUnit]:
        """Changes what is given (RFC 7396). The sharing status is the owner's to change."""
        return document(await units.change(template_id, data, principal, precondition))

    @put("/{template_id:uuid}", operation_id="replaceTrainingUnit", summary="Replace a unit", guards=MAY_WRITE[UNITS])
    async def replace(
        self,
        template_id: FromPath[UUID],
        data: JSONBody[UnitDocument],
        units: NamedDependency[UnitService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[TrainingUnit]:
        """Makes the unit what is sent. Exercises are matched by id, else by place, and keep their ids."""
        return document(await units.change(template_id, data, principal, precondition))

    @delete("/{template_id:uuid}", operation_id="deleteTrainingUnit", summary="Delete a unit", guards=MAY_DELETE[UNITS])
    async def delete(
        self,
        template_id: FromPath[UUID],
        units: NamedDependency[UnitService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> None:
        """Deletes a unit that is in no plan; 409 names those that it is in."""
        await units.delete(template_id, principal, precondition)

    @post("/{template_id:uuid}/copy", operation_id="copyTrainingUnit", summary="Copy a unit", guards=MAY_READ[UNITS])
    async def copy(
        self,
        template_id: FromPath[UUID],
        units: NamedDependency[UnitService],
        principal: NamedDependency[Principal],
    ) -> Answer[TrainingUnit]:
        """Copies a unit that I may read into my account, private, under a name that I don't have yet."""
        return _created(_UNITS, await units.copy(template_id, principal))


class UnitExerciseController(Controller):
    """Exercises of a unit. ETag and If-Match are the unit's."""

    path = f"{_UNITS}/{{template_id:uuid}}/exercises"
    tags = ["Training units"]
    guards = MAY_WRITE[UNITS]
    dependencies = {"unit_exercises": Provide(provide_unit_exercises, sync_to_thread=False)}
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @post(operation_id="addUnitExercise", summary="Add an exercise to a unit")
    async def add(
        self,
        template_id: FromPath[UUID],
        data: JSONBody[NewUnitExercise],
        unit_exercises: NamedDependency[UnitExerciseService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[UnitExercise]:
        """Adds an exercise of the catalogue, or one that has only a name."""
        added = await unit_exercises.add(template_id, data, principal, precondition)
        return created(added, f"/api/v1{_UNITS}/{template_id}")

    @put("/order", operation_id="orderUnitExercises", summary="Reorder the exercises of a unit")
    async def reorder(
        self,
        template_id: FromPath[UUID],
        data: JSONBody[ExerciseOrder],
        unit_exercises: NamedDependency[UnitExerciseService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[TrainingUnit]:
        """Takes the ids of all exercises, each once; answers with the unit."""
        return document(await unit_exercises.reorder(template_id, data.ids, principal, precondition))

    @patch("/{child_id:int}", operation_id="changeUnitExercise", summary="Change an exercise of a unit")
    async def change(
        self,
        template_id: FromPath[UUID],
        child_id: ChildId,
        data: JSONBody[UnitExerciseChange],
        unit_exercises: NamedDependency[UnitExerciseService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[UnitExercise]:
        """Changes what is given (RFC 7396); the whole of it is checked as when it is added."""
        return document(await unit_exercises.change(template_id, child_id, data, principal, precondition))

    @delete("/{child_id:int}", operation_id="removeUnitExercise", summary="Remove an exercise from a unit")
    async def remove(
        self,
        template_id: FromPath[UUID],
        child_id: ChildId,
        unit_exercises: NamedDependency[UnitExerciseService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> None:
        """Removes an exercise; what was trained by it stays."""
        await unit_exercises.remove(template_id, child_id, principal, precondition)


class PlanController(Controller):
    """Training plans: units over days."""

    path = _PLANS
    tags = ["Training plans"]
    dependencies = {
        "plans": Provide(provide_plans, sync_to_thread=False),
        "plan_reader": Provide(provide_plan_reader, sync_to_thread=False),
    }
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @post(operation_id="createTrainingPlan", summary="Make a plan")
    async def create(
        self,
        data: JSONBody[NewPlan],
        plans: NamedDependency[PlanService],
        principal: NamedDependency[Principal],
    ) -> Answer[TrainingPlan]:
        """Makes a plan of mine. Of units that are not mine, copies are stored in my account."""
        return _created(_PLANS, await plans.create(data, principal))

    @get(
        operation_id="listTrainingPlans",
        summary="Find plans",
        dependencies={"filters": Provide(provide_plan_filters, sync_to_thread=False)},
    )
    async def browse(
        self,
        plan_reader: NamedDependency[PlanReader],
        filters: NamedDependency[TemplateFilters],
        page: NamedDependency[PageRequest],
        principal: NamedDependency[Principal],
    ) -> Page[TrainingPlan]:
        """The plans of a scope, the last changed first; each as its detail shows it."""
        return await plan_reader.browse(filters, page, principal)

    @get("/{template_id:uuid}", operation_id="getTrainingPlan", summary="A plan with its days")
    async def read(
        self,
        template_id: FromPath[UUID],
        plan_reader: NamedDependency[PlanReader],
        principal: NamedDependency[Principal],
    ) -> Answer[TrainingPlan]:
        """One that I may read: mine, shared with me, or public."""
        return document(await plan_reader.read(template_id, principal))

    @patch("/{template_id:uuid}", operation_id="changeTrainingPlan", summary="Change a plan", guards=MAY_WRITE[PLANS])
    async def change(
        self,
        template_id: FromPath[UUID],
        data: JSONBody[PlanChange],
        plans: NamedDependency[PlanService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[TrainingPlan]:
        """Changes what is given (RFC 7396). The sharing status is the owner's to change."""
        return document(await plans.change(template_id, data, principal, precondition))

    @put("/{template_id:uuid}", operation_id="replaceTrainingPlan", summary="Replace a plan", guards=MAY_WRITE[PLANS])
    async def replace(
        self,
        template_id: FromPath[UUID],
        data: JSONBody[PlanDocument],
        plans: NamedDependency[PlanService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[TrainingPlan]:
        """Makes the plan what is sent. Its units are matched by id, else by place, and keep their ids."""
        return document(await plans.change(template_id, data, principal, precondition))

    @delete("/{template_id:uuid}", operation_id="deleteTrainingPlan", summary="Delete a plan", guards=MAY_DELETE[PLANS])
    async def delete(
        self,
        template_id: FromPath[UUID],
        plans: NamedDependency[PlanService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> None:
        """Deletes a plan; its units stay."""
        await plans.delete(template_id, principal, precondition)

    @post("/{template_id:uuid}/copy", operation_id="copyTrainingPlan", summary="Copy a plan", guards=MAY_READ[PLANS])
    async def copy(
        self,
        template_id: FromPath[UUID],
        plans: NamedDependency[PlanService],
        principal: NamedDependency[Principal],
    ) -> Answer[TrainingPlan]:
        """Copies a plan that I may read into my account, private, with copies of its units unless they are mine."""
        return _created(_PLANS, await plans.copy(template_id, principal))


class PlanUnitController(Controller):
    """Units of a plan. ETag and If-Match are the plan's."""

    path = f"{_PLANS}/{{template_id:uuid}}/units"
    tags = ["Training plans"]
    guards = MAY_WRITE[PLANS]
    dependencies = {"plan_units": Provide(provide_plan_units, sync_to_thread=False)}
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @post(operation_id="addPlanUnit", summary="Add a unit to a plan")
    async def add(
        self,
        template_id: FromPath[UUID],
        data: JSONBody[NewPlanUnit],
        plan_units: NamedDependency[PlanUnitService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[PlanUnit]:
        """Adds a unit to a day. Of one that is not the plan owner's, a copy is stored in the owner's account."""
        added = await plan_units.add(template_id, data, principal, precondition)
        return created(added, f"/api/v1{_PLANS}/{template_id}")

    @put("/order", operation_id="orderPlanUnits", summary="Reorder the units of a plan")
    async def reorder(
        self,
        template_id: FromPath[UUID],
        data: JSONBody[UnitOrder],
        plan_units: NamedDependency[PlanUnitService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[TrainingPlan]:
        """Takes the ids of all units on their days, each once; answers with the plan."""
        return document(await plan_units.reorder(template_id, data.days, principal, precondition))

    @patch("/{child_id:int}", operation_id="changePlanUnit", summary="Change a unit of a plan")
    async def change(
        self,
        template_id: FromPath[UUID],
        child_id: ChildId,
        data: JSONBody[PlanUnitChange],
        plan_units: NamedDependency[PlanUnitService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[PlanUnit]:
        """Puts another unit in its place, or moves it to the end of another day."""
        return document(await plan_units.change(template_id, child_id, data, principal, precondition))

    @delete("/{child_id:int}", operation_id="removePlanUnit", summary="Remove a unit from a plan")
    async def remove(
        self,
        template_id: FromPath[UUID],
        child_id: ChildId,
        plan_units: NamedDependency[PlanUnitService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> None:
        """Removes a unit from the plan; the unit itself stays."""
        await plan_units.remove(template_id, child_id, principal, precondition)


def _operation_id(handler: HTTPRouteHandler, _: object, path: Sequence[object]) -> str:
    """Such as grantTrainingUnitAccess: what a handler does, on which kind of template."""
    action, _, thing = handler.handler_name.rpartition(".")[2].partition("_")
    kind = "TrainingUnit" if _UNITS.strip("/") in map(str, path) else "TrainingPlan"
    return f"{action}{kind}{thing.title()}"


def _sharing_dependencies(template: Template) -> dict[str, Provide]:
    def provide_sharing(reader: NamedDependency[Reader]) -> SharingReader:
        return SharingReader(reader, template)

    def provide_grants(db_session: NamedDependency[AsyncSession]) -> GrantService:
        return GrantService(db_session, template)

    def provide_links(db_session: NamedDependency[AsyncSession]) -> LinkService:
        return LinkService(db_session, template)

    return {
        "sharing": Provide(provide_sharing, sync_to_thread=False),
        "grants": Provide(provide_grants, sync_to_thread=False),
        "links": Provide(provide_links, sync_to_thread=False),
    }


class SharingController(Controller):
    """Who else may see a template: what the routes of units and of plans have in common."""

    place: ClassVar[str]
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @get("/access", operation_id=_operation_id, summary="Who else may read or write it")
    async def list_access(
        self,
        template_id: FromPath[UUID],
        sharing: NamedDependency[SharingReader],
        principal: NamedDependency[Principal],
    ) -> list[Grant]:
        """What I granted to others; it counts while the status is shared."""
        return await sharing.grants(template_id, principal)

    @put(
        "/access",
        operation_id=_operation_id,
        summary="Let another user read or write it",
        responses={
            201: ResponseSpec(Grant, generate_examples=False, description="Nothing was granted to them before.")
        },
    )
    async def grant_access(
        self,
        template_id: FromPath[UUID],
        data: JSONBody[NewGrant],
        grants: NamedDependency[GrantService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[Grant]:
        """Grants access to one active user, by e-mail or by id; it counts while the status is shared."""
        stored = await grants.grant(template_id, data, principal, precondition)
        if not stored.is_new:
            return Answer(stored.grant)
        location = f"/api/v1{self.place}/{template_id}/access"
        return Answer(stored.grant, status_code=201, headers={"Location": location})

    @delete("/access/{user_id:uuid}", operation_id=_operation_id, summary="Take access back, or give it up")
    async def revoke_access(
        self,
        template_id: FromPath[UUID],
        user_id: FromPath[UUID],
        grants: NamedDependency[GrantService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> None:
        """Ends what was granted to a user; that user may do so too."""
        await grants.revoke(template_id, user_id, principal, precondition)

    @post("/link", operation_id=_operation_id, summary="Make a link to it")
    async def make_link(
        self,
        template_id: FromPath[UUID],
        links: NamedDependency[LinkService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
        data: JSONBody[NewLink | None] = None,
    ) -> Answer[Link]:
        """Makes a link by which anybody may read it, while it is shared or public; an earlier link ends."""
        made = await links.make(template_id, data or NewLink(), principal, precondition)
        location = f"/api/v1{self.place}/{template_id}/link"
        return Answer(made, status_code=201, headers={"Location": location})

    @get("/link", operation_id=_operation_id, summary="The link to it")
    async def read_link(
        self,
        template_id: FromPath[UUID],
        sharing: NamedDependency[SharingReader],
        principal: NamedDependency[Principal],
    ) -> Link:
        """When the link was made and when it ends; its token was told once, and is not kept."""
        return await sharing.link(template_id, principal)

    @delete("/link", operation_id=_operation_id, summary="End the link to it")
    async def end_link(
        self,
        template_id: FromPath[UUID],
        links: NamedDependency[LinkService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> None:
        """Ends the link at once."""
        await links.end(template_id, principal, precondition)


class UnitSharingController(SharingController):
    """Who else may see a unit."""

    place = _UNITS
    path = f"{_UNITS}/{{template_id:uuid}}"
    tags = ["Training units"]
    guards = MAY_SHARE[UNITS]
    dependencies = _sharing_dependencies(UNITS)


class PlanSharingController(SharingController):
    """Who else may see a plan."""

    place = _PLANS
    path = f"{_PLANS}/{{template_id:uuid}}"
    tags = ["Training plans"]
    guards = MAY_SHARE[PLANS]
    dependencies = _sharing_dependencies(PLANS)


class SharedController(Controller):
    """What links lead to."""

    path = "/shared"
    tags = ["Share links"]
    opt = PUBLIC
    dependencies = {"shared": Provide(provide_shared_reader, sync_to_thread=False)}
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @get("/{token:str}", operation_id="getSharedTemplate", summary="What a link leads to")
    async def read(self, token: FromPath[str], shared: NamedDependency[SharedReader]) -> Answer[SharedTemplate]:
        """A unit, or a plan with its units, for whoever has the link; it needs no account.

        404 when there is no such link, when it has ended, and while what it leads to is private.
        """
        return Answer(await shared.read(token), headers={"X-Robots-Tag": "noindex"})


def _created(place: str, made: Versioned[Any]) -> Answer[Any]:
    return created(made, f"/api/v1{place}/{made.document.id}")


TRAINING = [
    UnitController,
    UnitExerciseController,
    UnitSharingController,
    PlanController,
    PlanUnitController,
    PlanSharingController,
    SharedController,
]
"""The routes of this domain."""
