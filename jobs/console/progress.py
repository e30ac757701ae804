"""A run's progress: items done, failed, per hour and time left, as a live bar or, without a terminal, as lines.

Where stderr is for JSON logs, each line is one of their events.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from jobs.console.terminal import printable
from pipelines.rows import RESTORED, Row
from pipelines.telemetry import logs

if TYPE_CHECKING:
    from pipelines.run.frame_counts import FramesDone

__all__ = ["RunProgress", "rate_per_hour", "time_left"]

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
        self._parts: dict[str, int] = {}  # durable parts of items that are not whole yet
        self._last = ""
        self._console, self._clock = console, clock
        self._started = self._shown = clock()
        self._bar: Progress | None = None
        if console.is_terminal and not logs.is_json():
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("restoring"),
                BarColumn(),
                TextColumn(
                    "{task.completed:.0f}/{task.total:.0f} done, {task.fields[failed]} failed{task.fields[parts]}"
                ),
                _Rate(),
                TimeElapsedColumn(),
                console=console,
            )
            self._task = self._bar.add_task("restoring", total=total, failed=0, parts="")

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
            self._print()

    def __call__(self, row: Row) -> None:
        """Count a final row."""
        self.done += 1
        self.failed += row["status"] != RESTORED
        if self._parts.pop(row.get("item_id", ""), 0):
            self._last = ""
        self._show()

    def part(self, row: Row) -> None:
        """Count a durable part: of a film, the only thing that moves for hours."""
        self._parts[row["item_id"]] = self._parts.get(row["item_id"], 0) + 1
        self._last = f", {printable(row['source_path'])}: {self._parts[row['item_id']]} of {row['parts']} parts"
        self._show()

    def frames(self, film: FramesDone) -> None:
        """Show how far a film is, frame by frame: a part of it may take hours."""
        self._last = f", {printable(film.path)}: {film.done} of {film.total} frames"
        self._show()

    def _show(self) -> None:
        if self._bar:
            self._bar.update(self._task, completed=self.done, failed=self.failed, parts=escape(self._last))
        elif self._clock() - self._shown > _LINE_SECONDS:
            self._shown = self._clock()
            self._print()

    def _print(self) -> None:
        if logs.is_json():
            about = {"done": self.done, "failed": self.failed, "total": self.total}
            logs.event(logging.INFO, "progress", **about, line=self.line())
        else:
            self._console.print(self.line(), highlight=False, markup=False)

    def line(self) -> str:
        """The state as one line."""
        seconds = self._clock() - self._started
        return (
            f"{self.done}/{self.total} done, {self.failed} failed, {rate_per_hour(self.done, seconds):.0f}/hour, "
            f"{time_left(self.done, self.total, seconds)} left{self._last}"
        )
