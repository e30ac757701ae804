"""What is measured: references (HQ) with their LQ images, from two folders or made on the fly from one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from faithdiff_model.degradation.recipes import DEGRADATIONS, degrade
from faithdiff_model.degradation.result import Degraded
from faithdiff_model.image.resize import from_unit_float, to_unit_float

__all__ = [
    "PAIRED",
    "Pair",
    "Reader",
    "as_rgb",
    "damage_mask",
    "degraded_folder",
    "find_photographs",
    "image_seed",
    "load_pair",
    "paired_folders",
]

PAIRED = "paired"  # stands for a degradation's name where the LQ images come from a folder
_SHOWN = 5  # names in a message

# File -> pixels [H, W, 1 to 4], uint8 or uint16. Raises ValueError or OSError: one line that names the file.
Reader = Callable[[Path], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One image to measure.

    Attributes:
        name: path within the HQ folder, with `/` and without extension.
        degradation: the recipe that makes the LQ image, or `PAIRED`.
        seed: of the degradation and of the restoration's noise, 0 to 2**63 - 1.
        hq: the reference's file.
        lq: the LQ image's file; None where the recipe makes it.
    """

    name: str
    degradation: str
    seed: int
    hq: Path
    lq: Path | None = None


def paired_folders(hq: Path, lq: Path, suffixes: Collection[str], seed: int) -> list[Pair]:
    """Pairs of two folders by path and stem: `hq/a/b.png` with `lq/a/b.jpg`.

    Args:
        hq, lq: the folders.
        suffixes: lower-case extensions of photographs.
        seed: see `image_seed`.

    Raises:
        ValueError: a folder without photographs, two photographs of one stem, or some without a partner, named.
    """
    references, inputs = find_photographs(hq, suffixes), find_photographs(lq, suffixes)
    lacking = [
        f"{_list_names(names)} in {where} but not in {other}"
        for names, where, other in (
            (references.keys() - inputs.keys(), hq, lq),
            (inputs.keys() - references.keys(), lq, hq),
        )
        if names
    ]
    if lacking:
        raise ValueError(f"{'; '.join(lacking)}: give every HQ image an LQ image of the same path and stem")
    return [
        Pair(name=name, degradation=PAIRED, seed=image_seed(seed, name, PAIRED), hq=path, lq=inputs[name])
        for name, path in references.items()
    ]


def degraded_folder(hq: Path, degradations: Sequence[str], suffixes: Collection[str], seed: int) -> list[Pair]:
    """Every photograph of a folder under every degradation.

    Args:
        hq: the folder.
        degradations: names in `degradation.recipes.DEGRADATIONS`, each once.
        suffixes: lower-case extensions of photographs.
        seed: see `image_seed`.

    Raises:
        ValueError: an unknown degradation or one given twice; a folder without photographs, or two of one stem.
    """
    for name in degradations:
        if name not in DEGRADATIONS:
            raise ValueError(f"there is no degradation {name!r}: choose from {', '.join(DEGRADATIONS)}")
        if list(degradations).count(name) > 1:
            raise ValueError(f"degradation {name} is given twice: name it once")
    references = find_photographs(hq, suffixes)
    return [
        Pair(name=name, degradation=degradation, seed=image_seed(seed, name, degradation), hq=path)
        for degradation in degradations
        for name, path in references.items()
    ]


def find_photographs(folder: Path, suffixes: Collection[str]) -> dict[str, Path]:
    """Photographs below a folder by their path in it without extension, sorted; names that begin with a dot are left out.

    Raises:
        ValueError: no such folder, no photograph in it, or two that differ in their extension alone.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: is not a folder; give a folder of photographs")
    photographs: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.suffix.lower() not in suffixes or any(part.startswith(".") for part in inside.parts):
            continue
        if not path.is_file():
            continue
        name = inside.with_suffix("").as_posix()
        if name in photographs:
            raise ValueError(
                f"{photographs[name]} and {path.name}: two photographs of one stem; keep one, or rename one"
            )
        photographs[name] = path
    if not photographs:
        raise ValueError(f"{folder}: no photograph in it; give a folder with {', '.join(sorted(suffixes))} files")
    return photographs


def image_seed(seed: int, name: str, degradation: str) -> int:
    """An image's own seed, 0 to 2**63 - 1, whatever else is measured beside it."""
    digest = hashlib.sha256(f"{seed}\n{degradation}\n{name}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def load_pair(pair: Pair, read: Reader) -> tuple[np.ndarray, np.ndarray]:
    """The LQ image and its reference, both in 8 bits as a file would hold them. Alpha is left out.

    Returns:
        lq: uint8 [h, w, 1 or 3], grey where its file is grey, since then a restoration is, too.
        reference: uint8 RGB [H, W, 3].

    Raises:
        ValueError, OSError: an image cannot be read or degraded, or the LQ image is larger than its reference.
    """
    if pair.lq is None:
        degraded = _degraded(pair, read)
        return _to_8_bits(degraded.lq), as_rgb(degraded.hq)
    hq = to_unit_float(_colour(read(pair.hq)))
    lq = _to_8_bits(_colour(read(pair.lq)))
    if lq.shape[0] > hq.shape[0] or lq.shape[1] > hq.shape[1]:
        raise ValueError(
            f"{pair.lq} is larger ({lq.shape[1]}x{lq.shape[0]}) than its reference ({hq.shape[1]}x{hq.shape[0]}): "
            "give the HQ folder with --hq and the LQ folder with --lq"
        )
    return lq, as_rgb(hq)


def damage_mask(pair: Pair, read: Reader) -> np.ndarray:
    """Where the recipe damaged a pair's scan so that it can be seen: bool [H, W], the reference's size.

    Raises:
        ValueError, OSError: the reference cannot be read or degraded; or the LQ image is a file, of which nobody knows that.
    """
    if pair.lq is not None:
        raise ValueError(f"{pair.lq}: where it is damaged is not known; give --degradation instead of --lq")
    return _degraded(pair, read).damage_mask()


@lru_cache(maxsize=1)  # the scan and its damage are asked for one after the other, and each costs the whole degradation
def _degraded(pair: Pair, read: Reader) -> Degraded:
    hq = to_unit_float(_colour(read(pair.hq)))
    return degrade(pair.degradation, np.ascontiguousarray(np.broadcast_to(hq, (*hq.shape[:2], 3))), pair.seed)


def as_rgb(pixels_HWC: np.ndarray) -> np.ndarray:
    """Pixels [H, W, 1 to 4] of uint8, uint16 or float in [0, 1] -> uint8 RGB [H, W, 3], without alpha."""
    colour = _to_8_bits(_colour(pixels_HWC))
    return np.ascontiguousarray(np.broadcast_to(colour, (*colour.shape[:2], 3)))


def _colour(pixels_HWC: np.ndarray) -> np.ndarray:
    """Without alpha: [H, W, 1 or 3]."""
    return pixels_HWC[..., :1] if pixels_HWC.shape[2] < 3 else pixels_HWC[..., :3]


def _to_8_bits(pixels_HWC: np.ndarray) -> np.ndarray:
    if pixels_HWC.dtype == np.uint8:
        return np.ascontiguousarray(pixels_HWC)
    return from_unit_float(to_unit_float(pixels_HWC), np.dtype(np.uint8))


def _list_names(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:_SHOWN])
    more = len(names) - _SHOWN
    return f"{shown} and {more} more are" if more > 0 else f"{shown} {'is' if len(names) == 1 else 'are'}"
