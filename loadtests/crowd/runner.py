"""Who runs, with a watch."""

import random
from datetime import UTC, datetime, timedelta
from typing import Final

from loadtests.crowd import shared
from loadtests.crowd.person import Member
from loadtests.crowd.recordings import KINDS, recorded

__all__ = ("Runner",)

_MINUTES: Final = 5 * 365 * 24 * 60
"""How far back runs go, so that hardly two of them are the same."""
_WEEKS: Final = 8


class Runner(Member):
    """Sends in what the watch has recorded, and looks what it comes to."""

    def settle(self) -> None:
        """Have a running plan with a calendar that others subscribe to."""
        super().settle()
        found = self.ask("GET", "/plans", "/plans", 200)["items"]
        self.plan = found[0]["id"] if found else self.write_plan()
        link = self.ask("POST", f"/plans/{self.plan}/link", "/plans/{id}/link", 201)
        shared.CALENDARS.append(link["path"])

    def write_plan(self) -> str:
        """A plan with a long run each week; its id."""
        today = datetime.now(UTC).date()
        days = [today + timedelta(weeks=week) for week in range(_WEEKS)]
        body = {"name": "Ten", "startDate": str(today), "endDate": str(days[-1]), "status": "active"}
        plan = str(self.ask("POST", "/plans", "/plans", 201, json=body)["id"])
        for day in days:
            workout = {"name": "Long", "workoutType": "long", "plannedDistanceKm": 12, "scheduledDate": str(day)}
            self.ask("POST", f"/plans/{plan}/workouts", "/plans/{id}/workouts", 201, json=workout)
        return plan

    def upload(self) -> None:
        """Send in a run."""
        kind = random.choice(list(KINDS))
        start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=random.randrange(60, _MINUTES))
        files = {"files": (f"run.{kind}", recorded(kind, start))}
        outcome = self.ask("POST", "/runs/import", "/runs/import", 200, 201, files=files)
        if outcome["stored"] + outcome["duplicates"] != 1:
            raise ValueError(f"The run was not taken: {outcome['files'][0]['reason']}")

    def sum_up(self) -> None:
        """What all runs add up to."""
        self.ask("GET", "/analytics/summary", "/analytics/summary", 200)

    def look_back(self) -> None:
        """The newest runs, and one of them."""
        runs = self.ask("GET", "/runs", "/runs", 200)["items"]
        self.look(f"/runs/{random.choice(runs)['id']}", "/runs/{id}")

    def follow_plan(self) -> None:
        """How far the plan is done, and what is next."""
        for part in ("workouts", "progress", "weekly-summary"):
            self.ask("GET", f"/plans/{self.plan}/{part}", f"/plans/{{id}}/{part}", 200)
        self.look(f"/plans/{self.plan}/calendar.ics", "/plans/{id}/calendar.ics")
