"""The real app, answering httpx in the test's own event loop."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from litestar import Litestar
from litestar.types import ASGIApp

from app import create_app
from app.domain.catalogue.memory import CATALOGUE_CHANGED
from app.logs import configure_logging
from app.plugin import IronTrackPlugin, surrounded
from app.settings import Settings, load_settings

ORIGIN = "http://127.0.0.1:8000"


class Service:
    """A running app.

    Attributes:
        settings: its settings.
        litestar: the app itself.
        asgi: the app as a server calls it, with what surrounds every request.
    """

    def __init__(self, settings: Settings, litestar: Litestar, asgi: ASGIApp) -> None:
        self.settings = settings
        self.litestar = litestar
        self.asgi = asgi
        self._clients = AsyncExitStack()

    @classmethod
    @asynccontextmanager
    async def running(cls, environment: Mapping[str, str]) -> AsyncIterator["Service"]:
        """Start the app with these variables and no others; it ends with the block."""
        settings = load_settings(environment)
        litestar = _built(settings)
        service = cls(settings, litestar, surrounded(litestar))
        async with _alive(litestar), service._clients:
            yield service
        _keep(litestar)

    async def settled(self) -> None:
        """Wait until it hears the news of other machines, and so asks nobody about callers that it knows.

        While tests without a loop run it hears nothing, and begins anew afterwards. What it remembers of the catalogue
        is that of the test before.
        """
        resources = self.litestar.plugins.get(IronTrackPlugin).resources
        while not resources.broadcast.sure:
            await asyncio.sleep(0.01)
        await resources.publish([CATALOGUE_CHANGED])

    def client(self, *, address: str = "127.0.0.1", port: int = 50000, **options: Any) -> httpx.AsyncClient:
        """A new client with its own cookies, closed when the app ends.

        Args:
            address: where it seems to come from; empty for a Unix socket.
            port: the same.
            options: of httpx, such as ``headers``.
        """
        transport = httpx.ASGITransport(self.asgi, client=(address, port))  # type: ignore[arg-type]
        client = httpx.AsyncClient(transport=transport, base_url=ORIGIN, **options)
        self._clients.push_async_callback(client.aclose)
        return client


_ended: dict[Settings, list[Litestar]] = {}
"""Apps that have ended well, and may be started again: to build one takes half a second."""


def _built(settings: Settings) -> Litestar:
    ended = _ended.get(settings)
    if not ended:
        return create_app(settings)
    configure_logging(settings)
    return ended.pop()


def _keep(litestar: Litestar) -> None:
    resources = litestar.plugins.get(IronTrackPlugin).resources
    # What was made for the database goes with it: each start makes its own, and watches it.
    resources.database.engine_instance = resources.database.session_maker = None
    _ended.setdefault(resources.settings, []).append(litestar)


@asynccontextmanager
async def _alive(litestar: Litestar) -> AsyncIterator[None]:
    """Start and end the app in one task: fixtures begin and end in different ones, which task groups don't bear."""
    started, ending = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with litestar.lifespan():
            started.set()
            await ending.wait()

    life = asyncio.create_task(live())
    life.add_done_callback(lambda _: started.set())
    await started.wait()
    if life.done():
        life.result()
    yield
    ending.set()
    await life
