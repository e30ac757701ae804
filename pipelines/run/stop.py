"""Ends a run before its end, for a signal, a lost lease, a full store or a time budget; what is in flight may finish."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["BUDGET", "DrainTimeout", "Stop", "handle_signals", "on_purpose", "time_budget"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
BUDGET = "the time budget"  # how the reason begins where the budget ended the run


class DrainTimeout(BaseException):
    """What was in flight did not finish in time, or a second signal came: leave it. Not an `Exception`, as nobody handles it
    on the way."""


class Stop:
    """Whether and why a run is to end early.

    Attributes:
        reason: one line for people; empty while the run goes on.
        signal: number of the signal that ended the run, 0 if none did.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.signal = 0
        self._calls: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        return bool(self.reason)

    def when_requested(self, call: Callable[[], None]) -> None:
        """Have `call` called at the first request; it may be called from a signal handler, so it must return at once."""
        self._calls.append(call)

    def request(self, reason: str, number: int = 0) -> None:
        """Ask the run to end. Only the first reason counts."""
        if self.reason:
            return
        self.reason, self.signal = reason, number
        for call in self._calls:
            call()


def on_purpose(reason: str, signal_number: int) -> bool:
    """Whether a run that was stopped was told to end, by a signal or its time budget: the next one goes on."""
    return bool(signal_number) or reason.startswith(BUDGET)


@contextmanager
def handle_signals(stop: Stop, grace: float) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into requests to stop, for the length of a block.

    Outside the main thread, where Python lets nobody listen, signals keep their meaning.

    Args:
        stop: gets the request.
        grace: seconds after a request until the block is left by `DrainTimeout`, at a second signal at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise DrainTimeout
        stop.request(f"interrupted by {signal.Signals(number).name}", number)

    def on_alarm(number: int, frame: FrameType | None) -> None:
        raise DrainTimeout

    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    before_alarm = signal.signal(signal.SIGALRM, on_alarm)
    # setitimer works from any thread's call; the handler always runs in the main thread.
    stop.when_requested(lambda: signal.setitimer(signal.ITIMER_REAL, max(grace, 0.001)) and None)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before_alarm)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def time_budget(stop: Stop, hours: float) -> Iterator[None]:
    """Request the stop once a block has taken its time.

    Args:
        stop: gets the request.
        hours: of the block; 0 is no limit.
    """
    timer = threading.Timer(hours * 3600, stop.request, (f"{BUDGET} of {hours:g} hours is spent",))
    timer.daemon = True
    if hours:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
