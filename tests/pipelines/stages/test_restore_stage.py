"""The restore stage by itself, with the tiny network: what it fills in, and that one bad row costs no other."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from archive_steps import archive_settings, picture, table_of

from pipelines.rows import FAILED, PENDING, Row, get_pixels, new_row, put_pixels
from pipelines.stages.adapter import run_stage
from pipelines.stages.restore import Restore


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Restore:
    return Restore(archive_settings(tmp_path_factory.mktemp("model"), guidance_scale=1.0), threads=1)


def restored(model: Restore, *rows: Row) -> list[Row]:
    """The rows after the stage."""
    found: list[Row] = run_stage(model, table_of(*rows)).to_pylist()
    return found


def enlarged(seed: int = 0, **values: Any) -> Row:
    """A pending row as the tile stage leaves it."""
    row = new_row(source_path=f"{seed}.png", seed=5, prompt="", parts=1, width=24, height=16, **values)
    put_pixels(row, picture(32, 48, seed=seed))
    return row


def test_restore_fills_in_what_it_did(model: Restore) -> None:
    scan = enlarged()
    before = get_pixels(scan)
    (row,) = restored(model, scan)
    assert row["status"] == PENDING
    assert get_pixels(row).shape == before.shape
    assert get_pixels(row).dtype == np.uint8
    assert not np.array_equal(get_pixels(row), before)
    assert (row["device"], row["model_preset"], row["model_trained"]) == ("cpu", "tiny", False)
    assert json.loads(row["software"])["torch"]
    assert 0 < row["lq_psnr_db"] <= 100
    assert row["seconds_restore"] > 0


def test_one_row_that_breaks_the_model_costs_no_other(model: Restore, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [row for seed in (0, 2) for row in restored(model, enlarged(seed))]
    real = model.restorer.restore

    def restore(images: Any, prompts: Any, *rest: Any, **named: Any) -> Any:
        if "culprit" in prompts:
            raise ValueError("cannot restore\nthis")
        return real(images, prompts, *rest, **named)

    monkeypatch.setattr(model.restorer, "restore", restore)
    together = [enlarged(0), enlarged(1) | {"prompt": "culprit"}, enlarged(2)]
    table = restored(model, *together)
    assert [row["status"] for row in table] == [PENDING, FAILED, PENDING]
    assert (table[1]["error_code"], table[1]["error_stage"]) == ("restore_error", "restore")
    assert table[1]["error_reason"].startswith("1.png: ValueError: cannot restore this")
    for got, expected in zip((table[0], table[2]), alone, strict=True):
        assert np.array_equal(get_pixels(got), get_pixels(expected))
        assert got["lq_psnr_db"] == expected["lq_psnr_db"]


def test_a_failure_after_the_model_restores_no_row_twice(model: Restore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again one by one must still be the scan, not a result."""
    (alone,) = restored(model, enlarged(0))
    calls = []

    def undamaged(mask: bytes | None) -> None:
        calls.append(mask)
        if len(calls) == 2:
            raise MemoryError

    monkeypatch.setattr("pipelines.stages.restore.undamaged", undamaged)
    rows = restored(model, enlarged(0), enlarged(1))
    assert [row["status"] for row in rows] == [PENDING, PENDING]
    assert np.array_equal(get_pixels(rows[0]), get_pixels(alone))


def test_out_of_memory_has_its_own_code(model: Restore, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def restore(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model.restorer, "restore", restore)
    (row,) = restored(model, enlarged())
    assert (row["status"], row["error_code"]) == (FAILED, "out_of_memory")


class SmallDevice:
    """A device on which a UNet call of more than `most` windows does not fit."""

    def __init__(self, unet: Any, most: int) -> None:
        self.predict, self.most = unet.predict, most
        self.batches: list[int] = []

    def __call__(self, latent: Any, *rest: Any, **named: Any) -> Any:
        import torch

        self.batches.append(latent.shape[0])
        if latent.shape[0] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.predict(latent, *rest, **named)


def many_windows(seed: int = 0) -> Row:
    """A row of four."""
    row = new_row(source_path=f"{seed}.png", seed=5, prompt="", parts=1, width=96, height=96)
    put_pixels(row, picture(192, 192, seed=seed))
    return row


@pytest.mark.parametrize(("most", "used"), [(3, 2), (2, 2), (1, 1)])
def test_short_of_memory_fewer_windows_share_a_call(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, most: int, used: int
) -> None:
    model = Restore(archive_settings(tmp_path, guidance_scale=1.0, window_batch=4), threads=1)
    (roomy,) = restored(model, many_windows())
    assert roomy["warnings"] == []
    device = SmallDevice(model.restorer.unet, most)
    monkeypatch.setattr(model.restorer.unet, "predict", device)
    rows = restored(model, many_windows(0), many_windows(1))
    assert [row["status"] for row in rows] == [PENDING, PENDING]
    for row in rows:
        assert row["warnings"] == [f"{used} windows a call instead of 4, as the device's memory was too small"]
    difference = get_pixels(rows[0]).astype(int) - get_pixels(roomy)
    assert np.abs(difference).max() <= 1
    assert max(device.batches) == 4
    device.batches.clear()
    restored(model, many_windows(2))
    assert max(device.batches) == used  # what did not fit once is not tried again


def test_what_fits_in_no_way_fails_alone_and_the_next_gets_all_windows(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Restore(archive_settings(tmp_path, guidance_scale=1.0, window_batch=4), threads=1)
    with monkeypatch.context() as patched:
        patched.setattr(model.restorer.unet, "predict", SmallDevice(model.restorer.unet, 0))
        rows = restored(model, many_windows(0), many_windows(1))
    assert [(row["status"], row["error_code"]) for row in rows] == [(FAILED, "out_of_memory")] * 2
    device = SmallDevice(model.restorer.unet, 9)
    monkeypatch.setattr(model.restorer.unet, "predict", device)
    (row,) = restored(model, many_windows(2))
    assert (row["status"], row["warnings"], max(device.batches)) == (PENDING, [], 4)


def test_short_of_memory_with_one_window_parts_leave_the_device(tmp_path: Any) -> None:
    """The UNet itself says that memory ran out, as long as all parts lie on the device; the result is the same without them."""
    import torch

    model = Restore(archive_settings(tmp_path, guidance_scale=1.0, window_batch=1), threads=1)
    (roomy,) = restored(model, many_windows())
    parts = model.restorer.parts
    assert parts is not None

    def small(*_: Any) -> None:
        if parts.placement == "resident":
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = model.restorer.unet.core.register_forward_pre_hook(small)
    (row,) = restored(model, many_windows())
    told = "slower by model_offload, as the device's memory was too small; no result changes by it"
    assert (row["status"], row["warnings"]) == (PENDING, [told])
    assert np.array_equal(get_pixels(row), get_pixels(roomy))
    hook.remove()
    (row,) = restored(model, many_windows())
    assert row["warnings"] == [told]  # what did not fit once is not tried again
