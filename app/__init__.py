"""IronTrack: a self-hosted workout tracker."""

from litestar import Litestar

from app.plugin import IronTrackPlugin
from app.settings import Settings, load_settings

__all__ = ("create_app",)


def create_app(settings: Settings | None = None) -> Litestar:
    """Build the app. Connects to nothing.

    Raises:
        SettingsError: a variable of the environment can't be used.
    """
    return Litestar(plugins=[IronTrackPlugin(settings or load_settings())])
