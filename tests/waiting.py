"""Waiting for what nothing announces."""

import asyncio
import time
from collections.abc import Awaitable, Callable

LOOK_EVERY = 0.005


async def eventually(condition: Callable[[], bool | Awaitable[bool]], within: float = 15.0) -> None:
    """Wait until it is so; a look that begins after `within` seconds has to find it.

    The look's own time doesn't count: a machine that stood still in the middle of one proves nothing about us.
    """
    until = time.monotonic() + within
    while True:
        begun = time.monotonic()
        answer = condition()
        if answer if isinstance(answer, bool) else await answer:
            return
        assert begun < until, f"not so after {within:g} s"
        # The loop has to run meanwhile: what is waited for may come by it.
        await asyncio.sleep(LOOK_EVERY)
