"""Put a finished nano training into the package: weights in half precision, log, data list and a picture of the losses.

    python tests/benchmarks/ship_nano.py RUN --hq ../shared/photos/train

`RUN` holds the folder `joint` that `make nano` or `gpu.py` writes, and `detail` where its crisp end was trained.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from gpu_network import saved_network
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file

from faithdiff_model.presets import SHIPPED
from faithdiff_model.presets.nano import NANO
from faithdiff_model.training.loop import LOG, WEIGHTS
from faithdiff_model.training.photographs import Photograph, list_photographs, without
from faithdiff_model.training.state import read_log

_LIMIT = 16 << 20  # bytes of safetensors that the repository carries
_WIDTH, _HEIGHT, _MARGIN = 900, 300, 44
_PALE, _DARK = (170, 190, 225), (30, 90, 180)


def main() -> None:
    """Copy, convert, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--hq", type=Path, required=True, help="what it was trained on")
    options = parser.parse_args()
    run, target = options.run / "joint", SHIPPED / "nano"
    check_network(run / WEIGHTS)
    tensors = load_file(run / WEIGHTS)
    save_file({name: tensor.to(torch.float16) for name, tensor in tensors.items()}, target / WEIGHTS)
    shutil.copyfile(run / LOG, target / "log" / "joint.jsonl")
    if (options.run / "detail" / WEIGHTS).is_file():
        ship_crisp_end(options.run, tensors, target)
    photographs = [Path(photograph.url) for photograph in trained_on(options.hq)]
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in photographs]
    (target / "training-photographs.sha256").write_text("\n".join(lines) + "\n")
    points = [(row["step"], row["loss"]) for row in read_log(run / LOG)]
    draw_curve(points).save(target / "curves.png", optimize=True)
    size = sum(path.stat().st_size for path in target.rglob("*.safetensors"))
    assert size <= _LIMIT, f"{size} bytes of weights: the repository carries {_LIMIT}"
    print(json.dumps({"weights_bytes": size, "photographs": len(photographs)}))


def ship_crisp_end(run: Path, faithful: Mapping[str, torch.Tensor], target: Path) -> None:
    """What stage `detail` has changed, beside the faithful weights."""
    crisp = load_file(run / "detail" / WEIGHTS)
    changed = {name: value.to(torch.float16) for name, value in crisp.items() if not torch.equal(value, faithful[name])}
    save_file(changed, target / WEIGHTS.replace(".", "-detail."))
    shutil.copyfile(run / "detail" / LOG, target / "log" / "detail.jsonl")


def check_network(weights: Path) -> None:
    """End with what the preset must be given first, where weights say that they are of another network than it is."""
    theirs, ours = saved_network(weights).coefficients, NANO.coefficients
    if theirs != ours:
        values = {name: value for name, value in vars(theirs).items() if value != getattr(ours, name)}
        wanted = ", ".join(f"{name}={value}" for name, value in values.items())
        raise SystemExit(f"{weights}: give NANO's CoefficientConfig in faithdiff_model/presets/nano.py {wanted} first")


def trained_on(folder: Path) -> list[Photograph]:
    """The photographs of a folder but those held out, their URLs as plain paths."""
    kept = without(list_photographs((str(folder),)), str(SHIPPED / "nano" / "held-out-photographs.txt"))
    return [Photograph(photograph.url.removeprefix("file://")) for photograph in kept]


def draw_curve(points: Sequence[tuple[int, float]]) -> Image.Image:
    """Losses over steps: pale each logged mean, dark their running mean."""
    sheet = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw = ImageDraw.Draw(sheet)
    losses = sorted(loss for _, loss in points)
    low, high = losses[round(len(losses) * 0.01)], losses[round((len(losses) - 1) * 0.99)]

    def place(step: float, loss: float) -> tuple[float, float]:
        return (
            _MARGIN + step / points[-1][0] * (_WIDTH - 2 * _MARGIN),
            _MARGIN + (high - min(max(loss, low), high)) / (high - low or 1) * (_HEIGHT - 2 * _MARGIN),
        )

    for number in range(5):
        loss = low + (high - low) * number / 4
        draw.line([place(0, loss), place(points[-1][0], loss)], fill=(225, 225, 225))
        draw.text((4, place(0, loss)[1] - 6), f"{loss:.2f}", fill="black")
    draw.line([place(*point) for point in points], fill=_PALE)
    smooth, mean = [], points[0][1]
    for step, loss in points:
        mean = 0.95 * mean + 0.05 * loss
        smooth.append(place(step, mean))
    draw.line(smooth, fill=_DARK, width=2)
    draw.text((_MARGIN, _HEIGHT - 24), f"loss over {points[-1][0]} optimizer steps", fill="black")
    return sheet


if __name__ == "__main__":
    main()
