"""Which image format a file is in, recognised by its first bytes and never by its name."""

from __future__ import annotations

from pipelines.errors import ItemError
from pipelines.media.photo import avif_boxes, bitmap_headers, jp2_boxes, jpeg_markers, png_chunks, tiff_pages
from pipelines.media.photo.header import RECOPY

__all__ = ["recognise"]

_SUPPORTED: tuple[tuple[bytes, str], ...] = (
    (jpeg_markers.SIGNATURE, "JPEG"),
    (png_chunks.SIGNATURE, "PNG"),
    *((signature, "TIFF") for signature in tiff_pages.SIGNATURES),
    (jp2_boxes.JP2_SIGNATURE, "JPEG2000"),
    (jp2_boxes.STREAM_SIGNATURE, "JPEG2000"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
)
# Images that people do keep among photographs; naming them tells what to do better than "not an image" would.
_KNOWN: tuple[tuple[bytes, str], ...] = (
    (b"8BPS", "Photoshop"),
    (b"%PDF-", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\x80\x2a\x5f\xd7", "Cineon"),
    (b"\xd7\x5f\x2a\x80", "Cineon"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"II\xbc", "JPEG XR"),
    (b"IIRO", "camera raw (ORF)"),
    (b"IIRS", "camera raw (ORF)"),
    (b"MMOR", "camera raw (ORF)"),
    (b"IIU\0", "camera raw (RW2)"),
    (b"FUJIFILMCCD-RAW", "camera raw (RAF)"),
    (b"\0\0\1\0", "Windows icon"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"SIMPLE  =", "FITS"),
    (b"AT&TFORM", "DjVu"),
    (b"\x8aMNG\r\n\x1a\n", "MNG"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
)
_DIB_BITS = tuple(bytes([bits, 0]) for bits in (1, 4, 8, 16, 24, 32))
_CONVERT = "convert it to TIFF or PNG"
_ADVICE = {
    "Photoshop": "save it as a flattened TIFF",
    "PDF": "export its pages as TIFF",
    "PostScript": "export its pages as TIFF",
    "Cineon": "convert it to DPX or 16-bit TIFF",
    **{f"camera raw ({kind})": "develop it to 16-bit TIFF" for kind in ("ORF", "RW2", "RAF", "CR3")},
}


def recognise(data: bytes) -> str:
    """The format of an image file.

    Returns:
        "JPEG", "PNG", "TIFF", "WEBP", "JPEG2000", "AVIF", "BMP", "GIF" or "TGA".

    Raises:
        ItemError: "unsupported" for other image formats, "truncated" for a piece of a signature, else "not_an_image".
    """
    for signature, kind in _SUPPORTED:
        if data.startswith(signature):
            return kind
        if 2 <= len(data) < len(signature) and signature.startswith(data):
            raise ItemError("truncated", f"only {len(data)} bytes of a {kind} file are left; {RECOPY}")
    if data[:4] == b"RIFF" and (data[8:12] == b"WEBP" or (len(data) < 12 and b"WEBP".startswith(data[8:]))):
        return "WEBP"  # its reader reports a file this short as truncated
    if avif_boxes.is_avif(data):
        return "AVIF"
    if bitmap_headers.is_bmp(data):
        return "BMP"
    other = _other_format(data)
    if other is not None:
        raise ItemError("unsupported", f"the file is {other}, which is not supported; {_ADVICE.get(other, _CONVERT)}")
    if bitmap_headers.is_tga(data):  # without a signature: what is nothing else
        return "TGA"
    raise ItemError("not_an_image", "the bytes are of no image format that is known here; remove it or convert it")


def _other_format(data: bytes) -> str | None:
    for signature, kind in _KNOWN:
        if data.startswith(signature):
            return kind
    # Signatures of two letters are met in any text: the fields after them decide.
    if data[:1] == b"P" and data[1:2] in b"1234567" and data[2:3] in b" \t\r\n" and len(data) > 8:
        return "PNM"
    if data[:4] == b"(\0\0\0" and data[12:14] == b"\1\0" and data[14:16] in _DIB_BITS:
        return "a bitmap without its file header (DIB)"
    brands = {
        b"heic": "HEIC",
        b"heix": "HEIC",
        b"mif1": "HEIF",
        b"msf1": "HEIF",
        b"hevc": "HEIC",
        b"crx ": "camera raw (CR3)",
    }
    return brands.get(data[8:12]) if data[4:8] == b"ftyp" else None
