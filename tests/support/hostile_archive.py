"""An archive that tries everything: odd names, every kind of damage, every kind of photo; all of it tiny."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from jobs.samples.archive import original
from jobs.samples.print_effects import shrink, to_levels
from pipelines.media.photo.encode import encode

RESTORED = "restored"
# Files that are no photographs by their extension: discovery must pass them over.
SKIPPED = ("notes.txt", "Thumbs.db", ".DS_Store", "album/.DS_Store")

_NAMES = (
    "with space.jpg",
    " leading and trailing .jpg",
    "single'quote.jpg",
    'double"quote.jpg',
    "100%25.jpg",
    "hash#1.jpg",
    "question?a=1&b=2.jpg",
    "star*.jpg",
    "[bracket].jpg",
    "{brace}.jpg",
    "semi;colon.jpg",
    "back\\slash.jpg",
    "dollar$HOME `x`.jpg",
    "~tilde.jpg",
    "line\nbreak.jpg",
    "tab\there.jpg",
    "-leading dash.jpg",
    "..two dots.jpg",
    "no end..jpg",
    "two.dots.in.name.jpg",
    "Семья на даче.jpg",
    "老照片.jpg",
    "صورة قديمة.jpg",
    "café composed.jpg".replace("é", "\u00e9"),
    "café decomposed.jpg".replace("é", "e\u0301"),
    "café both.jpg".replace("é", "\u00e9"),  # these two look the same, and are two files
    "café both.jpg".replace("é", "e\u0301"),
    "camera 📷.jpg",
    "CON.jpg",
    "run=1.jpg",
    "twin.jpg",
    "twin.png",
    "twin.tif",
    "case.jpg",
    "case.JPG",
    "case.Jpeg",
    "folder.jpg/inside.png",
    "sub=1/a.jpg",
    "a #%?/b 'c'/d.jpg",
    "/".join(f"level {number}" for number in range(25)) + "/deep.jpg",
    "д" * 125 + "x.jpg",  # 255 bytes, the longest name that file systems take
)


def make_hostile_archive(folder: Path, *, seed: int = 0) -> dict[str, str]:
    """Write good and bad photographs, none above 64 pixels a side except in what broken headers claim.

    Args:
        folder: an empty or missing folder.
        seed: of where the pictures are cut out. The same seed gives the same bytes.

    Returns:
        Path relative to `folder`, with "/" -> "restored" or the error code that a run must end with for that file.
        Files of `SKIPPED` are written too and are not in it.
    """
    rng = np.random.default_rng(seed)
    contents = _good(rng) | _bad(rng)
    for name, (data, _) in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for name in SKIPPED:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not a photograph")
    (folder / "empty folder").mkdir(exist_ok=True)
    # Tests may run as root, who can read everything: a link to nowhere is unreadable for everybody.
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    return {name: code for name, (_, code) in contents.items()} | {"gone.jpg": "unreadable"}


def picture(rng: np.random.Generator, height: int = 24, width: int = 32, channels: int = 3) -> np.ndarray:
    """A piece of a real photograph somewhere in it: float32 HWC, 0 to 1; a fourth channel is a soft-edged alpha."""
    source = shrink(original("astronaut.png"), 160)
    top, left = rng.integers(0, 160 - height), rng.integers(0, 160 - width)
    piece = source[top : top + height, left : left + width]
    if channels in (2, 4):
        rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        alpha = np.clip(2 - 2 * np.hypot(rows, columns), 0, 1)[..., None].astype(np.float32)
        return np.concatenate([piece[..., : channels - 1], alpha], axis=2)
    return piece[..., :channels]


def _good(rng: np.random.Generator) -> dict[str, tuple[bytes, str]]:
    formats = {".png": "PNG", ".tif": "TIFF"}
    files = {name: encode(_eight(rng), format=formats.get(Path(name).suffix, "JPEG")) for name in _NAMES}
    files["modes/grey.jpg"] = encode(_eight(rng, channels=1), format="JPEG")
    files["modes/grey alpha.png"] = encode(_eight(rng, channels=2), format="PNG")
    files["modes/rgba.png"] = encode(_eight(rng, channels=4), format="PNG")
    files["modes/rgba.webp"] = encode(_eight(rng, channels=4), format="WEBP")
    files["modes/grey 16.tif"] = encode(to_levels(picture(rng, channels=1), np.uint16), format="TIFF", dpi=(600, 600))
    files["modes/rgb 16.tif"] = encode(to_levels(picture(rng), np.uint16), format="TIFF")
    files["modes/rgb 16.png"] = encode(to_levels(picture(rng), np.uint16), format="PNG")
    files["modes/cmyk.jpg"] = _pillow(Image.fromarray(_eight(rng)).convert("CMYK"), "JPEG")
    files["modes/palette.png"] = _pillow(Image.fromarray(_eight(rng)).quantize(32), "PNG")
    files["modes/one bit.tif"] = _pillow(Image.fromarray(_eight(rng)).convert("1"), "TIFF", compression="group4")
    files["modes/library.jp2"] = _pillow(Image.fromarray(_eight(rng)), "JPEG2000")
    exif = Image.Exif()
    exif[274] = 8
    files["modes/lying.jpg"] = _pillow(Image.fromarray(_eight(rng)), "JPEG", exif=exif)
    files["sizes/16 x 16.png"] = encode(_eight(rng, 16, 16), format="PNG")
    files["sizes/wide.jpg"] = encode(_eight(rng, 16, 64), format="JPEG")
    files["sizes/tall.jpg"] = encode(_eight(rng, 64, 17), format="JPEG")
    files["wrong extension.jpg"] = encode(_eight(rng), format="PNG")
    # The same photograph twice: one content, two items.
    files["copies/first.png"] = files["copies/second.png"] = encode(_eight(rng), format="PNG")
    return {name: (data, RESTORED) for name, data in files.items()}


def _bad(rng: np.random.Generator) -> dict[str, tuple[bytes, str]]:
    jpeg, png, tiff = (encode(_eight(rng), format=format) for format in ("JPEG", "PNG", "TIFF"))
    tables = jpeg.index(b"\xff\xc4")  # the first Huffman table
    damaged_png = bytearray(png)
    damaged_png[len(png) // 2] ^= 0xFF
    one_pixel = encode(_eight(rng, 1, 1), format="PNG")
    return {
        "damaged/truncated.jpg": (jpeg[: len(jpeg) * 2 // 3], "truncated"),
        "damaged/truncated.png": (png[: len(png) * 2 // 3], "truncated"),
        "damaged/truncated.tif": (tiff[: len(tiff) * 2 // 3], "truncated"),
        "damaged/corrupt.jpg": (jpeg[: tables + 5] + b"\xff" * 16 + jpeg[tables + 21 :], "corrupt"),
        "damaged/corrupt.png": (bytes(damaged_png), "corrupt"),
        "damaged/empty.jpg": (b"", "empty"),
        "damaged/text.jpg": ("Дорогой архив, это не фотография.\n".encode(), "not_an_image"),
        "damaged/document.jpg": (b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n", "unsupported"),
        "a picture of another kind.jpg": (_pillow(Image.fromarray(_eight(rng)), "GIF"), "restored"),
        "damaged/no pixels.png": (_png_claiming(0, 24), "zero_size"),
        "damaged/bomb.png": (_png_claiming(60_000, 60_000), "too_many_pixels"),
        "damaged/pages.tif": (_with_pages(tiff, 10_100), "too_many_frames"),
        "damaged/scans.jpg": (_with_scans(jpeg, 600), "unsupported"),
        "sizes/one pixel.png": (one_pixel, "too_small"),
    }


def _with_pages(tiff: bytes, count: int) -> bytes:
    """A TIFF whose list of pages goes on with empty ones."""
    (start,) = struct.unpack_from("<I", tiff, 4)
    pointer = start + 2 + 12 * struct.unpack_from("<H", tiff, start)[0]
    pages = b"".join(struct.pack("<HI", 0, len(tiff) + 6 * number) for number in range(1, count))
    return tiff[:pointer] + struct.pack("<I", len(tiff)) + tiff[pointer + 4 :] + pages + bytes(6)


def _with_scans(jpeg: bytes, count: int) -> bytes:
    """A JPEG whose one scan comes again and again: a decoder goes over the whole picture each time."""
    scan = jpeg[jpeg.index(b"\xff\xda") : jpeg.rindex(b"\xff\xd9")]
    return jpeg.removesuffix(b"\xff\xd9") + scan * count + b"\xff\xd9"


def _eight(rng: np.random.Generator, height: int = 24, width: int = 32, channels: int = 3) -> np.ndarray:
    return to_levels(picture(rng, height, width, channels), np.uint8)


def _pillow(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def _png_claiming(width: int, height: int) -> bytes:
    """A sound PNG structure of a few hundred bytes whose header claims any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b"")
