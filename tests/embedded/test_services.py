import asyncio
import os
import sys
from pathlib import Path

import asyncpg
import pytest
from valkey import Valkey

from app.embedded import THROWAWAY, DataFolder, EmbeddedPostgres, NotEmbeddable, open_services, process
from app.embedded.services import embedded_servers


def ask(url: str, question: str) -> object:
    async def connect_and_ask() -> object:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()

    return asyncio.run(connect_and_ask())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


class TestOpenServices:
    def test_starts_both_and_ends_them(self, data: Path) -> None:
        with open_services(data, "litestar test", {}) as found:
            assert ask(found["DATABASE_URL"], "SELECT current_user") == "irontrack"
            assert ask(found["DATABASE_URL"], "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
            assert (
                ask(found["DATABASE_URL"], "SELECT datlocale FROM pg_database WHERE datname = 'irontrack'") == "C.UTF-8"
            )
            assert ask(found["DATABASE_URL"], "SHOW data_checksums") == "on"
            assert ask(found["DATABASE_URL"], "SHOW fsync") == "on"
            with Valkey.from_url(found["VALKEY_URL"]) as valkey:
                assert valkey.config_get("appendonly")["appendonly"] == "yes"
                assert valkey.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
            assert Path(found["JWT_KEYS_FILE"]).stat().st_mode & 0o777 == 0o600
        assert not process.processes_in(data / "postgres", "postgres")
        assert not process.processes_in(data / "valkey", "valkey")

    def test_shares_those_that_run(self, data: Path) -> None:
        with open_services(data, "litestar users list", {}) as first:
            with open_services(data, "litestar roles create", {}) as second:
                assert second == first
                assert ask(second["DATABASE_URL"], "SELECT 1") == 1
            assert ask(first["DATABASE_URL"], "SELECT 1") == 1

    def test_leaves_the_folder_alone_when_others_are_named(self, data: Path) -> None:
        named = {"DATABASE_URL": "postgresql://db/x", "VALKEY_URL": "valkey://cache"}
        with open_services(data, "litestar users list", named) as found:
            assert found == {**named, "IRONTRACK_DATA": str(data)}
        assert not data.exists()

    def test_starts_only_what_is_not_named(self, data: Path) -> None:
        with open_services(data, "litestar users list", {"DATABASE_URL": "postgresql://db/x"}) as found:
            assert found["DATABASE_URL"] == "postgresql://db/x"
            with Valkey.from_url(found["VALKEY_URL"]) as valkey:
                assert valkey.ping()
        assert not (data / "postgres").exists()

    def test_says_in_one_line_what_to_set_on_another_system(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "darwin")
        with pytest.raises(NotEmbeddable) as caught:
            embedded_servers(DataFolder(data), {})
        assert str(caught.value) == (
            "PostgreSQL and Valkey can be embedded on Linux only: "
            "set DATABASE_URL and VALKEY_URL to what runs elsewhere."
        )
        with pytest.raises(NotEmbeddable, match=r"^Valkey can be .* set VALKEY_URL to"):
            embedded_servers(DataFolder(data), {"DATABASE_URL": "postgresql://db/x"})


class TestPostgres:
    def test_does_without_namespaces_and_takes_its_files_back(
        self, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root has to become somebody else")
        data.mkdir(mode=0o700)
        postgres = EmbeddedPostgres(data, THROWAWAY)

        def start_and_ask() -> object:
            process.unprivileged.cache_clear()
            asyncio.run(postgres.start())
            try:
                return ask(postgres.url, "SELECT 1")
            finally:
                asyncio.run(postgres.stop())

        with monkeypatch.context() as forbidden:
            forbidden.setattr(process, "_namespaces_allowed", lambda: False)
            assert start_and_ask() == 1
            assert postgres.cluster.stat().st_uid != 0
        assert start_and_ask() == 1
        if process.unprivileged()[1] == 0:
            assert postgres.cluster.stat().st_uid == 0

    def test_a_cluster_that_was_cut_short_is_made_anew(self, data: Path) -> None:
        data.mkdir(mode=0o700)
        half = data / "postgres.new" / "base"
        half.mkdir(parents=True)
        postgres = EmbeddedPostgres(data, THROWAWAY)
        asyncio.run(postgres.start())
        try:
            assert ask(postgres.superuser_url, "SELECT 1") == 1
        finally:
            asyncio.run(postgres.stop())
        assert not half.exists()
