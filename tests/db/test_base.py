"""Keys made by the application, and what the ORM leaves to the database."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from uuid import RFC_4122

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import undefer

from app.db import base
from app.db.base import uuid7
from app.domain.accounts.models import Role, UserAccount, WeightUnit
from tests.factories import email, unique
from tests.servers import Database


class TestUUID7:
    """RFC 9562, section 5.7."""

    def test_has_the_layout(self) -> None:
        before = time.time_ns() // 1_000_000
        made = uuid7()
        assert (made.version, made.variant) == (7, RFC_4122)
        assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1

    def test_rises_also_within_a_millisecond(self) -> None:
        made = [uuid7() for _ in range(20_000)]
        assert all(first < second for first, second in pairwise(made))

    def test_threads_get_different_ones(self) -> None:
        with ThreadPoolExecutor(4) as threads:
            made = [key for keys in threads.map(lambda _: [uuid7() for _ in range(2_000)], range(4)) for key in keys]
        assert len(set(made)) == len(made)

    @given(milliseconds=st.integers(0, 2**47), payload=st.integers(0, 2**74 - 1))
    def test_rises_after_any_other_also_when_the_clock_was_set_back(self, milliseconds: int, payload: int) -> None:
        ahead = time.time_ns() // 1_000_000 + milliseconds
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(base, "_last", (ahead, payload))
            made = uuid7()
        assert made.version == 7
        assert made.variant == RFC_4122
        assert made.int >> 80 in {ahead, ahead + 1}
        assert (made.int >> 80, (made.int >> 64 & 0xFFF) << 62 | made.int & (1 << 62) - 1) > (ahead, payload)


async def test_the_orm_reads_back_what_the_database_keeps(database: Database, clean: None) -> None:
    engine = create_async_engine(database.url)
    async with AsyncSession(engine, expire_on_commit=False) as session:
        role = Role(name=unique("Role"), slug=unique("role"))
        user = UserAccount(email=email(), password="$argon2id$", role=role, weight_unit=WeightUnit.LB)
        session.add(user)
        await session.flush()
        assert (user.version, user.is_active, user.weight_unit, user.timezone) == (1, True, WeightUnit.LB, "UTC")
        first = user.updated_at
        user.name = "Ada"
        await session.flush()
        assert user.version == 2
        assert user.updated_at > first
        await session.commit()
    await engine.dispose()


async def test_a_password_is_only_loaded_when_asked_for(database: Database, clean: None) -> None:
    engine = create_async_engine(database.url)
    async with AsyncSession(engine) as session:
        role = Role(name=unique("Role"), slug=unique("role"))
        session.add(UserAccount(email=email(), password="$argon2id$", role=role))
        await session.commit()
        session.expunge_all()
        user = (await session.scalars(select(UserAccount))).one()
        with pytest.raises(InvalidRequestError, match="raiseload"):
            _ = user.password
        session.expunge_all()
        user = (await session.scalars(select(UserAccount).options(undefer(UserAccount.password)))).one()
        assert user.password == "$argon2id$"
    await engine.dispose()
