"""What is checked of answers everywhere."""

from typing import Any

import httpx

from app.http.problems import PROBLEM_TYPE


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem that an answer tells, after checking all that every problem has."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    assert answer.headers["content-type"] == PROBLEM_TYPE
    body: dict[str, Any] = answer.json()
    assert body.keys() - {"message", "details"} == {"type", "title", "status", "detail", "instance", "requestId"}
    assert body["status"] == status
    assert body["instance"] == answer.request.url.path
    assert body["requestId"] == answer.headers["x-request-id"]
    return body


def broken_fields(answer: httpx.Response) -> dict[str, str]:
    """The fields that a 422 names, and the kind of rule that each breaks."""
    body = problem(answer, 422)
    assert body["message"] == "Validation Error"
    assert all(entry.keys() == {"type", "field", "message"} and entry["message"] for entry in body["details"])
    return {entry["field"]: entry["type"] for entry in body["details"]}
