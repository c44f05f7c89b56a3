"""What workers remember of the catalogue, and that they forget it when something changes."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.domain.catalogue.memory import CATALOGUE_CHANGED, CatalogueMemory
from app.plugin import IronTrackPlugin
from app.security.broadcast import Broadcast
from app.security.invalidations import InvalidationRing
from tests.actors import Actor
from tests.catalogue.exercises import EXERCISES, Connection, create_custom, create_system, shipped_id
from tests.conftest import MakeApp
from tests.service import Service
from tests.statements import Statements

MUSCLES = "/api/v1/catalogs/muscle-groups"

Counted = Callable[[], AbstractContextManager[Statements]]


@pytest.fixture
async def other_worker(make_app: MakeApp, athlete: Actor) -> httpx.AsyncClient:
    """A client of a second worker on this machine, signed in."""
    service = await make_app()
    await service.settled()
    return service.client(cookies=athlete.client.cookies)


class TestDetails:
    async def test_a_system_exercise_is_read_once(
        self, athlete: Actor, other_athlete: Actor, connection: Connection, statements: Counted
    ) -> None:
        url = f"{EXERCISES}/{await shipped_id(connection, 'snatch')}"
        first = await athlete.client.get(url)
        await other_athlete.client.get(url)
        with statements() as sent:
            again = await other_athlete.client.get(url)
            known = await other_athlete.client.get(url, headers={"If-None-Match": first.headers["etag"]})
        assert not sent
        assert again.json() == first.json()
        assert known.status_code == 304

    async def test_so_is_one_that_was_found_by_its_slug(self, athlete: Actor, statements: Counted) -> None:
        url = f"{EXERCISES}/criteria?slug=plank"
        first = await athlete.client.get(url)
        with statements() as sent:
            assert (await athlete.client.get(url)).json() == first.json()
        assert not sent

    async def test_what_belongs_to_somebody_is_not_remembered(
        self, athlete: Actor, other_athlete: Actor, trainer: Actor
    ) -> None:
        url = f"{EXERCISES}/{(await create_custom(athlete))['id']}"
        for reader, status in ((athlete, 200), (trainer, 200), (other_athlete, 403), (athlete, 200)):
            assert (await reader.client.get(url)).status_code == status

    async def test_a_superuser_sees_another_etag(
        self, athlete: Actor, superuser: Actor, connection: Connection
    ) -> None:
        url = f"{EXERCISES}/{await shipped_id(connection, 'snatch')}"
        tags = {(await reader.client.get(url)).headers["etag"] for reader in (athlete, superuser, athlete)}
        assert len(tags) == 2


async def _rename(superuser: Actor, exercise: dict[str, Any]) -> None:
    await superuser.client.patch(f"{EXERCISES}/system/{exercise['id']}", json={"name": f"{exercise['name']} X"})


async def _archive(superuser: Actor, exercise: dict[str, Any]) -> None:
    await superuser.client.post(f"{EXERCISES}/{exercise['id']}/archive")


async def _delete(superuser: Actor, exercise: dict[str, Any]) -> None:
    await superuser.client.delete(f"{EXERCISES}/{exercise['id']}")


async def _rename_a_muscle(superuser: Actor, exercise: dict[str, Any]) -> None:
    await superuser.client.patch(f"{MUSCLES}/{exercise['primaryMuscles'][0]['id']}", json={"name": "renamed"})


class TestNews:
    @pytest.mark.parametrize("change", [_rename, _archive, _delete, _rename_a_muscle])
    async def test_every_worker_shows_a_change_at_once(
        self, superuser: Actor, athlete: Actor, other_worker: httpx.AsyncClient, change: Any
    ) -> None:
        made = await create_system(superuser)
        url = f"{EXERCISES}/{made['id']}"
        clients = (athlete.client, other_worker)
        for client in clients:
            assert (await client.get(url)).json() == made
        await change(superuser, made)
        first, second = [await client.get(url) for client in clients]
        assert first.status_code == second.status_code
        assert first.json() | {"requestId": None} == second.json() | {"requestId": None} != made | {"requestId": None}

    async def test_a_restored_and_a_promoted_one(
        self, superuser: Actor, athlete: Actor, other_worker: httpx.AsyncClient
    ) -> None:
        made = await create_custom(athlete)
        url = f"{EXERCISES}/{made['id']}"
        for action, expected in (("promote", (True, None)), ("archive", (False, None)), ("restore", (True, None))):
            assert (await superuser.client.post(f"{url}/{action}")).status_code == 200
            shown = (await other_worker.get(url)).json()
            assert (shown["isActive"], shown["createdBy"]) == expected

    async def test_reference_lists(self, superuser: Actor, athlete: Actor, other_worker: httpx.AsyncClient) -> None:
        before = (await athlete.client.get(MUSCLES)).json()
        assert (await other_worker.get(MUSCLES)).json() == before
        added = (await superuser.client.post(MUSCLES, json={"name": "Rotator cuff"})).json()
        for client in (athlete.client, other_worker):
            assert (await client.get(MUSCLES)).json() == [*before, added]
        await superuser.client.delete(f"{MUSCLES}/{added['id']}")
        for client in (athlete.client, other_worker):
            assert (await client.get(MUSCLES)).json() == before
            assert (await client.get(f"{MUSCLES}/{added['id']}")).status_code == 404

    async def test_what_was_read_before_the_news_is_not_kept(
        self, superuser: Actor, athlete: Actor, connection: Connection
    ) -> None:
        """Reads and renames at once: whatever is remembered in the end is the last name."""
        made = await create_system(superuser)
        url = f"{EXERCISES}/{made['id']}"

        async def read() -> None:
            for _ in range(10):
                await athlete.client.get(url)

        async def rename() -> None:
            for number in range(10):
                name = f"{made['name']} {number}"
                await superuser.client.patch(f"{EXERCISES}/system/{made['id']}", json={"name": name})
                assert (await athlete.client.get(url)).json()["name"] == name

        await asyncio.gather(read(), rename(), read())

    async def test_a_worker_that_may_miss_news_asks_the_database(
        self, service: Service, athlete: Actor, connection: Connection
    ) -> None:
        exercise_id = await shipped_id(connection, "snatch")
        url = f"{EXERCISES}/{exercise_id}"
        await athlete.client.get(url)
        await connection.execute("UPDATE exercises SET name = 'Grab' WHERE id = $1", exercise_id)
        assert (await athlete.client.get(url)).json()["name"] == "Snatch"
        broadcast = service.litestar.plugins.get(IronTrackPlugin).resources.broadcast
        await broadcast.stop()
        try:
            assert (await athlete.client.get(url)).json()["name"] == "Grab"
        finally:
            await broadcast.start()


class TestCatalogueMemory:
    @pytest.fixture
    def ring(self, tmp_path: Any) -> Any:
        with InvalidationRing(tmp_path / "ring") as ring:
            yield ring

    class Sure(Broadcast):
        @property
        def sure(self) -> bool:
            return True

    def test_it_forgets_at_news_of_the_catalogue_alone(self, ring: InvalidationRing) -> None:
        memory = CatalogueMemory(self.Sure(ring, None))  # type: ignore[arg-type]
        assert memory.recall("squat") is None
        memory.remember("squat", 1, memory.moment)
        ring.publish([UUID(int=77)])
        assert memory.recall("squat") == 1
        ring.publish([CATALOGUE_CHANGED])
        assert memory.recall("squat") is None

    def test_what_news_have_overtaken_is_not_kept(self, ring: InvalidationRing) -> None:
        memory = CatalogueMemory(self.Sure(ring, None))  # type: ignore[arg-type]
        memory.recall("squat")
        moment = memory.moment
        ring.publish([CATALOGUE_CHANGED])
        memory.remember("squat", "old", moment)
        assert memory.recall("squat") is None
