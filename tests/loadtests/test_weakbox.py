"""The weak box takes processors and a disk away, in the way that it says, and leaves nothing behind."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from app.embedded.process import unprivileged
from loadtests import weakbox
from loadtests.weakbox import REVOLUTION, Box, Group, Limits, WeakboxError, opened, places
from tests.cli.up import until
from tests.stack.programs import need
from tests.waiting import eventually

SYNCS = """
import os, sys, time
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
print("ready", flush=True)
sys.stdin.readline()
shortest = 1.0
for _ in range(int(sys.argv[2])):
    began = time.perf_counter()
    os.fdatasync(file)
    shortest = min(shortest, time.perf_counter() - began)
print(shortest)
"""
SLOW_DISK = Limits(cpus=0)


@pytest.fixture(autouse=True)
def compiler() -> None:
    need("cc")


@contextmanager
def quota(limits: Limits) -> Iterator[Box]:
    """A box with a control group of our own; the test is skipped where there is none to be had."""
    with ExitStack() as stack:
        try:
            box = stack.enter_context(opened(limits))
        except WeakboxError as error:
            pytest.skip(str(error))
        if box._group is None:
            pytest.skip("The quota is a scope of systemd's, which tells nothing.")
        yield box


def syncing(box: Box, file: Path, times: int, *before: str) -> "subprocess.Popen[str]":
    """A process that syncs a file so many times as soon as it is told to."""
    command = [*before, sys.executable, "-c", SYNCS, str(file), str(times)]
    started = subprocess.Popen(
        box.command(command),
        env={**os.environ, **box.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def tell(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def said(process: "subprocess.Popen[str]") -> float:
    """The shortest of its syncs, in seconds."""
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    return float(output)


def test_each_sync_takes_a_revolution_and_those_of_all_processes_queue_up(tmp_path: Path) -> None:
    with opened(SLOW_DISK) as box:
        both = [syncing(box, tmp_path / name, 15) for name in ("one", "other")]
        began = time.perf_counter()
        for process in both:
            tell(process)
        assert min(said(process) for process in both) >= REVOLUTION
        passed, syncs = time.perf_counter() - began, box.syncs()
    assert syncs.count == 30
    assert 30 * REVOLUTION <= syncs.busy <= passed


async def test_who_dies_while_it_syncs_holds_nobody_up(tmp_path: Path) -> None:
    with opened(SLOW_DISK) as box:
        victim = syncing(box, tmp_path / "victim", 1_000_000)
        tell(victim)
        await eventually(lambda: box.syncs().count > 1)
        victim.kill()
        victim.communicate()
        assert said(syncing(box, tmp_path / "heir", 2)) >= REVOLUTION


def test_programs_that_drop_their_privileges_sync_slowly(tmp_path: Path) -> None:
    prefix, user = unprivileged()
    os.chown(tmp_path, user, -1)
    with opened(SLOW_DISK) as box:
        assert said(syncing(box, tmp_path / "file", 2, *prefix)) >= REVOLUTION
        assert box.syncs().count == 2


def test_without_a_length_syncs_are_counted_only(tmp_path: Path) -> None:
    with opened(weakbox.NORMAL) as box:
        said(syncing(box, tmp_path / "file", 3))
        assert box.syncs().count == 3
        assert box.throttling() == weakbox.Throttling()


def test_the_quota_holds_for_all_processes_together() -> None:
    burn = "import time\nwhile time.process_time() < 0.06: pass"
    with quota(Limits(cpus=0.2, speed=0.5, sync=0)) as box:
        began = time.perf_counter()
        both = [subprocess.Popen(box.command([sys.executable, "-c", burn])) for _ in range(2)]
        assert [process.wait(30) for process in both] == [0, 0]
        passed, throttling = time.perf_counter() - began, box.throttling()
    # 0.12 s of CPU, at 0.1 s in each second; what a tick lets pass is taken off the next periods.
    assert passed >= 0.8
    assert throttling.throttled > 0
    assert throttling.seconds > 0


def test_whoever_is_left_at_the_end_is_ended_and_the_group_removed() -> None:
    with quota(Limits()) as box:
        command = box.command(["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"])
        left = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        groups = [parent / f"weakbox-{os.getpid()}" for parent, _ in _places()]
        assert any(group.exists() for group in groups)
        os.kill(left, 0)
    assert not any(group.exists() for group in groups)
    until(lambda: _has_ended(left), 30, "whoever was left has ended")


def _has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"X", "Z"}
    except (FileNotFoundError, ProcessLookupError):
        return True


def _places() -> list[tuple[Path, int]]:
    return places(Path("/proc/self/mounts").read_text(), Path("/proc/self/cgroup").read_text())


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_the_command_decides_the_exit_code(script: str, code: int) -> None:
    command = [sys.executable, "-m", "loadtests.weakbox", "--cpus", "0", "--", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "0 syncs" in done.stderr


def test_a_signal_is_handed_on_however_early_it_comes() -> None:
    script = "trap 'exit 5' TERM; kill -TERM $PPID; while :; do sleep 0.05; done"
    command = [sys.executable, "-m", "loadtests.weakbox", "--cpus", "0", "--", "sh", "-c", script]
    assert subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 5


def test_groups_are_made_where_the_kernel_has_them() -> None:
    first = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n"
    second = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"
    others = "tmpfs / tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\n"
    assert places(others, "0::/a") == []
    assert places(others + first, "4:cpu,cpuacct:/us\n3:cpuset:/") == [
        (Path("/sys/fs/cgroup/cpu,cpuacct/us"), 1),
        (Path("/sys/fs/cgroup/cpu,cpuacct"), 1),
    ]
    assert places(others + second, "0::/user.slice/a") == [
        (Path("/sys/fs/cgroup/user.slice/a"), 2),
        (Path("/sys/fs/cgroup/user.slice"), 2),
        (Path("/sys/fs/cgroup"), 2),
    ]


def test_the_quota_is_written_as_each_version_wants_it(tmp_path: Path) -> None:
    limits = Limits(cpus=3, speed=0.5, period=0.02)
    Group(tmp_path, 2).limit(limits)
    assert (tmp_path / "cpu.max").read_text() == "30000 20000"
    (tmp_path / "cpu.stat").write_text("usage_usec 5\nnr_periods 7\nnr_throttled 3\nthrottled_usec 1500000\n")
    assert Group(tmp_path, 2).throttling() == weakbox.Throttling(7, 3, 1.5)
    Group(tmp_path, 1).limit(limits)
    assert (tmp_path / "cpu.cfs_quota_us").read_text() == "30000"
    assert (tmp_path / "cpu.cfs_period_us").read_text() == "20000"
