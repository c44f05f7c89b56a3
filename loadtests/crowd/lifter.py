"""Who lifts, with the app open."""

import random
from typing import Any, Final

from loadtests.crowd.person import Member

__all__ = ("SEARCHES", "Lifter")

SEARCHES: Final = ("bench press", "squat", "deadlift", "romainian deadlift", "OHP", "pullups", "curl", "row", "plank")
"""As people type them."""

_SESSION: Final = "/training-sessions/{id}"


class Lifter(Member):
    """Does a workout of a plan, set by set, while the app looks whether anything has changed."""

    def settle(self) -> None:
        """Come when the others are in the middle of theirs."""
        super().settle()
        self.cursor = ""
        self.begin()
        del self.to_do[: random.randrange(len(self.to_do))]

    def begin(self) -> None:
        """Begin the day of the plan that comes next, and see what was done the last time."""
        plans = self.look("/training-plans?scope=mine", "/training-plans?scope=mine")
        plan = plans["items"][-1]["id"]
        day = self.ask("GET", f"/training-plans/{plan}/next", "/training-plans/{id}/next", 200)["next"]
        body = {"planUnitId": day["planUnitId"], "userTimezone": "Europe/Berlin"}
        workout = self.ask("POST", "/training-sessions", "/training-sessions", 201, json=body)
        self.path = f"/training-sessions/{workout['id']}"
        self.ask("GET", f"{self.path}/previous", f"{_SESSION}/previous", 200)
        self.to_do: list[int] = [
            exercise["id"] for exercise in workout["exercises"] for _ in range(exercise["planned"]["sets"] or 3)
        ]

    def watch(self) -> None:
        """The app looks at the workout."""
        self.look(self.path, _SESSION)

    def log_set(self) -> None:
        """Do a set and write it down; after the last one, the workout is done."""
        if not self.to_do:
            self.ask("POST", f"{self.path}/complete", f"{_SESSION}/complete", 200, json={})
            self.begin()
        done = {"weight": random.randrange(40, 120, 5) / 2, "repsCompleted": random.randint(3, 12), "rpe": 8}
        path = f"{self.path}/exercises/{self.to_do[0]}/sets"
        self.ask("POST", path, f"{_SESSION}/exercises/{{id}}/sets", 201, json=done)
        del self.to_do[0]
        self.watch()

    def synchronise(self) -> None:
        """The phone asks what is new."""
        query = f"/sync?since={self.cursor}" if self.cursor else "/sync"
        changes: Any = self.ask("GET", query, "/sync?since=…" if self.cursor else "/sync", 200)
        self.cursor = changes["nextCursor"]

    def look_up(self) -> None:
        """Search for an exercise and read how it goes."""
        words = random.choice(SEARCHES).replace(" ", "%20")
        found = self.ask("GET", f"/exercises?searchString={words}&pageSize=10", "/exercises?searchString=…", 200)
        self.look(f"/exercises/{random.choice(found['items'])['id']}", "/exercises/{id}")

    def look_back(self) -> None:
        """The newest workouts, and what all of them add up to."""
        self.ask("GET", "/training-sessions?cursor=", "/training-sessions?cursor=", 200)
        self.ask("GET", "/training-sessions/statistics", "/training-sessions/statistics", 200)

    def take_over(self) -> None:
        """Copy a plan that somebody lets everybody read."""
        path = "/training-plans?scope=public"
        plan = random.choice(self.ask("GET", path, path, 200)["items"])["id"]
        self.look(f"/training-plans/{plan}", "/training-plans/{id}")
        self.ask("POST", f"/training-plans/{plan}/copy", "/training-plans/{id}/copy", 201)
