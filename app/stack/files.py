"""The files for containers and for systemd, from the templates that the plain processes use."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from app.stack.databases import MOST_MEMORY, VALKEY_MEMORY, postgres_settings_file
from app.stack.pgbouncer import PgBouncerSettings, pgbouncer_configuration
from app.stack.programs import ProxyProgram
from app.stack.proxy import ProxySettings, proxy_configuration
from app.stack.templates import TEMPLATES, render

__all__ = ("CONTAINERS", "TARGETS", "Installation", "container_files", "systemd_files", "write_files")

CONTAINERS: Final = TEMPLATES.parent / "containers"
TARGETS: Final = ("containers", "systemd")
_ANGIE: Final = ProxyProgram(
    path="/usr/sbin/angie",
    angie=True,
    version=(1, 27, 4),
    http3=True,
    unused_temporary_folders=("fastcgi", "scgi", "uwsgi"),
)
_PGBOUNCER: Final = (1, 24)
_CONNECTIONS: Final = 40
_CLIENTS: Final = 200
_UNITS: Final = (
    "irontrack.target",
    "irontrack-migrate.service",
    "irontrack-node@.socket",
    "irontrack-node@.service",
    "irontrack-pgbouncer.service",
    "irontrack-proxy.service",
    "irontrack-valkey.service",
)


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server without containers has what.

    Attributes:
        root: the checkout.
        python: of its virtual environment.
        configuration: the folder for the rendered files, secrets below it.
        user: who everything runs as.
        proxy, pgbouncer, valkey: the programs.
        workers: of each node.
        nodes: where they are: paths, or ``host:port`` on other machines.
    """

    root: str = "/opt/irontrack"
    python: str = "/opt/irontrack/.venv/bin/python"
    configuration: str = "/etc/irontrack"
    user: str = "irontrack"
    proxy: ProxyProgram = _ANGIE
    pgbouncer: str = "/usr/sbin/pgbouncer"
    pgbouncer_version: tuple[int, ...] = _PGBOUNCER
    valkey: str = "/usr/bin/valkey-server"
    postgres_sockets: str = "/run/postgresql"
    workers: int = 2
    nodes: Sequence[str] = ("/run/irontrack-node-a/node.sock", "/run/irontrack-node-b/node.sock")


def container_files() -> dict[str, str]:
    """What the containers of compose.yml mount, by its path in ``infra/containers``."""
    proxy = ProxySettings(
        sockets=["/run/app/a.sock", "/run/app/b.sock"],
        listen=["0.0.0.0:8443", "[::]:8443"],
        redirect_listen=["0.0.0.0:8080", "[::]:8080"],
        status_listen="8081",
        folder="/tmp/angie",  # noqa: S108 (a file system of the container's own)
        certificate="/run/secrets/tls_certificate",
        certificate_key="/run/secrets/tls_certificate_key",
        access_log="/dev/stdout",
        error_log="/dev/stderr",
    )
    pgbouncer = PgBouncerSettings(
        postgres_sockets="/run/postgresql",
        sockets="/run/pgbouncer",
        auth_file="/run/secrets/pgbouncer_users",
        client_connections=_CLIENTS,
        socket_mode="0770",
    )
    sockets = {
        "listen_addresses": "",
        "unix_socket_directories": "/run/postgresql",
        "unix_socket_permissions": "0770",
    }
    return {
        "angie.conf": proxy_configuration(_ANGIE, proxy),
        "pgbouncer.ini": pgbouncer_configuration(_PGBOUNCER, pgbouncer),
        "postgresql.conf": postgres_settings_file(MOST_MEMORY, _CONNECTIONS, sockets),
        "roles.sql": (TEMPLATES / "postgres" / "roles.sql").read_text("utf-8"),
        "roles.sh": (TEMPLATES / "postgres" / "roles.sh").read_text("utf-8"),
        "valkey.conf": render(
            "valkey/valkey.conf.mako",
            socket="/run/valkey/valkey.sock",
            socket_mode="770",
            folder="/data",
            memory=VALKEY_MEMORY,
            acl_file="/run/secrets/valkey_users",
            acl="",
        ),
    }


def systemd_files(installation: Installation) -> dict[str, str]:
    """Units and configuration of a server without containers, by their names."""
    etc = installation.configuration
    proxy = ProxySettings(
        sockets=installation.nodes,
        listen=["0.0.0.0:443", "[::]:443"],
        redirect_listen=["0.0.0.0:80", "[::]:80"],
        status_listen="127.0.0.1:8081",
        # On a disk: bodies wait there until they are whole.
        folder="/var/cache/irontrack-proxy",
        certificate=f"{etc}/tls/certificate.pem",
        certificate_key=f"{etc}/tls/key.pem",
        access_log="/var/log/irontrack/access.log",
        error_log="stderr",
    )
    pgbouncer = PgBouncerSettings(
        postgres_sockets=installation.postgres_sockets,
        sockets="/run/irontrack-pgbouncer",
        auth_file=f"{etc}/secrets/pgbouncer_users",
        client_connections=_CLIENTS,
    )
    sockets = {"unix_socket_directories": installation.postgres_sockets}
    return {
        "proxy.conf": proxy_configuration(installation.proxy, proxy),
        "pgbouncer.ini": pgbouncer_configuration(installation.pgbouncer_version, pgbouncer),
        "postgresql.conf": postgres_settings_file(MOST_MEMORY, _CONNECTIONS, sockets),
        "roles.sql": (TEMPLATES / "postgres" / "roles.sql").read_text("utf-8"),
        "valkey.conf": render(
            "valkey/valkey.conf.mako",
            socket="/run/irontrack-valkey/valkey.sock",
            socket_mode="700",
            folder="/var/lib/irontrack-valkey",
            memory=VALKEY_MEMORY,
            acl_file=f"{etc}/secrets/valkey_users",
            acl="",
        ),
        "settings.env": render("systemd/settings.env.mako", at=installation, **_places(installation)),
        **{
            name: render(f"systemd/{name}.mako", at=installation, unit=name, **_places(installation)) for name in _UNITS
        },
    }


def _places(installation: Installation) -> dict[str, str]:
    litestar = str(Path(installation.python).with_name("litestar"))
    return {"etc": installation.configuration, "litestar": litestar}


def write_files(files: Mapping[str, str], folder: Path) -> list[str]:
    """Write files that hold no secret; the names of those that are new or changed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, text in files.items():
        file = folder / name
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")
            changed.append(name)
        if name.endswith(".sh"):
            file.chmod(0o755)
    return changed
