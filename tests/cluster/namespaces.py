"""Machines that are network namespaces, joined by a bridge: each has its own address and nothing else."""

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_NET = 0x40000000
"""CLONE_NEWNET, of setns(2)."""
_NETWORK = "10.77.0"


def ip(*arguments: str) -> None:
    """Change the network."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def need_namespaces() -> None:
    """Skip the test where nobody may make network namespaces."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    name = f"itprobe{os.getpid()}"
    try:
        ip("netns", "add", name)
        try:
            ip("-n", name, "link", "add", "bridge", "type", "bridge")
        finally:
            ip("netns", "delete", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.strip()}")


class Network:
    """Some machines on one bridge. The first has the bridge."""

    def __init__(self, *machines: str) -> None:
        self._machines = machines

    def address(self, machine: str) -> str:
        """Of a machine."""
        return f"{_NETWORK}.{self._machines.index(machine) + 1}"

    @classmethod
    @contextlib.contextmanager
    def of(cls, *machines: str) -> Iterator["Network"]:
        """Make the machines; they are gone with the block."""
        network = cls(*machines)
        with contextlib.ExitStack() as stack:
            for machine in machines:
                ip("netns", "add", network._name(machine))
                stack.callback(ip, "netns", "delete", network._name(machine))
                ip("-n", network._name(machine), "link", "set", "lo", "up")
            network._join()
            yield network

    @contextlib.contextmanager
    def inside(self, machine: str) -> Iterator[None]:
        """Sockets that are made in the block, and processes that are started in it, are that machine's."""
        with open("/proc/self/ns/net") as here, open(Path("/run/netns", self._name(machine))) as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())

    def unplug(self, machine: str) -> None:
        """Nothing comes to the machine any more, and nothing from it; nobody is told."""
        ip("-n", self._name(self._machines[0]), "link", "set", f"to-{machine}", "down")

    def plug(self, machine: str) -> None:
        """Undo `unplug`."""
        ip("-n", self._name(self._machines[0]), "link", "set", f"to-{machine}", "up")

    def _name(self, machine: str) -> str:
        return f"it{os.getpid()}-{machine}"

    def _join(self) -> None:
        first, *others = self._machines
        hub = self._name(first)
        with self.inside(first):
            # As infra/high-availability tells it for the proxy's machine: silence means absence after three seconds.
            Path("/proc/sys/net/ipv4/tcp_retries2").write_text("3")
        ip("-n", hub, "link", "add", "bridge", "type", "bridge")
        ip("-n", hub, "address", "add", f"{self.address(first)}/24", "dev", "bridge")
        ip("-n", hub, "link", "set", "bridge", "up")
        for machine in others:
            end = ("peer", "name", "eth0", "netns", self._name(machine))
            ip("-n", hub, "link", "add", f"to-{machine}", "type", "veth", *end)
            ip("-n", hub, "link", "set", f"to-{machine}", "master", "bridge", "up")
            ip("-n", self._name(machine), "address", "add", f"{self.address(machine)}/24", "dev", "eth0")
            ip("-n", self._name(machine), "link", "set", "eth0", "up")


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NET):
        raise OSError(ctypes.get_errno(), "setns")
