"""Filling in damage that is narrow, from the picture around it: dust, hairs, scratches, creases, cracks.

What lies behind a mark a few pixels wide can be told from both of its sides. What lay where a corner is torn off cannot, so
wide areas stay as they were scanned. Nothing here is drawn at random: equal pixels and masks give equal pixels.

A scan of any size is worked on in squares with a margin, so that beyond scan and result it takes the memory of one square.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

__all__ = ["NARROW", "fill", "fillable", "widest"]

NARROW = 0.012  # half the width of the widest mark that is filled, of the scan's shorter side
_LEAST, _MOST = 6, 36  # the same in pixels, whatever the scan's size
_RIM = 1  # pixels around a mark that are filled with it, as its edge is soft
_REACH = 2  # pixels around one that it is computed from (Navier-Stokes; larger ones left no less of the marks)
_GRAIN = 2.0  # sigma in pixels of the blur that tells grain from picture
_NEAR = 31  # side in pixels of the square that says how strong grain is
_STRONGEST = 1.0  # of carried grain, in mean absolute values of the grain near it: more is an edge of the picture
_CORE = 512  # side of a square in pixels

# Where the grain of a filled pixel comes from: nearest first, across an upright mark before along it.
_DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))
_DISTANCES = (4, 7, 12, 20, 36, 68)

_Span = tuple[slice, slice]


def widest(height: int, width: int) -> int:
    """Half the width in pixels of the widest mark that is filled in a scan of this size: 6 to 36."""
    return min(max(round(NARROW * min(height, width)), _LEAST), _MOST)


def fillable(mask: np.ndarray) -> np.ndarray:
    """The pixels that `fill` replaces.

    Args:
        mask: bool [H, W], True where the scan is damaged.

    Returns:
        bool [H, W]: the narrow marks with a pixel around each. Areas that are wider anywhere within reach are left out whole,
        with their ragged edges.
    """
    limit = widest(*mask.shape)
    result = np.zeros(mask.shape, bool)
    for core, seen, inside in _squares(mask.shape):
        part = mask[seen]
        if part.any():
            result[core] = _narrow(part, limit)[inside]
    return result


def fill(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill in narrow marks: the picture's shapes by Navier-Stokes inpainting (Bertalmio et al., 2001), with the grain of
    undamaged pixels nearby.

    Args:
        pixels: uint8 or uint16 [H, W, C] with one to four channels: grey, grey and alpha, RGB, RGB and alpha. Alpha stays.
        mask: bool [H, W], True where the scan is damaged.

    Returns:
        The filled scan, of the same shape and type. Where `fillable(mask)` is False not one value differs. `pixels` itself
        where there is nothing to fill.

    Raises:
        ValueError: another kind or shape of array.
    """
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4:
        raise ValueError(f"the scan is {pixels.dtype} {pixels.shape}: give uint8 or uint16 [H, W, C], C from 1 to 4")
    if mask.dtype != bool or mask.shape != pixels.shape[:2]:
        raise ValueError(f"the mask is {mask.dtype} {mask.shape}: give bool {pixels.shape[:2]}, as the scan has pixels")
    chosen = fillable(mask)
    if not chosen.any():
        return pixels
    colours = 1 if pixels.shape[2] < 3 else 3
    result = pixels.copy()
    for core, seen, inside in _squares(mask.shape):
        here = chosen[core]
        if here.any():
            result[core][here, :colours] = _filled(pixels[seen][..., :colours], mask[seen], chosen[seen])[inside][here]
    return result


def _squares(shape: tuple[int, ...]) -> Iterator[tuple[_Span, _Span, _Span]]:
    """Squares that cover an image: each as rows and columns of the image, the same with a margin, and where it is in that."""
    height, width = shape
    margin = 4 * widest(height, width) + 2 * _RIM  # as far as a wide area is seen from
    for top in range(0, height, _CORE):
        for left in range(0, width, _CORE):
            bottom, right = min(top + _CORE, height), min(left + _CORE, width)
            above, before = max(0, top - margin), max(0, left - margin)
            yield (
                (slice(top, bottom), slice(left, right)),
                (slice(above, bottom + margin), slice(before, right + margin)),
                (slice(top - above, bottom - above), slice(left - before, right - before)),
            )


