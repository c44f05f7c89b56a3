"""The process that reads files: whatever happens to it, the next file is read."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.domain.imports.workshop import Workshop
from tests.imports.files import archive, fit, gpx, packed, row


@pytest.fixture
async def workshop() -> AsyncIterator[Workshop]:
    async with Workshop.opened() as opened:
        yield opened


def pid_of(workshop: Workshop) -> int:
    assert workshop._process is not None
    return workshop._process.pid


async def test_what_takes_too_long_is_ended(workshop: Workshop) -> None:
    assert (await workshop.read_content(gpx())).format == "gpx"
    first = pid_of(workshop)
    workshop._within = 0.001
    long = await workshop.read_content(packed(fit([number * 3 for number in range(3000)], 1)))
    assert (long.reason, long.runs) == ("It takes too long to read.", ())
    workshop._within = 30
    assert (await workshop.read_content(gpx())).format == "gpx"
    assert pid_of(workshop) != first


async def test_one_that_has_died_is_replaced(workshop: Workshop) -> None:
    await workshop.read_content(gpx())
    os.kill(pid_of(workshop), signal.SIGKILL)
    # It may be gone already, or die with the request.
    assert (await workshop.read_content(gpx())).format == "gpx"


async def test_a_file_is_read_again_when_the_process_was_killed(workshop: Workshop) -> None:
    await workshop.read_content(gpx())
    os.kill(pid_of(workshop), signal.SIGSTOP)
    reading = asyncio.create_task(workshop.read_content(gpx()))
    await asyncio.sleep(0)
    os.kill(pid_of(workshop), signal.SIGKILL)
    assert (await reading).format == "gpx"


async def test_a_file_that_ends_every_process_is_refused(workshop: Workshop) -> None:
    reading = asyncio.create_task(workshop.read_content(gpx()))
    while not reading.done():
        if (process := workshop._process) and process.returncode is None:
            process.kill()
        await asyncio.sleep(0)
    assert (await reading).reason == "It can't be read."
    assert (await workshop.read_content(gpx())).format == "gpx"


async def test_an_idle_one_is_ended() -> None:
    workshop = Workshop(idle=0.0)
    await workshop.read_content(gpx())
    process = workshop._process
    assert process is not None
    await process.wait()
    assert workshop._process is None
    assert (await workshop.read_content(gpx())).format == "gpx"
    await workshop.close()


async def test_it_has_nothing_of_ours(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_PRIVATE_KEY", "secret")
    await workshop.read_content(gpx())
    process = Path(f"/proc/{pid_of(workshop)}")
    assert b"secret" not in (process / "environ").read_bytes()
    limits = (process / "limits").read_text()
    assert str(1 << 30) in next(line for line in limits.splitlines() if line.startswith("Max address space"))
    assert os.getpriority(os.PRIO_PROCESS, pid_of(workshop)) > os.getpriority(os.PRIO_PROCESS, 0)


async def test_members_are_read_by_their_names(workshop: Workshop, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    path.write_bytes(archive([row(1, file="a.gpx")], {"a.gpx": gpx()}))
    members = await workshop.read_members(str(path), ["a.gpx"])
    assert [member.reason for member in members] == [None]
    assert (await workshop.read_members(str(path), ["b.gpx"]))[0].reason == "It can't be read."
