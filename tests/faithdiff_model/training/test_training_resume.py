"""An interrupted run, run again, ends as one that was not: the same losses and the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from diffusers.training_utils import EMAModel
from torch import Tensor
from training_runs import JOINT, log_rows, moved, run_stage, short_stage, small_data

from faithdiff_model.presets.tiny import TINY
from faithdiff_model.training import loop
from faithdiff_model.training.config import LoRAConfig
from faithdiff_model.training.loop import LOG
from faithdiff_model.training.state import checkpoints, load_newest, read_log

ROOT = Path(__file__).parents[3]
SIX = short_stage(steps=6)


class CrashError(Exception):
    """Stands for whatever ends a run."""


def crash_at(step: int) -> Any:
    def listen(row: dict[str, Any]) -> None:
        if row["step"] == step:
            raise CrashError

    return listen


@pytest.fixture(scope="module")
def whole(hq: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """Six steps without interruption: its folder and its weights."""
    output = tmp_path_factory.mktemp("whole")
    return output, run_stage(SIX, small_data(hq), output)


def test_a_crash_after_a_checkpoint(hq: Path, tmp_path: Path, whole: tuple[Path, dict[str, Tensor]]) -> None:
    with pytest.raises(CrashError):
        run_stage(SIX, small_data(hq), tmp_path, on_log=crash_at(5))
    assert [step for step, _ in checkpoints(tmp_path)] == [2, 4]
    for step in (5, 6):
        half_written = tmp_path / f"partial-{step:07d}"
        half_written.mkdir()
        (half_written / "model-2.safetensors").write_bytes(b"cut off")
    with (tmp_path / LOG).open("a") as log:
        log.write('{"step": 6, "lo')
    resumed: list[dict[str, Any]] = []
    written = run_stage(SIX, small_data(hq), tmp_path, on_log=resumed.append)
    assert [row["step"] for row in resumed] == [5, 6]
    assert not list(tmp_path.glob("*/model-2.safetensors"))
    assert log_rows(tmp_path) == log_rows(whole[0])
    assert moved(written, whole[1]) == set()


def test_a_killed_process(hq: Path, tmp_path: Path, whole: tuple[Path, dict[str, Tensor]]) -> None:
    command = [sys.executable, str(ROOT / "tests" / "support" / "training_runs.py"), str(hq), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [row["step"] for row in read_log(tmp_path / LOG)] == [1, 2, 3, 4, 5]
    written = run_stage(SIX, small_data(hq), tmp_path)
    assert log_rows(tmp_path) == log_rows(whole[0])
    assert moved(written, whole[1]) == set()


@pytest.mark.parametrize(
    "changes",
    [
        {"accumulation": 2, "precision": "bf16", "gradient_checkpointing": True, "learning_rates": {"alignment": 1e-3}},
        {"lora": LoRAConfig(rank=2), "ema_decay": 0.0, "prompt_dropout": 0.5},
    ],
    ids=["accumulated stage 1 in bf16", "LoRA without an average"],
)
def test_every_kind_of_stage_goes_on(hq: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    stage = short_stage(steps=4, **changes)
    written = run_stage(stage, small_data(hq), tmp_path / "whole")
    with pytest.raises(CrashError):
        run_stage(stage, small_data(hq), tmp_path / "cut", on_log=crash_at(3))
    again = run_stage(stage, small_data(hq), tmp_path / "cut")
    assert log_rows(tmp_path / "cut") == log_rows(tmp_path / "whole")
    assert moved(written, again) == set()


def test_a_crash_before_the_first_checkpoint_starts_anew(hq: Path, tmp_path: Path) -> None:
    stage = short_stage(steps=2)
    with pytest.raises(CrashError):
        run_stage(stage, small_data(hq), tmp_path, on_log=crash_at(1))
    run_stage(stage, small_data(hq), tmp_path)
    assert [row["step"] for row in log_rows(tmp_path)] == [1, 2]


def test_a_finished_run_is_left_as_it_is(hq: Path, tmp_path: Path) -> None:
    stage = short_stage(steps=2)
    first = run_stage(stage, small_data(hq), tmp_path)
    log = (tmp_path / LOG).read_bytes()
    resumed: list[dict[str, Any]] = []
    assert moved(run_stage(stage, small_data(hq), tmp_path, on_log=resumed.append), first) == set()
    assert (tmp_path / LOG).read_bytes() == log
    assert not resumed


def test_only_the_newest_checkpoints_are_kept(whole: tuple[Path, dict[str, Tensor]]) -> None:
    assert [(step, path.name) for step, path in checkpoints(whole[0])] == [
        (4, "checkpoint-0000004"),
        (6, "checkpoint-0000006"),
    ]
    assert not list(whole[0].glob("partial-*"))


@pytest.mark.parametrize("different", ["stage", "data", "network"])
def test_another_configuration_in_the_same_folder(
    hq: Path, whole: tuple[Path, dict[str, Tensor]], different: str
) -> None:
    stage = replace(SIX, learning_rates={**JOINT, "unet": 5e-4}) if different == "stage" else SIX
    data = small_data(hq, crop=40 if different == "data" else 32)
    network = replace(TINY, name="other") if different == "network" else TINY
    before = log_rows(whole[0])
    with pytest.raises(ValueError, match=f"holds a run with another {different}: choose another folder") as caught:
        run_stage(stage, data, whole[0], network=network)
    assert "\n" not in str(caught.value)
    assert log_rows(whole[0]) == before


def test_the_average_follows_the_network_to_its_device_after_a_checkpoint_is_loaded(
    hq: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accelerate loads it onto the CPU; on a GPU the next step would fail. There is none here, so the calls are watched."""
    events = []
    plain_to, plain_load = EMAModel.to, load_newest
    monkeypatch.setattr(EMAModel, "to", lambda *given: (events.append("to"), plain_to(*given))[1])
    monkeypatch.setattr(loop, "load_newest", lambda *given: (events.append("load"), plain_load(*given))[1])
    run_stage(short_stage(steps=1), small_data(hq), tmp_path)
    assert events[-2:] == ["load", "to"]