def _narrow(mask: np.ndarray, limit: int) -> np.ndarray:
    """`fillable` in one piece: what is left of a mask without its wide areas, with a rim."""
    # A stain that is found in patches is one area: gaps as wide as half a mark count as damaged.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * (limit // 2) + 1,) * 2)
    joined = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, disc)
    deep = cv2.distanceTransform(joined, cv2.DIST_L2, 5) > limit
    wide = np.zeros(mask.shape, bool)
    if deep.any():
        # An area reaches as far from its depths as they are deep, and as far again where its edge is ragged.
        away = cv2.distanceTransform((~deep).astype(np.uint8), cv2.DIST_L2, 5)
        wide = mask & (away <= 2 * limit + 1)
    return _widened(mask & ~wide, _RIM) & ~wide


def _widened(mask: np.ndarray, pixels: int) -> np.ndarray:
    """A mask [H, W] with all within so many pixels of it, straight or across corners."""
    side = 2 * pixels + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def _filled(pixels: np.ndarray, mask: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """A square [h, w, 1 or 3] whose chosen pixels are filled; what the others become does not count."""
    # In 255ths of white whatever the depth, as OpenCV's inpainting knows gradients of a certain size; a channel at a time.
    scale = np.float32(255 / np.iinfo(pixels.dtype).max)
    picture = pixels * scale
    # A wide area beside a mark is no picture to fill it from.
    unknown = (chosen | (mask & _widened(chosen, 4 * _REACH))).astype(np.uint8)
    planes = [np.ascontiguousarray(picture[..., channel]) for channel in range(pixels.shape[2])]
    filled = np.dstack([cv2.inpaint(plane, unknown, _REACH, cv2.INPAINT_NS) for plane in planes])
    rows, columns = np.nonzero(chosen)
    filled[rows, columns] += _grain(picture, mask | chosen, rows, columns)
    return np.rint(np.clip(filled, 0, 255) / scale).astype(pixels.dtype)


def _grain(pixels: np.ndarray, damaged: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """What the picture nearby has beyond its shapes, for some pixels: float32 [N, C].

    All pixels that take it from the same direction and distance take it as it lies there, so that it keeps its size.

    Args:
        pixels: float32 [H, W, C], of any scale.
        damaged: bool [H, W], what is not looked at.
        rows, columns: int [N], of the pixels.
    """
    known = (~damaged).astype(np.float32)[..., None]
    weight = _with_channels(cv2.GaussianBlur(known, (0, 0), _GRAIN)) + np.float32(1e-6)
    shapes = _with_channels(cv2.GaussianBlur(pixels * known, (0, 0), _GRAIN)) / weight
    found = (pixels - shapes) * known
    near = _with_channels(cv2.blur(known, (_NEAR, _NEAR))) + np.float32(1e-6)
    limit = np.float32(_STRONGEST) * _with_channels(cv2.blur(np.abs(found), (_NEAR, _NEAR))) / near
    clear = ~_widened(damaged, 1)  # the soft edge of a mark is no grain
    result = np.zeros((len(rows), pixels.shape[2]), np.float32)
    left = np.arange(len(rows))
    for distance in _DISTANCES:
        for down, across in _DIRECTIONS:
            there, beside = rows[left] + distance * down, columns[left] + distance * across
            inside = (there >= 0) & (there < damaged.shape[0]) & (beside >= 0) & (beside < damaged.shape[1])
            usable = inside.copy()
            usable[inside] = clear[there[inside], beside[inside]]
            taken = left[usable]
            bound = limit[rows[taken], columns[taken]]
            result[taken] = np.clip(found[there[usable], beside[usable]], -bound, bound)
            left = left[~usable]
    return result


def _with_channels(plane: np.ndarray) -> np.ndarray:
    """OpenCV's answer as [H, W, C]: it drops a single channel."""
    return plane[..., None] if plane.ndim == 2 else plane
