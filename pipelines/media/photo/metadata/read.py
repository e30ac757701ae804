"""The one door to a file's metadata: whatever is in it, a photograph does not fail by it."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.media.photo.metadata.blocks import NOTHING, Metadata
from pipelines.media.photo.metadata.from_boxes import read_jp2_metadata, read_webp_metadata
from pipelines.media.photo.metadata.from_jpeg import read_jpeg_metadata
from pipelines.media.photo.metadata.from_png import read_png_metadata
from pipelines.media.photo.metadata.from_tiff import read_tiff_metadata
from pipelines.media.photo.metadata.raw import RawBlocks, checked

__all__ = ["read_metadata"]

_READERS: dict[str, Callable[[bytes], RawBlocks]] = {
    "JPEG": read_jpeg_metadata,
    "PNG": read_png_metadata,
    "TIFF": read_tiff_metadata,
    "WEBP": read_webp_metadata,
    "JPEG2000": read_jp2_metadata,
}


def read_metadata(data: bytes, format: str) -> Metadata:
    """What a photograph's file says beside its pixels, checked; broken blocks are aside, and a warning names each.

    Args:
        data: a whole file whose structure is sound.
        format: as `Header` has it; of others nothing is read.
    """
    reader = _READERS.get(format)
    if reader is None:
        return NOTHING
    try:
        return checked(reader(data))
    except Exception as error:  # a crafted block that no reader foresaw
        return Metadata(warnings=(f"metadata: could not be read ({type(error).__name__}) and was left out",))
