"""Who comes all at once."""

import itertools

from loadtests.crowd.person import Member

__all__ = ("Storm",)


class Storm(Member):
    """Signs in and out, each time as somebody else: ``just load Storm`` alone is a Monday evening."""

    numbers = itertools.count(200_000)

    def settle(self) -> None:
        """Stay outside."""

    def come_and_go(self) -> None:
        """Sign in, get new tokens, sign out."""
        self.number = next(self.numbers)
        self.open_browser()
        self.sign_in(self.number % self.options.people)
        self.ask("GET", "/access/me", "/access/me", 200)
        self.refresh()
        self.ask("POST", "/access/logout", "/access/logout", 204)
        self.ask("GET", "/access/me", "/access/me (signed out)", 401)
