"""A seeded archive of small photographs for timing: crops of scikit-image's own, half JPEG and half PNG."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

_ORIGINALS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "camera.png", "coins.png")


def make_archive(folder: Path, count: int, *, side: int = 64, seed: int = 0) -> None:
    """Write `count` photographs of `side` x `side` pixels into folders of a hundred; the same seed gives the same bytes."""
    rng = np.random.default_rng(seed)
    originals = []
    for name in _ORIGINALS:
        with Image.open(str(files("skimage") / "data" / name)) as image:
            originals.append(image.convert("RGB" if image.mode in ("RGB", "RGBA", "P") else "L"))
    for number in range(count):
        image = originals[number % len(originals)]
        left, top = rng.integers(0, image.width - side), rng.integers(0, image.height - side)
        crop = image.crop((left, top, left + side, top + side))
        path = folder / f"box-{number // 100:02d}" / f"scan-{number:05d}{'.jpg' if number % 2 else '.png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        crop.save(path, quality=90) if number % 2 else crop.save(path)
