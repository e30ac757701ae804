"""Inputs for fuzzing metadata: blocks of every kind, damaged as a number determines, in sound files of every format.

python tests/fuzz/metadata_corpus.py FIRST COUNT        fuzzes that many
python tests/fuzz/metadata_corpus.py NUMBER FILE        writes one down, to look at what a test complains about
"""

from __future__ import annotations

import random
import struct
import sys
import time
import traceback
import zlib
from collections import Counter
from functools import lru_cache
from pathlib import Path

# pytest finds these modules by itself, a program run from any folder does not.
sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")]

import numpy as np  # noqa: E402
from corpus import DAMAGE  # noqa: E402
from metadata_files import jpeg_segment, jpeg_with, rdf, tiff_structure  # noqa: E402
from photo_files import noise, pillow_file, png_chunk, png_file, smooth, tiff_file  # noqa: E402

from pipelines.media.limits import DecodeLimits  # noqa: E402
from pipelines.media.photo.decode import decode  # noqa: E402
from pipelines.media.photo.encode import encode  # noqa: E402
from pipelines.media.photo.metadata.blocks import Metadata  # noqa: E402
from pipelines.media.photo.metadata.embed import embed  # noqa: E402
from pipelines.media.photo.metadata.exif_block import Facts  # noqa: E402
from pipelines.media.photo.metadata.fit import fit_metadata  # noqa: E402
from pipelines.media.photo.metadata.from_boxes import EXIF_UUID, IPTC_UUID, XMP_UUID  # noqa: E402
from pipelines.media.time_limit import deadline  # noqa: E402

RESULTS = ("PNG", "TIFF", "JPEG", "WEBP", "JPEG2000")
SECONDS = 10.0  # of one input
_STATEMENT = {"xmp:CreatorTool": "FaithArchive", "xmpMM:History": [{"stEvt:action": "edited"}]}


def _exif(order: str, note: bytes) -> bytes:
    """A block with EXIF, GPS, a maker note and a thumbnail."""
    gps = [(0, 1, 4, b"\2\3\0\0"), (1, 2, 2, b"N\0"), (2, 5, 3, struct.pack(order + "6I", 52, 1, 30, 1, 0, 1))]
    exif = [(36867, 2, 20, b"1954:06:07 08:09:10\0"), (37500, 7, len(note), note), (37510, 7, 12, b"UNICODE\0\0a\0b"),
            (40962, 3, 1, struct.pack(order + "H", 50)), (41486, 5, 1, struct.pack(order + "II", 3000, 7))]  # fmt: skip
    first = [(271, 2, 6, b"Canon\0"), (274, 3, 1, struct.pack(order + "H", 6)), (34665, 4, 1, b""), (34853, 4, 1, b""),
             (282, 5, 1, struct.pack(order + "II", 300, 1)), (283, 5, 1, struct.pack(order + "II", 300, 1))]  # fmt: skip
    data = bytearray(
        tiff_structure(first, exif, gps, [(513, 4, 1, b""), (514, 4, 1, struct.pack(order + "I", 90))], order=order)
    )
    places = [8]
    for _ in range(3):
        (count,) = struct.unpack_from(order + "H", data, places[-1])
        at = places[-1] + 2 + 12 * count
        places.append(struct.unpack_from(order + "I", data, at)[0])
        struct.pack_into(order + "I", data, at, 0)
    for tag, value in ((34665, places[1]), (34853, places[2])):
        at = data.index(struct.pack(order + "HHI", tag, 4, 1))
        struct.pack_into(order + "I", data, at + 8, value)
    struct.pack_into(order + "I", data, 8 + 2 + 12 * len(first), places[3])
    struct.pack_into(order + "I", data, data.index(struct.pack(order + "HHI", 513, 4, 1)) + 8, len(data))
    return bytes(data) + bytes(90)


def _iim() -> bytes:
    sets = [
        (1, 90, b"\x1b%G"),
        (2, 120, "Mühle".encode()),
        (2, 25, b"mill"),
        (2, 25, b"brook"),
        (2, 55, b"19540607"),
        (2, 60, b"080910+0100"),
    ]
    return b"".join(struct.pack(">BBBH", 0x1C, record, number, len(data)) + data for record, number, data in sets)


