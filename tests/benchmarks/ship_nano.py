"""Put a finished nano training into the package: weights in half precision, logs, data list and a picture of the losses.

    python tests/benchmarks/ship_nano.py RUN --hq ../shared/photos/train

`RUN` holds the folders `vae`, `prior`, `stage1` and `stage2` that `make nano` writes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file

from faithdiff_model.presets import SHIPPED
from faithdiff_model.training.loop import LOG, WEIGHTS
from faithdiff_model.training.state import read_log

_LIMIT = 16 << 20  # bytes of safetensors that the repository carries
_WIDTH, _HEIGHT, _MARGIN = 900, 300, 44
_COLOURS = ((120, 120, 120), (200, 120, 20), (150, 60, 130), (40, 140, 90), (30, 90, 180))


def main() -> None:
    """Copy, convert, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--hq", type=Path, required=True, help="what it was trained on")
    parser.add_argument(
        "--stages", nargs="+", default=["prior", "stage1", "stage2"], help="folders, the last one's weights"
    )
    options = parser.parse_args()
    target = SHIPPED / "nano"
    tensors = load_file(options.run / options.stages[-1] / WEIGHTS)
    save_file({name: tensor.to(torch.float16) for name, tensor in tensors.items()}, target / WEIGHTS)
    if (options.run / "vae" / "vae").is_dir():
        shutil.copytree(options.run / "vae" / "vae", target / "vae", dirs_exist_ok=True)
    logs = {stage: read_log(options.run / stage / LOG) for stage in options.stages}
    (target / "log").mkdir(exist_ok=True)
    for stage in options.stages:
        shutil.copyfile(options.run / stage / LOG, target / "log" / f"{stage}.jsonl")
    for file in sorted((options.run / "vae").glob("vae*-log.jsonl")):
        shutil.copyfile(file, target / "log" / file.name)
    photographs = sorted(path for path in options.hq.iterdir() if path.suffix == ".jpg")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in photographs]
    (target / "training-photographs.sha256").write_text("\n".join(lines) + "\n")
    draw_curves({stage: [(row["step"], row["loss"]) for row in rows] for stage, rows in logs.items()}).save(
        target / "curves.png", optimize=True
    )
    size = sum(path.stat().st_size for path in target.rglob("*.safetensors"))
    assert size <= _LIMIT, f"{size} bytes of weights: the repository carries {_LIMIT}"
    print(json.dumps({"weights_bytes": size, "photographs": len(photographs)}))


def draw_curves(curves: dict[str, Sequence[tuple[int, float]]]) -> Image.Image:
    """Losses of the stages one after the other; pale each logged mean, dark their running mean."""
    sheet = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw = ImageDraw.Draw(sheet)
    total = sum(points[-1][0] for points in curves.values())
    losses = sorted(loss for points in curves.values() for _, loss in points)
    low, high = losses[0] * 0.97, losses[round(len(losses) * 0.98)]

    def place(step: float, loss: float) -> tuple[float, float]:
        height = _HEIGHT - 2 * _MARGIN
        return (
            _MARGIN + step / total * (_WIDTH - 2 * _MARGIN),
            _MARGIN + (high - min(max(loss, low), high)) / (high - low) * height,
        )

    for number in range(5):
        loss = low + (high - low) * number / 4
        draw.line([place(0, loss), place(total, loss)], fill=(225, 225, 225))
        draw.text((4, place(0, loss)[1] - 6), f"{loss:.3f}", fill="black")
    before = 0
    for number, ((stage, points), colour) in enumerate(zip(curves.items(), _COLOURS, strict=False)):
        pale = tuple(255 - (255 - value) // 3 for value in colour)
        draw.line([place(before + step, loss) for step, loss in points], fill=pale)
        smooth, mean = [], points[0][1]
        for step, loss in points:
            mean = 0.95 * mean + 0.05 * loss
            smooth.append(place(before + step, mean))
        draw.line(smooth, fill=colour, width=2)
        draw.text((place(before, low)[0] + 4, 12 + 14 * (number % 2)), f"{stage}: {points[-1][0]}", fill=colour)
        before += points[-1][0]
    draw.text((_MARGIN, _HEIGHT - 24), "L1 loss over optimizer steps, one stage after the other", fill="black")
    return sheet


if __name__ == "__main__":
    main()
