import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.security.invalidations import EVERYBODY, EVERYTHING, InvalidationRing

HEADER = 64


def publish_many(path: str, first: int, count: int) -> None:
    with InvalidationRing(Path(path)) as ring:
        for number in range(first, first + count):
            ring.publish([UUID(int=number)])


def node_of(path: str) -> int:
    with InvalidationRing(Path(path)) as ring:
        return ring.node


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "revocations"


class TestCatchUp:
    def test_nothing_has_happened(self, path: Path) -> None:
        with InvalidationRing(path) as ring:
            assert ring.catch_up() == frozenset()

    def test_every_reader_gets_every_topic_once(self, path: Path) -> None:
        first, second = uuid4(), uuid4()
        with InvalidationRing(path) as writer, InvalidationRing(path) as reader:
            writer.publish([first])
            writer.publish([second, first])
            assert reader.catch_up() == frozenset([first, second])
            assert reader.catch_up() == frozenset()
            assert writer.catch_up() == frozenset([first, second])

    def test_who_comes_later_hears_only_what_follows(self, path: Path) -> None:
        topic = uuid4()
        with InvalidationRing(path) as writer:
            writer.publish([uuid4()])
            with InvalidationRing(path) as reader:
                assert reader.catch_up() == frozenset()
                writer.publish([topic])
                assert reader.catch_up() == frozenset([topic])

    def test_no_topics_are_no_news(self, path: Path) -> None:
        with InvalidationRing(path) as ring:
            ring.publish([])
            assert ring.catch_up() == frozenset()

    def test_everybody_is_everything(self, path: Path) -> None:
        with InvalidationRing(path) as ring:
            ring.publish([uuid4(), EVERYBODY])
            assert ring.catch_up() is EVERYTHING

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 20), max_size=12))
    def test_never_misses_anything(self, tmp_path_factory: pytest.TempPathFactory, batches: list[int]) -> None:
        slots = 8
        with (
            InvalidationRing(tmp_path_factory.mktemp("ring") / "r", slots) as writer,
            InvalidationRing(writer._path) as reader,
        ):
            published: set[UUID] = set()
            for size in batches:
                topics = [uuid4() for _ in range(size)]
                writer.publish(topics)
                published.update(topics)
                if size % 2:
                    heard = reader.catch_up()
                    assert heard is EVERYTHING or heard == published
                    assert heard is not EVERYTHING or len(published) >= slots
                    published.clear()


