"""Whether a picture's coded pixels are whole, in formats whose decoders fill up in silence: JPEG, and fax in TIFF."""

from __future__ import annotations

from dataclasses import replace

from pipelines.media.photo.fault import Fault
from pipelines.media.photo.fax_faults import FAX, fax_fault
from pipelines.media.photo.header import Header
from pipelines.media.photo.jpeg_faults import END, jpeg_fault
from pipelines.media.photo.jpeg_markers import JpegHeader
from pipelines.media.photo.tiff_pages import JPEG, TiffHeader

__all__ = ["find_fault", "with_end"]

_START = b"\xff\xd8"


def find_fault(data: bytes, header: Header) -> Fault | None:
    """The fault of a picture's pixels; None where they are whole, or where their decoder sees damage itself.

    Not looked at: JPEG of more than 8 bits, lossless JPEG, and JPEG in TIFF of another kind than 7.

    Args:
        data: the file that `header` was read from.
    """
    if isinstance(header, JpegHeader):
        return jpeg_fault(header.stream)
    if not isinstance(header, TiffHeader):
        return None
    if header.compression in FAX and header.bits == 1 and header.samples == 1:
        return fax_fault(data, header)
    return _of_chunks(data, header) if header.compression == JPEG and header.bits == 8 else None


def with_end(header: Header) -> Header:
    """A header whose JPEG ends with its mark, which decoders want, whatever is left of the picture."""
    if isinstance(header, JpegHeader) and header.stream.rfind(END) < 0:
        return replace(header, stream=header.stream + END)
    return header


def _of_chunks(data: bytes, header: TiffHeader) -> Fault | None:
    """The first fault of a page whose strips or tiles are JPEG, and what all together cost."""
    first: Fault | None = None
    lost = 0.0
    for offset, size in zip(header.offsets.tolist(), header.sizes.tolist(), strict=True):
        stream = data[offset : offset + size]
        if header.jpeg_tables is not None:
            tables = header.jpeg_tables
            stream = tables[: tables.rfind(END)] + stream[len(_START) :]
        fault = jpeg_fault(stream) if stream.startswith(_START) else None
        if fault is not None:
            first = first or fault
            lost += fault.lost
    return replace(first, lost=lost / len(header.offsets)) if first else None
