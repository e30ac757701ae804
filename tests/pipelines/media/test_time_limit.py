"""The time limit of one item: Python code is interrupted, hung C code ends the process, and nothing is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from pipelines.errors import ItemError
from pipelines.media.time_limit import deadline


@pytest.fixture(autouse=True)
def _nothing_is_left() -> object:
    """Each test finds the alarm as the test runner set it, and leaves it so."""
    handler, (left, _) = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    yield
    assert signal.getsignal(signal.SIGALRM) is handler
    assert bool(signal.getitimer(signal.ITIMER_REAL)[0]) == bool(left)


def spin() -> None:
    while True:
        sum(range(100))


def test_python_code_is_interrupted() -> None:
    started = time.monotonic()
    with pytest.raises(ItemError) as failure, deadline(0.2, "scans/a.tif"):
        spin()
    assert 0.2 <= time.monotonic() - started < 2
    assert failure.value.code == "too_slow"
    expected = "scans/a.tif: decoding took longer than 0.2 s; raise --max-seconds if it is genuine"
    assert failure.value.reason == expected


def test_a_wait_inside_a_system_call_is_interrupted() -> None:
    started = time.monotonic()
    with pytest.raises(ItemError), deadline(0.2, "a"):
        time.sleep(30)
    assert time.monotonic() - started < 2


def test_code_that_handles_every_exception_does_not_escape() -> None:
    def stubborn() -> None:
        while True:
            try:
                spin()
            except Exception:
                continue

    with pytest.raises(ItemError, match="too_slow"), deadline(0.2, "a"):
        stubborn()


def test_an_alarm_that_got_lost_comes_again() -> None:
    class Careless:
        def __del__(self) -> None:
            end = time.monotonic() + 0.6
            while time.monotonic() < end:
                pass

    lost: list[object] = []
    hook, sys.unraisablehook = sys.unraisablehook, lost.append
    try:
        with pytest.raises(ItemError, match="too_slow"), deadline(0.3, "a"):
            Careless()  # Python drops what a destructor raises
            spin()
    finally:
        sys.unraisablehook = hook
    assert len(lost) == 1


def test_work_in_time_passes_and_errors_pass() -> None:
    with deadline(5, "a"):
        done = 1
    assert done == 1
    with pytest.raises(ZeroDivisionError), deadline(5, "a"):
        done = 1 // 0
    with pytest.raises(KeyboardInterrupt), deadline(5, "a"):
        raise KeyboardInterrupt


def test_leaving_early_stops_the_clock() -> None:
    def leave() -> int:
        for number in range(3):
            with deadline(0.15, "a"):
                if number == 1:
                    return number
        return -1

    assert leave() == 1
    time.sleep(0.4)  # no alarm comes


def test_an_error_after_the_limit_counts_as_too_slow() -> None:
    def turned() -> None:
        try:
            spin()
        except BaseException:
            raise OSError("decoder error -2") from None

    with pytest.raises(ItemError, match="too_slow"), deadline(0.2, "a"):
        turned()


@pytest.mark.parametrize(("inner", "outer", "slow"), [(0.2, 30, "inner"), (30, 0.2, "outer")])
def test_nested(inner: float, outer: float, slow: str) -> None:
    """The inner limit counts inside; the outer one is not forgotten, and comes when the inner block is left."""
    started = time.monotonic()
    with pytest.raises(ItemError) as failure, deadline(outer, "outer"):
        with deadline(inner, "inner"):
            while slow == "inner" or time.monotonic() - started < 0.4:
                pass
        spin()
    assert failure.value.reason.startswith(f"{slow}: ")
    assert time.monotonic() - started < 3


def test_an_alarm_of_somebody_else_comes_in_its_time() -> None:
    rung: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    started = time.monotonic()
    old = signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(ItemError), deadline(0.2, "a"):
            spin()
        assert not rung
        time.sleep(0.5)
        assert len(rung) == 1
        assert 0.5 <= rung[0] - started < 0.9
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *old)


def test_other_threads_fail_at_the_end_of_the_block() -> None:
    codes: list[str] = []

    def work(seconds: float, limit: float) -> None:
        try:
            with deadline(limit, "a"):
                time.sleep(seconds)
            codes.append("")
        except ItemError as error:
            codes.append(error.code)

    threads = [threading.Thread(target=work, args=arguments) for arguments in ((0.2, 0.1), (0.1, 5), (0.05, 5))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["", "", "too_slow"]


_HANG = "import collections, itertools; collections.deque(itertools.repeat(0), maxlen=0)"  # never leaves C, nor lets go
_PROGRAMS: dict[str, str] = {
    "main thread": f"with deadline(0.3, 'a'):\n    {_HANG}",
    # The longer limit is set last; the shorter one must still end the process.
    "nested": f"with deadline(0.3, 'a'), deadline(60, 'b'):\n    {_HANG}",
    "other thread": (
        "import threading\n"
        f"def work():\n    with deadline(0.3, 'a'):\n        {_HANG}\n"
        "thread = threading.Thread(target=work)\nthread.start()\nthread.join()"
    ),
}


def _run(body: str) -> tuple[subprocess.CompletedProcess[str], float]:
    margin = "import pipelines.media.time_limit\npipelines.media.time_limit._MARGIN = 0.5\n"
    program = f"import time\n{margin}{_IMPORT}{body}\nprint('after')"
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    return done, time.monotonic() - started


_IMPORT = "from pipelines.media.time_limit import deadline\n"


@pytest.mark.parametrize("kind", _PROGRAMS)
def test_a_hang_in_c_code_ends_the_process(kind: str) -> None:
    done, _ = _run(_PROGRAMS[kind])
    assert done.returncode == 1
    assert "after" not in done.stdout
    assert "Timeout (" in done.stderr
    assert 'File "<string>"' in done.stderr  # where it hung


def test_no_watchdog_is_left() -> None:
    body = "with deadline(0.2, 'a'), deadline(0.1, 'b'):\n    pass\n" + "time.sleep(1.2)"
    done, took = _run(body)
    assert (done.returncode, done.stdout, done.stderr) == (0, "after\n", "")
    assert took > 1.2


def test_c_code_that_returns_late_is_too_slow_and_the_process_lives() -> None:
    def sleepless(until: Callable[[], float]) -> None:
        end = until()
        # One call into C that takes its time: no signal is heard inside.
        while time.monotonic() < end:
            sum(bytes(3_000_000))

    with pytest.raises(ItemError, match="too_slow"), deadline(0.1, "a"):
        sleepless(lambda: time.monotonic() + 20)