def _resource(number: int, data: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + bytes(len(data) % 2)


@lru_cache(maxsize=1)
def blocks() -> tuple[tuple[str, bytes], ...]:
    """Whole blocks: (kind, bytes)."""
    packet = rdf(
        "<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>a</rdf:li></rdf:Alt></dc:title><xmpMM:History><rdf:Seq><rdf:li "
        "rdf:parseType='Resource'><m:x>b</m:x></rdf:li></rdf:Seq></xmpMM:History><tiff:Orientation>6</tiff:Orientation>",
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" xmlns:m="urn:m" '
        'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" m:a="c"',
    )
    notes = (b"Nikon\0\x02\x10\0\0MM\0*\0\0\0\x08\0\0", b"a note of no known kind" * 4)
    return (
        *(("exif", _exif(order, note)) for order in "<>" for note in notes),
        ("xmp", packet), ("xmp", packet.decode().encode("utf-16")), ("iptc", _iim()),
        ("photoshop", _resource(1028, _iim()) + _resource(1036, bytes(40)) + _resource(2000, b"path") + _resource(1034, b"\1")),
        ("text", b"Title\0\1\0de\0\0" + zlib.compress("Mühle".encode())), ("text", b"Comment\0\0\0\0\0plain"),
    )  # fmt: skip


def make_block(number: int) -> tuple[str, bytes]:
    """The block with a number: (kind, bytes). The kinds take turns, the damage is drawn by the number."""
    whole = blocks()
    kind, block = whole[number % len(whole)]
    rng, data = random.Random(number), bytearray(block)
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5, 9))):
        rng.choice(DAMAGE)(data, rng, [other for same, other in whole if same == kind])
    return kind, bytes(data)


def make_file(number: int) -> tuple[str, bytes]:
    """A sound file with the block of a number: (what it is, bytes)."""
    kind, block = make_block(number)
    formats = [format for format, kinds in _HOLDERS.items() if kind in kinds]
    format = formats[number // len(blocks()) % len(formats)]
    return f"{kind} in {format}", _FILES[format](kind, block)


def _jpeg(kind: str, block: bytes) -> bytes:
    marker, mark = {"exif": (0xE1, b"Exif\0\0"), "xmp": (0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
                    "photoshop": (0xED, b"Photoshop 3.0\0"), "text": (0xFE, b"")}[kind]  # fmt: skip
    parts = [mark + block[start : start + 60_000] for start in range(0, max(len(block), 1), 60_000)]
    return jpeg_with(*(jpeg_segment(marker, part) for part in parts))


def _png(kind: str, block: bytes) -> bytes:
    chunk = {
        "exif": lambda: png_chunk(b"eXIf", block),
        "xmp": lambda: png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + block),
        "text": lambda: png_chunk(b"iTXt", block),
        "photoshop": lambda: png_chunk(
            b"tEXt", b"Raw profile type iptc\0\niptc\n%d\n%s\n" % (len(block), block.hex().encode())
        ),
    }[kind]
    return png_file(noise(3), 2, 8, before=chunk())


def _tiff(kind: str, block: bytes) -> bytes:
    if kind == "exif":  # the block is a file without pixels: its tables come before those of the file
        return _pixels_into(block)
    tag = {"xmp": 700, "iptc": 33723, "photoshop": 34377}[kind]
    return tiff_file(noise(3), photometric="rgb", extratags=[(tag, 7, len(block), block, True)] if block else ())


def _pixels_into(block: bytes) -> bytes:
    """A TIFF of one black pixel whose EXIF and GPS tables are those of a block, wherever that says they are."""
    order = ">" if block[:2] == b"MM" else "<"
    at = max(8, len(block) + len(block) % 2)  # behind the file's own head
    tags = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, at), (277, 1), (278, 1), (279, 1)]
    tags += [
        (tag, int.from_bytes(block[place : place + 4], "little" if order == "<" else "big"))
        for tag, place in ((34665, 54), (34853, 66))
    ]
    table = struct.pack(order + "H", len(tags)) + b"".join(
        struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags
    )
    data = bytearray(block.ljust(at, b"\0") + bytes(2) + table + bytes(4))
    data[:8] = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", at + 2)
    return bytes(data)


