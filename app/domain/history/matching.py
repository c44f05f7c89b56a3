"""A whole session as it was sent, against what is stored: which row each exercise and set is, and what it becomes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET

from app.domain.history.dto import SessionExercise, WholeExercise, WholeSet, WholeTargets
from app.domain.history.models import ExerciseMode
from app.domain.history.rules import wrong_metrics
from app.errors import BrokenField, RuleBroken

__all__ = ("Known", "Reference", "Rows", "match")

Row = dict[str, Any]


class Reference(NamedTuple):
    """An exercise that the session may refer to.

    Attributes:
        is_open: whether also anew; an archived one may only stay.
    """

    name: str
    mode: ExerciseMode
    is_open: bool


class Known(NamedTuple):
    """What a whole session is read against.

    Attributes:
        exercises: of the stored session, in their order.
        references: by the ids of exercises; those of the stored session included.
        planned: the unit's exercises that the session's may be linked with; those that are linked already included.
    """

    exercises: Sequence[SessionExercise]
    references: Mapping[UUID, Reference]
    planned: frozenset[int]


class Rows(NamedTuple):
    """What the session's rows become; those that are not among them go.

    Attributes:
        exercises: `id` is None for a new one; `place` from 1.
        sets: the same, with the place of their exercise as `parent`.
    """

    exercises: list[Row]
    sets: list[Row]


class _Sent(Protocol):
    id: int | None


class _Stored(Protocol):
    id: int


StoredT = TypeVar("StoredT", bound=_Stored)


def match(sent: Sequence[WholeExercise], known: Known) -> Rows:
    """Match children by id, else by place, and give each the values that it is to have.

    Raises:
        RuleBroken: an id is of another parent or given twice, an exercise is archived and new to the session, or a
            metric is not the mode's.
    """
    broken: list[BrokenField] = []
    rows = Rows([], [])
    pairs = _pairs(sent, known.exercises, "exercises", broken)
    for place, (exercise, old) in enumerate(pairs, start=1):
        path = f"exercises[{place - 1}]"
        row = _exercise_row(exercise, old, known)
        rows.exercises.append({"place": place, **row})
        if _is_new_to(exercise, known) and not known.references[exercise.exercise_id].is_open:
            broken.append(BrokenField("rule", f"{path}.exerciseId", "This exercise is archived."))
        rows.sets.extend(_set_rows(exercise, old, row["mode"], path, place, broken))
    if broken:
        raise RuleBroken(broken)
    return rows


def _pairs(
    sent: Sequence[_Sent], stored: Sequence[StoredT], path: str, broken: list[BrokenField]
) -> list[tuple[Any, StoredT | None]]:
    """Each that was sent, with the stored one that it is."""
    by_id = {item.id: item for item in stored}
    named = {item.id for item in sent if item.id is not None}
    pairs: list[tuple[Any, StoredT | None]] = []
    seen: set[int] = set()
    for place, item in enumerate(sent):
        old = stored[place] if place < len(stored) else None
        if item.id is not None:
            old = by_id.get(item.id)
            if old is None or item.id in seen:
                sentence = "This id is given twice." if old else "There is none of this id here; leave the id out."
                broken.append(BrokenField("rule", f"{path}[{place}].id", sentence))
            seen.add(item.id)
        elif old is not None and old.id in named:
            old = None
        pairs.append((item, old))
    return pairs


def _exercise_row(sent: WholeExercise, old: SessionExercise | None, known: Known) -> Row:
    same = old if old and _is_same(sent, old) else None
    reference = known.references[sent.exercise_id] if sent.exercise_id else None
    planned_id = sent.planned_unit_exercise_id
    if planned_id is UNSET:
        planned_id = old.planned_unit_exercise_id if old else None
    return {
        "id": old.id if old else None,
        "exercise_id": sent.exercise_id,
        "name": sent.exercise_name or (same.exercise_name if same else reference and reference.name),
        "mode": sent.mode or (same.mode if same else reference and reference.mode) or ExerciseMode.REPS,
        "superset_group": sent.superset_group,
        "planned_id": planned_id if planned_id in known.planned else None,
        **_targets(sent, old),
    }


def _is_same(sent: WholeExercise, old: SessionExercise) -> bool:
    if sent.exercise_id:
        return sent.exercise_id == old.exercise_id
    return old.exercise_id is None and sent.exercise_name == old.exercise_name


def _targets(sent: WholeExercise, old: SessionExercise | None) -> Row:
    """The copies of the plan; those that are stored stay where none are sent."""
    if sent.planned is not UNSET:
        targets: WholeTargets | Any = sent.planned
    else:
        targets = old.planned if old else WholeTargets()
    return {f"{name}_snapshot": value for name, value in msgspec.structs.asdict(targets).items()}


def _is_new_to(sent: WholeExercise, known: Known) -> bool:
    return sent.exercise_id is not None and all(old.exercise_id != sent.exercise_id for old in known.exercises)


def _set_rows(
    exercise: WholeExercise,
    old: SessionExercise | None,
    mode: str,
    path: str,
    parent: int,
    broken: list[BrokenField],
) -> Iterable[Row]:
    # What was done in another mode has another metric: such sets are new ones, whatever their ids.
    keeps_mode = old is not None and old.mode == mode
    pairs = _pairs(exercise.sets, old.sets if old else [], f"{path}.sets", broken)
    for place, (item, stored) in enumerate(pairs, start=1):
        broken.extend(wrong_metrics(ExerciseMode(mode), item, f"{path}.sets[{place - 1}]."))
        yield {**_values(item), "id": stored.id if stored and keeps_mode else None, "parent": parent, "place": place}


def _values(item: WholeSet) -> Row:
    return msgspec.structs.asdict(item)
