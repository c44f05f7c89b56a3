"""Who may call the routes of the catalogue.

Whose exercise it is needs no guard: the services compare it with the caller inside their statements.
"""

from litestar.types import Guard

from app.security.guards import requires_signed_in, requires_superuser

__all__ = ("CATALOGUE_EDITORS", "CATALOGUE_READERS")

CATALOGUE_READERS: list[Guard] = [requires_signed_in]
CATALOGUE_EDITORS: list[Guard] = [requires_superuser]
