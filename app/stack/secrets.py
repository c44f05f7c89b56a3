"""The secrets of containers and units: a file each, made once."""

from collections.abc import Collection
from pathlib import Path
from secrets import token_urlsafe
from typing import Final

from app.embedded.folder import secret
from app.security.keys import KeyRing
from app.stack.databases import valkey_users
from app.stack.pgbouncer import pgbouncer_users

__all__ = ("RENEWABLE", "make_secrets")

RENEWABLE: Final = ("pgbouncer_password", "valkey_password")
"""Those whose other side reads the same files: PostgreSQL has to hear of the others first."""
_PASSWORDS = ("postgres_password", "database_password", "pgbouncer_password", "valkey_password")


def make_secrets(folder: Path, renewed: Collection[str] = ()) -> list[str]:
    """Make those that are missing, and bring those that follow from others in step with them.

    The folder is for its owner only. The files in it may be read by everybody who gets there, since containers run as
    users that the owner need not know: each is mounted by itself.

    Args:
        folder: where they are.
        renewed: the passwords that are replaced, in their files: containers go on seeing those.

    Returns:
        the names of the files that are new or changed.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    changed = [name for name in _PASSWORDS if not (folder / name).exists()]
    for name in renewed:
        _write_in_place(folder / name, token_urlsafe(24))
        changed.append(name)
    passwords = {name: secret(folder / name) for name in _PASSWORDS}
    keys = folder / "keys" / "keys.json"
    keys.parent.mkdir(mode=0o755, exist_ok=True)
    if not keys.exists():
        KeyRing.generate().save(keys)
        changed.append("keys/keys.json")
    derived = {
        "pgbouncer_users": pgbouncer_users(passwords["pgbouncer_password"]),
        "valkey_users": valkey_users(passwords["valkey_password"]),
    }
    changed += [name for name, text in derived.items() if _write_in_place(folder / name, text)]
    for file in (keys, *(folder / name for name in (*_PASSWORDS, *derived))):
        file.chmod(0o644)
    return changed


def _write_in_place(file: Path, text: str) -> bool:
    """Change a file that may be mounted in a container: that one would not see another file of the same name."""
    if file.exists() and file.read_text() == text:
        return False
    file.touch(mode=0o600)
    file.write_text(text)
    return True
