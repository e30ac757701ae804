"""Progress: rates, time left, and what is shown without a terminal."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from jobs.console.progress import RunProgress, rate_per_hour, time_left
from pipelines.rows import FAILED, RESTORED, new_row
from pipelines.run.frame_counts import FramesDone
from pipelines.run.stop import Stop


def row(status: str = RESTORED) -> dict[str, object]:
    return new_row() | {"status": status}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_rates() -> None:
    assert rate_per_hour(10, 3600) == 10
    assert rate_per_hour(1, 0.5) == 7200
    assert rate_per_hour(0, 10) == 0
    assert rate_per_hour(5, 0) == 0


@pytest.mark.parametrize(
    ("done", "total", "seconds", "expected"),
    [
        (0, 10, 100, "-"),
        (1, 2, 59.9, "0:00:59"),
        (1, 2, 60, "0:01:00"),
        (1, 101, 36, "1:00:00"),
        (10, 10, 100, "0:00:00"),
        (1, 1001, 3661, "1016:56:40"),
    ],
)
def test_time_left(done: int, total: int, seconds: float, expected: str) -> None:
    assert time_left(done, total, seconds) == expected


def test_lines_without_a_terminal() -> None:
    clock, out = Clock(), io.StringIO()
    with RunProgress(5, Console(file=out, width=200), clock) as progress:
        clock.now += 10
        progress(row())
        assert out.getvalue() == ""  # not a line for each
        clock.now += 21
        progress(row(FAILED))
        clock.now += 5
        progress(row())
        clock.now += 24
        progress(row())
    assert out.getvalue().splitlines() == [
        "2/5 done, 1 failed, 232/hour, 0:00:46 left",
        "4/5 done, 1 failed, 240/hour, 0:00:15 left",
    ]


def test_a_line_every_half_minute() -> None:
    clock, out = Clock(), io.StringIO()
    with RunProgress(100, Console(file=out, width=200), clock) as progress:
        for _ in range(10):
            clock.now += 10
            progress(row())
    assert len(out.getvalue().splitlines()) == 3  # at 40 and 80 seconds, and at the end


def test_nothing_is_said_of_nothing() -> None:
    out = io.StringIO()
    with RunProgress(5, Console(file=out)):
        pass
    assert out.getvalue() == ""


def test_the_last_line_comes_even_when_the_run_breaks() -> None:
    out = io.StringIO()
    with pytest.raises(RuntimeError), RunProgress(5, Console(file=out, width=200), Clock()) as progress:
        progress(row(FAILED))
        raise RuntimeError
    assert out.getvalue() == "1/5 done, 1 failed, 0/hour, 0:00:00 left\n"


def test_a_bar_on_a_terminal() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=200, color_system=None)
    with RunProgress(3, console) as progress:
        progress(row())
        progress(row(FAILED))
    shown = out.getvalue()
    assert "2/3 done, 1 failed" in shown
    assert "an hour" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # the cursor comes back


def test_durable_parts_of_a_film_are_shown_while_it_is_not_whole() -> None:
    out, clock = io.StringIO(), Clock()
    progress = RunProgress(2, Console(file=out, width=200), clock)
    part = row("part_done") | {"item_id": "a", "source_path": "reels/a\n[b].mkv", "parts": 3}
    progress.part(part)
    progress.part(part)
    assert progress.line() == "0/2 done, 0 failed, 0/hour, - left, reels/a\\n[b].mkv: 2 of 3 parts"
    progress(row() | {"item_id": "a"})
    clock.now += 60
    assert progress.line().endswith("0:01:00 left")


def test_a_film_moves_frame_by_frame() -> None:
    clock, out = Clock(), io.StringIO()
    progress = RunProgress(2, Console(file=out, width=200), clock)
    clock.now += 31
    progress.frames(FramesDone("reel/a.mkv", 7, 240))
    assert out.getvalue() == "0/2 done, 0 failed, 0/hour, - left, reel/a.mkv: 7 of 240 frames\n"


def drawn(console: Console, progress: RunProgress) -> list[str]:
    """What the bar of a terminal shows, line by line."""
    assert progress._bar is not None
    with console.capture() as shown:
        console.print(progress._bar.get_renderable())
    return [line.rstrip() for line in shown.get().splitlines()]


@pytest.mark.parametrize("width", [80, 120])
def test_the_bar_labels_its_numbers_and_breaks_no_line(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    progress = RunProgress(1000, console)
    progress(row())
    progress(row(FAILED))
    progress.frames(FramesDone(path=f"{'very/long/' * 20}reel.mkv", done=17, total=2400))
    bar, film = drawn(console, progress)
    for label in ("2/1000 done", "1 failed", " left", "0:00:00 elapsed"):
        assert label in bar
    assert ("an hour" in bar) == (width == 120)
    assert max(len(bar), len(film)) <= width
    assert film.endswith("…")


def test_an_interruption_is_acknowledged_at_once() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    progress, stop = RunProgress(10, console), Stop()
    stop.when_requested(lambda: progress.ending(stop.reason, 60))
    stop.request("interrupted by SIGINT")
    said = "interrupted by SIGINT: finishing what is in flight, up to 60 s; Ctrl-C again abandons it"
    assert drawn(console, progress)[-1].strip() == said
    progress(row())  # what comes in does not hide it
    assert drawn(console, progress)[-1].strip() == said


def test_an_interruption_is_a_line_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    RunProgress(10, Console(file=out, width=40)).ending("the time budget of 1 h is used up", 60)
    for _ in range(500):
        if out.getvalue().endswith("\n"):
            break
        threading.Event().wait(0.01)
    assert out.getvalue() == (
        "the time budget of 1 h is used up: finishing what is in flight, up to 60 s; Ctrl-C again abandons it\n"
    )
