"""Who writes plans for others."""

import random
from typing import Any, Final
from uuid import uuid4

from loadtests.crowd import shared
from loadtests.crowd.lifter import SEARCHES
from loadtests.crowd.people import email
from loadtests.crowd.person import Member

__all__ = ("Trainer",)

_UNITS: Final = "/training-units?scope=mine"


class Trainer(Member):
    """Writes units and plans, and shares them: with some by name, with others by a link."""

    def settle(self) -> None:
        """Have a plan to share."""
        super().settle()
        self.write_plan()

    def edit_unit(self) -> None:
        """Open a unit, and ask more of one of its exercises."""
        unit = random.choice([unit for unit in self._units() if unit["exercises"]])
        path = f"/training-units/{unit['id']}"
        exercise = random.choice(self.look(path, "/training-units/{id}")["exercises"])
        change = {"targetWeight": random.randrange(40, 200, 5) / 2, "sets": random.randint(3, 5)}
        name = "/training-units/{id}/exercises/{id}"
        self.ask("PATCH", f"{path}/exercises/{exercise['id']}", name, 200, json=change, headers=self.etag(path))

    def find_exercise(self) -> list[Any]:
        """Look for exercises."""
        words = random.choice(SEARCHES).replace(" ", "%20")
        query = f"/exercises?searchString={words}&pageSize=10"
        found: list[Any] = self.ask("GET", query, "/exercises?searchString=…", 200)["items"]
        return found

    def browse(self) -> None:
        """See what there is: one's own, and what others share."""
        self._units()
        for scope in ("mine", "shared"):
            path = f"/training-plans?scope={scope}"
            self.ask("GET", path, path, 200)

    def write_plan(self) -> None:
        """Write a unit, put it on two days of a plan, and send the link to it to whoever wants it."""
        targets = {"mode": "reps", "sets": 3, "repsMin": 5, "repsMax": 8, "restSeconds": 120}
        exercises = [{"exerciseId": exercise["id"], **targets} for exercise in self.find_exercise()[:6]]
        # Nobody has two units, or plans, of the same name.
        serial = uuid4().hex[:12]
        body: dict[str, Any] = {"name": f"Day {serial}", "exercises": exercises}
        unit = self.ask("POST", "/training-units", "/training-units", 201, json=body)["id"]
        days = [{"trainingUnitId": unit, "dayNumber": day} for day in (1, 4)]
        body = {"name": f"Plan {serial}", "difficultyLevel": "beginner", "sharingStatus": "shared", "units": days}
        self.plan = self.ask("POST", "/training-plans", "/training-plans", 201, json=body)["id"]
        link = self.ask("POST", f"/training-plans/{self.plan}/link", "/training-plans/{id}/link", 201)
        shared.TEMPLATES.append(link["path"])

    def grant(self) -> None:
        """Let somebody read the plan."""
        body = {"email": email(random.choice(self._others())), "accessLevel": "read"}
        name = "/training-plans/{id}/access"
        self.ask("PUT", f"/training-plans/{self.plan}/access", name, 200, 201, json=body)

    def _others(self) -> list[int]:
        return [number for number in range(self.options.people) if number != self.number]

    def _units(self) -> list[Any]:
        found: list[Any] = self.ask("GET", _UNITS, _UNITS, 200)["items"]
        return found
