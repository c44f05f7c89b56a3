from pathlib import Path

from app.embedded import DataFolder
from app.embedded.listener import Address
from app.embedded.supervisor import Supervisor


def test_what_a_killed_one_has_told_is_not_taken_for_what_runs_now(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    folder.state_file.write_text("{}")
    Supervisor(folder, [], Address(), 1, prepare=lambda _: None, say=lambda _: None, environment={})
    assert not folder.state_file.exists()
