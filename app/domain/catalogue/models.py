"""Exercises, and the lists that they refer to."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    FetchedValue,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, RootMixin, UUIDKey, text_enum
from app.db.changes import ChangesMixin, changes_index
from app.db.constraints import line, long_text, named_check
from app.domain.catalogue.names import FOLDED_NAME

__all__ = (
    "Category",
    "DifficultyLevel",
    "Equipment",
    "Exercise",
    "ExerciseAlias",
    "ExerciseMode",
    "ExerciseTag",
    "Force",
    "Mechanic",
    "MuscleGroup",
    "SeedKind",
    "SeedRecord",
)


class Force(StrEnum):
    """The direction of an exercise's effort."""

    PULL = "pull"
    PUSH = "push"
    STATIC = "static"


class DifficultyLevel(StrEnum):
    """How much experience an exercise or a plan asks for."""

    BEGINNER = "beginner"
    INTERMEDIATE = "intermediate"
    EXPERT = "expert"


class Mechanic(StrEnum):
    """Whether several joints move, or one."""

    COMPOUND = "compound"
    ISOLATION = "isolation"


class Category(StrEnum):
    """The kind of training that an exercise belongs to."""

    STRENGTH = "strength"
    STRETCHING = "stretching"
    CARDIO = "cardio"
    PLYOMETRICS = "plyometrics"
    POWERLIFTING = "powerlifting"
    STRONGMAN = "strongman"
    OLYMPIC_WEIGHTLIFTING = "olympic weightlifting"


class ExerciseMode(StrEnum):
    """What is counted in a set."""

    REPS = "reps"
    TIME = "time"
    DISTANCE = "distance"
    SETS_ONLY = "sets_only"


def _reference_rules() -> tuple[CheckConstraint | UniqueConstraint, ...]:
    return (
        UniqueConstraint("name", info={"field": "name", "message": "This name is taken."}),
        line("name"),
        CheckConstraint(
            "name = lower(name)", name="lower_case", info={"field": "name", "message": "Expected lower-case letters."}
        ),
    )


class Equipment(Base):
    """Something to train with."""

    __tablename__ = "equipment"
    __table_args__ = _reference_rules()

    id: Mapped[int] = mapped_column(SmallInteger, Identity(always=False), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))


class MuscleGroup(Base):
    """A group of muscles."""

    __tablename__ = "muscle_groups"
    __table_args__ = _reference_rules()

    id: Mapped[int] = mapped_column(SmallInteger, Identity(always=False), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))


class ExerciseTag(Base):
    """A word that exercises are found by."""

    __tablename__ = "exercise_tags"
    __table_args__ = _reference_rules()

    id: Mapped[int] = mapped_column(SmallInteger, Identity(always=False), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))


def _map_table(name: str, column: str, other: str, index: str) -> Table:
    return Table(
        name,
        Base.metadata,
        Column("exercise_id", ForeignKey("exercises.id", ondelete="CASCADE"), primary_key=True),
        Column(column, ForeignKey(f"{other}.id", ondelete="RESTRICT"), primary_key=True),
        Index(index, column),
    )


exercise_equipment = _map_table("exercise_equipment", "equipment_id", "equipment", "idx_ex_equ_id")
exercise_primary_muscles = _map_table(
    "exercise_primary_muscles", "muscle_group_id", "muscle_groups", "idx_ex_pri_mus_id"
)
exercise_secondary_muscles = _map_table(
    "exercise_secondary_muscles", "muscle_group_id", "muscle_groups", "idx_ex_sec_mus_id"
)
exercise_tag_map = _map_table("exercise_tag_map", "tag_id", "exercise_tags", "idx_ex_tag_id")

_IMAGE_PATH = r"~ '^(/[a-z0-9_-]+)+\.(jpg|jpeg|png|webp)$'"
_NAME_TAKEN = {"field": "name", "message": "There is an exercise of this name."}
_SLUG_TAKEN = {"field": "name", "message": "There is an exercise with this slug."}


