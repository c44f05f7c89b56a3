"""A running stack, and people who use it."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self
from uuid import uuid4

import httpx
from click.testing import CliRunner, Result

from app.cli.stack import stack_group
from tests.cli.up import ENVIRONMENT, LITESTAR, Process, Up, tree, until

SLOW = 120.0
"""Far more than anything takes here on a machine of its own."""
PASSWORD = "Deadlift1!"


class Stack(Up):
    """A running `litestar stack up`."""

    command: ClassVar[tuple[str, ...]] = ("stack", "up")
    ends_within: ClassVar[float] = SLOW

    def run(self, *arguments: str) -> Result:
        """Another command of the group on the same data folder; in this process, since a new one takes a second."""
        return CliRunner().invoke(stack_group, [*arguments, "--data", str(self.data)])

    def command_of(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Any command on the same data folder."""
        command = [LITESTAR, *arguments, "--data", str(self.data)]
        return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=SLOW, check=False)

    def status(self) -> dict[str, Any]:
        """What `litestar stack status` tells."""
        found: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return found

    def part(self, name: str) -> int:
        """The process id of a part."""
        state = json.loads((self.data / "state.json").read_text())
        return int(state["parts"][name])

    def worker(self, node: str) -> int | None:
        """The process id of a node's newest worker, which is the only one unless it is being replaced."""
        children = self.children(node)
        return max(children, key=lambda process: int(process.started)).pid if children else None

    def children(self, name: str) -> list[Process]:
        """The processes of a part, but for the first one."""
        return [process for process in tree(self.part(name)) if process.pid != self.part(name)]

    def logged(self, identity: str) -> dict[str, Any] | None:
        """What the application logged of a request."""
        for line in (self.data / "logs" / "application.log").read_text().splitlines(keepends=True):
            # The last one may be half written.
            if f'"{identity}"' in line and line.endswith("\n"):
                found: dict[str, Any] = json.loads(line)
                return found
        return None

    def client(self, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """A client at an address of its own."""
        # There is no TLS here, and the list of authorities takes longer to read than most requests.
        transport = httpx.AsyncHTTPTransport(local_address=address, verify=False)
        return httpx.AsyncClient(base_url=self.url, transport=transport, timeout=60)


@contextmanager
def running_stack(data: Path, *options: str, **variables: str) -> Iterator[Stack]:
    """One that is ready; ended at the end."""
    stack = Stack(data, "--port", "0", "--rate", "10000", "--burst", "10000", *options, **variables)
    try:
        until(lambda: "Health" in stack.said() or stack.process.poll() is not None, SLOW, "readiness")
        assert stack.process.poll() is None, stack.said()
        yield stack
    finally:
        stack.end()


class Person:
    """Somebody who is signed in."""

    def __init__(self, client: httpx.AsyncClient, email: str) -> None:
        self.client = client
        self.email = email
        self.headers: dict[str, str] = {}

    @classmethod
    async def signed_in(cls, client: httpx.AsyncClient) -> Self:
        """A new account."""
        email = f"{uuid4().hex}@example.org"
        account = {"name": "Ada", "email": email, "password": PASSWORD, "confirmPassword": PASSWORD}
        answer = await client.post("/api/v1/access/signup", json=account)
        assert answer.status_code == 201, answer.text
        person = cls(client, email)
        await person.sign_in()
        return person

    async def again(self) -> Self:
        """The same one in a session of its own."""
        other = type(self)(self.client, self.email)
        await other.sign_in()
        return other

    async def sign_in(self) -> None:
        """Begin a session."""
        credentials = {"email": self.email, "password": PASSWORD}
        answer = await self.client.post("/api/v1/access/signin", json=credentials)
        assert answer.status_code == 204, answer.text
        self._keep(answer)

    async def refresh(self) -> httpx.Response:
        """Exchange the session's tokens for new ones."""
        answer = await self.client.post("/api/v1/access/refresh-jwt", headers=self.headers)
        if answer.status_code == 204:
            self._keep(answer)
        return answer

    async def leave(self) -> httpx.Response:
        """End the session."""
        answer = await self.client.post("/api/v1/access/logout", headers=self.headers)
        self.client.cookies.clear()
        return answer

    def _keep(self, answer: httpx.Response) -> None:
        cookies = "; ".join(f"{name}={value}" for name, value in answer.cookies.items())
        self.client.cookies.clear()
        self.headers = {"Cookie": cookies}

    async def write(self) -> httpx.Response:
        """Store a row."""
        unit = {"name": uuid4().hex, "exercises": []}
        return await self.client.post("/api/v1/training-units", json=unit, headers=self.headers)

    async def rename(self, unit: str) -> httpx.Response:
        """Change a row that is stored."""
        body = {"name": uuid4().hex}
        return await self.client.patch(f"/api/v1/training-units/{unit}", json=body, headers=self.headers)

    async def stored(self) -> set[str]:
        """The ids of what was stored."""
        found: set[str] = set()
        page = 1
        while True:
            query = f"/api/v1/training-units?pageSize=100&currentPage={page}"
            items = (await self.client.get(query, headers=self.headers)).json()["items"]
            if not items:
                return found
            found |= {item["id"] for item in items}
            page += 1
