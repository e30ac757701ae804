"""How steady restored clips are: photographs under a moving camera, aged, restored in each way, compared with the truth.

    .venv/bin/python tests/benchmarks/steady.py ../shared/photos/val --output tests/benchmarks/results/steady-nano

Writes `steady.json`, `summary.md` and `slices.png`: one column of pixels of each frame side by side, so that what flickers is
torn and what is steady is smooth.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from facts import machine_facts
from PIL import Image

from faithdiff_model.build import build_restorer
from faithdiff_model.degradation.clip import Clip, age_clip, moving_clip, step
from faithdiff_model.evaluation.fidelity import psnr_y, ssim_y
from faithdiff_model.film.steady import ShotFrame, restore_shot
from faithdiff_model.image.resize import enlarge
from faithdiff_model.restorer import Restorer
from pipelines.media.film.survey.survey import Surveyor, colour_steps
from pipelines.settings import Settings

sys.path.append(str(Path(__file__).parents[1] / "support"))
from steadiness import sharpness, warping_error

PATHS = ("pan", "zoom", "hand-held")
WAYS = ("none", "shared-noise", "flow")


def shot_frames(lq: Sequence[np.ndarray]) -> list[ShotFrame]:
    """Frames as the pipeline hands them to the model: with the survey's camera and colour."""
    surveyor = Surveyor()
    for frame in lq:
        surveyor.add(frame)
    survey = surveyor.finish()
    made = []
    for number, frame in enumerate(lq):
        gain, offset = colour_steps(survey, number)
        down, across = (float(value) for value in survey.camera[number])
        made.append(ShotFrame(number=number, lq=frame, camera=(down, across), colour=(tuple(gain), tuple(offset))))
    return made


def measured(frames: Sequence[np.ndarray], clip: Clip) -> dict[str, float]:
    """Figures of one restored clip."""
    pairs = [(_levels(frame), _levels(true)) for frame, true in zip(frames, clip.frames, strict=True)]
    return {
        "warping_error": warping_error(frames, lambda number: step(clip, number)),
        "sharpness": sharpness(frames, clip.frames),
        "psnr_y": float(np.mean([psnr_y(one, true) for one, true in pairs])),
        "ssim_y": float(np.mean([ssim_y(one, true) for one, true in pairs])),
    }


def _levels(frame: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(frame, 0, 1) * 255).astype(np.uint8)


def run(restorer: Restorer, photo: Path, path: str, arguments: argparse.Namespace) -> tuple[dict[str, Any], np.ndarray]:
    """All ways on one clip; the figures and the slices."""
    picture = cv2.imread(str(photo))[..., ::-1].astype(np.float32) / 255
    size = (arguments.size, arguments.size)
    clip = moving_clip(picture, arguments.frames, size, path, seed=1)
    lq = age_clip(clip.frames, seed=2)
    results: dict[str, list[np.ndarray]] = {
        "clean": clip.frames,
        "lanczos": [enlarge(frame, *size) for frame in lq],
    }
    seconds = {}
    for way in WAYS:
        started = time.monotonic()
        results[way] = list(restore_shot(restorer, shot_frames(lq), steady=way, prompt="", seed=0, upscale=2))
        seconds[way] = (time.monotonic() - started) / len(lq)
    figures = {name: measured(frames, clip) for name, frames in results.items()}
    for way, value in seconds.items():
        figures[way]["seconds_a_frame"] = value
    slices = [np.stack([frame[:, arguments.size // 2] for frame in frames], axis=1) for frames in results.values()]
    return figures, np.hstack([np.repeat(part, 6, axis=1) for part in slices])


def summary(record: dict[str, Any]) -> str:
    """The figures as tables."""
    lines = ["# Steadiness of nano on moving photographs\n"]
    names = ["clean", "lanczos", *WAYS]
    for path in (*PATHS, "all"):
        rows = [figures for clip in record["clips"] if path in (clip["path"], "all") for figures in [clip["figures"]]]
        lines += [
            f"\n{path}:\n",
            "| | warping error ↓ | ratio to none | sharpness (1 = as clean) | PSNR-Y dB | SSIM-Y |",
        ]
        lines.append("| --- | --- | --- | --- | --- | --- |")
        base = float(np.mean([row["none"]["warping_error"] for row in rows]))
        for name in names:
            mean = {key: float(np.mean([row[name][key] for row in rows])) for key in rows[0]["clean"]}
            psnr = "" if name == "clean" else f"{mean['psnr_y']:.2f}"
            lines.append(
                f"| {name} | {mean['warping_error']:.4f} | {mean['warping_error'] / base:.2f} | {mean['sharpness']:.3f} | "
                f"{psnr} | {mean['ssim_y']:.4f} |"
            )
    lines.append(
        f"\n{len(record['clips'])} clips of {record['frames']} frames of {record['size']} pixels, "
        f"{record['facts']['date']}; `{record['command']}`"
    )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = Settings()
    restorer = build_restorer(settings.model_spec(), settings.restore_options(1))
    clips, pictures = [], []
    for photo in sorted(arguments.photos.glob("*.png"))[: arguments.count]:
        for path in PATHS:
            figures, slices = run(restorer, photo, path, arguments)
            clips.append({"photo": photo.name, "path": path, "figures": figures})
            pictures.append(slices)
            print(photo.name, path, {name: round(f["warping_error"], 4) for name, f in figures.items()}, flush=True)
    command = f"tests/benchmarks/steady.py PHOTOS --count {arguments.count} --frames {arguments.frames} --size {arguments.size}"
    record = {
        "facts": machine_facts(),
        "command": command,
        "frames": arguments.frames,
        "size": arguments.size,
        "clips": clips,
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "steady.json").write_text(json.dumps(record, indent=1) + "\n")
    (arguments.output / "summary.md").write_text(summary(record))
    Image.fromarray(np.rint(np.vstack(pictures[:3]) * 255).astype(np.uint8)).save(arguments.output / "slices.png")


if __name__ == "__main__":
    main()
