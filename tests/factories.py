"""Bodies that the API accepts, with random content where it doesn't matter; whatever matters is given to ``build``."""

from datetime import UTC, datetime, timedelta
from itertools import count
from secrets import token_hex
from typing import Literal, TypedDict

from polyfactory import Use
from polyfactory.factories import TypedDictFactory

PASSWORD = "Correct-horse7!"

_numbers = count(1)


def unique(stem: str) -> str:
    """A name that no other row has."""
    return f"{stem} {next(_numbers)} {token_hex(3)}"


def email() -> str:
    """An e-mail address that no other account has."""
    return f"athlete-{next(_numbers)}-{token_hex(3)}@example.com"


def _in_a_month() -> str:
    return (datetime.now(UTC) + timedelta(days=30)).isoformat()


class NewUserBody(TypedDict):
    """An account that a superuser makes."""

    email: str
    password: str


class NewUserFactory(TypedDictFactory[NewUserBody]):
    """Somebody new."""

    email = Use(email)
    password = PASSWORD


class APITokenBody(TypedDict):
    """A personal API token."""

    name: str
    scopes: list[str]
    expiresAt: str


class APITokenFactory(TypedDictFactory[APITokenBody]):
    """For a month and everything."""

    name = Use(unique, "token")
    scopes = Use(lambda: ["write"])
    expiresAt = Use(_in_a_month)  # noqa: N815 (as it is sent)


class CustomExerciseBody(TypedDict):
    """The least that a custom exercise needs."""

    name: str
    primaryMuscles: list[int]
    difficultyLevel: Literal["beginner", "intermediate", "expert"]
    category: Literal["strength", "stretching", "cardio", "plyometrics", "powerlifting", "strongman"]


class CustomExerciseFactory(TypedDictFactory[CustomExerciseBody]):
    """An athlete's own exercise."""

    name = Use(unique, "My lift")
    primaryMuscles = Use(lambda: [1])  # noqa: N815 (as it is sent)


class SystemExerciseBody(CustomExerciseBody):
    """The least that a system exercise needs."""

    tags: list[int]
    instructions: str


class SystemExerciseFactory(TypedDictFactory[SystemExerciseBody]):
    """An exercise of the catalogue."""

    name = Use(unique, "System lift")
    primaryMuscles = Use(lambda: [1])  # noqa: N815 (as it is sent)
    tags = Use(lambda: [1])
    instructions = "Lift it. Lower it."
