"""What a worker holds for as long as it lives: connections, keys, caches. Made when the app starts, never at import."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self
from uuid import UUID

import asyncpg
import structlog
from advanced_alchemy.extensions.litestar import SQLAlchemyAsyncConfig
from sqlalchemy.exc import SQLAlchemyError
from valkey.asyncio import Valkey

from app.db.engine import watch
from app.db.reader import Reader
from app.db.standby import StandbyReader
from app.db.transaction import Transactions
from app.domain.accounts.services import PrincipalLoader
from app.domain.catalogue.memory import CatalogueMemory
from app.domain.catalogue.services import ExerciseReader, RememberingReader
from app.domain.history.services import SessionReader
from app.domain.imports.running import ImportRunner
from app.domain.imports.workshop import Workshop
from app.domain.sync.services import ChangeReader
from app.domain.system.overview import Overview
from app.domain.system.services import HealthService, sweep
from app.gauges import Watched, watch_gauges
from app.http.deadlines import Deadlines
from app.http.limits import RateLimiter
from app.logs import writer
from app.security.authenticator import Authenticator
from app.security.broadcast import Broadcast
from app.security.invalidations import InvalidationRing
from app.security.jti import JTIStore
from app.security.keys import KeyRing
from app.security.passwords import Passwords
from app.security.throttle import SignInThrottle
from app.security.tokens import Tokens
from app.security.valkey import open_valkey
from app.settings import Settings, SettingsError

__all__ = ("Resources", "load_keys")

_SWEEP_EVERY = 3600.0

_log = structlog.get_logger("irontrack.resources")


def load_keys(settings: Settings) -> KeyRing:
    """The signing keys that the settings name.

    Raises:
        SettingsError: there are none, or they can't be used.
    """
    try:
        if settings.security.private_key:
            return KeyRing.from_json(settings.security.private_key)
        return KeyRing.load(settings.keys_file)
    except FileNotFoundError:
        raise SettingsError(
            "JWT_PRIVATE_KEY is not set and there is no JWT_KEYS_FILE; `litestar keys generate` makes a key."
        ) from None
    except ValueError as error:
        name = "JWT_PRIVATE_KEY" if settings.security.private_key else "JWT_KEYS_FILE"
        raise SettingsError(f"{name} can't be used: {error}") from None


class Resources:
    """The parts of one worker.

    Attributes:
        transactions: begins transactions whose announcements reach every worker.
        authenticator: tells the caller of a token.
    """

    settings: Settings
    valkey: Valkey
    reader: Reader
    standby_reader: StandbyReader
    transactions: Transactions
    broadcast: Broadcast
    tokens: Tokens
    passwords: Passwords
    jti: JTIStore
    throttle: SignInThrottle
    authenticator: Authenticator
    deadlines: Deadlines
    limiter: RateLimiter
    health: HealthService
    overview: Overview
    catalogue_memory: CatalogueMemory
    exercise_reader: ExerciseReader
    session_reader: SessionReader
    change_reader: ChangeReader
    workshop: Workshop
    import_runner: ImportRunner
    watched: Watched

    def __init__(self, settings: Settings, database: SQLAlchemyAsyncConfig) -> None:
        self.settings = settings
        self.database = database

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Make the parts, and close them at the end.

        Raises:
            SettingsError: a variable that is needed is missing or can't be used.
        """
        settings = self.settings
        for name, url in (("DATABASE_URL", settings.database.url), ("VALKEY_URL", settings.cache.url)):
            if not url:
                raise SettingsError(f"{name} is not set; `litestar up` brings its own servers.")
        async with AsyncExitStack() as stack:
            engine = self.database.get_engine()
            stack.push_async_callback(engine.dispose)
            watch(engine, settings.database.slow_ms)
            self.valkey = open_valkey(settings.cache.url)
            stack.push_async_callback(self.valkey.aclose)
            ring = InvalidationRing(settings.revocation_file)
            stack.callback(ring.close)
            self.broadcast = Broadcast(ring, self.valkey, settings.security.news_within)
            self.reader = await stack.enter_async_context(Reader.opened(settings))
            self.standby_reader = await stack.enter_async_context(StandbyReader.opened(settings, self.reader))
            self.transactions = Transactions(self.database.create_session_maker(), self.publish)
            self._make_security()
            stack.callback(self.passwords.close)
            self.deadlines = Deadlines(settings.limits.request_timeout)
            await stack.enter_async_context(self.deadlines.watched())
            self.limiter = RateLimiter(self.valkey)
            self.catalogue_memory = CatalogueMemory(self.broadcast)
            self.exercise_reader = RememberingReader(
                self.reader.connection, settings.app.cdn_url, self.catalogue_memory
            )
            self.session_reader = SessionReader(self.reader)
            self.change_reader = ChangeReader(self.reader, self.exercise_reader)
            self.workshop = await stack.enter_async_context(Workshop.opened())
            self.import_runner = ImportRunner(
                self.transactions, self.reader, self.workshop, settings.limits.import_look
            )
            self.health = HealthService(settings, self.transactions.sessions, self.valkey)
            self.overview = Overview(self.health, self.reader)
            readers = [reader for reader in (self.reader, self.standby_reader.standby) if reader]
            self.watched = Watched(engine, readers, self.deadlines, self.passwords, self.broadcast, ring, writer)
            await self.broadcast.start()
            stack.push_async_callback(self.broadcast.stop)
            for work in (self._warm_pool(), self._sweep(), self.import_runner.run(), watch_gauges(self.watched)):
                stack.push_async_callback(_cancel, asyncio.create_task(work))
            yield self

    async def publish(self, topics: Collection[UUID]) -> None:
        """Tell every worker that what it knows of these topics is old."""
        await self.broadcast.publish(topics)
        self.broadcast.catch_up()

    def _make_security(self) -> None:
        settings, security = self.settings, self.settings.security
        self.tokens = Tokens(load_keys(settings), settings.app.public_url)
        self.passwords = Passwords(
            memory_kib=security.argon2_memory_kib,
            time_cost=security.argon2_time_cost,
            parallelism=security.argon2_parallelism,
            threads=security.hash_threads,
            wait=security.hash_wait,
        )
        self.jti = JTIStore(self.valkey)
        self.throttle = SignInThrottle(self.valkey, self.tokens, settings.limits.sign_in)
        self.authenticator = Authenticator(
            self.tokens,
            self.broadcast,
            PrincipalLoader(self.reader),
            load_keys=lambda: load_keys(settings),
        )

    async def _warm_pool(self) -> None:
        """Open the connections before requests need them: each costs some 25 ms of CPU."""
        engine = self.database.get_engine()
        with contextlib.suppress(SQLAlchemyError, asyncpg.PostgresError, OSError, TimeoutError):
            async with AsyncExitStack() as stack:
                for _ in range(self.settings.database.pool_size - self.settings.database.readers):
                    await stack.enter_async_context(engine.connect())
            await self.reader.warm()

    async def _sweep(self) -> None:
        """Drop what has expired, now and then."""
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            try:
                async with self.transactions.begin() as session:
                    await sweep(session)
            except Exception:  # noqa: BLE001 (whatever it is, the next hour tries again)
                _log.warning("sweeping failed; it is tried again in an hour", exc_info=True)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
