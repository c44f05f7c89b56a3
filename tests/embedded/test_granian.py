import subprocess
import sys

# A thread of its own gets the signal, as any may when the process was frozen while it came.
_SIGNALLED = """
import signal, threading
from app.embedded.granian import Bell

bell = Bell()
signal.signal(signal.SIGTERM, lambda *_: bell.set())
threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)).start()
bell.wait()
"""


def test_a_signal_that_another_thread_gets_is_not_slept_through() -> None:
    assert subprocess.run([sys.executable, "-c", _SIGNALLED], timeout=60, check=False).returncode == 0
