"""What everybody in the crowd has in common: a browser, an account, habits."""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, ClassVar, Final

import msgspec
from locust import FastHttpUser
from locust.contrib.fasthttp import FastHttpSession, ResponseContextManager
from locust.env import Environment
from locust.exception import RescheduleTask

from loadtests.crowd.connections import target_of
from loadtests.crowd.habits import HABITS, Habit
from loadtests.crowd.people import PASSWORD, address, email

__all__ = ("API", "SIGN_IN", "Member", "Person")

API: Final = "/api/v1"
SIGN_IN: Final = "/access/signin"

_REFRESH_EVERY: Final = 13 * 60.0
"""Seconds; an access token is good for 15 minutes."""
_HINTS: Final = {
    401: "are people seeded? See loadtests.seed",
    429: "the rate limits are those of people; see --pace in README.md",
}

Action = Callable[[Any], None]


class Person(FastHttpUser):
    """Somebody with a browser, who does what the table of habits says.

    A status that was not expected is a failure, and the task begins anew after a pause.

    Attributes:
        number: of the account, if there is one, and of the address; nobody else in the run has it.
    """

    abstract = True
    habit: ClassVar[Habit]
    numbers: ClassVar[Iterator[int]] = itertools.count(100_000)

    def __init_subclass__(cls) -> None:
        """Take weight and tasks from the table."""
        super().__init_subclass__()
        if habit := HABITS.get(cls.__name__):
            cls.habit, cls.weight = habit, habit.weight
            cls.tasks = [
                task for name, weight in habit.tasks.items() for task in [_settled(getattr(cls, name))] * weight
            ]

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.options: Any = environment.parsed_options
        self.number = next(self.numbers)
        self.target = target_of(environment.host)
        self.is_settled = False
        self.open_browser()

    def wait_time(self) -> float:
        """Seconds until the next task."""
        return random.uniform(*self.habit.pause) * float(self.options.pace)

    def open_browser(self) -> None:
        """Begin with no cookies, nothing kept and no connection."""
        where = address(self.number)
        self.client = FastHttpSession(
            base_url=self.target.url,
            request_event=self.environment.events.request,
            user=self,
            client_pool=self.target.connections(where),
            headers=self.target.headers(where),
            max_retries=0,
            max_redirects=0,
            network_timeout=60.0,
            connection_timeout=60.0,
        )
        # Behind a proxy with TLS the cookies are Secure, and this may be the plain side of it.
        jar = CookieJar(DefaultCookiePolicy(secure_protocols=("https", "http")))
        self.client.cookiejar = self.client.client.cookiejar = jar
        self._kept: dict[str, tuple[str, Any]] = {}

    def settle(self) -> None:
        """What comes before the first task."""

    def ask(self, method: str, path: str, name: str, *expected: int, **more: Any) -> Any:
        """Send a request; the document of the answer, if it has one.

        Args:
            method: of HTTP.
            path: below ``API`` unless it names it.
            name: of this kind of request in the reports.
            expected: the statuses that are right.
            more: what Locust's client takes.

        Raises:
            RescheduleTask: the answer was another one, or none.
        """
        with self.client.request(method, _url(path), name=name, catch_response=True, **more) as answer:
            _judge(answer, expected)
        if answer.status_code not in expected:
            raise RescheduleTask
        is_json = "json" in str(answer.headers.get("content-type", ""))
        return msgspec.json.decode(answer.content) if is_json else None

    def look(self, path: str, name: str) -> Any:
        """Read something as a browser does: what it has kept, if that is still right.

        Raises:
            RescheduleTask: the answer was neither the document nor 304.
        """
        etag, kept = self._kept.get(path, ("", None))
        headers = {"If-None-Match": etag} if etag else {}
        with self.client.request("GET", _url(path), name=name, catch_response=True, headers=headers) as answer:
            _judge(answer, (200, 304))
            if answer.status_code == 304:
                answer.request_meta["name"] = f"{name} (304)"
        if answer.status_code == 304:
            return kept
        if answer.status_code != 200:
            raise RescheduleTask
        is_json = "json" in str(answer.headers.get("content-type", ""))
        document = msgspec.json.decode(answer.content) if is_json else answer.content
        if etag := str(answer.headers.get("etag", "")):
            self._kept[path] = (etag, document)
        return document

    def etag(self, path: str) -> dict[str, str]:
        """The precondition that something is as it was last seen."""
        return {"If-Match": self._kept[path][0]}


class Member(Person):
    """Somebody with an account, who stays signed in."""

    abstract = True
    numbers = itertools.count()
    fresh_until = 0.0

    def settle(self) -> None:
        """Sign in."""
        self.sign_in(self.number % self.options.people)
        self.ask("GET", "/access/me", "/access/me", 200)

    def ask(self, method: str, path: str, name: str, *expected: int, **more: Any) -> Any:
        """Send a request, with tokens that are still good.

        Raises:
            RescheduleTask: the answer was another one than expected, or none.
        """
        if 0 < self.fresh_until < time.monotonic():
            self.refresh()
        return super().ask(method, path, name, *expected, **more)

    def sign_in(self, number: int) -> None:
        """Sign in as one of the seeded people."""
        body = {"email": email(number), "password": PASSWORD}
        super().ask("POST", SIGN_IN, SIGN_IN, 204, json=body)
        self.fresh_until = time.monotonic() + _REFRESH_EVERY

    def refresh(self) -> None:
        """Exchange the tokens."""
        super().ask("POST", "/access/refresh-jwt", "/access/refresh-jwt", 204)
        self.fresh_until = time.monotonic() + _REFRESH_EVERY


def _settled(task: Action) -> Action:
    def act(person: Person) -> None:
        if not person.is_settled:
            person.settle()
            person.is_settled = True
        task(person)

    act.__name__ = task.__name__
    return act


def _url(path: str) -> str:
    return path if path.startswith((API, "/health", "/docs")) else API + path


def _judge(answer: ResponseContextManager, expected: tuple[int, ...]) -> None:
    status = answer.status_code
    if status in expected:
        answer.success()
    elif status:
        answer.failure(f"{status} was not expected{f': {_HINTS[status]}' if status in _HINTS else ''}")
