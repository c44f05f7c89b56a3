from pathlib import Path

import pytest

from app.embedded import Busy, DataFolder, FolderError
from app.embedded.folder import secret, socket_folder

_LONGEST_SOCKET = "/.s.PGSQL.5432"


class TestOwning:
    def test_is_for_one_process_and_names_it(self, tmp_path: Path) -> None:
        folder = DataFolder(tmp_path / "data")
        with folder.owned("litestar up"):
            owner = folder.owner()
            assert owner is not None
            assert owner.command == "litestar up"
            with pytest.raises(Busy, match="in use by `litestar up`"), DataFolder(folder.path).owned("litestar reset"):
                pass
        assert folder.owner() is None

    def test_makes_the_folder_private(self, tmp_path: Path) -> None:
        open_to_all = tmp_path / "data"
        open_to_all.mkdir(mode=0o755)
        with DataFolder(open_to_all).owned("litestar up"):
            assert open_to_all.stat().st_mode & 0o777 == 0o700

    def test_refuses_a_folder_with_other_things(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        (tmp_path / "thesis.odt").touch()
        with pytest.raises(FolderError, match="not empty"), DataFolder(tmp_path).owned("litestar up"):
            pass
        assert tmp_path.stat().st_mode & 0o777 == 0o755
        assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.odt"]

    def test_takes_a_folder_in_which_only_a_key_was_made(self, tmp_path: Path) -> None:
        (tmp_path / "keys.json").touch()
        with DataFolder(tmp_path).owned("litestar up"):
            assert (tmp_path / "keys.json").exists()


class TestSocketFolder:
    def test_lies_in_the_data_folder(self, tmp_path: Path) -> None:
        if len(str(tmp_path)) > 80:
            pytest.skip("the temporary folder's own path is too long")
        assert socket_folder(tmp_path) == tmp_path / "run"

    @pytest.mark.parametrize("name", ["long" * 25, "mit Leerzeichen", "ü", "a,b", "a:b", "a?b#c"])
    def test_lies_elsewhere_when_the_path_does_not_fit(self, tmp_path: Path, name: str) -> None:
        data = tmp_path / name
        data.mkdir()
        folder = socket_folder(data)
        try:
            assert len(f"{folder}{_LONGEST_SOCKET}") <= 107
            assert folder.stat().st_mode & 0o777 == 0o700
            assert folder == socket_folder(data)
            assert folder != socket_folder(tmp_path)
        finally:
            DataFolder(data).erase()
        assert not folder.exists()

    def test_is_never_a_link_that_somebody_else_laid(self, tmp_path: Path) -> None:
        data, target = tmp_path / ("long" * 25), tmp_path / "target"
        data.mkdir()
        target.mkdir()
        folder = socket_folder(data)
        folder.rmdir()
        folder.symlink_to(target)
        try:
            with pytest.raises(FolderError, match="somebody else"):
                socket_folder(data)
        finally:
            folder.unlink()


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    first = secret(tmp_path / "password")
    assert len(first) >= 32
    assert (tmp_path / "password").stat().st_mode & 0o777 == 0o600
    assert secret(tmp_path / "password") == first
    assert secret(tmp_path / "other") != first
