"""Several processes of one machine: what one has published, no other may be ignorant of."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol
from uuid import UUID

import pytest
from valkey.asyncio import Valkey

from app.security.authenticator import Authenticator
from app.security.broadcast import Broadcast
from app.security.invalidations import InvalidationRing
from app.security.keys import KeyRing
from app.security.principal import Principal
from app.security.tokens import Tokens
from tests.security.conftest import ISSUER

USER, SESSION = UUID(int=1), UUID(int=2)


class Row(Protocol):
    """A number that all processes see: the version of the user's row."""

    value: int


class Database:
    """Reads the row, and takes its time to answer."""

    def __init__(self, row: Row) -> None:
        self._row = row

    async def load_session_principal(self, sid: UUID) -> Principal | None:
        version = self._row.value
        await asyncio.sleep(0)
        return Principal(
            user_id=USER,
            session_id=sid,
            name=None,
            email="ada@example.org",
            is_superuser=False,
            role_slug="application-access",
            timezone="UTC",
            weight_unit="kg",
            distance_unit="km",
            version=version,
        )

    async def load_token_principal(self, token_hash: bytes) -> Principal | None:
        return None


class Sure(Broadcast):
    @property
    def sure(self) -> bool:
        return True


def work(path: str, keys: str, token: str, row: Row, questions: Connection) -> None:
    asyncio.run(serve(InvalidationRing(Path(path)), keys, token, row, questions))


async def serve(ring: InvalidationRing, keys: str, token: str, row: Row, questions: Connection) -> None:
    """Answers each question with the version that the token's user has, as far as this worker knows."""
    tokens = Tokens(KeyRing.from_json(keys), ISSUER)
    authenticator = Authenticator(tokens, Sure(ring, Valkey()), Database(row))

    async def load() -> None:
        while True:
            await authenticator.authenticate(token)
            await asyncio.sleep(0)

    busy = [asyncio.create_task(load()) for _ in range(3)]
    while await asyncio.to_thread(questions.recv):
        user = await authenticator.authenticate(token)
        questions.send(user.version if user else None)
    for task in busy:
        task.cancel()


class Workers:
    def __init__(self, path: Path, keys: Path, token: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.row: Row = context.Value("q", 0)
        self.ring = InvalidationRing(path)
        self.pipes = []
        self.processes = []
        for _ in range(2):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=work, args=(str(path), keys.read_text(), token, self.row, theirs), daemon=True
            )
            process.start()
            self.pipes.append(ours)
            self.processes.append(process)

    def versions(self) -> list[int]:
        for pipe in self.pipes:
            pipe.send(True)
        return [pipe.recv() for pipe in self.pipes]

    def close(self) -> None:
        for pipe, process in zip(self.pipes, self.processes, strict=True):
            pipe.send(False)
            process.join(10)
        self.ring.close()


@pytest.fixture
def workers(tmp_path: Path, keys: KeyRing, tokens: Tokens) -> Iterator[Workers]:
    keys.save(tmp_path / "keys.json")
    with ExitStack() as stack:
        running = Workers(tmp_path / "ring", tmp_path / "keys.json", tokens.issue_access(USER, SESSION, UUID(int=3)))
        stack.callback(running.close)
        running.versions()
        yield running


def test_a_change_that_was_answered_is_known_to_every_worker(workers: Workers) -> None:
    for version in range(1, 1001):
        workers.row.value = version
        workers.ring.publish([USER])
        assert workers.versions() == [version, version]
