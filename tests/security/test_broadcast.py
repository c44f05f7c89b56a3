import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from valkey.asyncio import Valkey

from app.security.broadcast import CHANNEL, SURE_FOR, Broadcast
from app.security.invalidations import EVERYBODY, EVERYTHING, InvalidationRing, Topics
from app.security.valkey import open_valkey
from tests.security.conftest import FragileValkey
from tests.waiting import eventually


class Node:
    """One worker of one machine."""

    def __init__(self, ring: InvalidationRing, client: Valkey) -> None:
        self.ring = ring
        self.client = client
        self.broadcast = Broadcast(ring, client)
        self.heard: list[Topics] = []
        self.broadcast.listen(self.heard.append)

    async def become_sure(self) -> None:
        await eventually(lambda: self.broadcast.sure)
        self.heard.clear()


MakeNode = Callable[..., Awaitable[Node]]


@pytest.fixture
async def make_node(tmp_path: Path) -> AsyncIterator[MakeNode]:
    async with AsyncExitStack() as stack:

        async def make(url: str, machine: str = "here", start: bool = True) -> Node:
            ring = stack.enter_context(InvalidationRing(tmp_path / machine))
            client = open_valkey(url)
            stack.push_async_callback(client.aclose)
            node = Node(ring, client)
            stack.push_async_callback(node.broadcast.stop)
            if start:
                await node.broadcast.start()
                await node.become_sure()
            return node

        yield make


@pytest.fixture
async def url(fragile_valkey: FragileValkey) -> str:
    await fragile_valkey.start()
    return fragile_valkey.url


class TestPublish:
    async def test_other_machines_hear_it(self, make_node: MakeNode, url: str) -> None:
        here, there = await make_node(url), await make_node(url, "there")
        topics = {uuid4(), uuid4()}
        await here.broadcast.publish(topics)
        await eventually(lambda: there.heard == [frozenset(topics)])
        assert here.ring.catch_up() == frozenset(topics)
        assert there.ring.catch_up() == frozenset()

    async def test_this_machine_hears_it_through_its_ring_only(self, make_node: MakeNode, url: str) -> None:
        here, beside, there = await make_node(url), await make_node(url), await make_node(url, "there")
        topic = uuid4()
        await here.broadcast.publish([topic])
        assert beside.ring.catch_up() == frozenset([topic])
        await eventually(lambda: there.heard == [frozenset([topic])])
        await asyncio.sleep(0)
        assert here.heard == beside.heard == []

    async def test_a_command_line_tool_publishes_without_listening(self, make_node: MakeNode, url: str) -> None:
        tool, there = await make_node(url, start=False), await make_node(url, "there")
        topic = uuid4()
        await tool.broadcast.publish([topic])
        await eventually(lambda: there.heard == [frozenset([topic])])

    async def test_everybody(self, make_node: MakeNode, url: str) -> None:
        here, there = await make_node(url), await make_node(url, "there")
        await here.broadcast.publish([EVERYBODY])
        await eventually(lambda: there.heard == [EVERYTHING])

    @pytest.mark.parametrize("payload", [b"", b"12345678", b"12345678" + b"x" * 15])
    async def test_what_nobody_understands_is_everything(self, make_node: MakeNode, url: str, payload: bytes) -> None:
        here = await make_node(url)
        await here.client.publish(CHANNEL, payload)
        await eventually(lambda: here.heard == [EVERYTHING])

    async def test_without_valkey_this_machine_is_told_all_the_same(self, make_node: MakeNode, tmp_path: Path) -> None:
        here = await make_node(f"unix://{tmp_path}/nothing", start=False)
        topic = uuid4()
        await here.broadcast.publish([topic])
        assert here.ring.catch_up() == frozenset([topic])
        assert here.broadcast.failures == 1

    async def test_what_did_not_reach_valkey_is_sent_when_it_is_back(
        self, make_node: MakeNode, fragile_valkey: FragileValkey, url: str
    ) -> None:
        here = await make_node(url)
        await fragile_valkey.stop()
        await eventually(lambda: not here.broadcast.sure)
        topics: list[UUID] = [uuid4(), uuid4()]
        for topic in topics:
            await here.broadcast.publish([topic])
        assert here.broadcast.failures == 2
        received: set[bytes] = set()
        await fragile_valkey.start()
        async with open_valkey(url) as client, client.pubsub() as pubsub:
            await pubsub.subscribe(CHANNEL)

            async def heard() -> bool:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.01)
                if message:
                    received.update(message["data"][at : at + 16] for at in range(8, len(message["data"]), 16))
                return received == {topic.bytes for topic in topics}

            await eventually(heard)


