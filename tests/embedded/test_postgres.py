"""What a start costs on a slow disk."""

import signal
from pathlib import Path

import pytest

from app.embedded import EmbeddedPostgres
from loadtests.weakbox import NORMAL, opened
from tests.stack.programs import need


async def test_a_start_waits_for_the_disk_a_few_times_and_not_for_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("cc")
    server = EmbeddedPostgres(tmp_path)
    with opened(NORMAL) as box:
        for name, value in box.environment.items():
            monkeypatch.setenv(name, value)
        await server.start()
        try:
            first = box.syncs().count
            assert server.child is not None
            server.child.send_group(signal.SIGKILL)
            await server.child.wait()
            await server.start()
        finally:
            await server.stop()
        again = box.syncs().count - first
    assert 0 < first < 600
    assert 0 < again < 200
