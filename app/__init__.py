"""IronTrack: a self-hosted workout tracker."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litestar import Litestar

    from app.settings import Settings

__all__ = ("create_app",)


def create_app(settings: "Settings | None" = None) -> "Litestar":
    """Build the app. Connects to nothing.

    Raises:
        SettingsError: a variable of the environment can't be used.
    """
    # Imported here, so that a process that needs one small module of the package (the supervisor, a child that waits
    # for its turn) does not load the whole app with it: 40 ms instead of over a second.
    from advanced_alchemy.extensions.litestar import SQLAlchemyInitPlugin  # noqa: PLC0415
    from litestar import Litestar  # noqa: PLC0415

    from app.db.engine import database_config  # noqa: PLC0415
    from app.plugin import IronTrackPlugin  # noqa: PLC0415
    from app.settings import load_settings  # noqa: PLC0415

    settings = settings or load_settings()
    database = database_config(settings)
    return Litestar(
        plugins=[SQLAlchemyInitPlugin(database), IronTrackPlugin(settings, database)],
        request_max_body_size=settings.limits.max_body_bytes,
    )
