"""A time limit for decoding one item. Python code is interrupted; a hang inside C code ends the process.

Two clocks run. SIGALRM interrupts Python code after the limit, and C code as soon as it returns to Python. C code that never
returns hears no signal: for it `faulthandler`'s own thread, which needs neither signals nor the interpreter, writes a
traceback to standard error and ends the process after twice the limit. A cluster replaces the process.
"""

from __future__ import annotations

import faulthandler
import signal
import threading
import time
from contextlib import AbstractContextManager
from types import FrameType, TracebackType

from pipelines.errors import ItemError

__all__ = ["deadline"]

_MARGIN = 5.0  # seconds beyond twice the limit: short limits must leave C code time to come back
_AGAIN = 1.0  # seconds between further alarms: the first may fall where Python drops exceptions, as in a destructor
_STANDARD_ERROR = 2

_lock = threading.Lock()
_watched: dict[_Deadline, float] = {}  # when the process must end, by deadline that is not over


def deadline(seconds: float, name: str) -> AbstractContextManager[None]:
    """Limit the time of a `with` block.

    Blocks may be nested and may run in several threads. Outside the main thread Python takes no signals: there a block that
    took too long fails at its end.

    Args:
        seconds: the limit, above 0. After 2 * `seconds` + 5 the process ends with status 1.
        name: of the item, for the reason.

    Raises:
        ItemError: "too_slow", by the block.
    """
    return _Deadline(seconds, name)


class _Expired(BaseException):
    """The alarm of a deadline. Not an `Exception`: decoders and our own readers handle those on the way."""

    def __init__(self, owner: _Deadline) -> None:
        super().__init__()
        self.owner = owner


class _Deadline(AbstractContextManager[None]):
    def __init__(self, seconds: float, name: str) -> None:
        self._seconds, self._name = seconds, name
        self._handler: signal._HANDLER = None  # what SIGALRM did before
        self._timer: tuple[float, float] | None = (
            None  # what was left of an alarm set before; None outside the main thread
        )
        self._due = self._started = 0.0  # the other alarm's, and ours

    def __enter__(self) -> None:
        self._started = time.monotonic()
        with _lock:
            _watched[self] = self._started + 2 * self._seconds + _MARGIN
            _watch()
        if threading.current_thread() is threading.main_thread():
            self._timer = signal.setitimer(signal.ITIMER_REAL, 0)
            self._due = time.monotonic() + self._timer[0]
            self._handler = signal.signal(signal.SIGALRM, self._alarm)
            signal.setitimer(signal.ITIMER_REAL, self._seconds, _AGAIN)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        took = time.monotonic() - self._started
        if self._timer is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._handler or signal.SIG_DFL)
            left, interval = self._timer
            if left:  # an alarm that fell due meanwhile comes now
                signal.setitimer(signal.ITIMER_REAL, max(self._due - time.monotonic(), 1e-3), interval)
        with _lock:
            del _watched[self]
            _watch()
        mine = isinstance(error, _Expired) and error.owner is self
        # An error that came after the limit may be what a decoder made of the alarm.
        if mine or (took >= self._seconds and (error is None or isinstance(error, Exception))):
            reason = f"decoding took longer than {self._seconds:g} s; raise --max-seconds if it is genuine"
            raise ItemError("too_slow", f"{self._name}: {reason}") from (None if mine else error)

    def _alarm(self, number: int, frame: FrameType | None) -> None:
        # In this file a deadline is being entered or left, which must be done whole; `__exit__` looks at the clock itself.
        if frame is None or frame.f_code.co_filename != __file__:
            raise _Expired(self)


def _watch() -> None:
    """Set the process's one watchdog to the deadline that is due first. The caller holds the lock."""
    if not _watched:
        faulthandler.cancel_dump_traceback_later()
        return
    wait = max(min(_watched.values()) - time.monotonic(), 1e-3)
    faulthandler.dump_traceback_later(wait, exit=True, file=_STANDARD_ERROR)
