"""Whether a node is ready, for the health checks of containers: ``python -m app.stack.probe SOCKET``.

Imports nothing of the service, which would cost more than all of its requests in between.
"""

import http.client
import socket
import sys

_WITHIN = 5.0


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_WITHIN)
        self.sock.connect(self.host)


def main() -> None:
    """Exit code 0 when it is ready, else 1 and a sentence."""
    try:
        # The name is the path, which must not be read as host and port.
        connection = _Connection("localhost")
        connection.host = sys.argv[1]
        connection.request("GET", "/health/ready", headers={"Host": "localhost"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException, IndexError) as error:
        sys.exit(f"no answer: {error}")
    if status != http.HTTPStatus.OK:
        sys.exit(f"not ready: {status}")


if __name__ == "__main__":
    main()
