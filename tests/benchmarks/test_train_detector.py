"""The detector's recipe runs from crops to a file that loads, and never looks at what is held out."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import train_detector

from faithdiff_model.damage.detect import DamageDetector
from faithdiff_model.damage.scans import FAMILY_OF
from jobs.samples.archive import original


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.rint(image[..., ::-1] * 255).astype(np.uint8))


def test_the_recipe_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faithdiff_model.damage.crops.CHUNK", 2)
    monkeypatch.setattr(train_detector, "CANDIDATES", train_detector.CANDIDATES[::12])
    save(tmp_path / "hq" / "a.png", original("coffee.png")[:240, :240])
    save(tmp_path / "hq" / "b.png", original("astronaut.png")[:80, :80])  # too small to train on
    save(tmp_path / "val" / "c.png", original("chelsea.png")[:80, :80])
    (tmp_path / "held-out.txt").write_text("b.png\n")
    arguments = [
        tmp_path / "run",
        "--hq",
        tmp_path / "hq",
        "--val",
        tmp_path / "val",
        "--without",
        tmp_path / "held-out.txt",
    ]
    sizes = [
        "--crops",
        "2",
        "--minutes",
        "0.03",
        "--hard-crops",
        "2",
        "--last-minutes",
        "0.03",
        "--careful-minutes",
        "0.03",
        "--batch",
        "1",
        "--out",
        tmp_path / "shipped" / "detector.safetensors",
    ]
    facts = train_detector.main([str(argument) for argument in (*arguments, *sizes)])
    assert set(facts["val"]["kinds"]) == set(facts["held out"]["kinds"]) == set(FAMILY_OF)
    assert json.loads((tmp_path / "run" / "figures.json").read_text()) == facts
    assert json.loads((tmp_path / "run" / "crops" / "crops.json").read_text())["photographs"] == ["a.png"]
    assert (
        DamageDetector.load(tmp_path / "shipped" / "detector.safetensors").detect(np.zeros((32, 32), np.uint8)).marks
        >= 0
    )
