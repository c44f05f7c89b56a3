"""Bodies for the routes of accounts."""

from datetime import UTC, datetime, timedelta

from tests.actors import PASSWORD
from tests.factories import email, unique


def api_token(*scopes: str, **changes: object) -> dict[str, object]:
    """A personal API token, for a month and everything unless said otherwise."""
    ends_at = datetime.now(UTC) + timedelta(days=30)
    return {"name": unique("token"), "scopes": scopes or ["write"], "expiresAt": ends_at.isoformat(), **changes}


def new_user(**changes: object) -> dict[str, object]:
    """An account that a superuser makes."""
    return {"email": email(), "password": PASSWORD, **changes}
