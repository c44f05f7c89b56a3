"""The accounts that are seeded, by their numbers: what the seeding and the crowd have to agree on."""

from ipaddress import IPv4Address
from typing import Final

__all__ = ("DOMAIN", "PASSWORD", "address", "email")

DOMAIN: Final = "load.example"
PASSWORD: Final = "Lift-heavy-2day!"

_LOOPBACK: Final = IPv4Address("127.1.0.0")


def email(number: int) -> str:
    """With what a person signs in."""
    return f"person-{number}@{DOMAIN}"


def address(number: int) -> str:
    """From where a person comes: each has an address of this machine to themselves, as people have."""
    return str(_LOOPBACK + number + 1)
