"""Who may call the routes of accounts.

API tokens reach one of them alone, the reading of one's own profile: what they may do ends where credentials begin.
"""

from litestar.types import Guard

from app.security.guards import requires_session, requires_superuser

__all__ = ("SUPERUSERS", "WITH_SESSION")

WITH_SESSION: list[Guard] = [requires_session]
SUPERUSERS: list[Guard] = [requires_session, requires_superuser]
