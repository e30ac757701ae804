"""Inputs for fuzzing the decoders: real files of every format and layout, and damage to them that a number determines.

Run as a program it writes one input to a file, to look at what a test complains about:

    python tests/fuzz/corpus.py 4711 /tmp/culprit
"""

from __future__ import annotations

import io
import random
import struct
import sys
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

# pytest finds this module by itself, a program run from any folder does not.
sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")]

from photo_files import (  # noqa: E402
    LARGE,
    cmyk_profile,
    exif_block,
    flat,
    icc_profile,
    jp2_file,
    jp2_file_12,
    noise,
    pillow_file,
    png_chunk,
    png_file,
    smooth,
    tiff_file,
)

_PROFILE = icc_profile(b"RGB ")
# Numbers at which arithmetic changes its mind, in 1, 2, 4 and 8 bytes.
_INTERESTING = (0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 0x7F, 0x80, 0xFE, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x10000,
                2**24, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip
_SIGNATURES = {"JPEG": 3, "PNG": 8, "TIFF": 4, "WEBP": 12, "JPEG2000": 4}  # bytes
_HEAD = 400  # headers break decoders more than pixels do: half of the damage stays in the first bytes


def _pages(big: bool) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, bigtiff=big) as writer:
        for number in range(3):
            writer.write(noise(3, np.uint16, seed=number), photometric="rgb", metadata=None, compression="deflate")
    return file.getvalue()


def _palette(transparent: bool = False) -> Image.Image:
    image = Image.fromarray(smooth(3)).quantize(64)
    if transparent:
        image.info["transparency"] = 3
    return image


def _animation(format: str, **options: object) -> bytes:
    frames = [Image.fromarray(smooth(4) ^ np.uint8(number)) for number in range(3)]
    return pillow_file(frames[0], format, save_all=True, append_images=frames[1:], duration=40, **options)


def _arithmetic_jpeg() -> bytes:
    return pillow_file(smooth(3), "JPEG").replace(b"\xff\xc0", b"\xff\xc9", 1)


def _bilevel() -> Image.Image:
    return Image.fromarray(flat(smooth(1))).convert("1")


def _png(colour_type: int, bits: int, interlaced: bool = False, before: bytes = b"") -> bytes:
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    samples = noise(channels, np.uint16 if bits == 16 else np.uint8) & (2**bits - 1)
    return png_file(samples, colour_type, bits, before=before, interlaced=interlaced)


def _strips(channels: int, dtype: type = np.uint8, **options: object) -> bytes:
    photometric = "rgb" if channels >= 3 else "minisblack"
    pixels = noise(channels, dtype, size=LARGE)
    planar = options.get("planarconfig") == "separate"
    return tiff_file(pixels.transpose(2, 0, 1) if planar else flat(pixels), photometric=photometric, **options)


def _floats() -> bytes:
    return tiff_file(noise(3).astype(np.float32) / 99 - 1, photometric="rgb", compression="deflate")


