"""A run's progress: items done, failed, per hour and time left, as a live bar or, without a terminal, as lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from pipelines.rows import RESTORED, Row

_LINE_SECONDS = 30.0


def rate_per_hour(done: int, seconds: float) -> float:
    """Items an hour."""
    return done * 3600 / seconds if seconds > 0 else 0.0


def time_left(done: int, total: int, seconds: float) -> str:
    """`h:mm:ss` until all are done at the rate so far, or `-` before the first."""
    if not done:
        return "-"
    left = int((total - done) * seconds / done)
    return f"{left // 3600}:{left % 3600 // 60:02d}:{left % 60:02d}"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        seconds, done = task.elapsed or 0.0, int(task.completed)
        left = time_left(done, int(task.total or 0), seconds)
        return Text(f"{rate_per_hour(done, seconds):.0f}/hour, {left} left")


class RunProgress:
    """Counts final rows and shows them.

    Args:
        total: planned items.
        console: where to.
        clock: seconds; for tests.
    """

    def __init__(self, total: int, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.done = self.failed = 0
        self._console, self._clock = console, clock
        self._started = self._shown = clock()
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("restoring"),
                BarColumn(),
                TextColumn("{task.completed:.0f}/{task.total:.0f} done, {task.fields[failed]} failed"),
                _Rate(),
                TimeElapsedColumn(),
                console=console,
            )
            self._task = self._bar.add_task("restoring", total=total, failed=0)

    def __enter__(self) -> RunProgress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        elif self.done:
            self._console.print(self.line(), highlight=False)

    def __call__(self, row: Row) -> None:
        """Count a final row."""
        self.done += 1
        self.failed += row["status"] != RESTORED
        if self._bar:
            self._bar.update(self._task, completed=self.done, failed=self.failed)
        elif self._clock() - self._shown > _LINE_SECONDS:
            self._shown = self._clock()
            self._console.print(self.line(), highlight=False)

    def line(self) -> str:
        """The state as one line."""
        seconds = self._clock() - self._started
        return (
            f"{self.done}/{self.total} done, {self.failed} failed, {rate_per_hour(self.done, seconds):.0f}/hour, "
            f"{time_left(self.done, self.total, seconds)} left"
        )
