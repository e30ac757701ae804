"""Frames of sequences for tests: DPX and OpenEXR as their standards describe them, and a store that counts what is read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest

from pipelines.errors import ItemError
from pipelines.media.film.facts import FilmOptions
from pipelines.media.film.sequence.names import frame_path
from pipelines.media.film.sequence.reader import SequenceReader, open_sequence
from pipelines.media.limits import DecodeLimits

LUMA, RGB, RGBA, ABGR = 6, 50, 51, 52
SAMPLES = {LUMA: 1, RGB: 3, RGBA: 4, ABGR: 4}
SMALL = (7, 17)  # no multiple of anything: what fills lines and words shows
# Fields that the writer may set: file size; pixels and lines; place in the original, its centre and size.
SIZES = [(16, 20), (772, 780), (1408, 1432)]
LAYOUTS = [(8, 0), (10, 1), (10, 2), (12, 1), (12, 2), (16, 0)]  # bits and packing


def codes_of(bits: int, samples: int, size: tuple[int, int] = SMALL, seed: int = 0) -> np.ndarray:
    """Random code values, uint16 [height, width, samples], with both ends of the range."""
    codes = np.random.default_rng(seed).integers(0, 1 << bits, (*size, samples), dtype=np.uint16)
    codes[0, 0], codes[-1, -1] = 0, (1 << bits) - 1
    return codes


def pixel_bytes(codes: np.ndarray, bits: int, packing: int, order: str, multiple: int = 4, padding: int = 0) -> bytes:
    """Lines of samples, one sample at a time as the standard describes them."""
    out = bytearray()
    for line in codes.reshape(len(codes), -1).tolist():
        start = len(out)
        if bits == 8:
            out += bytes(line)
        elif bits == 10:
            for at in range(0, len(line), 3):
                three = [*line[at : at + 3], 0, 0][:3]
                if codes.shape[2] == 1:
                    three = three[::-1]
                word = three[0] << 20 | three[1] << 10 | three[2]
                out += struct.pack(f"{order}I", word << 2 if packing == 1 else word)
        else:
            shift = 4 if bits == 12 and packing == 1 else 0
            out += b"".join(struct.pack(f"{order}H", value << shift) for value in line)
        out += b"\0" * (-(len(out) - start) % multiple + padding)
    return bytes(out)


def dpx_file(
    codes: np.ndarray,
    bits: int,
    *,
    packing: int = 1,
    descriptor: int = RGB,
    order: str = ">",
    transfer: int = 6,
    orientation: int = 0,
    user: bytes = b"",
    tail: bytes = b"",
    multiple: int = 4,
    padding: int = 0,
    declared: int | None = None,
    fields: dict[int, bytes] | None = None,
    seed: int = 1,
) -> bytes:
    """A DPX file of stored code values whose other metadata is random."""
    header = bytearray(np.random.default_rng(seed).bytes(2048)) + user
    body = pixel_bytes(codes, bits, packing, order, multiple, padding)

    def put(form: str, at: int, *values: float) -> None:
        struct.pack_into(order + form, header, at, *values)

    header[:4] = b"SDPX" if order == ">" else b"XPDS"
    put("I", 4, len(header))
    header[8:16] = b"V2.0\0\0\0\0"
    put("I", 16, len(header) + len(body) + len(tail))
    put("HHII", 768, orientation, 1, codes.shape[1], codes.shape[0])
    put("I", 780, 0)
    put("BBBBHH", 800, descriptor, transfer, 6, bits, packing, 0)
    put("II", 808, len(header), 0xFFFFFFFF if declared is None else declared)
    put("II", 1628, 1, 1)
    put("f", 1724, 24.0)
    put("IIBB", 1920, 0x01020304, 0, 0, 0)
    for at, value in (fields or {}).items():
        header[at : at + len(value)] = value
    return bytes(header) + body + tail


def ffmpeg_codes(data: bytes, bits: int) -> np.ndarray:
    """What FFmpeg reads, as code values [height, width, samples in the order red, green, blue or grey]."""
    codec = av.CodecContext.create("dpx", "r")
    (frame,) = [*codec.decode(av.Packet(data)), *codec.decode(None)]
    name = frame.format.name
    kind = "u1" if bits == 8 else ">u2" if name.endswith("be") else "<u2"
    across = {"gray": 1, "rgb2": 3, "rgb4": 3, "rgba": 4, "abgr": 4, "gbrp": 1, "gbra": 1}[name[:4]]
    planes = []
    for plane in frame.planes:
        lines = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : frame.width * across]
        planes.append(lines.reshape(frame.height, frame.width, across).astype(np.uint16))
    if len(planes) > 1:
        return np.concatenate([planes[2], planes[0], planes[1]], axis=2)
    return planes[0][..., {"abgr": (3, 2, 1), "rgba": (0, 1, 2)}.get(name[:4], tuple(range(across)))]


def attribute(name: bytes, kind: bytes, value: bytes) -> bytes:
    return name + b"\0" + kind + b"\0" + struct.pack("<i", len(value)) + value


EXTRA = {
    b"owner": (b"string", b"an archive"),
    b"framesPerSecond": (b"rational", struct.pack("<iI", 24000, 1001)),
    b"timeCode": (b"timecode", struct.pack("<II", 0x01020304 | 0x80, 0)),
    b"a name of more than thirty-one letters": (b"string", b"long"),
}


def exr_file(
    planes: dict[str, np.ndarray],
    *,
    half: bool = False,
    compression: int = 0,
    extra: dict[bytes, tuple[bytes, bytes]] | None = None,
    window: tuple[int, int] = (0, 0),
) -> bytes:
    """An uncompressed OpenEXR file, as the format's own description has it."""
    height, width = next(iter(planes.values())).shape
    kind, type_ = (1, "<f2") if half else (2, "<f4")
    names = sorted(planes)
    channels = b"".join(name.encode() + b"\0" + struct.pack("<iIii", kind, 0, 1, 1) for name in names) + b"\0"
    left, top = window
    box = struct.pack("<4i", left, top, left + width - 1, top + height - 1)
    head = b"v/1\x01" + struct.pack("<I", 0x402)
    head += attribute(b"channels", b"chlist", channels) + attribute(
        b"compression", b"compression", bytes([compression])
    )
    head += attribute(b"dataWindow", b"box2i", box)
    head += attribute(b"displayWindow", b"box2i", struct.pack("<4i", 0, 0, width - 1, height - 1))
    head += attribute(b"lineOrder", b"lineOrder", b"\0") + attribute(
        b"pixelAspectRatio", b"float", struct.pack("<f", 1)
    )
    head += attribute(b"screenWindowCenter", b"v2f", bytes(8))
    head += attribute(b"screenWindowWidth", b"float", struct.pack("<f", 1))
    for name, (form, value) in (EXTRA if extra is None else extra).items():
        head += attribute(name, form, value)
    head += b"\0"
    lines = []
    for line in range(height):
        body = b"".join(planes[name][line].astype(type_).tobytes() for name in names)
        lines.append(struct.pack("<ii", top + line, len(body)) + body)
    start = len(head) + 8 * height
    table = b"".join(struct.pack("<Q", start + line * len(lines[0])) for line in range(height))
    return head + table + b"".join(lines)


def light(channels: str = "RGB", top: float = 1.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {name: (rng.random((21, 34)) * top).astype(np.float32) for name in channels}


SIZE = (48, 64)
PATTERN = "reel/shot.%04d.dpx"
LIMITS = DecodeLimits()


class Files(dict[str, bytes]):
    """A store that counts what is read of it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.read: list[str] = []

    def __call__(self, path: str) -> bytes:
        self.read.append(path)
        if path not in self:
            raise FileNotFoundError(path)
        return self[path]


def dpx(number: int, bits: int = 10, size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    return dpx_file(codes_of(bits, 3, size, seed=number), bits, seed=number, **options)


def reel(numbers: list[int], make: Callable[[int], bytes] = dpx, pattern: str = PATTERN) -> Files:
    return Files({frame_path(pattern, number): make(number) for number in numbers})


def opened(files: Files, numbers: list[int], pattern: str = PATTERN, **options: Any) -> SequenceReader:
    return open_sequence(pattern, numbers, files, FilmOptions(**options), LIMITS)


def code_of(call: Callable[[], object]) -> ItemError:
    with pytest.raises(ItemError) as caught:
        call()
    return caught.value
