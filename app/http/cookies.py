"""The cookies of a signed-in browser."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from litestar.datastructures import Cookie

from app.http.context import ACCESS_COOKIE, API, REFRESH_COOKIE
from app.settings import Settings

__all__ = ("DEVICE_COOKIE", "SessionCookies")

DEVICE_COOKIE = "device"
_ACCESS_ROUTES = f"{API}/access"
_YEAR = 365 * 24 * 3600


class SessionCookies:
    """Makes the cookies, none of which scripts can read; `Secure`, except on plain HTTP to this machine itself."""

    def __init__(self, settings: Settings) -> None:
        self._secure = not (settings.security.insecure_cookies or _is_local(settings.app.public_url))

    def access(self, token: str, max_age: int) -> Cookie:
        """The access token; it goes with every request, and with links from other sites."""
        return Cookie(ACCESS_COOKIE, "/", token, max_age, secure=self._secure, httponly=True, samesite="lax")

    def refresh(self, token: str, max_age: int) -> Cookie:
        """The refresh token; it goes to the routes of access alone."""
        return self._strict(REFRESH_COOKIE, token, max_age)

    def device(self, value: str) -> Cookie:
        """What shows, at the next sign-in, that this client has signed in before. It outlives sessions."""
        return self._strict(DEVICE_COOKIE, value, _YEAR)

    def cleared(self) -> list[Cookie]:
        """What makes a browser forget both tokens."""
        return [self.access("", 0), self.refresh("", 0)]

    def _strict(self, name: str, value: str, max_age: int) -> Cookie:
        return Cookie(name, _ACCESS_ROUTES, value, max_age, secure=self._secure, httponly=True, samesite="strict")


def _is_local(url: str) -> bool:
    """Whether a URL is plain HTTP to the machine itself, where some browsers store no `Secure` cookies."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "http":
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
