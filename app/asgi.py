"""What Granian serves."""

import os

from app import create_app
from app.embedded import die_with_parent
from app.plugin import surrounded

__all__ = ("app",)

if os.environ.get("IRONTRACK_SUPERVISED"):
    die_with_parent()

app = surrounded(create_app())