_PALETTE_CHUNK = png_chunk(b"PLTE", bytes(range(48)))
SEEDS: dict[str, dict[str, Callable[[], bytes]]] = {
    "JPEG": {
        "baseline": lambda: pillow_file(smooth(3), "JPEG"),
        "grey": lambda: pillow_file(smooth(1), "JPEG", dpi=(300, 300)),
        "progressive": lambda: pillow_file(smooth(3), "JPEG", progressive=True, subsampling=0),
        "restarts": lambda: pillow_file(smooth(3), "JPEG", restart_marker_blocks=2, optimize=True),
        "cmyk": lambda: pillow_file(Image.fromarray(smooth(4), "CMYK"), "JPEG"),
        "cmyk with profile": lambda: pillow_file(
            Image.fromarray(smooth(4), "CMYK"), "JPEG", icc_profile=cmyk_profile()
        ),
        "exif and icc": lambda: pillow_file(smooth(3), "JPEG", exif=exif_block(6), icc_profile=_PROFILE),
        "arithmetic": _arithmetic_jpeg,
    },
    "PNG": {
        **{f"grey {bits}": (lambda bits=bits: _png(0, bits)) for bits in (1, 2, 4, 8, 16)},
        **{f"rgb {bits}": (lambda bits=bits: _png(2, bits)) for bits in (8, 16)},
        **{f"grey alpha {bits}": (lambda bits=bits: _png(4, bits)) for bits in (8, 16)},
        **{f"rgba {bits}": (lambda bits=bits: _png(6, bits)) for bits in (8, 16)},
        "palette": lambda: _png(3, 4, before=_PALETTE_CHUNK),
        "palette with transparency": lambda: pillow_file(_palette(transparent=True), "PNG"),
        "interlaced": lambda: _png(2, 8, interlaced=True),
        "interlaced grey 1": lambda: _png(0, 1, interlaced=True),
        "interlaced rgba 16": lambda: _png(6, 16, interlaced=True),
        "transparent colour": lambda: _png(2, 16, before=png_chunk(b"tRNS", bytes(6))),
        "metadata": lambda: pillow_file(smooth(4), "PNG", icc_profile=_PROFILE, exif=exif_block(6), dpi=(300, 300)),
        "animation": lambda: _animation("PNG"),
    },
    "TIFF": {
        "strips": lambda: _strips(3, rowsperstrip=5),
        "grey 16": lambda: _strips(1, np.uint16),
        "lzw": lambda: pillow_file(smooth(3), "TIFF", compression="tiff_lzw"),
        "deflate 16": lambda: _strips(4, np.uint16, compression="deflate", predictor=True, extrasamples=["unassalpha"]),
        "premultiplied": lambda: _strips(4, np.uint16, extrasamples=["assocalpha"]),
        "five channels": lambda: _strips(5, extrasamples=["unspecified", "unassalpha"]),
        "packbits": lambda: pillow_file(smooth(3), "TIFF", compression="packbits"),
        "zstd": lambda: pillow_file(smooth(3), "TIFF", compression="zstd"),
        "lzma": lambda: pillow_file(smooth(3), "TIFF", compression="lzma"),
        "tiles": lambda: _strips(3, np.uint16, tile=(16, 16)),
        "tiles deflate": lambda: _strips(3, tile=(16, 32), compression="deflate"),
        "planar": lambda: _strips(3, planarconfig="separate"),
        "planar tiles": lambda: _strips(3, np.uint16, planarconfig="separate", tile=(16, 16), compression="deflate"),
        "big endian": lambda: _strips(3, np.uint16, byteorder=">"),
        "big tiff": lambda: _strips(3, bigtiff=True),
        "float": _floats,
        "pages": lambda: _pages(False),
        "big tiff pages": lambda: _pages(True),
        "jpeg": lambda: pillow_file(smooth(3), "TIFF", compression="jpeg"),
        "group 4": lambda: pillow_file(_bilevel(), "TIFF", compression="group4"),
        "group 3": lambda: pillow_file(_bilevel(), "TIFF", compression="group3"),
        "palette": lambda: pillow_file(_palette(), "TIFF"),
        "cmyk": lambda: pillow_file(Image.fromarray(smooth(4), "CMYK"), "TIFF", icc_profile=cmyk_profile()),
        "lab": lambda: pillow_file(Image.fromarray(smooth(3), "LAB"), "TIFF"),
        "metadata": lambda: pillow_file(smooth(3), "TIFF", icc_profile=_PROFILE, dpi=(300, 300)),
    },
    "WEBP": {
        "lossy": lambda: pillow_file(smooth(3), "WEBP"),
        "lossy with alpha": lambda: pillow_file(smooth(4), "WEBP"),
        "lossless": lambda: pillow_file(smooth(4), "WEBP", lossless=True),
        "metadata": lambda: pillow_file(smooth(3), "WEBP", icc_profile=_PROFILE, exif=exif_block(6)),
        "animation": lambda: _animation("WEBP"),
        "lossless animation": lambda: _animation("WEBP", lossless=True),
    },
    "JPEG2000": {
        "jp2": lambda: pillow_file(smooth(3), "JPEG2000"),
        "jp2 lossy": lambda: pillow_file(smooth(3), "JPEG2000", irreversible=True, quality_layers=[20, 5]),
        "jp2 tiles": lambda: pillow_file(smooth(3), "JPEG2000", tile_size=(32, 32), num_resolutions=3),
        "jp2 alpha": lambda: pillow_file(smooth(4), "JPEG2000"),
        "jp2 precincts": lambda: pillow_file(smooth(1), "JPEG2000", precinct_size=(32, 32), codeblock_size=(16, 16)),
        "jp2 16": lambda: jp2_file(noise(3, np.uint16, size=LARGE)),
        "jp2 12": lambda: jp2_file_12(noise(3, np.uint16, size=LARGE) >> 4),
        "stream": lambda: pillow_file(smooth(1), "JPEG2000", no_jp2=True),
        "stream rgb": lambda: pillow_file(smooth(3), "JPEG2000", no_jp2=True, progression="RPCL"),
    },
}


