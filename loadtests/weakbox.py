"""A weaker machine on this one: ``python -m loadtests.weakbox [options] command`` (or ``just weakbox …``).

Two things are taken from the command and from all that it starts, in a stated way. The processors: a quota of the
kernel's control groups, with a period so short that nobody waits long for the next one. The disk: each fsync takes as
long as one revolution, and there is one spindle, so that the syncs of all processes queue up behind each other.

The defaults stand for two of the eight cores of an AMD FX-8320, each half as fast as one of ours (an assumption: run
``--calibrate`` on both and set ``--speed`` to the ratio), and a disk of 7200 rpm: 60 s / 7200 = 8.33 ms, since what
follows the last record of a log has just passed under the head when the next one is synced. The quota is for all
processes together: one thread alone is only slowed where the quota is less than one processor.
"""

import contextlib
import json
import mmap
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from argparse import REMAINDER, ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from app.embedded.process import mortal

SOURCE: Final = Path(__file__).with_name("slowdisk.c")
REVOLUTION: Final = 60 / 7200
"""Seconds."""
_COUNTS: Final = struct.Struct("=qq")
_SYSTEMD: Final = Path("/run/systemd/system")
_ENDS_WITHIN: Final = 30.0


class WeakboxError(Exception):
    """The machine can't be made weaker. The message is one line that says what is missing."""


class Limits(Struct, frozen=True, kw_only=True):
    """What is left of the machine.

    Attributes:
        cpus: processors; 0: as many as there are, and no quota.
        speed: of each, compared with one of ours.
        period: seconds in which the quota is given anew.
        sync: seconds that an fsync takes; 0: as long as it takes, but counted.
    """

    cpus: float = 2.0
    speed: float = 0.5
    period: float = 0.010
    sync: float = REVOLUTION

    @property
    def quota(self) -> float:
        """Seconds of CPU in each second; 0 without a quota."""
        return self.cpus * self.speed


NORMAL: Final = Limits(cpus=0, sync=0)
"""The machine as it is; only syncs are counted."""


class Throttling(Struct, frozen=True):
    """What the quota did so far.

    Attributes:
        periods: in which somebody wanted to run.
        throttled: in which the quota was used up.
        seconds: of waiting, of all processors.
    """

    periods: int = 0
    throttled: int = 0
    seconds: float = 0.0


class Syncs(Struct, frozen=True):
    """What the disk did so far.

    Attributes:
        count: calls that made data durable.
        busy: seconds that they took, without the wait for their turn.
    """

    count: int
    busy: float


