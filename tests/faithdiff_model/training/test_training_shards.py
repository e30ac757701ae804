"""Crops kept on disk: what a shard holds, the order of the samples, and a trainer that waits for its crops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_runs import small_data

from faithdiff_model.training import shards
from faithdiff_model.training.samples import TrainingSamples
from faithdiff_model.training.shards import ShardedCrops, make_shard, shard_folder, write_shards


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(shards, "SHARD", 6)
    monkeypatch.setattr(shards.os, "nice", lambda _more: 0)
    yield


def data(hq: Path, tmp_path: Path, **changes: Any) -> Any:
    values = {"degradations": {"archive-heavy": 1.0}, "cache": str(tmp_path), "shards": 2, **changes}
    return small_data(hq, **values)


def filled(config: Any, seed: int = 0) -> ShardedCrops:
    """Crops whose shards are there already."""
    crops = ShardedCrops(config, seed)
    threads = torch.get_num_threads()
    write_shards(config, seed)
    torch.set_num_threads(threads)
    return crops


def test_a_shard_holds_the_samples_as_bytes(hq: Path, tmp_path: Path) -> None:
    config = data(hq, tmp_path)
    shard = make_shard(config, 3, 1)
    assert (shard.shape, shard.dtype) == ((6, 7, 32, 32), np.uint8)
    sample = TrainingSamples(replace(config, cache=""), 3)[6 + 4]
    assert np.abs(shard[4, :3] / 127.5 - 1 - sample["hq"].numpy()).max() < 1 / 127
    assert np.abs(shard[4, 3:6] / 127.5 - 1 - sample["lq"].numpy()).max() < 1 / 127
    assert np.array_equal(shard[4, 6], sample["mask"][0].numpy())
    assert shard[:, 6].any()


def test_a_pass_takes_every_part_once(hq: Path, tmp_path: Path) -> None:
    crops = filled(data(hq, tmp_path))
    batches = list(islice(crops.batches(16, 4), 6))  # 6 crops of 4 parts
    assert [batch["hq"].shape for batch in batches] == [(4, 3, 16, 16)] * 6
    assert batches[0]["mask"].shape == (4, 1, 16, 16)
    shard = torch.from_numpy(np.load(crops.folder / "00000.npy")).float()
    whole = shard[:, :3].reshape(6, 3, 2, 16, 2, 16).permute(0, 2, 4, 1, 3, 5).reshape(24, -1)
    fingerprints = sorted((whole / 127.5 - 1).sort(dim=1).values.sum(dim=1).tolist())
    seen = torch.cat([batch["hq"] for batch in batches]).reshape(24, -1).sort(dim=1).values.sum(dim=1).tolist()
    assert sorted(seen) == pytest.approx(fingerprints, rel=1e-4, abs=1e-2)


def test_a_run_that_goes_on_sees_what_one_without_a_break_sees(hq: Path, tmp_path: Path) -> None:
    config = data(hq, tmp_path)
    filled(config)
    straight = list(islice(ShardedCrops(config, 0).batches(16, 5), 12))
    later = list(islice(ShardedCrops(config, 0).batches(16, 5, first=7), 5))
    for one, two in zip(straight[7:], later, strict=True):
        assert all(torch.equal(one[name], two[name]) for name in ("hq", "lq", "mask"))
    assert not torch.equal(straight[0]["hq"], straight[1]["hq"])


def test_processes_share_the_samples(hq: Path, tmp_path: Path) -> None:
    config = data(hq, tmp_path)
    filled(config)
    alone = list(islice(ShardedCrops(config, 0).batches(32, 2), 4))
    for rank in (0, 1):
        apart = list(islice(ShardedCrops(config, 0).batches(32, 2, rank=rank, processes=2), 2))
        assert [torch.equal(a["lq"], b["lq"]) for a, b in zip(apart, alone[rank::2], strict=True)] == [True, True]


def test_another_configuration_has_another_folder(hq: Path, tmp_path: Path) -> None:
    config = data(hq, tmp_path)
    assert shard_folder(config, 0) == shard_folder(replace(config, workers=3, cache_mib=9), 0)
    others = [(replace(config, shrink=2.0), 0), (replace(config, degradations={"level-I": 1.0}), 0), (config, 1)]
    assert len({shard_folder(*other) for other in [(config, 0), *others]}) == 4


def test_a_process_of_its_own_makes_them(hq: Path, tmp_path: Path) -> None:
    """With shards of their full size, for the process does not know this test's."""
    config = data(hq, tmp_path, shards=1)
    crops = ShardedCrops(config, 0)
    batch = next(crops.batches(32, 2))
    assert batch["hq"].shape == (2, 3, 32, 32)
    assert np.load(crops.folder / "00000.npy", mmap_mode="r").shape[0] == 512


def test_a_process_that_fails_is_not_waited_for(hq: Path, tmp_path: Path) -> None:
    crops = ShardedCrops(data(hq, tmp_path, crop=1000), 0)  # larger than any photograph
    with pytest.raises(RuntimeError, match="the process that makes training crops ended with 1"):
        next(crops.batches(32, 2))
