"""Tone restored by choice: one curve a photograph, whole or in tiles, written down, and undone from what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_steps import archive_settings, table_of
from test_stitch import parts_of, pixels_of_result, save_png, waiting

from faithdiff_model.degradation.archive.tone import colour_cast, fade, sepia
from faithdiff_model.image.tone_curve import KNOTS, ToneCurve
from jobs.samples.archive import original
from pipelines.manifest.sidecar import read_sidecar
from pipelines.plan.plan import make_plan
from pipelines.rows import PART_DONE, RESTORED, Row
from pipelines.settings import Settings
from pipelines.stages.adapter import run_stage
from pipelines.stages.decode import Decode
from pipelines.stages.restore import Restore
from pipelines.stages.stitch import Stitch
from pipelines.store.layout import sidecar_path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Restore:
    settings = archive_settings(tmp_path_factory.mktemp("model"), guidance_scale=1.0, tile=128, colour_fix="adain")
    return Restore(settings, threads=1)


def scan(channels: int = 3, dtype: Any = np.uint8) -> np.ndarray:
    """A colour print that lost cyan, or a toned one that lost contrast, with alpha where asked: [90, 70, channels]."""
    image = original("coffee.png")[60:240, 100:240][::2, ::2]
    image = fade(colour_cast(image, 0.4), 0.1, 0.9) if channels > 2 else fade(sepia(image), 0.2, 0.8)[..., :1]
    if channels in (2, 4):
        image = np.concatenate([image, np.ones_like(image[..., :1])], axis=2)
    return np.rint(image * np.iinfo(dtype).max).astype(dtype)


def one(folder: Path, model: Restore, pixels: np.ndarray, **changes: Any) -> tuple[Settings, Row, np.ndarray]:
    """Restore one scan, joining its tiles where there are several: settings, final row and pixels."""
    save_png(folder / "scans" / "a.png", pixels)
    name = "-".join(map(str, changes.values()))
    settings = archive_settings(folder, output=str(folder / f"restored-{name}"), colour_fix="adain", **changes)
    rows = parts_of(settings, model)
    if len(rows) > 1:
        assert {row["status"] for row in rows} == {PART_DONE}
        rows = run_stage(Stitch(settings), table_of(waiting(rows[-1]))).to_pylist()
    (row,) = rows
    assert row["status"] == RESTORED, row["error_reason"]
    return settings, row, pixels_of_result(settings, row)


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.uint8), (4, np.uint16)])
def test_tiles_equal_one_piece_and_the_curve_is_what_changed(
    tmp_path: Path, model: Restore, channels: int, dtype: Any
) -> None:
    pixels = scan(channels, dtype)
    _, whole, first = one(tmp_path, model, pixels, tone="restore")
    _, cut, second = one(tmp_path, model, pixels, tone="restore", tile=128)
    _, kept, before = one(tmp_path, model, pixels, tone="keep")
    assert first.dtype == second.dtype == before.dtype == dtype
    level = np.iinfo(dtype).max / 255
    assert np.abs(first.astype(float) - second).max() <= 2 * level
    assert whole["tone_curve"] == cut["tone_curve"]
    assert kept["tone_curve"] is None
    curve = ToneCurve.from_json(str(whole["tone_curve"]))
    assert len(curve.slopes) == (1 if channels < 3 else 3)
    assert not curve.is_identity
    expected = curve.apply(before, np.dtype(dtype))
    assert np.abs(first.astype(float) - expected).mean() <= level  # the same but for rounding before the curve
    assert np.abs(first.astype(float) - before).mean() > 3 * level
    # Faithfulness is that of the restoration, whatever the tone.
    assert whole["lq_psnr_db"] == pytest.approx(kept["lq_psnr_db"], abs=0.2)
    assert cut["lq_psnr_db"] == pytest.approx(whole["lq_psnr_db"], abs=0.2)


def test_eight_bits_are_stretched_without_gaps(tmp_path: Path, model: Restore) -> None:
    """The curve acts on 16 bits: levels that a stretch of 8 bits would leave out are there."""
    _, row, result = one(tmp_path, model, scan(1), tone="restore")
    _, _, before = one(tmp_path, model, scan(1), tone="keep")
    stretched = ToneCurve.from_json(str(row["tone_curve"])).apply(before, np.dtype(np.uint8))
    assert len(np.unique(result)) > 1.2 * len(np.unique(stretched))


def test_the_curve_is_in_the_sidecar_and_the_settings_say_which_weights(tmp_path: Path, model: Restore) -> None:
    settings, row, _ = one(tmp_path, model, scan(), tone="restore")
    data = (Path(settings.output) / sidecar_path("a.png")).read_bytes()
    record = json.loads(data)
    assert [len(slopes) for slopes in record["tone_curve"]["slopes"]] == [KNOTS] * 3
    assert (record["settings"]["tone"], len(record["settings"]["tone_weights"])) == ("restore", 64)
    adopted = read_sidecar(data)
    assert adopted is not None
    assert adopted["tone_curve"] == row["tone_curve"]
    assert make_plan(settings).done == 1


def test_kept_tone_leaves_no_trace(tmp_path: Path) -> None:
    settings = archive_settings(tmp_path)
    save_png(tmp_path / "scans" / "a.png", scan())
    (planned,) = make_plan(settings).pending
    (row,) = Decode(settings).core({**planned, "run_id": "run1", "flow_run_id": ""})
    assert row["tone_curve"] is None
    assert "tone" not in json.loads(str(row["settings"]))
