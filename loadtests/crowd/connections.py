"""How a person reaches the service: by a Unix socket, or from an address that nobody else has."""

import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from geventhttpclient.client import HTTPClient, HTTPClientPool
from geventhttpclient.connectionpool import ConnectionPool
from geventhttpclient.url import URL

__all__ = ("Target", "target_of")

_SECONDS = 60.0
"""After which the service counts as silent."""


class Target:
    """What ``--host`` names.

    Attributes:
        url: with which requests begin; for a Unix socket one of this machine.
        socket: the path of the Unix socket, or empty.
        is_local: whether it is reached by plain HTTP over the loopback interface.
    """

    def __init__(self, host: str) -> None:
        parts = urlsplit(host)
        self.socket = parts.path if parts.scheme == "unix" else ""
        self.url = "http://localhost" if self.socket else host.rstrip("/")
        self.is_local = parts.scheme == "http" and _is_loopback(parts.hostname or "")

    def connections(self, address: str) -> HTTPClientPool | None:
        """The connections of one person, who comes from that address if that can be had; None: the usual ones.

        A Unix socket has no addresses: there the header says where a person comes from, as a proxy would.
        """
        if self.socket:
            return _One("localhost", 80, _UnixSocket(self.socket))
        if self.is_local:
            parts = urlsplit(self.url)
            host, port = str(parts.hostname), parts.port or 80
            return _One(host, port, _OwnAddress(host, port, address))
        return None

    def headers(self, address: str) -> dict[str, str]:
        """What each request of a person has to carry."""
        return {"X-Real-IP": address} if self.socket else {}


def target_of(host: str | None) -> Target:
    """What ``--host`` names.

    Raises:
        ValueError: it is neither a URL nor a Unix socket.
    """
    scheme = urlsplit(host or "").scheme
    if not host or scheme not in {"http", "https", "unix"}:
        raise ValueError("Give the service as --host http://…, https://… or unix:///path/to/socket.")
    return Target(host)


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).version == 4 and ip_address(name).is_loopback
    except ValueError:
        return False


class _UnixSocket(ConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", 80, "localhost", 80, connection_timeout=_SECONDS, network_timeout=_SECONDS)
        self._path = path

    def _create_socket(self) -> socket.socket:
        # Locust has made the sockets of the standard library those of gevent.
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self.network_timeout)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        return connection


class _OwnAddress(ConnectionPool):
    def __init__(self, host: str, port: int, address: str) -> None:
        super().__init__(host, port, host, port, connection_timeout=_SECONDS, network_timeout=_SECONDS)
        self._address = address

    def _create_tcp_socket(self, family: int, socktype: int, protocol: int) -> socket.socket:
        connection: socket.socket = super()._create_tcp_socket(family, socktype, protocol)
        connection.bind((self._address, 0))
        return connection


class _One(HTTPClientPool):
    """The one client of a person, whatever is asked of it."""

    def __init__(self, host: str, port: int, connections: ConnectionPool) -> None:
        super().__init__()
        self._client = _Client(host, port, connections)

    def get_client(self, url: str | URL) -> HTTPClient:
        return self._client

    def close(self) -> None:
        self._client.close()


class _Client(HTTPClient):
    def __init__(self, host: str, port: int, connections: ConnectionPool) -> None:
        super().__init__(host, port)
        self._connection_pool = connections
