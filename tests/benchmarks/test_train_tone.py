"""The tone estimator's recipe runs from photographs to a file that loads, and never trains on what is held out."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import train_tone

from faithdiff_model.degradation.archive.fading import FADES
from faithdiff_model.image.tone import ToneEstimator
from jobs.samples.archive import original


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.rint(image[..., ::-1] * 255).astype(np.uint8))


def test_the_recipe_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_tone, "_MEASURED", 40)
    seen = []
    drawn = train_tone.faded_prints
    monkeypatch.setattr(train_tone, "faded_prints", lambda used, stage: seen.append(len(used)) or drawn(used, stage))
    save(tmp_path / "hq" / "a.png", original("coffee.png")[:240, :240])
    save(tmp_path / "hq" / "b.png", original("astronaut.png")[:80, :80])
    save(tmp_path / "val" / "c.png", original("chelsea.png")[:80, :80])
    (tmp_path / "held-out.txt").write_text("b.png\n")
    shipped = tmp_path / "shipped" / "estimator.safetensors"
    facts = train_tone.main(
        [
            *(str(tmp_path / "run"), "--hq", str(tmp_path / "hq"), "--val", str(tmp_path / "val")),
            *("--without", str(tmp_path / "held-out.txt"), "--samples", "40", "--steps", "5", "--out", str(shipped)),
        ]
    )
    assert seen == [1]
    assert json.loads((tmp_path / "run" / "figures.json").read_text()) == facts
    for name in ("val", "held out"):
        rows = facts[name]
        assert isinstance(rows, list)
        assert [(row["print"], row["fade"]) for row in rows] == [
            (k, what) for k, fades in FADES.items() for what in fades
        ]
        assert all(row["faded"] == 0 for row in rows if row["fade"] == "none")
    assert ToneEstimator.load(shipped).caution == pytest.approx(facts["caution"])


def test_plain_methods_do_what_they_say() -> None:
    scan = np.random.default_rng(0).integers(10_000, 30_000, (40, 40, 3)).astype(np.uint16)
    stretched = train_tone.levels(scan)
    assert (stretched.min(), stretched.max()) == (0, 65535)
    scan[..., 0] //= 2
    means = train_tone.grey_world(scan).mean((0, 1))
    np.testing.assert_allclose(means, means.mean(), rtol=1e-6)
