"""Who is asking."""

from typing import Literal
from uuid import UUID

from msgspec import Struct

Scope = Literal["read", "write"]
WeightUnit = Literal["kg", "lb"]
DistanceUnit = Literal["km", "mi"]


class Principal(Struct, frozen=True, kw_only=True):
    """The signed-in caller, as one SQL statement reads it and each worker keeps it for a while.

    Attributes:
        session_id: the session of a JWT; None for an API token.
        token_id: the API token; None for a JWT.
        scopes: what the API token may do (``write`` includes ``read``); None for a JWT, which may do all its user may.
        version: of the user's row, for the ETag of ``/access/me``.
        valid_until: Unix seconds from which on this principal is nobody any more: the end of the session or of the API
            token. None when it has no end of its own.
    """

    user_id: UUID
    session_id: UUID | None = None
    token_id: UUID | None = None
    scopes: frozenset[Scope] | None = None
    name: str | None
    email: str
    is_superuser: bool
    role_slug: str
    timezone: str
    weight_unit: WeightUnit
    distance_unit: DistanceUnit
    version: int
    valid_until: float | None = None

    def may_read(self) -> bool:
        """Whether the credentials allow GET and HEAD."""
        return self.scopes is None or bool(self.scopes)

    def may_write(self) -> bool:
        """Whether the credentials allow the other methods."""
        return self.scopes is None or "write" in self.scopes
