"""The secrets of containers and units: a file each, made once, for their owner only."""

from pathlib import Path

from app.embedded.folder import secret
from app.security.keys import KeyRing
from app.stack.databases import valkey_users
from app.stack.pgbouncer import pgbouncer_users
from app.stack.templates import write_private

__all__ = ("make_secrets",)

_PASSWORDS = ("postgres_password", "database_password", "pgbouncer_password", "valkey_password")


def make_secrets(folder: Path) -> list[str]:
    """Make those that are missing, and bring those that follow from others in step with them.

    Returns:
        the names of the files that are new or changed.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    changed = [name for name in _PASSWORDS if not (folder / name).exists()]
    passwords = {name: secret(folder / name) for name in _PASSWORDS}
    if not (folder / "keys.json").exists():
        KeyRing.generate().save(folder / "keys.json")
        changed.append("keys.json")
    derived = {
        "pgbouncer_users": pgbouncer_users(passwords["pgbouncer_password"]),
        "valkey_users": valkey_users(passwords["valkey_password"]),
    }
    return changed + [name for name, text in derived.items() if write_private(folder / name, text)]
