"""Faces and text: where an invented detail does the most harm, and so is to be looked at first.

Both are found in a copy of bounded size, so that it takes bounded time. Faces: local binary patterns in a cascade
(Liao et al., 2007), whose weights come with scikit-image; upright ones that look at the camera. Text: the detector of PP-OCR,
whose weights travel in the wheel `rapidocr` (extra `ocr`); without it no text is looked for, and `missing` says so.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import cv2
import numpy as np

from faithdiff_model.image.resize import from_unit_float, to_unit_float

__all__ = ["Found", "Region", "find_sensitive"]

_FACE_SIDE, _TEXT_SIDE = 512, 1024  # longest sides of what is searched, pixels
_LEAST_FACE = 24  # pixels a side of the cascade's own window
_NEIGHBOURS = 4  # overlapping windows that must agree on a face
_LEAST_SCORE = 0.6  # of a line of text; PP-OCR's own least is 0.5, which a table with a cup passes
_MOST = 20  # regions of a kind that are named, the largest first


class Region(NamedTuple):
    """A rectangle of a picture, its sides as shares of width and height, 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def share(self) -> float:
        """Of the picture's area."""
        return (self.right - self.left) * (self.bottom - self.top)


class Found(NamedTuple):
    """What was found.

    Attributes:
        regions: by kind, `face` and `text`, the largest first and at most 20; a kind without any is not there.
        missing: kinds that were not looked for, and why, a line each.
    """

    regions: dict[str, list[Region]]
    missing: list[str]


def find_sensitive(pixels_HWC: np.ndarray) -> Found:
    """Find faces and text.

    Args:
        pixels_HWC: uint8, uint16 or float in [0, 1], 1 to 4 channels; alpha is ignored.
    """
    regions, missing = {"face": _faces(_copy(pixels_HWC, _FACE_SIDE))}, list[str]()
    if find_spec("rapidocr") is None or find_spec("onnxruntime") is None:
        missing.append('text was not looked for: pip install "faitharchive[ocr]"')
    else:
        regions["text"] = _text(_copy(pixels_HWC, _TEXT_SIDE))
    largest = {kind: sorted(found, key=lambda region: -region.share)[:_MOST] for kind, found in regions.items()}
    return Found({kind: found for kind, found in largest.items() if found}, missing)


def _copy(pixels_HWC: np.ndarray, side: int) -> np.ndarray:
    """A copy of at most `side` pixels a side, uint8 RGB [h, w, 3]."""
    height, width = pixels_HWC.shape[:2]
    factor = min(1.0, side / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    colour = pixels_HWC[..., :1] if pixels_HWC.shape[2] < 3 else pixels_HWC[..., :3]
    small = cv2.resize(np.ascontiguousarray(colour), size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
    image = from_unit_float(to_unit_float(small), np.dtype(np.uint8))
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def _faces(image: np.ndarray) -> list[Region]:
    height, width = image.shape[:2]
    if min(height, width) < _LEAST_FACE:
        return []
    found = _cascade().detect_multi_scale(
        img=image,
        scale_factor=1.2,
        step_ratio=1.5,
        min_size=(_LEAST_FACE, _LEAST_FACE),
        max_size=(height, width),
        min_neighbor_number=_NEIGHBOURS,
    )
    return [
        Region(
            each["c"] / width,
            each["r"] / height,
            min(1.0, (each["c"] + each["width"]) / width),
            min(1.0, (each["r"] + each["height"]) / height),
        )
        for each in found
    ]


@lru_cache(maxsize=1)
def _cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def _text(image: np.ndarray) -> list[Region]:
    height, width = image.shape[:2]
    found = _detector()(image[..., ::-1], use_det=True, use_cls=False, use_rec=False)
    if getattr(found, "boxes", None) is None:
        return []
    regions = []
    for box, score in zip(np.asarray(found.boxes), found.scores, strict=True):
        if score >= _LEAST_SCORE:
            left, top = np.clip(box.min(axis=0) / (width, height), 0, 1).tolist()
            right, bottom = np.clip(box.max(axis=0) / (width, height), 0, 1).tolist()
            regions.append(Region(left, top, right, bottom))
    return regions


@lru_cache(maxsize=1)
def _detector() -> Any:
    from rapidocr import RapidOCR

    threads = {f"EngineConfig.onnxruntime.{name}_op_num_threads": 1 for name in ("intra", "inter")}
    return RapidOCR(params={"Global.log_level": "critical", **threads})