class TestLapped:
    @pytest.mark.parametrize(("count", "lapped"), [(7, False), (8, True), (9, True), (16, True), (17, True)])
    def test_a_reader_that_lags_too_far_forgets_everything(self, path: Path, count: int, lapped: bool) -> None:
        topics = [uuid4() for _ in range(count)]
        with InvalidationRing(path, slots=8) as writer, InvalidationRing(path) as reader:
            for topic in topics:
                writer.publish([topic])
            assert reader.catch_up() == (EVERYTHING if lapped else frozenset(topics))
            assert reader.catch_up() == frozenset()

    def test_while_it_reads(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with InvalidationRing(path, slots=8) as writer, InvalidationRing(path) as reader:
            writer.publish([uuid4()])
            read = reader._topic

            def overtaken(number: int) -> UUID:
                for _ in range(8):
                    writer.publish([uuid4()])
                return read(number)

            monkeypatch.setattr(reader, "_topic", overtaken)
            assert reader.catch_up() is EVERYTHING

    def test_many_topics_at_once_are_everything(self, path: Path) -> None:
        with InvalidationRing(path, slots=8) as writer, InvalidationRing(path) as reader:
            writer.publish([uuid4() for _ in range(8)])
            assert reader.catch_up() is EVERYTHING


class TestFile:
    def test_is_for_its_owner_only(self, path: Path) -> None:
        path.touch(0o666)
        path.chmod(0o666)
        InvalidationRing(path).close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_link_is_not_followed(self, path: Path, tmp_path: Path) -> None:
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OSError, match="symbolic"):
            InvalidationRing(path)
        assert not (tmp_path / "elsewhere").exists()

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="directory"):
            InvalidationRing(tmp_path)

    @pytest.mark.parametrize(
        "content",
        [b"", b"x", b"ITRING01", b"foreign" * 5000, b"ITRING01" + b"\xff" * 5000, b"ITRING01" + bytes(5000)],
        ids=lambda content: f"{content[:9]!r}x{len(content)}",
    )
    def test_what_can_not_be_used_is_made_anew(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        topic = uuid4()
        with InvalidationRing(path, 8) as writer, InvalidationRing(path, 8) as reader:
            assert reader.node == writer.node
            writer.publish([topic])
            assert reader.catch_up() == frozenset([topic])
        assert path.stat().st_size >= len(content)

    def test_a_file_cut_short_is_made_anew(self, path: Path) -> None:
        InvalidationRing(path).close()
        os.truncate(path, HEADER + 16)
        topic = uuid4()
        with InvalidationRing(path) as ring:
            ring.publish([topic])
            assert ring.catch_up() == frozenset([topic])
        assert path.stat().st_size == HEADER + 4096 * 16

    def test_the_size_of_the_file_that_is_there_counts(self, path: Path) -> None:
        topic = uuid4()
        with InvalidationRing(path, slots=8) as old, InvalidationRing(path, slots=4096) as new:
            for _ in range(100):
                new.publish([topic])
                assert old.catch_up() == frozenset([topic])

    def test_rubbish_written_over_it_is_noticed(self, path: Path) -> None:
        topic = uuid4()
        with InvalidationRing(path, 8) as reader, InvalidationRing(path, 8) as writer:
            with path.open("r+b") as file:
                file.write(os.urandom(HEADER))
            assert reader.catch_up() is EVERYTHING
            writer.publish([topic])
            assert reader.catch_up() in (frozenset([topic]), EVERYTHING)
            writer.catch_up()
            reader.publish([topic])
            assert writer.catch_up() == frozenset([topic])

    def test_a_removed_file_is_followed_by_the_next_one(self, path: Path) -> None:
        topic = uuid4()
        with InvalidationRing(path) as reader:
            path.unlink()
            with InvalidationRing(path) as writer:
                writer.publish([topic])
                reader.follow()
                assert reader.catch_up() is EVERYTHING
                writer.publish([topic])
                assert reader.catch_up() == frozenset([topic])
                reader.follow()
                assert reader.catch_up() == frozenset()

    def test_following_a_file_that_nobody_made_again_makes_it(self, path: Path) -> None:
        with InvalidationRing(path) as ring:
            path.unlink()
            ring.follow()
            assert path.exists()
            assert ring.catch_up() is EVERYTHING


class TestProcesses:
    def test_those_who_start_at_once_map_the_same_ring(self, path: Path) -> None:
        path.write_bytes(b"foreign")
        with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
            assert len(set(pool.map(node_of, [str(path)] * 8))) == 1

    def test_writers_do_not_overwrite_each_other(self, path: Path) -> None:
        with (
            InvalidationRing(path) as reader,
            ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool,
        ):
            done = [pool.submit(publish_many, str(path), 1000 * worker, 900) for worker in (1, 2)]
            heard: set[UUID] = set()
            while not all(task.done() for task in done):
                news = reader.catch_up()
                assert news is not EVERYTHING
                heard |= news
            news = reader.catch_up()
            assert news is not EVERYTHING
            heard |= news
        assert {topic.int for topic in heard} == {*range(1000, 1900), *range(2000, 2900)}

    def test_a_writer_killed_while_it_holds_the_lock_harms_nobody(self, path: Path) -> None:
        program = (
            "import sys, time; from pathlib import Path; from app.security import invalidations as i\n"
            "ring = i.InvalidationRing(Path(sys.argv[1]))\n"
            "with i._locked(ring._file.descriptor):\n"
            "    ring._file.topics[:16] = b'x' * 16; print('locked', flush=True); time.sleep(60)\n"
        )
        topic = uuid4()
        with InvalidationRing(path) as ring:
            command = [sys.executable, "-c", program, str(path)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == b"locked\n"
                process.send_signal(signal.SIGKILL)
            ring.publish([topic])
            assert ring.catch_up() == frozenset([topic])
