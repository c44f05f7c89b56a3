"""The programs that these tests need besides those that come along."""

import os
import shutil
from typing import Any

import pytest

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def need(*names: str) -> None:
    """Skip the test where one of the programs is missing; in continuous integration that is a failure."""
    missing = [name for name in names if shutil.which(name, path=_PATH) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def path_of(name: str) -> str:
    """Where a program is that `need` has found."""
    found: Any = shutil.which(name, path=_PATH)
    return str(found)
