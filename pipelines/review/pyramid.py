"""A picture as tiles at every size: whole in memory where it is small, read by region where it is a giant.

Level 0 is the picture itself; each further level has half the size, rounded up, until one tile holds all of it.
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from pipelines.media.photo.regions import RegionPhoto
from pipelines.review.display import displayed

__all__ = ["TILE", "Pyramid", "RegionPyramid", "WholePyramid", "level_count", "level_size"]

TILE = 512  # pixels of a tile's side
_OVERVIEW_PIXELS = 24_000_000  # of a giant, kept in memory
_BAND_ROWS = 512


def level_count(width: int, height: int) -> int:
    """Levels of a picture, 1 at least."""
    count = 1
    while max(level_size(width, height, count - 1)) > TILE:
        count += 1
    return count


def level_size(width: int, height: int, level: int) -> tuple[int, int]:
    """Width and height of a level."""
    return -(-width // 2**level), -(-height // 2**level)


class Pyramid(Protocol):
    """A picture that can be looked at.

    Attributes:
        width, height: of level 0.
        note: what a reviewer should know of it; empty where nothing is.
        genuine: whether it is the very file that the manifest tells of, so that its tiles may be kept.
    """

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def note(self) -> str: ...
    @property
    def genuine(self) -> bool: ...
    @property
    def bytes(self) -> int: ...

    def tile(self, level: int, column: int, row: int) -> np.ndarray:
        """A tile, HWC, uint8, sRGB, C 1 or 3. Raises IndexError where there is none, and ItemError."""

    def small(self, side: int) -> np.ndarray:
        """The whole picture, its longer side at most `side` pixels. Raises ItemError."""


class WholePyramid:
    """A picture in memory.

    Args:
        pixels: HWC, uint8, sRGB.
        note, genuine: as of `Pyramid`.
    """

    def __init__(self, pixels: np.ndarray, note: str = "", genuine: bool = True) -> None:
        self._levels = [pixels]
        self.height, self.width = pixels.shape[:2]
        self.note, self.genuine = note, genuine

    @property
    def bytes(self) -> int:
        """Of memory, once all levels are there."""
        return self._levels[0].nbytes * 4 // 3

    def tile(self, level: int, column: int, row: int) -> np.ndarray:
        """As of `Pyramid`."""
        if not 0 <= level < level_count(self.width, self.height):
            raise IndexError(level)
        while len(self._levels) <= level:
            self._levels.append(halved(self._levels[-1]))
        return _cut(self._levels[level], column, row)

    def small(self, side: int) -> np.ndarray:
        """As of `Pyramid`."""
        return shrunk(self._levels[0], side)


class RegionPyramid:
    """A giant photograph, of which an overview is kept, and the rest read where it is looked at.

    Args:
        photo: the photograph; one thread at a time reads it.
        note, genuine: as of `Pyramid`.
    """

    def __init__(self, photo: RegionPhoto, note: str = "", genuine: bool = True) -> None:
        self._photo, self._profile = photo, photo.facts.icc_profile
        self.height, self.width = photo.shape[:2]
        self.note, self.genuine = note, genuine
        self._kept = 0  # level of the overview
        while self.width * self.height > _OVERVIEW_PIXELS * 4**self._kept:
            self._kept += 1
        self._overview: WholePyramid | None = None

    @property
    def bytes(self) -> int:
        """Of memory, with what the photograph keeps of itself."""
        return _OVERVIEW_PIXELS * 4 + (256 << 20)

    def tile(self, level: int, column: int, row: int) -> np.ndarray:
        """As of `Pyramid`."""
        if not 0 <= level < level_count(self.width, self.height):
            raise IndexError(level)
        if level >= self._kept:
            return self._whole().tile(level - self._kept, column, row)
        side = TILE * 2**level
        left, top = column * side, row * side
        if not (0 <= left < self.width and 0 <= top < self.height):
            raise IndexError((column, row))
        return self._read(top, min(top + side, self.height), left, min(left + side, self.width), level)

    def small(self, side: int) -> np.ndarray:
        """As of `Pyramid`."""
        return self._whole().small(side)

    def _whole(self) -> WholePyramid:
        if self._overview is None:
            step = max(_BAND_ROWS, 2**self._kept)
            step -= step % 2**self._kept
            rows = range(0, self.height, step)
            parts = [self._read(top, min(top + step, self.height), 0, self.width, self._kept) for top in rows]
            self._overview = WholePyramid(np.concatenate(parts))
        return self._overview

    def _read(self, top: int, bottom: int, left: int, right: int, level: int) -> np.ndarray:
        pixels = displayed(self._photo[top:bottom, left:right], self._profile)
        for _ in range(level):
            pixels = halved(pixels)
        return pixels


def halved(pixels: np.ndarray) -> np.ndarray:
    """Half the size, rounded up, each pixel the mean of those it covers."""
    height, width = pixels.shape[:2]
    size = max(1, -(-width // 2)), max(1, -(-height // 2))
    return _channels(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def shrunk(pixels: np.ndarray, side: int) -> np.ndarray:
    """The same picture with a longer side of at most `side` pixels; never enlarged."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return _channels(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def _channels(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _cut(pixels: np.ndarray, column: int, row: int) -> np.ndarray:
    left, top = column * TILE, row * TILE
    if not (0 <= left < pixels.shape[1] and 0 <= top < pixels.shape[0]):
        raise IndexError((column, row))
    return pixels[top : top + TILE, left : left + TILE]
