"""Photographs packed small enough to travel: a folder `train` of JPEG files, and `held-out` with the middles of others."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

QUALITY = 93
_MIDDLE = 384  # pixels a side of a held-out photograph: lossless and unscaled, since figures are taken on it
_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")
_TRIES = 6
_FULL = 0.97  # of the budget: near enough


def pack(photos: Path, out: Path, megabytes: float, held_out: Path | None) -> dict[str, Any]:
    """Fill `out`, at most `megabytes` of 10**6 bytes.

    Args:
        photos: a folder of photographs.
        out: gets `train`, `held-out` and `pack.json`. Photographs are reduced, all by the same factor, as far as it takes, and
            kept as JPEG of quality 93 without chroma subsampling.
        megabytes: of all files together.
        held_out: a file with names of photographs, one a line, that are not trained on but measured.

    Returns:
        What `pack.json` says.

    Raises:
        ValueError: a name that is no photograph's; a budget that cannot be met; `out` holds a pack.
    """
    files = sorted(path for path in photos.iterdir() if path.suffix.lower() in _SUFFIXES)
    names = held_out.read_text(encoding="utf-8").split() if held_out else []
    unknown = set(names) - {file.name for file in files}
    if unknown:
        raise ValueError(f"{held_out}: {min(unknown)} is no photograph of {photos}: correct its name")
    if (out / "train").exists():
        raise ValueError(f"{out}: holds a pack: choose another folder, or delete this one")
    measured = {f"{Path(name).stem}.png": _middle(photos / name) for name in names}
    trained = [file for file in files if file.name not in set(names)]
    budget = int(megabytes * 1e6) - sum(map(len, measured.values()))
    scale, contents = _fitted(trained, budget)
    for folder, group in (("train", contents), ("held-out", measured)):
        (out / folder).mkdir(parents=True)
        for name, content in group.items():
            (out / folder / name).write_bytes(content)
    facts = {
        "photographs": str(photos),
        "train": len(contents),
        "held_out": len(measured),
        "scale": round(scale, 4),
        "quality": QUALITY,
        "bytes": sum(map(len, (*contents.values(), *measured.values()))),
    }
    (out / "pack.json").write_text(json.dumps(facts, indent=1) + "\n")
    return facts


def _middle(path: Path) -> bytes:
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    left, top = (max(0, (side - _MIDDLE) // 2) for side in image.size)
    return _encoded(image.crop((left, top, min(left + _MIDDLE, image.width), min(top + _MIDDLE, image.height))), "PNG")


def _fitted(files: list[Path], budget: int) -> tuple[float, dict[str, bytes]]:
    """The largest scale found at which all files fit, and them."""
    best: tuple[float, dict[str, bytes]] | None = None
    scale, too_large = 1.0, 1.1
    for _ in range(_TRIES):
        contents = {f"{file.stem}.jpg": _scaled(file, scale) for file in files}
        size = sum(map(len, contents.values()))
        if size <= budget:
            best = scale, contents
            if scale == 1 or size >= _FULL * budget:
                break
        else:
            too_large = scale
        fitting = scale * (0.985 * budget / size) ** 0.5 if budget > 0 else 0.0
        scale = min(1.0, fitting, 0.999 * too_large)
        if scale < 0.05:
            break
    if best is None:
        raise ValueError(f"{len(files)} photographs do not fit into {budget} bytes: give more megabytes")
    return best


def _scaled(path: Path, scale: float) -> bytes:
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return _encoded(image if scale == 1 else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=None), "JPEG")


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    how = {"quality": QUALITY, "subsampling": 0} if kind == "JPEG" else {}
    image.save(buffer, kind, optimize=True, **how)
    return buffer.getvalue()
