"""OpenEXR: light comes out exactly, goes back with the source frame's attributes, and damage is seen."""

from __future__ import annotations

import struct
from dataclasses import replace

import av
import numpy as np
import pytest
from frame_files import EXTRA, LIMITS, attribute, code_of, exr_file, light, opened, reel

from pipelines.errors import ItemError
from pipelines.media.film.sequence.encode import frame_encoder
from pipelines.media.film.sequence.exr import write_exr
from pipelines.media.film.sequence.formats import read_frame
from pipelines.media.film.sequence.transfer import srgb_decode, srgb_encode
from pipelines.media.limits import DecodeLimits


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("channels", ["RGB", "Y", "RGBA"])
def test_exr_comes_and_goes(channels: str, half: bool) -> None:
    planes = light(channels)
    if half:
        planes = {name: plane.astype(np.float16).astype(np.float32) for name, plane in planes.items()}
    data = exr_file(planes, half=half)
    pattern = "vfx/s.%d.exr"
    reader = opened(reel([1, 2], lambda number: data, pattern), [1, 2], pattern)
    frame = list(reader.scan())[1]
    order = "YYY" if channels == "Y" else "RGB"
    linear = np.stack([planes[name] for name in order], axis=2).astype(np.float64)
    np.testing.assert_array_equal(frame.pixels, np.rint(srgb_encode(linear) * 65535))
    facts = reader.facts
    assert (facts.format, facts.codec, facts.bit_depth, facts.transfer) == (
        "exr sequence", "exr", 16 if half else 32, "linear",
    )  # fmt: skip
    assert (facts.channels, facts.rate, facts.timecode) == (len(set(order)), "24000/1001", "01:02:03:04")
    assert any("channels were left out: A" in line for line in facts.warnings) == (channels == "RGBA")
    assert not any("clipped" in line for line in facts.warnings)
    # Restored: twice the size.
    restored = frame.pixels.repeat(2, axis=0).repeat(2, axis=1)
    result = frame_encoder(pattern, facts, LIMITS)(restored, data)
    again = read_frame(result, "restored.exr", LIMITS)
    np.testing.assert_array_equal(again.pixels, restored)
    assert again.kind == replace(again.kind, width=68, height=42, channels=facts.channels, bit_depth=facts.bit_depth)
    assert (again.rate, again.timecode) == (facts.rate, facts.timecode)
    for name, (form, value) in EXTRA.items():
        assert attribute(name, form, value) in result
    assert b"lavc" not in result
    assert struct.unpack_from("<I", result, 4)[0] & 0x400  # long names
    # FFmpeg, which knows nothing of our headers, reads the same light.
    codec = av.CodecContext.create("exr", "r")
    (decoded,) = [*codec.decode(av.Packet(result)), *codec.decode(None)]
    form = "<f2" if half else "<f4"
    plane = decoded.planes[0 if channels == "Y" else 2]
    red = np.frombuffer(memoryview(plane), form).reshape(42, -1)[:, :68]
    assert red == pytest.approx(srgb_decode(restored[..., 0] / 65535), rel=1e-3, abs=1e-6)


def test_attributes_of_unknown_types_are_kept_and_bytes_are_the_same_each_time() -> None:
    data = exr_file(light()).replace(b"owner\0string\0", b"owner\0vendor\0")
    pixels = read_frame(data, "a.exr", LIMITS).pixels
    result = write_exr(pixels, data)
    assert b"owner\0vendor\0" in result
    assert write_exr(pixels, data) == result
    np.testing.assert_array_equal(read_frame(result, "b.exr", LIMITS).pixels, pixels)


