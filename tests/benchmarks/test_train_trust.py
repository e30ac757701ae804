"""The error network's recipe runs from photographs to a file that loads, and never trains on what is held out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import train_trust

from faithdiff_model.trust.estimate import ErrorEstimator
from jobs.samples.archive import original


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.rint(image[..., ::-1] * 255).astype(np.uint8))


def test_the_recipe_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Any] = []
    make = train_trust.make_pairs
    monkeypatch.setattr(train_trust, "make_pairs", lambda r, data, *rest: seen.append(data) or make(r, data, *rest))
    save(tmp_path / "hq" / "a.png", original("coffee.png")[:240, :240])
    save(tmp_path / "hq" / "b.png", original("astronaut.png")[:80, :80])
    save(tmp_path / "val" / "c.png", original("chelsea.png")[:80, :80])
    (tmp_path / "held-out.txt").write_text("b.png\n")
    shipped = tmp_path / "shipped" / "errors.safetensors"
    facts = train_trust.main(
        [
            *(str(tmp_path / "run"), "--hq", str(tmp_path / "hq"), "--val", str(tmp_path / "val")),
            *("--without", str(tmp_path / "held-out.txt"), "--crops", "2", "--crop", "32", "--minutes", "0.01"),
            *("--side", "32", "--out", str(shipped)),
        ]
    )
    assert [data.leave_out for data in seen] == [str(tmp_path / "held-out.txt")]
    assert json.loads((tmp_path / "run" / "figures.json").read_text()) == facts
    held_out = facts["held out"]
    assert isinstance(held_out, dict)
    assert {each["photograph"] for each in held_out["photographs"]} == {"b"}
    assert all(0 <= each["covered"] <= 1 for each in held_out["photographs"])
    assert ErrorEstimator.load(shipped).calibration.coverage == 0.9
    assert "rank by photograph" in capsys.readouterr().out
