"""Angie, or nginx in its place, in front of the application's sockets."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from app.embedded.folder import last_words, log_file
from app.embedded.listener import Address, answers
from app.embedded.process import Child, StartFailed, unprivileged
from app.stack.programs import ProxyProgram
from app.stack.templates import render, write_private

__all__ = ("Proxy", "ProxySettings", "proxy_configuration")

_STOP: Final = ((signal.SIGTERM, 1.0),)
_STARTS_WITHIN: Final = 10.0


class ProxySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the proxy's configuration depends on besides the program.

    Attributes:
        sockets: of the application: paths, or ``host:port`` of nodes on other machines.
        listen: addresses as nginx writes them, with TLS when there is a certificate.
        redirect_listen: addresses of plain HTTP that send everybody to TLS.
        public_port: the port that clients see, which is told to those who can HTTP/3.
        status_listen: where the status pages are; never public.
        folder: of its process id and its temporary files.
        certificate: the chain in a PEM file; empty: plain HTTP.
        trusted_proxies: networks of proxies before this one, whose X-Forwarded-For is believed.
        rate: requests a second of one address, beyond a burst of ``burst``.
        connections: of one address at a time; with HTTP/2 and HTTP/3 requests count.
        timeout: seconds until the application has to answer.
        grace: seconds for requests in flight when it is loaded anew or ended.
        max_body: bytes.
        max_upload: bytes of a body with files of runs.
        max_archive: bytes of one with an archive of them.
        upload_timeout: seconds until the application has to answer to those.
    """

    sockets: Sequence[str]
    listen: Sequence[str]
    redirect_listen: Sequence[str] = ()
    public_port: int = 443
    status_listen: str
    folder: str
    certificate: str = ""
    certificate_key: str = ""
    access_log: str
    error_log: str
    prometheus_templates: str = "/etc/angie/prometheus_all.conf"
    trusted_proxies: Sequence[str] = ()
    workers: str = "auto"
    rate: int = 50
    burst: int = 200
    connections: int = 100
    timeout: int = 35
    grace: int = 40
    max_body: int = 10_000_000
    max_upload: int = 50_000_000
    max_archive: int = 4_000_000_000
    upload_timeout: int = 905

    @property
    def servers(self) -> list[str]:
        """The sockets as nginx writes them."""
        return [f"unix:{socket}" if socket.startswith("/") else socket for socket in self.sockets]


def proxy_configuration(program: ProxyProgram, settings: ProxySettings) -> str:
    """The whole configuration, in one file."""
    return render("proxy/nginx.conf.mako", program=program, settings=settings)


class Proxy:
    """The proxy as a child. The supervisor holds its listening sockets, so that connections outlive it."""

    def __init__(
        self,
        program: ProxyProgram,
        settings: ProxySettings,
        listeners: Sequence[socket.socket],
        address: Address,
        data: Path,
    ) -> None:
        """
        Args:
            listeners: bound to `settings.listen`, in any order.
            address: where it answers without TLS; with TLS connecting is enough.
            data: the data folder.
        """
        self.name = "Angie" if program.angie else "nginx"
        self.child: Child | None = None
        self.log = data / "logs" / "proxy.log"
        self.file = data / "stack" / "proxy.conf"
        self.program = program
        self.settings = settings
        self._listeners = listeners
        self._address = address
        self._data = data
        self._loaded = ""

    def write(self) -> None:
        """Write the configuration, and ask the program whether it can be used.

        Raises:
            StartFailed: it can't; what was there before is still there.
        """
        Path(self.settings.folder).mkdir(mode=0o700, exist_ok=True)
        draft = self.file.with_suffix(".tried")
        write_private(draft, proxy_configuration(self.program, self.settings))
        tried = subprocess.run(
            [*unprivileged()[0], *self._command(draft), "-t", "-q"],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=self._environment(),
            pass_fds=self._descriptors(),
        )
        if tried.returncode != 0:
            reason = tried.stderr.strip().rpartition("\n")[2] or f"it ended with {tried.returncode}"
            raise StartFailed(f"{self.name} refuses its configuration: {reason}")
        draft.replace(self.file)

    async def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            StartFailed: it ended, took too long, or refuses its configuration.
        """
        self.write()
        self._clear_status()
        self.log = log_file(self._data, "proxy")
        before = self.log.stat().st_size if self.log.exists() else 0
        self._loaded = self._fingerprint()
        self.child = Child.start(
            self.name,
            self._command(self.file),
            death=signal.SIGTERM,
            prefix=unprivileged()[0],
            log=self.log,
            environment=self._environment(),
            descriptors=self._descriptors(),
        )
        limit = time.monotonic() + _STARTS_WITHIN
        while not await self._answers():
            if self.child.exit_code is not None:
                raise StartFailed(f"{self.name} {self.child.ending} while it started: {last_words(self.log, before)}")
            if time.monotonic() > limit:
                await self.stop()
                raise StartFailed(f"{self.name} was not ready within {_STARTS_WITHIN:.0f} s; its log is {self.log}.")
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """End it at once; `drain` comes first where requests may be in flight."""
        if self.child is not None:
            await self.child.stop(_STOP)

    async def drain(self, within: float) -> None:
        """Take no further connections, and wait until the requests in flight are answered.

        Args:
            within: seconds.
        """
        if self.child is not None:
            await self.child.stop(((signal.SIGQUIT, within), *_STOP))

    def reload(self) -> bool:
        """Take over a changed configuration or certificate; tell whether there was one.

        Raises:
            StartFailed: the new configuration can't be used; the old one stays.
        """
        self.write()
        if self.child is None or self._fingerprint() == self._loaded:
            return False
        self._loaded = self._fingerprint()
        self.child.send(signal.SIGHUP)
        return True

    def _clear_status(self) -> None:
        """Left behind by one that was killed; nobody else listens there, since we own the data folder."""
        Path(self.settings.status_listen.removeprefix("unix:")).unlink(missing_ok=True)

    async def _answers(self) -> bool:
        if not self.settings.certificate:
            return await answers(self._address)
        try:
            # The supervisor's socket takes connections by itself; the status page is the proxy's own.
            _, writer = await asyncio.open_unix_connection(self.settings.status_listen.removeprefix("unix:"))
            writer.close()
        except OSError:
            return False
        return True

    def _fingerprint(self) -> str:
        files = [
            self.file,
            *(Path(name) for name in (self.settings.certificate, self.settings.certificate_key) if name),
        ]
        return sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()

    def _command(self, configuration: Path) -> list[str]:
        return [self.program.path, "-p", f"{self.settings.folder}/", "-c", str(configuration), "-e", "stderr"]

    def _descriptors(self) -> tuple[int, ...]:
        return tuple(listener.fileno() for listener in self._listeners)

    def _environment(self) -> dict[str, str]:
        inherited = "".join(f"{descriptor};" for descriptor in self._descriptors())
        # How it hands its sockets to a new version of itself; each has its own name for that.
        return {**os.environ, "NGINX": inherited, "ANGIE": inherited}
