"""Asking a run to end: signals, the grace that follows, and what other code's handlers see afterwards."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from pipelines.run.stop import DrainTimeout, Stop, handle_signals, time_budget


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_and_nothing_breaks(number: signal.Signals) -> None:
    stop, calls = Stop(), []
    stop.when_requested(lambda: calls.append("told"))
    before = signal.getsignal(number)
    with handle_signals(stop, grace=30):
        assert not stop.requested
        os.kill(os.getpid(), number)
        time.sleep(0.05)
        assert (stop.reason, stop.signal, calls) == (f"interrupted by {number.name}", number, ["told"])
    assert signal.getsignal(number) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_the_second_signal_is_the_last() -> None:
    with pytest.raises(DrainTimeout), handle_signals(Stop(), grace=30):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        pytest.fail("still here")


def test_the_grace_ends() -> None:
    stop = Stop()
    started = time.monotonic()
    with pytest.raises(DrainTimeout), handle_signals(stop, grace=0.2):
        stop.request("the store is full")
        time.sleep(5)
    assert 0.15 < time.monotonic() - started < 2
    assert stop.signal == 0


def test_the_first_reason_counts_and_may_come_from_any_thread() -> None:
    stop = Stop()
    with handle_signals(stop, grace=30):
        thread = threading.Thread(target=stop.request, args=("first",))
        thread.start()
        thread.join()
        stop.request("second")
    assert stop.reason == "first"


def test_elsewhere_than_in_the_main_thread_signals_keep_their_meaning() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with handle_signals(Stop(), grace=1):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_time_budget_asks_and_then_forgets() -> None:
    stop = Stop()
    with handle_signals(stop, grace=30), time_budget(stop, 0.2 / 3600):
        assert not stop.requested
        time.sleep(0.5)
        assert stop.reason == "the time budget of 5.55556e-05 hours is spent"
    later = Stop()
    with time_budget(later, 0.2 / 3600):
        pass
    time.sleep(0.4)
    assert not later.requested


def test_no_budget_never_asks() -> None:
    stop = Stop()
    with time_budget(stop, 0):
        time.sleep(0.1)
    assert not stop.requested
