"""Units and plans as documents, each read in one statement that PostgreSQL puts together as JSON."""

from collections.abc import Mapping
from datetime import UTC
from typing import Final, Generic, TypeVar
from uuid import UUID

import msgspec
from asyncpg import Connection
from msgspec import Struct

from app.db.paging import Page, PageRequest, Versioned
from app.db.reader import Fetching, Reader
from app.domain.catalogue.links import joined
from app.domain.catalogue.names import FOLDED_NAME, fold
from app.domain.catalogue.search import Parameters
from app.domain.training.access import PLANS, UNITS, Access, Scope, Template, access_of, rows_in_scope
from app.domain.training.dto import PlanUnit, TemplateFilters, TemplateSort, TrainingPlan, TrainingUnit, UnitExercise
from app.errors import Forbidden, NotFound
from app.security.principal import Principal

__all__ = (
    "PLAN_DOCUMENTS",
    "UNIT_DOCUMENTS",
    "Documents",
    "PlanReader",
    "TemplateReader",
    "UnitReader",
    "read_document",
    "read_plan_unit",
    "read_unit_exercise",
)

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

D = TypeVar("D", TrainingUnit, TrainingPlan)

_HEAD: Final = """
    'id', t.id, 'name', t.name, 'description', t.description, 'sharingStatus', t.sharing_status,
    'createdBy', t.created_by, 'access', a.access, 'createdAt', t.created_at, 'updatedAt', t.updated_at
"""

_EXERCISE_JSON: Final = """
json_build_object(
    'id', e.id, 'exerciseId', e.exercise_id, 'exerciseName', e.exercise_name_snapshot, 'mode', e.mode,
    'orderIndex', e.order_index, 'notes', e.unit_exercise_notes, 'targetWeight', e.target_weight::float8,
    'sets', e.sets, 'repsMin', e.reps_min, 'repsMax', e.reps_max, 'targetTimeSeconds', e.target_time_seconds,
    'targetDistanceKm', e.target_distance_km::float8, 'restSeconds', e.rest_seconds,
    'supersetGroup', e.superset_group)
"""

_UNIT_JSON: Final = f"""
json_build_object({_HEAD},
    'exercises', coalesce((
        SELECT json_agg({_EXERCISE_JSON} ORDER BY e.order_index)
        FROM training_unit_exercises e WHERE e.training_unit_id = t.id), '[]'::json))::text
"""

_PLAN_UNIT_JSON: Final = """
json_build_object(
    'id', d.id, 'trainingUnitId', d.training_unit_id, 'unitName', u.name, 'dayNumber', d.day_number,
    'orderIndex', d.order_index)
"""

_PLAN_JSON: Final = f"""
json_build_object({_HEAD}, 'difficultyLevel', t.difficulty_level,
    'units', coalesce((
        SELECT json_agg({_PLAN_UNIT_JSON} ORDER BY d.day_number, d.order_index)
        FROM training_plan_units d JOIN training_units u ON u.id = d.training_unit_id
        WHERE d.training_plan_id = t.id), '[]'::json))::text
"""

_READ_EXERCISE: Final = f"""
SELECT t.version, ({_EXERCISE_JSON})::text AS child
FROM training_unit_exercises e JOIN training_units t ON t.id = e.training_unit_id
WHERE e.id = $1 AND t.id = $2
"""

_READ_PLAN_UNIT: Final = f"""
SELECT t.version, ({_PLAN_UNIT_JSON})::text AS child
FROM training_plan_units d JOIN training_plans t ON t.id = d.training_plan_id
JOIN training_units u ON u.id = d.training_unit_id
WHERE d.id = $1 AND t.id = $2
"""

_LIST: Final = """
WITH hits AS (
    SELECT t.id, {key} AS key FROM {table} t WHERE {conditions}
), page AS (
    SELECT id, row_number() OVER (ORDER BY key {direction}, id) AS position FROM hits
    ORDER BY position LIMIT {limit} OFFSET {offset}
)
SELECT (SELECT count(*) FROM hits) AS total,
    '[' || coalesce(string_agg({document}, ',' ORDER BY page.position), '') || ']' AS items
FROM page JOIN {table} t ON t.id = page.id CROSS JOIN LATERAL (SELECT {access} AS access) a
"""

_SORT_KEYS: Final[Mapping[TemplateSort, str]] = {
    TemplateSort.NAME: FOLDED_NAME,
    TemplateSort.CREATED_AT: "t.created_at",
    TemplateSort.UPDATED_AT: "t.updated_at",
}

_exercise_decoder = msgspec.json.Decoder(UnitExercise)
_plan_unit_decoder = msgspec.json.Decoder(PlanUnit)


class Documents(Struct, Generic[D], frozen=True):
    """How the documents of one kind are read.

    Attributes:
        json: the document of the row t, as the caller with the access a.access sees it.
    """

    template: Template
    json: str
    one: msgspec.json.Decoder[D]
    many: msgspec.json.Decoder[list[D]]
    reading: str


def _reading(template: Template, document: str) -> str:
    return (
        f"SELECT t.version, {document} AS document FROM {template.table} t "
        f"CROSS JOIN LATERAL (SELECT {access_of(template, 't', '$2::uuid', '$3::boolean')} AS access) a "
        "WHERE t.id = $1 AND a.access IS NOT NULL"
    )


