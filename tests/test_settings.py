"""The settings, read from the environment."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.connecting import connection_parameters
from app.settings import Settings, SettingsError, load_settings, variables

BAD = {
    "DEBUG": "perhaps",
    "PUBLIC_URL": "irontrack.example",
    "ALLOWED_ORIGINS": "https://a.example,*",
    "DATABASE_URL": "mysql://secret@host/name",
    "MAX_POOL_SIZE": "0",
    "POOL_RECYCLE": "soon",
    "DATABASE_STATEMENT_CACHE": "-1",
    "DATABASE_STANDBY_URL": "mysql://secret@host/name",
    "DATABASE_STANDBY_WAIT": "-1",
    "SLOW_STATEMENT_MS": "1.5",
    "VALKEY_URL": "http://secret@host",
    "INSECURE_COOKIES": "2",
    "ARGON2_MEMORY_KIB": "7",
    "ARGON2_TIME_COST": "0",
    "ARGON2_PARALLELISM": "x",
    "HASH_THREADS": "65",
    "HASH_WAIT": "0",
    "RATE_LIMIT_READS": "-1",
    "RATE_LIMIT_WRITES": "many",
    "RATE_LIMIT_SIGN_IN": "1.5",
    "MAX_BODY_BYTES": "10 MB",
    "REQUEST_TIMEOUT": "nan",
    "MAX_UPLOAD_BYTES": "0",
    "MAX_ARCHIVE_BYTES": "4 GB",
    "UPLOAD_TIMEOUT": "0",
    "IMPORT_LOOK": "0",
    "TRUSTED_PROXIES": "10.0.0.0/33",
    "LOG_LEVEL": "LOUD",
    "USE_JSON_LOGS": "json",
    "METRICS_ALLOW": "localhost",
}


def test_nothing_needs_to_be_set() -> None:
    assert load_settings({}) == Settings()


def test_an_empty_value_is_the_default() -> None:
    assert load_settings({variable.name: "" for variable in variables()}) == Settings()


@pytest.mark.parametrize(("name", "value"), BAD.items())
def test_a_bad_value_is_refused_by_the_variables_name_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({name: value})
    assert name in str(refused.value)
    assert "secret" not in str(refused.value)


@given(st.sampled_from(sorted(variable.name for variable in variables())), st.text())
def test_any_text_is_a_value_or_is_refused(name: str, value: str) -> None:
    with contextlib.suppress(SettingsError):
        load_settings({name: value})


@pytest.mark.parametrize(
    ("name", "value", "section", "field", "expected"),
    [
        ("DATABASE_URL", "postgresql://u:p@h/n", "database", "url", "postgresql://u:p@h/n"),
        ("MAX_POOL_SIZE", "20", "database", "pool_size", 20),
        ("POOL_RECYCLE", "60", "database", "pool_recycle", 60),
        ("LOG_LEVEL", "debug", "log", "level", "DEBUG"),
        ("USE_JSON_LOGS", "False", "log", "json", False),
        ("APP_NAME", "Gym", "app", "name", "Gym"),
        ("DEBUG", "true", "app", "debug", True),
        ("ALLOWED_ORIGINS", "https://a.example, https://b.example:8443/", "app", "allowed_origins",
         ("https://a.example", "https://b.example:8443")),
        ("REQUEST_TIMEOUT", "2.5", "limits", "request_timeout", 2.5),
        ("LOG_FILE", "/var/log/x.log", "log", "file", "/var/log/x.log"),
        ("IRONTRACK_DATA", "/srv/data", "app", "data", Path("/srv/data")),
    ],
)  # fmt: skip
def test_names_that_operators_know_work(name: str, value: str, section: str, field: str, expected: object) -> None:
    settings = load_settings({name: value})
    assert getattr(getattr(settings, section), field) == expected


@pytest.mark.parametrize("url", ["postgres://u@h/n", "postgresql://u@h/n", "postgresql+asyncpg://u@h/n"])
def test_every_form_of_the_database_url_gets_our_driver(url: str) -> None:
    assert load_settings({"DATABASE_URL": url}).sqlalchemy_url == "postgresql+asyncpg://u@h/n"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@a:1,b:2/n", "postgresql+asyncpg://u:p@/n?host=a:1&host=b:2"),
        ("postgresql://a,b:2/n?sslmode=require", "postgresql+asyncpg:///n?host=a:5432&host=b:2&ssl=require"),
    ],
)
def test_a_database_url_may_name_several_servers(url: str, expected: str) -> None:
    assert load_settings({"DATABASE_URL": url}).sqlalchemy_url == expected
    assert load_settings({"DATABASE_STANDBY_URL": url}).sqlalchemy_standby_url == expected
    parameters = connection_parameters(expected)
    assert parameters["host"] == ["a", "b"]
    assert parameters["port"] == [int(part) for part in re.findall(r"host=.:(\d+)", expected)]
    assert parameters["database"] == "n"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u@h:1/n?x=y", "postgresql://u:s%2F%40%3Acret@h:1/n?x=y"),
        ("postgresql://u@/n?host=/run/p", "postgresql://u:s%2F%40%3Acret@/n?host=/run/p"),
        ("postgresql://u:known@h/n", "postgresql://u:known@h/n"),
    ],
)
def test_a_password_may_lie_in_a_file(tmp_path: Path, url: str, expected: str) -> None:
    file = tmp_path / "password"
    file.write_text("s/@:cret\n")
    environment = {"DATABASE_URL": url, "DATABASE_PASSWORD_FILE": str(file)}
    assert load_settings(environment).database.url == expected
    environment = {"VALKEY_URL": "unix:///run/v.sock?db=0", "VALKEY_PASSWORD_FILE": str(file)}
    assert load_settings(environment).cache.url == "unix://:s%2F%40%3Acret@/run/v.sock?db=0"
    file.unlink()
    with pytest.raises(SettingsError, match="VALKEY_PASSWORD_FILE"):
        load_settings(environment)


def test_the_tree_shows_no_secret() -> None:
    settings = load_settings({"DATABASE_URL": "postgresql://u:secret@h/n", "JWT_PRIVATE_KEY": "secret"})
    assert "secret" not in repr(settings)
    assert "secret" not in f"{settings.database} {settings.security}"


def test_every_variable_is_described_once() -> None:
    found = list(variables())
    assert len({variable.name for variable in found}) == len(found)
    assert all(variable.description.endswith(".") for variable in found)


def test_a_command_says_in_a_line_which_variable_is_bad() -> None:
    command = [sys.executable, "-m", "litestar", "users", "list"]
    environment = {**os.environ, "LOG_LEVEL": "LOUD"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "LOG_LEVEL" in result.stderr
    assert "Traceback" not in result.stderr
    assert not result.stdout
