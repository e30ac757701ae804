"""A film's segments on a device with little memory: the same steps down as for photographs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_steps import handed_out
from film_clips import moving_frames, write_film

from pipelines.film.segments import segment_path
from pipelines.media.film.write.segment_file import read_segment
from pipelines.plan.plan import make_plan
from pipelines.rows import FAILED, PART_DONE, Row, parts_key, to_table
from pipelines.settings import Settings
from pipelines.stages.adapter import run_stage
from pipelines.stages.cut import Cut
from pipelines.stages.restore_film import RestoreFilm
from pipelines.stages.survey import SurveyFilm


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A film of 200x64 pixels, which are two windows; segments of eight and two frames."""
    write_film(tmp_path / "in/a.mkv", moving_frames(10, (64, 200)))
    return Settings(
        source=str(tmp_path / "in"), output=str(tmp_path / "out"), preset="tiny", steps=1, guidance_scale=1.0, upscale=1,
        steady="none", segment_frames=8, segment_overlap=2, window_batch=4,
    )  # fmt: skip


def segments(settings: Settings) -> Any:
    (row,) = make_plan(settings).pending
    return handed_out(run_stage(Cut(settings), run_stage(SurveyFilm(settings), to_table([row]))))


def frames_of(settings: Settings, cut: Any) -> list[np.ndarray]:
    """Of all published segments."""
    paths = [segment_path(parts_key(row), row["part"]) for row in cut.to_pylist()]
    return [frame for path in paths for frame in read_segment(partial(str, f"{settings.output}/{path}"))]


class SmallDevice:
    """Before a UNet call of more than `most` windows, or with all parts of the network there, memory runs out."""

    def __init__(self, stage: RestoreFilm, most: int, *, whole: bool = True) -> None:
        self.parts, self.most, self.whole = stage.fitting.now.parts, most, whole
        self.hook = stage.fitting.now.unet.core.register_forward_pre_hook(self)

    def __call__(self, _core: Any, given: tuple[Any, ...]) -> None:
        import torch

        assert self.parts is not None
        if given[0].shape[0] > self.most or (not self.whole and self.parts.placement == "resident"):
            raise torch.OutOfMemoryError("CUDA out of memory")


def test_short_of_memory_a_segment_is_restored_with_fewer_windows(settings: Settings) -> None:
    stage = RestoreFilm(settings, 1)
    SmallDevice(stage, 1)
    parts: list[Row] = run_stage(stage, segments(settings)).to_pylist()
    assert [part["status"] for part in parts] == [PART_DONE] * 2, [part["error_reason"] for part in parts]
    told = "1 windows a call instead of 4, as the device's memory was too small"
    assert [part["warnings"].count(told) for part in parts] == [1, 1]


def test_and_then_with_parts_off_the_device_to_the_same_bytes(settings: Settings) -> None:
    settings = settings.model_copy(update={"window_batch": 1})
    cut = segments(settings)
    roomy = RestoreFilm(settings, 1)
    before = [row["warnings"] for row in run_stage(roomy, cut).to_pylist()]
    expected = frames_of(settings, cut)
    stage = RestoreFilm(settings, 1)
    SmallDevice(stage, 1, whole=False)
    parts: list[Row] = run_stage(stage, cut).to_pylist()
    assert [part["status"] for part in parts] == [PART_DONE] * 2, [part["error_reason"] for part in parts]
    told = "slower by model_offload, as the device's memory was too small; no result changes by it"
    assert [part["warnings"] for part in parts] == [[*given, told] for given in before]
    assert all(np.array_equal(*each) for each in zip(frames_of(settings, cut), expected, strict=True))


def test_what_fits_in_no_way_fails_and_the_next_gets_all_windows(settings: Settings) -> None:
    stage, cut = RestoreFilm(settings, 1), segments(settings)
    device = SmallDevice(stage, 0)
    parts: list[Row] = run_stage(stage, cut).to_pylist()
    assert {(part["status"], part["error_code"]) for part in parts} == {(FAILED, "out_of_memory")}
    device.hook.remove()
    parts = run_stage(stage, cut).to_pylist()
    assert [(part["status"], part["warnings"]) for part in parts] == [(PART_DONE, [])] * 2
