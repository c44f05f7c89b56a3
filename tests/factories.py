"""Bodies that the API accepts, with random content where it doesn't matter."""

from itertools import count
from secrets import token_hex

_numbers = count(1)


def unique(stem: str) -> str:
    """A name that no other row has."""
    return f"{stem} {next(_numbers)} {token_hex(3)}"


def email() -> str:
    """An e-mail address that no other account has."""
    return f"athlete-{next(_numbers)}-{token_hex(3)}@example.com"
