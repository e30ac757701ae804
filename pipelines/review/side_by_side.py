"""Scan and result of an item as pictures that can be shown: 8 bits, sRGB, on white, upright."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from pipelines.film.stills import frame_count, result_still, source_still
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.decode import decode
from pipelines.review.display import displayed
from pipelines.rows import Row
from pipelines.store.layout import PAGE_LIST
from pipelines.store.store import Store

__all__ = ["busiest_box", "scan_and_result", "scan_store_url"]


def scan_store_url(row: Row) -> str:
    """URL of the store that a row's source was read from."""
    return str(row["source_uri"] or "").removesuffix(row["source_path"]).rstrip("/")


def scan_and_result(scans: Store, results: Store, row: Row) -> tuple[Image.Image, Image.Image]:
    """Both as RGB: a photograph or its first page, or a frame from the middle of a film's first half.

    Args:
        scans, results: the stores of both.
        row: of a restored item.

    Raises:
        ItemError: one of them cannot be read.
        OSError: one of them is not there.
    """
    if row["media_kind"] == "film":
        number = frame_count(row) // 4
        return _rgb(source_still(scans, row, number)), _rgb(result_still(results, row, number))
    limits = DecodeLimits()
    scan = decode(scans.read(row["source_path"]), row["source_path"], limits)
    path = row["output_path"]
    if path.endswith(PAGE_LIST):  # the first of its files
        name = results.read(path).decode().split("\n")[0].split("  ", 1)[1]
        path = f"{path.rpartition('/')[0]}/{name}".lstrip("/")
    result = decode(results.read(path), path, limits)
    return _rgb(scan.pixels, scan.icc_profile), _rgb(result.pixels, result.icc_profile)


def busiest_box(picture: Image.Image, width: int, height: int) -> tuple[int, int, int, int]:
    """The part of a picture where its Laplacian is largest on average: left, top, right, bottom.

    Args:
        picture: RGB.
        width, height: of the part; the picture's own where that is smaller.
    """
    width, height = min(width, picture.width), min(height, picture.height)
    if (width, height) == picture.size:
        return 0, 0, width, height
    grey = cv2.GaussianBlur(np.asarray(picture.convert("L"), np.float32), (0, 0), 2)  # detail, and not grain
    edges = cv2.integral(np.abs(cv2.Laplacian(grey, cv2.CV_32F)))
    sums = edges[height:, width:] - edges[:-height, width:] - edges[height:, :-width] + edges[:-height, :-width]
    top, left = (int(place) for place in np.unravel_index(int(sums.argmax()), sums.shape))
    return left, top, left + width, top + height


def _rgb(pixels_HWC: np.ndarray, icc_profile: bytes | None = None) -> Image.Image:
    """8 or 16 bits, grey or colour, as RGB."""
    pixels = displayed(pixels_HWC, icc_profile)
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))
