"""What the system routes answer."""

from typing import Literal

from msgspec import Struct

__all__ = ("Health",)


class Health(Struct, rename="camel", kw_only=True):
    """Whether the service and what it stands on are well.

    Attributes:
        status: degraded when PostgreSQL or Valkey is away.
        app: the name that this installation goes by.
        service: what software it is.
        version: of the software.
    """

    status: Literal["ok", "degraded"]
    app: str
    service: str
    version: str
    database: Literal["connected", "disconnected"]
    database_status: Literal["online", "offline"]
    cache_status: Literal["online", "offline"]