def _webp(kind: str, block: bytes) -> bytes:
    return pillow_file(smooth(3), "WEBP", **{kind: block}) if block else pillow_file(smooth(3), "WEBP")


def _jp2(kind: str, block: bytes) -> bytes:
    plain = pillow_file(smooth(3), "JPEG2000")
    at = plain.index(b"jp2c") - 4
    mark = {"exif": EXIF_UUID, "xmp": XMP_UUID, "iptc": IPTC_UUID}[kind]
    return plain[:at] + struct.pack(">I", 24 + len(block)) + b"uuid" + mark + block + plain[at:]


_HOLDERS = {
    "JPEG": ("exif", "xmp", "photoshop", "text"), "PNG": ("exif", "xmp", "photoshop", "text"),
    "TIFF": ("exif", "xmp", "iptc", "photoshop"), "WEBP": ("exif", "xmp"), "JPEG2000": ("exif", "xmp", "iptc"),
}  # fmt: skip
_FILES = {"JPEG": _jpeg, "PNG": _png, "TIFF": _tiff, "WEBP": _webp, "JPEG2000": _jp2}


@lru_cache(maxsize=1)
def _plain_jp2() -> bytes:
    return pillow_file(smooth(3, (8, 8)), "JPEG2000")


def carry(number: int) -> tuple[str, int, float]:
    """Read the file of a number and write what it says into every format: what it is, blocks that were aside, seconds.

    Raises:
        Exception: whatever none may raise.
        AssertionError: a result cannot be read, or its blocks are broken.
    """
    made_of, data = make_file(number)
    started = time.perf_counter()
    with deadline(SECONDS, made_of):
        photo = decode(data, made_of, DecodeLimits(max_pixels=1_000_000, max_bytes=1 << 22, max_frames=100))
        found = Metadata.from_bytes(photo.metadata.to_bytes())
        facts = Facts(width=8, height=8, dpi=(600, 600), scale=2, orientation=photo.orientation)
        pixels = np.zeros((8, 8, 3), np.uint8)
        for format in RESULTS:
            blocks_of = fit_metadata(found, format, facts, _STATEMENT)
            result = (
                embed(_plain_jp2(), format, blocks_of)
                if format == "JPEG2000"
                else encode(pixels, format=format, dpi=(600, 600), metadata=blocks_of)
            )
            again = decode(result, "result", DecodeLimits())
            assert again.pixels.shape == (8, 8, 3)
            assert again.orientation == 1
            broken = [note.block for note in again.metadata.aside]
            assert not broken, (format, broken, again.warnings)
            assert bool(again.metadata.exif) == bool(blocks_of.exif) or format in ("TIFF", "WEBP"), format
            assert b"FaithArchive" in again.metadata.xmp
            assert again.metadata.iptc == blocks_of.iptc, format
    return made_of, len(photo.metadata.aside), time.perf_counter() - started


def fuzz(first: int, count: int) -> list[str]:
    """Carry a range; prints counts and the slowest, and gives a line for each fault."""
    kinds, aside, faults, slowest = Counter[str](), 0, list[str](), (0.0, -1)
    started = time.perf_counter()
    for number in range(first, first + count):
        try:
            made_of, left, seconds = carry(number)
        except Exception:
            faults.append(f"input {number} ({make_file(number)[0]}): {traceback.format_exc()}")
            continue
        kinds[made_of] += 1
        aside += bool(left)
        slowest = max(slowest, (seconds, number))
    print(*(f"{found:7d} {kind}" for kind, found in kinds.most_common()), sep="\n")
    took = time.perf_counter() - started
    print(f"{count} inputs in {took:.0f} s, {aside} with a block aside; slowest {slowest[0]:.2f} s: {slowest[1]}")
    print(f"{len(faults)} faults")
    return faults


if __name__ == "__main__":
    if sys.argv[2].isdigit():
        print(*fuzz(int(sys.argv[1]), int(sys.argv[2]))[:5], sep="\n")
    else:
        Path(sys.argv[2]).write_bytes(make_file(int(sys.argv[1]))[1])