class TestSure:
    async def test_only_while_it_listens(self, make_node: MakeNode, url: str) -> None:
        node = await make_node(url, start=False)
        assert not node.broadcast.sure
        await node.broadcast.start()
        await eventually(lambda: node.broadcast.sure)
        await node.broadcast.stop()
        assert not node.broadcast.sure

    async def test_stops_although_a_cancellation_is_swallowed(
        self, make_node: MakeNode, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        node = await make_node(url, start=False)
        listening = asyncio.Event()

        async def listen(_: object) -> None:
            listening.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await asyncio.Event().wait()

        monkeypatch.setattr(node.broadcast, "_listen", listen)
        await node.broadcast.start()
        await listening.wait()
        async with asyncio.timeout(5):
            await node.broadcast.stop()

    async def test_a_subscription_begins_by_forgetting_everything(self, make_node: MakeNode, url: str) -> None:
        node = await make_node(url, start=False)
        await node.broadcast.start()
        await eventually(lambda: node.broadcast.sure)
        assert node.heard == [EVERYTHING]

    async def test_stays_sure_in_silence(self, make_node: MakeNode, url: str) -> None:
        node = await make_node(url)
        # Longer than any timeout of the client.
        await asyncio.sleep(1.5)
        await eventually(lambda: node.broadcast.sure)
        assert node.heard == []

    async def test_a_frozen_server_is_noticed_within_a_second_and_back_after(
        self, make_node: MakeNode, fragile_valkey: FragileValkey, url: str
    ) -> None:
        here, there = await make_node(url), await make_node(url, "there")
        fragile_valkey.signal(signal.SIGSTOP)
        await eventually(lambda: not here.broadcast.sure, within=SURE_FOR)
        topic = uuid4()
        with pytest.raises(StopIteration):
            here.broadcast.publish([topic]).send(None)
        # Until the subscription is given up and tried anew.
        await asyncio.sleep(1.0)
        fragile_valkey.signal(signal.SIGCONT)
        await eventually(lambda: here.broadcast.sure and there.broadcast.sure)
        assert EVERYTHING in here.heard
        await eventually(lambda: there.heard[-1] == frozenset([topic]))

    async def test_a_restarted_server_is_heard_again(
        self, make_node: MakeNode, fragile_valkey: FragileValkey, url: str
    ) -> None:
        here, there = await make_node(url), await make_node(url, "there")
        await fragile_valkey.kill()
        await eventually(lambda: not here.broadcast.sure and not there.broadcast.sure)
        await fragile_valkey.start()
        await eventually(lambda: here.broadcast.sure and there.broadcast.sure)
        assert here.heard == there.heard == [EVERYTHING]
        topic = uuid4()
        await here.broadcast.publish([topic])
        await eventually(lambda: there.heard[-1] == frozenset([topic]))

    async def test_starts_without_a_server(self, make_node: MakeNode, fragile_valkey: FragileValkey) -> None:
        node = await make_node(fragile_valkey.url, start=False)
        await node.broadcast.start()
        assert not node.broadcast.sure
        await fragile_valkey.start()
        await eventually(lambda: node.broadcast.sure)

    async def test_a_removed_ring_is_noticed(self, make_node: MakeNode, url: str, tmp_path: Path) -> None:
        node = await make_node(url)
        (tmp_path / "here").unlink()
        await eventually((tmp_path / "here").exists)
        assert node.ring.catch_up() is EVERYTHING