class Exercise(ChangesMixin, RootMixin, Base):
    """An exercise: of the system, or made by a user.

    Attributes:
        slug: of system exercises, made from the name.
        is_active: false when archived: out of lists and search, still readable, still referred to by history.
        source: where an imported one comes from; external_id is its key there.
        folded_name: what lists are sorted by.
        search_text: name and aliases as they are searched. A trigger keeps it; it is never sent by us.
    """

    __tablename__ = "exercises"
    __table_args__ = (
        UniqueConstraint("slug", info=_SLUG_TAKEN),
        UniqueConstraint("source", "external_id", info={"field": "body", "message": "It was imported already."}),
        Index(
            "uq_user_exercise",
            func.lower(text("name")),
            "created_by",
            unique=True,
            postgresql_where=text("created_by IS NOT NULL AND is_active"),
            info=_NAME_TAKEN,
        ),
        Index("uq_sys_exerc_slug", "slug", unique=True, postgresql_where=text("is_system_default"), info=_SLUG_TAKEN),
        Index(
            "uq_sys_exerc_name",
            func.lower(text("name")),
            unique=True,
            postgresql_where=text("is_system_default"),
            info=_NAME_TAKEN,
        ),
        Index("idx_ex_filters", "is_system_default", "is_active"),
        Index(
            "idx_ex_search_text",
            "search_text",
            postgresql_using="gin",
            postgresql_ops={"search_text": "gin_trgm_ops"},
            postgresql_with={"fastupdate": "off"},
            postgresql_where=text("is_system_default"),
        ),
        changes_index("exercises", "created_by", condition="created_by IS NOT NULL"),
        named_check(
            "check_exercise_owner",
            "is_system_default = (created_by IS NULL)",
            "body",
            "A system exercise has no owner; a custom one has.",
        ),
        line("name"),
        CheckConstraint(
            "slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'",
            name="slug",
            info={"field": "name", "message": "No slug can be made of this name."},
        ),
        long_text("instructions"),
        *(
            CheckConstraint(
                f"{column} {_IMAGE_PATH}",
                name=column,
                info={"field": field, "message": "Expected a path such as /folder/file.jpg."},
            )
            for column, field in (("image_path_start", "imagePathStart"), ("image_path_end", "imagePathEnd"))
        ),
        line("source"),
        line("external_id"),
        line("licence"),
        line("author"),
    )

    id: Mapped[UUIDKey]
    name: Mapped[str] = mapped_column(String(100))
    slug: Mapped[str | None] = mapped_column(String(100))
    force: Mapped[Force | None] = mapped_column(text_enum(Force, "force"))
    difficulty_level: Mapped[DifficultyLevel] = mapped_column(text_enum(DifficultyLevel, "difficulty_level"))
    mechanic: Mapped[Mechanic | None] = mapped_column(text_enum(Mechanic, "mechanic"))
    category: Mapped[Category] = mapped_column(text_enum(Category, "category"))
    default_mode: Mapped[ExerciseMode] = mapped_column(text_enum(ExerciseMode, "default_mode"), server_default="reps")
    instructions: Mapped[str | None] = mapped_column(Text)
    image_path_start: Mapped[str | None] = mapped_column(String(512))
    image_path_end: Mapped[str | None] = mapped_column(String(512))
    is_system_default: Mapped[bool] = mapped_column(server_default=text("false"))
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    source: Mapped[str | None] = mapped_column(String(50))
    external_id: Mapped[str | None] = mapped_column(String(255))
    licence: Mapped[str | None] = mapped_column(String(100))
    author: Mapped[str | None] = mapped_column(String(255))
    folded_name: Mapped[str] = mapped_column(Text, Computed(FOLDED_NAME, persisted=True))
    search_text: Mapped[str] = mapped_column(Text, server_default="", server_onupdate=FetchedValue())

    aliases: Mapped[list["ExerciseAlias"]] = relationship(
        lazy="raise", cascade="all, delete-orphan", passive_deletes=True, order_by="ExerciseAlias.id"
    )
    equipment: Mapped[list[Equipment]] = relationship(
        secondary=exercise_equipment, lazy="raise", passive_deletes=True, order_by=Equipment.name
    )
    primary_muscles: Mapped[list[MuscleGroup]] = relationship(
        secondary=exercise_primary_muscles, lazy="raise", passive_deletes=True, order_by=MuscleGroup.name
    )
    secondary_muscles: Mapped[list[MuscleGroup]] = relationship(
        secondary=exercise_secondary_muscles, lazy="raise", passive_deletes=True, order_by=MuscleGroup.name
    )
    tags: Mapped[list[ExerciseTag]] = relationship(
        secondary=exercise_tag_map, lazy="raise", passive_deletes=True, order_by=ExerciseTag.name
    )


class ExerciseAlias(Base):
    """Another name that an exercise is found by."""

    __tablename__ = "exercise_aliases"
    __table_args__ = (
        Index(
            "uq_exercise_aliases_exercise_id_alias",
            "exercise_id",
            func.lower(text("alias")),
            unique=True,
            info={"field": "aliases", "message": "The exercise has this alias already."},
        ),
        line("alias", "aliases"),
    )

    id: Mapped[int] = mapped_column(Identity(always=False), primary_key=True)
    exercise_id: Mapped[UUID] = mapped_column(ForeignKey("exercises.id", ondelete="CASCADE"))
    alias: Mapped[str] = mapped_column(String(100))


class SeedKind(StrEnum):
    """What a record of the last seeding is about, or of the last import from the source of this name."""

    FILES = "files"
    EXERCISE = "exercise"
    MUSCLE_GROUPS = "muscle_groups"
    EQUIPMENT = "equipment"
    EXERCISE_TAGS = "exercise_tags"
    FREE_EXERCISE_DB = "free-exercise-db"
    WGER = "wger"


class SeedRecord(Base):
    """What the last seeding or import was given, so that the next one can tell its changes from an administrator's.

    Attributes:
        key: of the entry in the files, or its id in an imported list.
        content: of an exercise its fields, of a row in a reference list its id, of the files their digest.
    """

    __tablename__ = "catalogue_seed"

    kind: Mapped[SeedKind] = mapped_column(text_enum(SeedKind, "kind"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    content: Mapped[Any] = mapped_column(JSONB)
