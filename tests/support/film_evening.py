"""Films and frame sequences of all kinds, restored by one run that many tests look at."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from film_clips import moving_frames, write_film
from PIL import Image

from pipelines.manifest.reader import current_rows
from pipelines.plan.plan import make_plan
from pipelines.rows import Row
from pipelines.run.driver import run
from pipelines.run.outcome import Outcome
from pipelines.settings import Settings
from pipelines.store.store import Store

FAST: dict[str, Any] = {
    "preset": "nano", "replicas": 1, "upscale": 1, "cpu_threads": 1,
    "segment_frames": 8, "segment_overlap": 2,
}  # fmt: skip
EVENING: dict[str, Any] = {"steady": "none", "upscale": 2, "film_copies": "h264", "sequences": "frames*", "replicas": 2}


def settings_of(folder: Path, **changes: Any) -> Settings:
    return Settings(source=str(folder / "in"), output=str(folder / "out"), **(FAST | changes))


def restore(
    settings: Settings, run_id: str = "20260101T000000.000Z-aaaaaa"
) -> tuple[Outcome, list[Row], dict[str, Row]]:
    """The outcome, the rows of durable parts, and the current rows by source path."""
    parts: list[Row] = []
    outcome = run(make_plan(settings), settings, run_id=run_id, on_part=parts.append)
    rows = {row["source_path"]: row for row in current_rows(Store(settings.output)).values()}
    return outcome, parts, rows


def two_shots(frames: int = 14) -> list[np.ndarray]:
    return [*moving_frames(frames), *moving_frames(frames, seed=9)]


@dataclass(frozen=True)
class Evening:
    """A run over films and sequences of all kinds.

    Attributes:
        folder: of `in` and `out`.
        sources: what the films held before.
    """

    folder: Path
    settings: Settings
    outcome: Outcome
    parts: list[Row]
    rows: dict[str, Row]
    sources: dict[str, bytes]

    def copy(self, folder: Path, **changes: Any) -> Settings:
        """Settings over a copy, in which a test may change what it likes."""
        shutil.copytree(self.folder, folder / "copy")
        return settings_of(folder / "copy", **(EVENING | changes))

    def output(self, path: str) -> Path:
        return self.folder / "out" / path


def write_frames(
    folder: Path, frames: list[np.ndarray], suffix: str, *, first: int = 0, without: tuple[int, ...] = ()
) -> None:
    folder.mkdir(parents=True)
    for number, pixels in enumerate(frames, first):
        if number not in without:
            Image.fromarray(pixels).save(folder / f"f_{number:04d}{suffix}", dpi=(300, 300))


def restored_evening(folder: Path) -> Evening:
    """The run below a folder, in the Ray session that there is."""
    write_film(folder / "in/reel/a.mkv", two_shots())
    write_frames(folder / "in/frames", moving_frames(10), ".tif", first=5)
    write_frames(folder / "in/frames with gaps", moving_frames(12), ".png", without=(4, 5))
    write_film(folder / "in/good.mkv", moving_frames(9))
    whole = write_film(folder / "long.mkv", moving_frames(40)).read_bytes()
    (folder / "in/cut.mkv").write_bytes(whole[: len(whole) // 2])
    (folder / "in/text.mov").write_bytes(b"no film at all" * 100)
    (folder / "in/empty.mp4").write_bytes(b"")
    (folder / "in/wrong.avi").write_bytes(write_film(folder / "w.mkv", moving_frames(9, seed=3)).read_bytes())
    sources = {str(path): path.read_bytes() for path in (folder / "in").rglob("*") if path.is_file()}
    settings = settings_of(folder, **EVENING)
    return Evening(folder, settings, *restore(settings), sources=sources)
