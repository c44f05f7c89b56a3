import asyncio
import os
import signal
from pathlib import Path

import pytest

from app.embedded import DataFolder
from app.embedded.listener import Address
from app.embedded.process import Child, StartFailed
from app.embedded.supervisor import Granian, Supervisor


class HungUp(Granian):
    """It has closed its end of the pipe without a word, as one does that ends, and is still there."""

    def load(self) -> None:
        self._gate = os.open(os.devnull, os.O_WRONLY)
        self._ready, said = os.pipe()
        os.close(said)
        self.child = Child.start(self.name, ["sleep", "60"], death=signal.SIGKILL)


async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    writer.close()


async def test_one_that_ends_before_it_serves_is_not_taken_for_another_on_its_socket(tmp_path: Path) -> None:
    address = Address(uds=str(tmp_path / "s"))
    granian = HungUp([], address, 1, {})
    async with await asyncio.start_unix_server(answer, address.uds):
        granian.load()
        try:
            with pytest.raises(StartFailed):
                await granian.serve(within=0.5)
        finally:
            await granian.stop()


def test_what_a_killed_one_has_told_is_not_taken_for_what_runs_now(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    folder.state_file.write_text("{}")
    Supervisor(folder, [], Address(), 1, prepare=lambda _: None, say=lambda _: None, environment={})
    assert not folder.state_file.exists()
