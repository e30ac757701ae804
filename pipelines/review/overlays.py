"""What is laid over a picture: where its scan was damaged, and where the result is to be trusted less. Small PNG with alpha."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from pipelines.errors import ItemError
from pipelines.media.photo.mask import read_mask, read_masks
from pipelines.media.photo.trust_map import read_trust_map
from pipelines.rows import Row
from pipelines.store import layout
from pipelines.store.retries import what_failed
from pipelines.store.store import Store

__all__ = ["Overlays"]

_MOST = 4096  # pixels of an overlay's longer side
_DAMAGE = (0, 214, 255)  # old photographs are brown, grey or red
# From little doubt to much: what the network guessed stands out, what it knows stays as it is.
_RAMP = np.array([[255, 230, 64], [255, 150, 32], [255, 40, 24]], np.float32)
_FULL_DOUBT = 0.15  # half width of a band, as a share of white, from which on all is red


class Overlays:
    """Overlays of an archive's items.

    Args:
        output: the store of the results.
    """

    def __init__(self, output: Store) -> None:
        self._output = output
        self._made: dict[str, Callable[[Row, int], bytes]] = {"damage": self._damage, "trust": self._trust}

    def names(self, row: Row) -> list[str]:
        """The overlays that an item has."""
        found = ["damage"] if row["damage_mask_sha256"] else []
        return [*found, "trust"] if row["trust_map_sha256"] else found

    def image(self, row: Row, name: str, number: int) -> bytes:
        """An overlay as a PNG file with alpha, of the picture's shape and perhaps smaller.

        Args:
            row: of the item.
            name: of `names`.
            number: of the page, from 0.

        Raises:
            KeyError: there is no such overlay.
            ItemError: its file cannot be read.
        """
        if name not in self.names(row):
            raise KeyError(name)
        try:
            return self._made[name](row, number)
        except OSError as error:
            raise ItemError(
                "unreadable", f"{row['output_path']}: its map cannot be read ({what_failed(error)})"
            ) from error
        except (ValueError, SyntaxError, IndexError) as error:
            raise ItemError("corrupt", f"{row['output_path']}: its map is damaged ({type(error).__name__})") from error

    def _damage(self, row: Row, number: int) -> bytes:
        data = self._output.read(layout.damage_path(row["output_path"], row["pages"]))
        mask = read_masks(data)[number] if row["pages"] in layout.PAGED else read_mask(data)
        strength = _fitted(mask.astype(np.uint8) * 255)
        return _png(np.broadcast_to(np.array(_DAMAGE, np.uint8), (*strength.shape, 3)), strength)

    def _trust(self, row: Row, number: int) -> bytes:
        """Doubt in colours: the wider the band that nine of ten pixels lie within, the stronger."""
        bands = _fitted(read_trust_map(self._output.read(layout.trust_path(row["output_path"]))))
        doubt = np.clip(bands / _FULL_DOUBT, 0, 1)
        place = doubt * (len(_RAMP) - 1)
        low = np.minimum(place.astype(int), len(_RAMP) - 2)
        colour = _RAMP[low] + (_RAMP[low + 1] - _RAMP[low]) * (place - low)[..., None]
        return _png(np.rint(colour).astype(np.uint8), np.rint(doubt * 255).astype(np.uint8))


def _fitted(plane_HW: np.ndarray) -> np.ndarray:
    """A plane with a longer side of at most `_MOST`; marks of a pixel stay visible."""
    while max(plane_HW.shape) > _MOST:
        height, width = plane_HW.shape
        padded = np.pad(plane_HW, ((0, height % 2), (0, width % 2)), mode="edge")
        plane_HW = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2).max(axis=(1, 3))
    return plane_HW


def _png(colour_HWC: np.ndarray, alpha_HW: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.dstack([colour_HWC, alpha_HW])).save(file, "PNG", compress_level=1)
    return file.getvalue()
