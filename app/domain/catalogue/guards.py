"""Who may call the routes of the catalogue: everyone signed in reads; superusers change what belongs to the system.

Whose exercise it is needs no guard: the services compare it with the caller inside their statements.
"""

from litestar.types import Guard

from app.security.guards import requires_superuser

__all__ = ("CATALOGUE_EDITORS",)

CATALOGUE_EDITORS: list[Guard] = [requires_superuser]
