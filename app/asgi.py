"""What Granian serves."""

from app import create_app
from app.plugin import surrounded

__all__ = ("app",)

app = surrounded(create_app())