UNIT_DOCUMENTS: Final[Documents[TrainingUnit]] = Documents(
    UNITS,
    _UNIT_JSON,
    msgspec.json.Decoder(TrainingUnit),
    msgspec.json.Decoder(list[TrainingUnit]),
    _reading(UNITS, _UNIT_JSON),
)
PLAN_DOCUMENTS: Final[Documents[TrainingPlan]] = Documents(
    PLANS,
    _PLAN_JSON,
    msgspec.json.Decoder(TrainingPlan),
    msgspec.json.Decoder(list[TrainingPlan]),
    _reading(PLANS, _PLAN_JSON),
)


async def read_document(
    connection: "Connection | Reader", documents: Documents[D], template_id: UUID, principal: Principal
) -> Versioned[D]:
    """A template as the caller sees it.

    Raises:
        NotFound: it is hidden, or there is none.
    """
    row = await connection.fetchrow(documents.reading, template_id, principal.user_id, principal.is_superuser)
    if row is None:
        raise NotFound
    document = _in_utc(documents.one.decode(row["document"]))
    return Versioned(document, row["version"], document.access)


async def read_unit_exercise(
    connection: "Connection", child_id: int, unit_id: UUID, access: Access
) -> Versioned[UnitExercise]:
    """An exercise of a unit that the caller has access to.

    Raises:
        NotFound: the unit has none with this id.
    """
    row = await connection.fetchrow(_READ_EXERCISE, child_id, unit_id)
    if row is None:
        raise NotFound
    return Versioned(_exercise_decoder.decode(row["child"]), row["version"], access)


async def read_plan_unit(connection: "Connection", child_id: int, plan_id: UUID, access: Access) -> Versioned[PlanUnit]:
    """A unit of a plan that the caller has access to.

    Raises:
        NotFound: the plan has none with this id.
    """
    row = await connection.fetchrow(_READ_PLAN_UNIT, child_id, plan_id)
    if row is None:
        raise NotFound
    return Versioned(_plan_unit_decoder.decode(row["child"]), row["version"], access)


class TemplateReader(Generic[D]):
    """Reads the templates of one kind that the caller may see, each time in one statement."""

    def __init__(self, reader: Reader, lists: Fetching, documents: Documents[D]) -> None:
        self._reader = reader
        self._lists = lists
        self._documents: Documents[D] = documents

    async def read(self, template_id: UUID, principal: Principal) -> Versioned[D]:
        """One template.

        Raises:
            NotFound: it is hidden, or there is none.
        """
        return await read_document(self._reader, self._documents, template_id, principal)

    async def browse(self, filters: TemplateFilters, page: PageRequest, principal: Principal) -> Page[D]:
        """One page of the templates in a scope, each as its detail shows it.

        Raises:
            Forbidden: only superusers list everyone's.
        """
        if filters.scope is Scope.EVERYONE and not principal.is_superuser:
            raise Forbidden("Only superusers list everyone's templates.")
        template, parameters = self._documents.template, Parameters()
        caller = f"{parameters.add(principal.user_id)}::uuid"
        is_superuser = f"{parameters.add(principal.is_superuser)}::boolean"
        statement = _LIST.format(
            table=template.table,
            key=_SORT_KEYS[filters.order_by],
            conditions=" AND ".join(_conditions(template, filters, caller, parameters)),
            direction="DESC" if filters.descending else "ASC",
            document=self._documents.json,
            access=access_of(template, "t", caller, is_superuser),
            limit=parameters.add(page.page_size),
            offset=parameters.add(page.offset),
        )
        [(total, items)] = await self._lists.fetch(statement, *parameters)
        found = [_in_utc(document) for document in self._documents.many.decode(items)]
        return Page(found, total, page.page_size, page.offset)


class UnitReader(TemplateReader[TrainingUnit]):
    """Units that the caller may see."""

    def __init__(self, reader: Reader, lists: Fetching) -> None:
        super().__init__(reader, lists, UNIT_DOCUMENTS)


class PlanReader(TemplateReader[TrainingPlan]):
    """Plans that the caller may see."""

    def __init__(self, reader: Reader, lists: Fetching) -> None:
        super().__init__(reader, lists, PLAN_DOCUMENTS)


def _conditions(template: Template, filters: TemplateFilters, caller: str, parameters: Parameters) -> list[str]:
    conditions = [f"t.id IN ({rows_in_scope(template, filters.scope, caller)})"]
    conditions += [
        f"t.{column} = ANY (string_to_array({parameters.add(joined(values))}, ','))"
        for column in ("sharing_status", "difficulty_level")
        if (values := getattr(filters, column))
    ]
    if wanted := fold(filters.search) or filters.search.strip():
        conditions.append(f"strpos({FOLDED_NAME}, {parameters.add(wanted)}) > 0")
    return conditions


def _in_utc(document: D) -> D:
    """A decoded document as it goes out: in UTC, whatever the database's session says."""
    document.created_at = document.created_at.astimezone(UTC)
    document.updated_at = document.updated_at.astimezone(UTC)
    return document
