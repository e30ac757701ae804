"""One field of noise for a shot, carried along with what the frames show.

Each subcell of a latent pixel holds where in one plane of noise it comes from. These places move with the optical flow; a
latent pixel's noise is the sum of its subcells' values. So what moves keeps its noise, whatever part of a latent pixel it moves
by, and what appears gets noise of its own.
"""

from __future__ import annotations

import numpy as np

from faithdiff_model.film.motion import positions, rescale
from faithdiff_model.image.windows import Rect
from faithdiff_model.sampling.noise import position_noise

__all__ = ["CarriedNoise"]

_MARGIN = 32  # latent pixels that the plane is larger than a frame, so that a frame rarely meets its own noise again
_STRIDE = 7919  # subcells between the places that what appears in one frame and the next is given; a prime


class CarriedNoise:
    """The noise of a shot's frames, one after the other.

    Args:
        seed: of the plane.
        shape: channels, rows and columns of a latent.
        pixels_per_latent: of the result; a latent pixel has a subcell for each two of them, across and down.
        origin: (down, across) in pixels of the result: where the first frame lies in the shot's plane.
    """

    def __init__(
        self, seed: int, shape: tuple[int, int, int], pixels_per_latent: int, origin: tuple[float, float]
    ) -> None:
        channels, rows, columns = shape
        self._shape, self._cells = shape, max(1, pixels_per_latent // 2)
        self._period = ((rows + _MARGIN) * self._cells, (columns + _MARGIN) * self._cells)
        self._plane = position_noise(seed, Rect(0, 0, *self._period), channels)
        self._frame = 0
        fine = np.zeros((rows * self._cells, columns * self._cells, 2), np.float32)
        self._home = positions(fine).astype(np.float64)
        shift = np.array([origin[1], origin[0]]) * self._cells / pixels_per_latent
        self._places = self._home + shift

    def current(self) -> np.ndarray:
        """Noise [channels, rows, columns] of the frame that was reached, float32, standard normal."""
        channels, rows, columns = self._shape
        k = self._cells
        across = np.floor(self._places[..., 0]).astype(np.int64) % self._period[1]
        down = np.floor(self._places[..., 1]).astype(np.int64) % self._period[0]
        # [.., k * k]: the subcells of each latent pixel side by side.
        apart = (down * self._period[1] + across).reshape(rows, k, columns, k)
        number = apart.transpose(0, 2, 1, 3).reshape(rows, columns, k * k)
        total = self._plane.reshape(channels, -1)[:, number].sum(axis=3)
        # Where the picture grows, subcells share a place: then their sum has more variance than they have number.
        shared = np.zeros((rows, columns), np.float32)
        for one in range(k * k):
            shared += (number == number[..., one : one + 1]).sum(axis=2)
        return np.asarray(total / np.sqrt(shared), np.float32)

    def move(self, back: np.ndarray, consistent: np.ndarray) -> None:
        """Go on to the next frame.

        Args:
            back: flow from the next frame to this one, [h, w, 2], at any resolution of the picture.
            consistent: bool [h, w], where it can be believed; elsewhere the next frame's noise is new.
        """
        self._frame += 1
        height, width = self._home.shape[:2]
        at = self._home + rescale(back, height, width)
        nearest = np.rint(at).astype(np.int64)
        inside = ((nearest >= 0) & (nearest < np.array([width, height]))).all(axis=2)
        column, row = (np.clip(nearest[..., axis], 0, last) for axis, last in ((0, width - 1), (1, height - 1)))
        # By the nearest place and what is left to it: between neighbours from far apart there is nothing to interpolate.
        carried = self._places[row, column] + (at - nearest)
        rows = np.linspace(0, consistent.shape[0] - 1, height).round().astype(int)
        columns = np.linspace(0, consistent.shape[1] - 1, width).round().astype(int)
        trusted = inside & consistent[rows][:, columns]
        fresh = self._home + self._frame * _STRIDE + np.array([0.5, 0.5])
        self._places = np.where(trusted[..., None], carried, fresh)