class Group:
    """A control group with a quota, of version 1 or 2."""

    def __init__(self, path: Path, version: int) -> None:
        self.path = path
        self.version = version

    def limit(self, limits: Limits) -> None:
        """Set the quota."""
        quota, period = (round(seconds * 1e6) for seconds in (limits.quota * limits.period, limits.period))
        if self.version == 2:
            (self.path / "cpu.max").write_text(f"{quota} {period}")
        else:
            (self.path / "cpu.cfs_period_us").write_text(str(period))
            (self.path / "cpu.cfs_quota_us").write_text(str(quota))

    def throttling(self) -> Throttling:
        """What it did so far."""
        told = dict(line.split() for line in (self.path / "cpu.stat").read_text().splitlines())
        seconds = int(told["throttled_usec"]) / 1e6 if self.version == 2 else int(told["throttled_time"]) / 1e9
        return Throttling(int(told["nr_periods"]), int(told["nr_throttled"]), seconds)

    def remove(self) -> None:
        """End whoever is left in it, and remove it."""
        limit = time.monotonic() + _ENDS_WITHIN
        while True:
            for pid in map(int, (self.path / "cgroup.procs").read_text().split()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                self.path.rmdir()
            except OSError:
                if time.monotonic() > limit:
                    raise
                time.sleep(0.02)
            else:
                return


class Box:
    """The weaker machine.

    Attributes:
        environment: what its programs need besides ours.
    """

    def __init__(self, limits: Limits, folder: Path, group: Group | None) -> None:
        self.limits = limits
        self._group = group
        library = folder / "slowdisk.so"
        _compile(library)
        spindle = folder / "spindle"
        spindle.write_bytes(bytes(_COUNTS.size))
        # Programs that drop their privileges sync, too, whatever our umask says.
        library.chmod(0o755)
        spindle.chmod(0o666)
        folder.chmod(0o711)
        with spindle.open("r+b") as file:
            self._counts = mmap.mmap(file.fileno(), _COUNTS.size, access=mmap.ACCESS_READ)
        others = os.environ.get("LD_PRELOAD", "")
        self.environment = {
            "LD_PRELOAD": f"{library} {others}".strip(),
            "WEAKBOX_SPINDLE": str(spindle),
            "WEAKBOX_SYNC_NS": str(round(limits.sync * 1e9)),
        }

    def command(self, command: Sequence[str]) -> list[str]:
        """The command line that runs a command in the box; it is told to end when we die."""
        if self._group is not None:
            join = ("sh", "-c", 'echo $$ >"$0" && exec "$@"', str(self._group.path / "cgroup.procs"))
            return mortal([*join, *command], signal.SIGTERM)
        scope = _scope(self.limits, os.geteuid()) if self.limits.quota else []
        return mortal([*scope, *command], signal.SIGTERM)

    def throttling(self) -> Throttling:
        """What the quota did so far; nothing where systemd keeps it."""
        return self._group.throttling() if self._group else Throttling()

    def syncs(self) -> Syncs:
        """What the disk did so far."""
        count, nanoseconds = _COUNTS.unpack(self._counts[:])
        return Syncs(count, nanoseconds / 1e9)


@contextlib.contextmanager
def opened(limits: Limits) -> Iterator[Box]:
    """A box; at the end its processes are ended and nothing of it is left.

    Raises:
        WeakboxError: there is no way to set a quota, or no C compiler.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weakbox-")))
        group = _make_group(limits) if limits.quota else None
        if group is not None:
            stack.callback(group.remove)
        yield Box(limits, folder, group)


def places(mounts: str, own: str) -> list[tuple[Path, int]]:
    """Where a group with a quota may be made, and of which version it is: the nearest to our own group first.

    Args:
        mounts: /proc/self/mounts.
        own: /proc/self/cgroup.
    """
    paths = {controllers: path for _, controllers, path in (line.split(":", 2) for line in own.splitlines())}
    found: list[tuple[Path, int]] = []
    for _, mounted, kind, options, *_ in (line.split() for line in mounts.splitlines()):
        if kind == "cgroup" and "cpu" in options.split(","):
            ours = next((path for names, path in paths.items() if "cpu" in names.split(",")), "/")
            found += [(Path(mounted + ours), 1), (Path(mounted), 1)]
        elif kind == "cgroup2":
            mine = Path(mounted + paths.get("", "/"))
            found += [(folder, 2) for folder in (mine, *mine.parents) if folder.is_relative_to(mounted)]
    return found


def _make_group(limits: Limits) -> Group | None:
    """None where systemd has to be asked for one.

    Raises:
        WeakboxError: nobody gives us one.
    """
    refusals = []
    for parent, version in places(Path("/proc/self/mounts").read_text(), Path("/proc/self/cgroup").read_text()):
        group = Group(parent / f"weakbox-{os.getpid()}", version)
        try:
            if version == 2:
                (parent / "cgroup.subtree_control").write_text("+cpu")
            group.path.mkdir()
            group.limit(limits)
        except OSError as error:
            refusals.append(f"{group.path}: {error.strerror}")
            with contextlib.suppress(OSError):
                group.path.rmdir()
        else:
            return group
    if _SYSTEMD.is_dir() and shutil.which("systemd-run"):
        return None
    reasons = "; ".join(refusals) or "no control groups are mounted"
    raise WeakboxError(f"No CPU quota can be set here ({reasons}), and systemd does not run: try as root.")


def _scope(limits: Limits, user: int) -> list[str]:
    """A scope of systemd with the quota."""
    mine = () if user == 0 else ("--user",)
    quota, period = f"CPUQuota={limits.quota:.0%}", f"CPUQuotaPeriodSec={limits.period * 1e3:.0f}ms"
    return ["systemd-run", *mine, "--scope", "--quiet", "--property", quota, "--property", period, "--"]


def _compile(library: Path) -> None:
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise WeakboxError("The slow disk needs a C compiler: there is no cc.") from None
    if done.returncode:
        raise WeakboxError(f"The slow disk can't be compiled: {done.stderr.strip().splitlines()[-1]}")


def run(command: Sequence[str], limits: Limits) -> int:
    """Run a command in a box, hand our signals on to it, and tell what the limits did; its exit code."""
    with opened(limits) as box:
        process: subprocess.Popen[bytes] | None = None
        early: list[int] = []

        def hand_on(number: int, _: object) -> None:
            if process is None:
                early.append(number)
            else:
                process.send_signal(number)

        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, hand_on)
        # Ctrl-C comes to everybody at the terminal.
        signal.signal(signal.SIGINT, lambda *_: None)
        process = subprocess.Popen(box.command(command), env={**os.environ, **box.environment})
        for missed in early:
            process.send_signal(missed)
        code = process.wait()
        throttling, syncs = box.throttling(), box.syncs()
    print(
        f"weakbox: throttled in {throttling.throttled} of {throttling.periods} periods ({throttling.seconds:.1f} s);"
        f" {syncs.count} syncs, the disk busy for {syncs.busy:.1f} s",
        file=sys.stderr,
    )
    return code if code >= 0 else 128 - code


def calibrate(seconds: float) -> float:
    """Rounds a second of a fixed piece of work, on one thread: to compare two machines."""
    document = {"sets": [{"weight": weight / 2, "reps": 5, "note": "x" * 20} for weight in range(100)]}
    rounds, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        assert json.loads(json.dumps(document)) == document
        rounds += 1
    return rounds / passed


def main() -> None:
    """Run from the command line."""
    description = "A weaker machine on this one."
    parser = ArgumentParser(description=description, usage="python -m loadtests.weakbox [options] command")
    usual = Limits()
    parser.add_argument("--cpus", type=float, default=usual.cpus, help="processors; 0: no quota (default: %(default)s)")
    parser.add_argument("--speed", type=float, default=usual.speed, help="of each, compared with ours (%(default)s)")
    parser.add_argument("--period-ms", type=float, default=usual.period * 1e3, help="of the quota (%(default)s)")
    parser.add_argument("--sync-ms", type=float, default=usual.sync * 1e3, help="that an fsync takes (%(default).2f)")
    parser.add_argument("--calibrate", action="store_true", help="tell how fast one thread is here")
    parser.add_argument("command", nargs=REMAINDER)
    options = parser.parse_args()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if options.calibrate:
        print(f"{calibrate(3.0):.0f} rounds a second; --speed is this figure there, divided by that here")
        return
    if not command:
        parser.error("there is no command")
    limits = Limits(cpus=options.cpus, speed=options.speed, period=options.period_ms / 1e3, sync=options.sync_ms / 1e3)
    try:
        code = run(command, limits)
    except (WeakboxError, FileNotFoundError) as error:
        parser.exit(1, f"Error: {error}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
