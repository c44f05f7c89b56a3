"""Invalidations between machines: Valkey's pub/sub, with a heartbeat that tells whether we still hear it."""

import asyncio
import math
import time
from collections.abc import Callable, Collection
from typing import Final, TypedDict
from uuid import UUID

import structlog
from valkey.asyncio import Valkey
from valkey.asyncio.client import PubSub
from valkey.exceptions import ValkeyError

from app.security.invalidations import EVERYBODY, EVERYTHING, InvalidationRing, Topics

CHANNEL = "irontrack:invalidations"
PING_EVERY = 0.3
SURE_FOR = 1.0

_RETRY_AFTER = 0.2
_SEND_WITHIN = 0.5
_CANCEL_AGAIN = 0.05
_MAX_UNSENT = 1000
_NODE_BYTES = 8
_TOPIC_BYTES = 16
_NEVER: Final = -math.inf

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class _Message(TypedDict):
    type: str
    data: bytes | int


class Broadcast:
    """Publishes invalidations, first on this machine, then to the others, and listens to theirs.

    Attributes:
        failures: how often a publication did not reach Valkey. It is sent again when Valkey is back.
        heard_at: Unix seconds up to which the news of other machines were last known to be complete; from the start on
            nothing is known that could be old.
    """

    def __init__(self, ring: InvalidationRing, valkey: Valkey, sure_for: float = SURE_FOR) -> None:
        """
        Args:
            ring: the news of this machine.
            valkey: brings those of the others.
            sure_for: seconds for which an answered heartbeat proves that nothing was missed.
        """
        self.failures = 0
        self.heard_at = time.time()
        self._ring = ring
        self._valkey = valkey
        self._sure_for = sure_for
        self._listeners: list[Callable[[Topics], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._heard = _NEVER
        self._lost = False
        self._unsent: set[UUID] = set()

    @property
    def unsent(self) -> int:
        """Topics that other machines have not been told of yet."""
        return len(self._unsent)

    @property
    def sure(self) -> bool:
        """Whether everything that other machines published until `sure_for` ago has reached the listeners."""
        return time.monotonic() - self._heard < self._sure_for

    def listen(self, listener: Callable[[Topics], None]) -> None:
        """From now on calls this with the topics that are published; with `EVERYTHING` after each gap."""
        self._listeners.append(listener)

    def catch_up(self) -> None:
        """Tells the listeners what was published on this machine. Whoever uses what such news overtake calls it first;
        it costs next to nothing when there are none.
        """
        topics = self._ring.catch_up()
        if topics:
            self._tell(topics)

    async def publish(self, topics: Collection[UUID]) -> None:
        """Tells all workers of this machine, then the other machines. Whether Valkey is there decides about the latter
        only, and is never an error.

        Raises:
            OSError: this machine could not be told.
        """
        self._ring.publish(topics)
        self._unsent.update(topics)
        if self._task is None or self.sure:
            await self._send()
        else:
            self.failures += 1

    async def start(self) -> None:
        """Begins to listen."""
        self._task = asyncio.create_task(self._run(), name="invalidation broadcast")

    async def stop(self) -> None:
        """Stops listening. From then on nothing is sure."""
        task, self._task = self._task, None
        # More than once: asyncio.wait_for of Python 3.11, in which the client sends, swallows a cancellation that comes
        # when the sending is done.
        while task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_CANCEL_AGAIN)
        self._heard = _NEVER
        if self._unsent:
            # A command ends before its subscription has been in order once.
            await self._send()

    async def _run(self) -> None:
        while True:
            try:
                await self._subscription()
            except (ValkeyError, OSError, TimeoutError) as error:
                if not self._lost:
                    log.warning("invalidation subscription lost", error=str(error))
                self._lost = True
            except Exception:
                # Nobody awaits this task, and without it every request costs a statement.
                log.exception("invalidation subscription failed")
            finally:
                self._heard = _NEVER
            await asyncio.sleep(_RETRY_AFTER)

    async def _subscription(self) -> None:
        pubsub = self._valkey.pubsub()
        try:
            async with asyncio.timeout(self._sure_for):
                await pubsub.subscribe(CHANNEL)
            await self._listen(pubsub)
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _listen(self, pubsub: PubSub) -> None:
        answered = next_ping = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= next_ping:
                next_ping = now + PING_EVERY
                self._ring.follow()
                await pubsub.ping(repr(now))
                if self._unsent and self.sure:
                    await self._send()
            # Never without a timeout: the client's own ends a silent subscription.
            message: _Message | None = await pubsub.get_message(timeout=max(0.0, next_ping - time.monotonic()))
            if message is not None:
                self._take(message)
            elif time.monotonic() - max(answered, self._heard) > self._sure_for:
                raise TimeoutError("no answer to the heartbeat")

    def _take(self, message: _Message) -> None:
        match message:
            case {"type": "pong", "data": bytes(sent_at)}:
                # What was published before our question came before its answer: news are complete up to then.
                self._heard = float(sent_at)
                self.heard_at = time.time() - (time.monotonic() - self._heard)
            case {"type": "subscribe"}:
                self._lost = False
                self._tell(EVERYTHING)
            case {"type": "message", "data": bytes(payload)} if _node(payload) != self._ring.node:
                self._tell(_topics(payload))

    def _tell(self, topics: Topics) -> None:
        for listener in self._listeners:
            listener(topics)

    async def _send(self) -> None:
        topics, self._unsent = self._unsent, set()
        try:
            async with asyncio.timeout(_SEND_WITHIN):
                await self._valkey.publish(CHANNEL, _payload(self._ring.node, topics))
        except BaseException as error:
            self.failures += 1
            self._unsent |= topics
            if len(self._unsent) > _MAX_UNSENT:
                self._unsent = {EVERYBODY}
            if not isinstance(error, (ValkeyError, OSError, TimeoutError)):
                raise
            log.warning("invalidation not sent to other machines", error=str(error))


def _payload(node: int, topics: Collection[UUID]) -> bytes:
    return node.to_bytes(_NODE_BYTES, "little") + b"".join(topic.bytes for topic in topics)


def _node(payload: bytes) -> int:
    return int.from_bytes(payload[:_NODE_BYTES], "little")


def _topics(payload: bytes) -> Topics:
    news = payload[_NODE_BYTES:]
    if not news or len(news) % _TOPIC_BYTES:
        return EVERYTHING
    topics = frozenset(UUID(bytes=news[start : start + _TOPIC_BYTES]) for start in range(0, len(news), _TOPIC_BYTES))
    return EVERYTHING if EVERYBODY in topics else topics
