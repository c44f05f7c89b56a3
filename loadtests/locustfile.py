"""Lifters at work: ``just load`` against a running service whose rate limits are off."""

from typing import Any
from uuid import uuid4

from locust import FastHttpUser, between, task

PASSWORD = "Lift-heavy-2day!"


class Lifter(FastHttpUser):
    """Signs up, looks for an exercise, and records a workout of three sets; now and then looks at what was done."""

    wait_time = between(0.5, 2.0)

    def on_start(self) -> None:
        """Sign up and sign in."""
        email = f"lifter-{uuid4().hex}@example.com"
        body = {"email": email, "password": PASSWORD, "confirmPassword": PASSWORD}
        self.client.post("/api/v1/access/signup", json=body)
        self.client.post("/api/v1/access/signin", json={"email": email, "password": PASSWORD})

    @task(3)
    def work_out(self) -> None:
        """A whole workout."""
        found = self._read("/api/v1/exercises?searchString=bench%20press&pageSize=5", "/exercises?searchString=…")
        workout = self._write("/api/v1/training-sessions", "/training-sessions", {})
        base = f"/api/v1/training-sessions/{workout['id']}"
        name = "/training-sessions/{id}"
        exercise = self._write(f"{base}/exercises", f"{name}/exercises", {"exerciseId": found["items"][0]["id"]})
        for weight in (60, 70, 80.5):
            done = {"weight": weight, "repsCompleted": 8}
            self._write(f"{base}/exercises/{exercise['id']}/sets", f"{name}/exercises/{{id}}/sets", done)
        self._write(f"{base}/complete", f"{name}/complete", {})
        self._read(base, name)

    @task
    def look_back(self) -> None:
        """The newest workouts."""
        self._read("/api/v1/training-sessions?cursor=", "/training-sessions?cursor=")

    def _read(self, path: str, name: str) -> Any:
        return self.client.get(path, name=name).json()

    def _write(self, path: str, name: str, body: object) -> Any:
        return self.client.post(path, json=body, name=name).json()
