"""How a JPEG 2000 code stream cuts a picture up: each tile, precinct, code block and layer costs a decoder memory.

A header of 100 bytes may ask for a precinct a pixel, at 400 bytes of memory each, or for 65,535 layers, which take seconds a
megapixel to go over. No encoder that makes pictures does either.
"""

from __future__ import annotations

import struct

from pipelines.errors import ItemError
from pipelines.media.photo.header import corrupt, need

__all__ = ["Coding"]

_COD, _COC = 0xFF52, 0xFF53  # coding style: of all channels, of one
# Pixels there must be for each tile, each precinct of a channel and each packet, and how many of these are always taken.
_TILE_AREA, _TILES = 32 * 32, 64  # common are 256 x 256 and more
_PRECINCT_AREA, _PRECINCTS = 8 * 8, 1 << 12  # common are 64 x 64 and more
_PACKET_AREA, _PACKETS = 4, 1 << 16
_CODE_BLOCK = 6  # smallest area of a code block as a power of 2; common are 10 and 12


class Coding:
    """What a code stream asks for, checked while its segments are walked.

    Args:
        data: the file.
        start: where the code stream begins, with its size segment, which is known to be whole.
        samples: channels.

    Raises:
        ItemError: "corrupt", or "unsupported" if there are far too many tiles.
    """

    def __init__(self, data: bytes, start: int, samples: int) -> None:
        right, bottom, left, top, wide, high, tiles_left, tiles_top = struct.unpack_from(">8I", data, start + 8)
        if not wide or not high or tiles_left > left or tiles_top > top:
            raise corrupt("the tiles of the code stream do not cover the picture")
        self._data, self._samples = data, samples
        self._width, self._height = right - left, bottom - top
        self._pixels = self._width * self._height
        self._tile = min(wide, self._width), min(high, self._height)
        self._tiles = -((tiles_left - right) // wide) * -((tiles_top - bottom) // high)
        self._layers = self._precincts = 1  # the most of any segment so far
        self._limit("tiles", self._tiles, _TILES + self._pixels // _TILE_AREA)

    def check(self, at: int, length: int) -> None:
        """Refuse a coding style that cuts the picture too finely; other segments are no concern of ours.

        Args:
            at: where the segment's marker is.
            length: of the segment, as it says itself.

        Raises:
            ItemError: "truncated", "corrupt" or "unsupported".
        """
        (marker,) = struct.unpack_from(">H", self._data, at)
        if marker not in (_COD, _COC):
            return
        body = need(self._data, at + 4, length - 2, "the coding style")
        style, head = (0, 5) if marker == _COD else (1, 2)
        if len(body) < head + 5:
            raise corrupt("the coding style of the code stream is cut")
        levels, block_width, block_height = body[head : head + 3]
        if levels > 32:
            raise corrupt(f"the code stream has {levels} resolutions, of 32 at most")
        if block_width + block_height + 4 < _CODE_BLOCK:
            raise _unsupported(f"code blocks of {4 << block_width} x {4 << block_height} pixels")
        sides = body[head + 5 :] if body[style] & 1 else b"\xff" * (levels + 1)  # else as large as can be
        if len(sides) < levels + 1:
            raise corrupt("the coding style of the code stream is cut")
        if marker == _COD:
            self._layers = max(self._layers, struct.unpack_from(">H", body, 2)[0])
        self._precincts = max(self._precincts, self._count_precincts(levels, sides))
        self._limit("precincts", self._precincts, _PRECINCTS + self._pixels // _PRECINCT_AREA)
        packets = self._precincts * self._layers * self._samples
        self._limit("packets", packets, _PACKETS + self._pixels // _PACKET_AREA)

    def _count_precincts(self, levels: int, sides: bytes) -> int:
        """Of one channel in all tiles and resolutions; `sides` are powers of 2, height and width in half a byte each."""
        count = 0
        for resolution in range(levels + 1):
            shrink = levels - resolution
            across, down = sides[resolution] & 15, sides[resolution] >> 4
            count += (1 + (self._tile[0] >> shrink + across)) * (1 + (self._tile[1] >> shrink + down))
        return count * self._tiles

    def _limit(self, what: str, count: int, most: int) -> None:
        if count > most:
            raise _unsupported(f"{count} {what} for {self._width} x {self._height} pixels")


def _unsupported(what: str) -> ItemError:
    return ItemError("unsupported", f"JPEG 2000 with {what} is not supported; decode and save it again")
