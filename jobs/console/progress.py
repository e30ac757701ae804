"""A run's progress: items done, failed, per hour and time left, as a live bar or, without a terminal, as lines.

Where stderr is for JSON logs, each line is one of their events.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from jobs.console.terminal import printable
from pipelines.rows import RESTORED, Row
from pipelines.telemetry import logs

if TYPE_CHECKING:
    from pipelines.run.frame_counts import FramesDone

__all__ = ["RunProgress", "rate_per_hour", "time_left"]

_LINE_SECONDS = 30.0
_WIDE = 100  # columns of a terminal from which on the rate is shown, too
_BAR = 10


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
    def __init__(self, *, wide: bool) -> None:
        super().__init__()
        self._wide = wide

    def render(self, task: Task) -> Text:
        seconds, done = task.elapsed or 0.0, int(task.completed)
        rate = f"{rate_per_hour(done, seconds):.0f} an hour, " if self._wide else ""
        return Text(f"{rate}{time_left(done, int(task.total or 0), seconds)} left", no_wrap=True)


class _Elapsed(TimeElapsedColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{super().render(task)} elapsed", no_wrap=True)


class _Bar(Progress):
    """A bar, and a line of its own for the film that moves and for why the run ends: neither is ever broken over two."""

    note = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        if self.note:
            yield Text(f"  {self.note}", no_wrap=True, overflow="ellipsis")


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
        self._bar: _Bar | None = None
        self._ending = ""
        if console.is_terminal and not logs.is_json():
            self._bar = _Bar(
                SpinnerColumn(),
                TextColumn("restoring"),
                BarColumn(bar_width=_BAR),
                TextColumn("{task.completed:.0f}/{task.total:.0f} done, {task.fields[failed]} failed"),
                _Rate(wide=console.width >= _WIDE),
                _Elapsed(),
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
            self._print()

    def __call__(self, row: Row) -> None:
        """Count a final row."""
        self.done += 1
        self.failed += row["status"] != RESTORED
        if self._parts.pop(row.get("item_id", ""), 0):
            self._last = ""
        self._show()

    def counts(self, done: int, failed: int) -> None:
        """Show what several drivers have done together."""
        self.done, self.failed = done, failed
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

    def ending(self, reason: str, seconds: float) -> None:
        """Say at once that the run ends early, and that what is in flight may finish; also from a signal's handler."""
        self._ending = f"{reason}: finishing what is in flight, up to {seconds:.0f} s; Ctrl-C again abandons it"
        if self._bar:
            self._bar.note = self._ending  # drawn within a tenth of a second
        else:  # a handler must not wait for locks that it has interrupted
            threading.Thread(target=self._print_ending, daemon=True).start()

    def _print_ending(self) -> None:
        if logs.is_json():
            logs.event(logging.WARNING, self._ending)
        else:
            self._console.print(self._ending, highlight=False, markup=False, soft_wrap=True)

    def _show(self) -> None:
        if self._bar:
            self._bar.update(self._task, completed=self.done, failed=self.failed)
            self._bar.note = self._ending or self._last.removeprefix(", ")
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
