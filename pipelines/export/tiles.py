"""A picture as static IIIF image tiles: IIIF Image API 3.0, level 0, from any web server and without an image server."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import numpy as np
from PIL import Image

from pipelines.media.photo.encode import on_white, to_8_bits

__all__ = ["FULL_SIDE", "TILE", "image_files", "scale_factors", "shown_size", "sizes"]

TILE = 512  # pixels of a tile's side
FULL_SIDE = 1024  # the longer side of the largest picture that is there in one piece
_QUALITY = 90


def scale_factors(width: int, height: int) -> list[int]:
    """1, 2, 4 and so on, until the picture fits into one tile."""
    factors = [1]
    while max(width, height) > TILE * factors[-1]:
        factors.append(2 * factors[-1])
    return factors


def sizes(width: int, height: int) -> list[tuple[int, int]]:
    """Sizes, small first, in which the whole picture is there in one piece: those of the scale factors, up to `FULL_SIDE`."""
    found = [(_part(width, factor), _part(height, factor)) for factor in scale_factors(width, height)]
    return [size for size in reversed(found) if max(size) <= FULL_SIDE]


def shown_size(width: int, height: int) -> tuple[int, int]:
    """The largest of `sizes`."""
    return sizes(width, height)[-1]


def image_files(pixels: np.ndarray, icc_profile: bytes | None, url: str) -> Iterator[tuple[str, bytes]]:
    """Every file of a picture's image service, its `info.json` last.

    Args:
        pixels: HWC, uint8 or uint16, full range.
        icc_profile: the one that the pixels are in; each tile carries it.
        url: of the service, without a slash at its end.

    Returns:
        Paths below the service's folder, and JPEG files of them.
    """
    eight = to_8_bits(on_white(pixels))
    whole = Image.fromarray(eight[..., 0] if eight.shape[2] == 1 else eight)
    width, height = whole.size
    pieces = set(sizes(width, height))
    for factor in scale_factors(width, height):
        size = (_part(width, factor), _part(height, factor))
        shrunk = whole if factor == 1 else whole.resize(size, Image.Resampling.LANCZOS)
        if size in pieces:
            yield f"full/{size[0]},{size[1]}/0/default.jpg", _jpeg(shrunk, icc_profile)
        for top in range(0, height, TILE * factor):
            for left in range(0, width, TILE * factor):
                across, down = min(TILE * factor, width - left), min(TILE * factor, height - top)
                box = (
                    left // factor,
                    top // factor,
                    left // factor + _part(across, factor),
                    top // factor + _part(down, factor),
                )
                tile = shrunk.crop(box)
                place = "full" if (across, down) == (width, height) else f"{left},{top},{across},{down}"
                path = f"{place}/{tile.width},{tile.height}/0/default.jpg"
                if not (place == "full" and size in pieces):
                    yield path, _jpeg(tile, icc_profile)
    yield "info.json", _info(width, height, url)


def _part(length: int, factor: int) -> int:
    """A length at a scale factor, as the Image API rounds it: up."""
    return -(-length // factor)


def _jpeg(image: Image.Image, icc_profile: bytes | None) -> bytes:
    file = io.BytesIO()
    options = {"icc_profile": icc_profile} if icc_profile else {}
    image.save(file, "JPEG", quality=_QUALITY, subsampling="4:4:4", **options)
    return file.getvalue()


def _info(width: int, height: int, url: str) -> bytes:
    record = {
        "@context": "http://iiif.io/api/image/3/context.json",
        "id": url,
        "type": "ImageService3",
        "protocol": "http://iiif.io/api/image",
        "profile": "level0",
        "width": width,
        "height": height,
        "sizes": [{"width": across, "height": down} for across, down in sizes(width, height)],
        "tiles": [{"width": TILE, "height": TILE, "scaleFactors": scale_factors(width, height)}],
    }
    return (json.dumps(record, indent=1) + "\n").encode()