@lru_cache(maxsize=1)
def seeds() -> tuple[tuple[str, str, bytes], ...]:
    """All whole files: (format, layout, bytes)."""
    cv2.setNumThreads(1)
    return tuple((kind, layout, make()) for kind, layouts in SEEDS.items() for layout, make in layouts.items())


def make_input(number: int) -> tuple[str, bytes]:
    """The input with a number: (what it was made of, bytes). The seeds take turns, the damage is drawn by the number."""
    files = seeds()
    kind, layout, whole = files[number % len(files)]
    rng = random.Random(number)
    data = bytearray(whole)
    siblings = [file for other, _, file in files if other == kind]
    for _ in range(rng.choice((1, 1, 2, 3, 5, 9))):
        rng.choice(DAMAGE)(data, rng, siblings)
    if rng.random() < 0.9:  # else a fifth would be no images at all
        data[: _SIGNATURES[kind]] = whole[: _SIGNATURES[kind]]
    if kind == "PNG" and rng.random() < 0.7:  # else hardly any would get past the check sums
        data = mend_check_sums(data)
    return f"{kind} {layout}", bytes(data)


def _place(data: bytearray, rng: random.Random) -> int:
    return rng.randrange(max(1, min(len(data), _HEAD) if rng.random() < 0.5 else len(data)))


def _flip_bits(data: bytearray, rng: random.Random, siblings: list[bytes]) -> None:
    for _ in range(rng.choice((1, 1, 4, 16))):
        if data:
            data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _set_bytes(data: bytearray, rng: random.Random, siblings: list[bytes]) -> None:
    at, count = _place(data, rng), rng.choice((1, 2, 4, 16, 64))
    data[at : at + count] = rng.choice((bytes(count), b"\xff" * count, rng.randbytes(count)))


def _set_number(data: bytearray, rng: random.Random, siblings: list[bytes]) -> None:
    at, width = _place(data, rng), rng.choice((1, 2, 4, 8))
    data[at : at + width] = (rng.choice(_INTERESTING) % 2 ** (8 * width)).to_bytes(width, rng.choice(("little", "big")))


def _nudge_number(data: bytearray, rng: random.Random, siblings: list[bytes]) -> None:
    """Lengths, counts and offsets that are nearly right."""
    at, width, order = _place(data, rng), rng.choice((1, 2, 4)), rng.choice(("little", "big"))
    value = int.from_bytes(data[at : at + width], order) + rng.choice((-16, -2, -1, 1, 2, 16, 255, 4096))
    data[at : at + width] = (value % 2 ** (8 * width)).to_bytes(width, order)


def _truncate(data: bytearray, rng: random.Random, siblings: list[bytes]) -> None:
    if data:
        del data[len(data) - rng.randrange(min(len(data), rng.choice((4, 40, 400, 4000)))) :]


def _drop_block(data: bytearray, rng: random.Random, siblings: list[bytes]) -> None:
    at = _place(data, rng)
    del data[at : at + rng.choice((1, 2, 4, 12, 100))]


def _repeat_block(data: bytearray, rng: random.Random, siblings: list[bytes]) -> None:
    at = _place(data, rng)
    block = bytes(data[at : at + rng.choice((1, 4, 12, 60, 400))])
    data[at:at] = block * rng.choice((1, 2, 50))


def _move_block(data: bytearray, rng: random.Random, siblings: list[bytes]) -> None:
    at = _place(data, rng)
    block = bytes(data[at : at + rng.choice((4, 12, 60))])
    del data[at : at + len(block)]
    to = _place(data, rng)
    data[to:to] = block


def _splice(data: bytearray, rng: random.Random, siblings: list[bytes]) -> None:
    other, at = rng.choice(siblings), _place(data, rng)
    data[at:] = other[min(at, len(other)) :] if rng.random() < 0.5 else other[rng.randrange(len(other)) :]


DAMAGE = (_flip_bits, _flip_bits, _set_bytes, _set_number, _set_number, _set_number, _nudge_number, _nudge_number,
           _truncate, _drop_block, _repeat_block, _move_block, _splice)  # fmt: skip


def mend_check_sums(data: bytearray) -> bytearray:
    """A PNG whose chunks have right check sums again, as far as its chunks can be followed."""
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return data


if __name__ == "__main__":
    made_of, content = make_input(int(sys.argv[1]))
    Path(sys.argv[2]).write_bytes(content)
    print(f"{made_of}: {len(content)} bytes")