def tiled(planes: dict[str, np.ndarray], side: int) -> bytes:
    """An OpenEXR file of square tiles, uncompressed."""
    lined = exr_file(planes)
    height, width = planes["R"].shape
    end = struct.unpack_from("<Q", lined, len(lined) - height * (8 + 12 * width) - 8 * height)[0] - 8 * height
    head = lined[:4] + struct.pack("<I", 0x602) + lined[8 : end - 1]
    head += attribute(b"tiles", b"tiledesc", struct.pack("<IIB", side, side, 0)) + b"\0"
    blocks = []
    for top in range(0, height, side):
        for left in range(0, width, side):
            rows = range(top, min(top + side, height))
            body = b"".join(planes[name][row, left : left + side].tobytes() for row in rows for name in "BGR")
            blocks.append(struct.pack("<5i", left // side, top // side, 0, 0, len(body)) + body)
    starts = np.cumsum([len(head) + 8 * len(blocks), *(len(block) for block in blocks[:-1])])
    return head + starts.astype("<u8").tobytes() + b"".join(blocks)


def test_exr_of_tiles() -> None:
    data = tiled(light(), 16)
    np.testing.assert_array_equal(
        read_frame(data, "a.exr", LIMITS).pixels, read_frame(exr_file(light()), "a.exr", LIMITS).pixels
    )
    assert code_of(lambda: read_frame(data[:-1], "a.exr", LIMITS)).code == "truncated"
    lined = write_exr(read_frame(data, "a.exr", LIMITS).pixels, data)
    np.testing.assert_array_equal(read_frame(lined, "a.exr", LIMITS).pixels, read_frame(data, "a.exr", LIMITS).pixels)


def test_exr_light_beyond_white_is_counted() -> None:
    planes = light("RGB", top=2.0)
    planes["R"][0, 0], planes["G"][0, 0], planes["B"][0, 0] = np.nan, np.inf, -1
    data = exr_file(planes, extra={})
    reader = opened(reel([1], lambda number: data, "s%d.exr"), [1], "s%d.exr")
    (frame,) = reader.scan()
    assert frame.pixels[0, 0].tolist() == [0, 65535, 0]
    above = sum(int((plane > 1).sum()) for plane in planes.values())
    warnings = reader.facts.warnings
    assert f"{100 * above / (3 * 21 * 34):.3g} % of the scene-linear values are above 1 and were clipped" in warnings
    assert any("below 0 or no numbers" in line for line in warnings)
    assert any("24 a second were assumed" in line for line in warnings)


def test_exr_damage_is_seen() -> None:
    plain = exr_file({name: plane.round(1) for name, plane in light().items()})  # which ZIP makes smaller
    zipped = write_exr(read_frame(plain, "a.exr", LIMITS).pixels, plain)
    assert len(zipped) < len(plain) * 0.6
    assert read_frame(zipped, "a.exr", LIMITS).pixels.shape == (21, 34, 3)
    for data in (plain, zipped):
        for cut in (4, 30, 300, len(data) // 2, len(data) - 1):
            assert code_of(lambda data=data, cut=cut: read_frame(data[:cut], "a.exr", LIMITS)).code in {
                "truncated",
                "corrupt",
            }
    flipped = bytearray(zipped)
    flipped[-200] ^= 0x10  # only the checksum tells
    assert code_of(lambda: read_frame(bytes(flipped), "a.exr", LIMITS)).code == "corrupt"
    two = read_frame(exr_file(light(), window=(3, 2)), "a.exr", LIMITS)
    assert any("data window" in line for line in two.warnings)
    whole = read_frame(exr_file(light()), "a.exr", LIMITS).pixels
    np.testing.assert_array_equal(two.pixels, np.pad(whole, ((2, 0), (3, 0), (0, 0)))[:-2, :-3])
    table = len(plain) - 21 * (8 + 12 * 34) - 8 * 21
    swapped = plain[:table] + plain[table + 8 : table + 16] + plain[table : table + 8] + plain[table + 16 :]
    assert code_of(lambda: read_frame(swapped, "a.exr", LIMITS)).code == "corrupt"
    for names, form, why in ((b"BGR", 0, "whole numbers"), (b"G", 1, "half, others float")):
        odd = plain
        for name in names:
            odd = odd.replace(struct.pack("<BBi", name, 0, 2), struct.pack("<BBi", name, 0, form), 1)
        assert code_of(lambda odd=odd: read_frame(odd, "a.exr", LIMITS)).code == "unsupported", why
    assert code_of(lambda: read_frame(exr_file(light("ZN")), "a.exr", LIMITS)).code == "unsupported"
    assert code_of(lambda: read_frame(exr_file(light("RG")), "a.exr", LIMITS)).code == "unsupported"
    assert code_of(lambda: read_frame(plain, "a.exr", DecodeLimits(max_pixels=700))).code == "too_many_pixels"
    window = plain.index(b"dataWindow\0box2i\0") + len(b"dataWindow\0box2i\0") + 4
    wide = plain[:window] + struct.pack("<4i", 0, 0, 99_999, 99_999) + plain[window + 16 :]
    assert "the data window's 100000 x 100000 pixels" in code_of(lambda: read_frame(wide, "a.exr", LIMITS)).reason


def test_whatever_frame_comes_in_only_an_item_error_comes_out() -> None:
    random = np.random.default_rng(11)
    plain = exr_file(light())
    zipped = write_exr(read_frame(plain, "a.exr", LIMITS).pixels, plain)
    decoded = 0
    for number in range(300):
        data = bytearray((plain, zipped)[number % 2])
        for _ in range(int(random.integers(1, 5))):
            data[int(random.choice([random.integers(500), random.integers(len(data))]))] = random.integers(256)
        if number % 3 == 0:
            data = data[: random.integers(len(data))]
        try:
            frame = read_frame(bytes(data), "a.exr", DecodeLimits(max_pixels=10_000))
        except ItemError:
            continue
        decoded += 1
        assert frame.pixels.shape == (frame.kind.height, frame.kind.width, 3)
    assert 10 < decoded < 200
