"""Who may call the routes of the history.

Whose session it is needs no guard: every statement is limited to the caller's own, for superusers too.
"""

from litestar.types import Guard

from app.security.guards import requires_signed_in

__all__ = ("OWN_HISTORY",)

OWN_HISTORY: list[Guard] = [requires_signed_in]
