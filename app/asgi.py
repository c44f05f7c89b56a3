"""What Granian serves."""

import os

from app import create_app
from app.embedded import die_with_parent
from app.http.context import RequestContext
from app.plugin import IronTrackPlugin
from app.settings import Settings

__all__ = ("app", "create_asgi")


def create_asgi(settings: Settings | None = None) -> RequestContext:
    """The app inside of what surrounds every request."""
    inner = create_app(settings)
    plugin = inner.plugins.get(IronTrackPlugin)
    return RequestContext(inner, plugin.settings, plugin.resources)


if os.environ.get("IRONTRACK_SUPERVISED"):
    die_with_parent()

app = create_asgi()
