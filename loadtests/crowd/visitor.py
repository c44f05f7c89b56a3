"""Who has no account."""

import random
from collections.abc import Sequence

from loadtests.crowd import shared
from loadtests.crowd.person import Person

__all__ = ("Visitor",)


class Visitor(Person):
    """Opens links that others have sent, reads what the service is, and is turned away where one has to sign in."""

    def open_link(self) -> None:
        """Read a plan by its link."""
        self._open(shared.TEMPLATES, "/shared/{token}")

    def subscribe(self) -> None:
        """A calendar asks for the workouts of a running plan, again and again."""
        self._open(shared.CALENDARS, "/shared/{token}/calendar.ics")

    def be_turned_away(self) -> None:
        """Try the catalogue, which is for those with an account."""
        self.ask("GET", "/exercises?searchString=squat", "/exercises (signed out)", 401)

    def read_about_it(self) -> None:
        """The description of the API."""
        self.look("/openapi.json", "/openapi.json")

    def see_health(self) -> None:
        """Ask whether the service is well, as a monitor does."""
        self.ask("GET", "/health", "/health", 200)

    def _open(self, links: Sequence[str], name: str) -> None:
        if links:
            self.look(random.choice(links), name)
