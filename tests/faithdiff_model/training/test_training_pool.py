"""Crops in memory: what the pool holds and hands out; the one loop trains from it, compiled, and writes by the clock."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter
from training_runs import log_rows, small_data

from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.presets.nano import NANO
from faithdiff_model.spec import ModelSpec
from faithdiff_model.training import loop
from faithdiff_model.training.config import DataConfig, StageConfig
from faithdiff_model.training.initial import training_parts
from faithdiff_model.training.loop import WEIGHTS, train_stage
from faithdiff_model.training.pool import CropPool, PackedSamples
from faithdiff_model.training.samples import TrainingSamples
from faithdiff_model.weights.checkpoint import read_tensors

assert NANO.coefficients is not None
SMALL: NetworkConfig = replace(
    NANO, coefficients=replace(NANO.coefficients, lq_channels=8, lq_blocks=1, widths=(8,), blocks=(1,), head_channels=4)
)
CPU = torch.device("cpu")


def data(hq: Path, **changes: Any) -> DataConfig:
    return small_data(hq, degradations={"archive-heavy": 1.0}, **{"pool": 24, **changes})


def filled(config: DataConfig, count: int, **place: int) -> CropPool:
    """A pool that has been given so many crops or a few more, and gets no others."""
    pool = CropPool(config, 0, CPU, **place)
    limit = time.monotonic() + 60
    while pool.added < count:
        assert time.monotonic() < limit
        time.sleep(0.01)
    pool.close()
    return pool


def test_packed_samples_are_the_samples_as_bytes(hq: Path) -> None:
    packed, plain = PackedSamples(data(hq), 3), TrainingSamples(data(hq), 3)
    seen = 0
    for number in range(24):
        given, sample = packed[number], plain[number]
        assert (given.shape, given.dtype) == ((8, 32, 32), np.uint8)
        assert np.abs(given[:3] / 127.5 - 1 - sample["hq"].numpy()).max() < 1 / 127
        assert np.abs(given[3:6] / 127.5 - 1 - sample["lq"].numpy()).max() < 1 / 127
        assert np.array_equal(given[7], sample["mask"][0].numpy())
        assert np.array_equal(given, packed[number])
        seen += bool(given[6].any())
    assert 0.2 < seen / 24 < 0.8  # of half of them nothing is known


def test_the_newest_crops_take_the_places_of_the_oldest(hq: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faithdiff_model.training.pool._BLOCK", 8)
    pool = filled(data(hq, pool=20), 40)
    assert pool.added >= 40
    assert pool.added % 8 == 0
    samples = PackedSamples(data(hq), 0)
    for number in range(pool.added - 20, pool.added):
        assert np.array_equal(pool.crops[number % 20], samples[number])
    assert not Path(pool._folder.name).exists()


def test_processes_of_a_group_make_other_crops(hq: Path) -> None:
    samples = PackedSamples(data(hq), 0)
    for rank in (0, 1):
        pool = filled(data(hq, pool=16), 16, rank=rank, processes=2)
        number = (pool.added // 16 - 1) * 32 + 16 * rank
        assert np.array_equal(pool.crops[0], samples[number])


def test_batches_are_parts_of_crops(hq: Path) -> None:
    pool = filled(data(hq), 24)
    whole = pool.crops.view(24, 8, 2, 16, 2, 16).permute(0, 2, 4, 1, 3, 5).reshape(96, 8, -1).long()
    kept = {tuple(row) for row in whole.sum(2).tolist()}
    turns = set()
    for batch in islice(pool.batches(16, 6), 30):
        assert batch["hq"].shape == batch["lq"].shape == (6, 3, 16, 16)
        assert batch["mask"].shape == batch["damage"].shape == (6, 1, 16, 16)
        assert batch["hq"].abs().max() <= 1
        assert set(batch["mask"].unique().tolist()) <= {0, 1}
        levels = torch.cat([(batch["hq"] + 1) * 127.5, (batch["lq"] + 1) * 127.5, batch["mask"], batch["damage"]], 1)
        sums = levels.round().long().flatten(2).sum(2)
        assert {tuple(row) for row in sums.tolist()} <= kept  # HQ, LQ and masks of one place
        place = next(number for number, row in enumerate(whole.sum(2).tolist()) if row == sums[0].tolist())
        first, part = levels[0].round().long(), whole[place].view(8, 16, 16)
        kinds = [torch.rot90(flipped, k, (1, 2)) for k in range(4) for flipped in (part, part.flip(2))]
        turns.update(number for number, turned in enumerate(kinds) if torch.equal(turned, first))
    assert len(turns) >= 6  # of eight
    assert next(pool.batches(32, 2))["lq"].shape == (2, 3, 32, 32)
    with pytest.raises(ValueError, match="choose a divisor"):
        next(pool.batches(24, 2))


def test_a_failure_while_degrading_is_the_trainers(hq: Path) -> None:
    pool = CropPool(data(hq, crop=1000, pool=16), 0, CPU)  # larger than any photograph
    with pytest.raises(RuntimeError, match="no more training crops") as failure:
        next(pool.batches(1000, 1))
    assert "photographs can be used" in str(failure.value.__cause__)
    pool.close()


@pytest.mark.parametrize("changes", [{"pool": -1}, {"cache": "crops"}])
def test_pools_are_checked(hq: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give one of them, a pool of 1 crop or more"):
        data(hq, **changes)


def run(hq: Path, output: Path, *, given: DataConfig | None = None, listen: Any = None, **changes: Any) -> Path:
    values = {"name": "joint", "steps": 4, "objective": "restoration", "batch": 2, "warmup_steps": 1, "log_every": 1}
    rates = {"lq_encoder": 3e-3, "alignment": 3e-3, "unet": 3e-3}
    stage = StageConfig(learning_rates=rates, **{**values, "save_every": 4, **changes})
    parts = training_parts(ModelSpec(preset="nano"), SMALL, init=None, seed=0)
    return train_stage(SMALL, parts, stage, given or data(hq), output, device="cpu", on_log=listen)


def test_the_loop_trains_from_a_pool(hq: Path, tmp_path: Path) -> None:
    run(hq, tmp_path, late_from=0.5, late_crop=32, late_batch=1, given=data(hq, part=16))
    crops = [row["crops"] for row in log_rows(tmp_path)]
    assert len(crops) == 4
    assert crops[0] >= 8  # four batches
    assert crops == sorted(crops)
    assert [row["samples"] for row in log_rows(tmp_path)] == [5, 7, 8, 9]  # one and two were for compiling
    assert '"pool"' not in (tmp_path / "stage.json").read_text()  # a run may go on with another


def test_a_compiled_stage_is_the_same_and_compiled_once_a_size(
    hq: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"given": data(hq, pool=0, crop=16), "late_from": 0.5, "late_crop": 32, "late_batch": 1}
    plain = read_tensors(run(hq, tmp_path / "plain", **given))
    real, counter, frames = torch.compile, CompileCounter(), []
    monkeypatch.setattr(loop.torch, "compile", lambda call, **options: real(call, backend=counter, **options))
    listen = lambda _row: frames.append(counter.frame_count)  # noqa: E731
    compiled = read_tensors(run(hq, tmp_path / "compiled", compile=True, listen=listen, **given))
    assert frames == [1, 1, 2, 2]  # whole, without a break
    for name, tensor in plain.items():
        torch.testing.assert_close(compiled[name], tensor, rtol=1e-4, atol=1e-6)


def test_from_a_pool_it_is_compiled_before_the_clock_begins(
    hq: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch._dynamo.reset()
    real, counter, frames = torch.compile, CompileCounter(), []
    monkeypatch.setattr(loop.torch, "compile", lambda call, **options: real(call, backend=counter, **options))
    begin = loop.ClockSchedule.begin
    monkeypatch.setattr(loop.ClockSchedule, "begin", lambda self: frames.append(counter.frame_count) or begin(self))
    sizes = {"late_from": 0.5, "late_crop": 32, "late_batch": 1, "given": data(hq, part=16)}
    run(hq, tmp_path, steps=0, minutes=0.02, compile=True, precision="bf16", channels_last=True, **sizes)
    assert frames == [2]
    assert counter.frame_count == 2  # turned and flipped batches need no other


def test_weights_are_written_by_the_clock(hq: Path, tmp_path: Path) -> None:
    there = []
    run(hq, tmp_path, write_minutes=1e-9, listen=lambda _row: there.append((tmp_path / WEIGHTS).exists()))
    assert there == [False, True, True, True]
    assert [folder.name for folder in tmp_path.glob("checkpoint-*")] == ["checkpoint-0000004"]
    never: list[bool] = []
    run(hq, tmp_path / "b", write_minutes=9, listen=lambda _row: never.append((tmp_path / "b" / WEIGHTS).exists()))
    assert not any(never)
    with pytest.raises(ValueError, match="write_minutes"):
        run(hq, tmp_path / "c", write_minutes=-1)
