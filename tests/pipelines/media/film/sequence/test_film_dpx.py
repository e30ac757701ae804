"""DPX: every layout comes out as stored, and goes back with the same header. FFmpeg's decoder is the second opinion."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from frame_files import ABGR, LAYOUTS, LUMA, RGB, RGBA, SAMPLES, SIZES, codes_of, dpx_file, ffmpeg_codes

from pipelines.errors import ItemError
from pipelines.media.film.sequence.dpx import read_dpx, write_dpx
from pipelines.media.film.sequence.frame import FrameFile
from pipelines.media.film.sequence.transfer import from_display, log_to_display, log_to_linear, to_display
from pipelines.media.limits import DecodeLimits


def read(data: bytes, **limits: int) -> FrameFile:
    return read_dpx(data, "reel/shot.0001.dpx", DecodeLimits(**limits))


def spread(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes over the whole range of 16 bits."""
    return np.rint(codes / ((1 << bits) - 1) * 65535).astype(np.uint16)


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("descriptor", [LUMA, RGB, RGBA, ABGR])
@pytest.mark.parametrize(("bits", "packing"), LAYOUTS)
def test_every_layout_is_exact(bits: int, packing: int, descriptor: int, order: str) -> None:
    codes = codes_of(bits, SAMPLES[descriptor])
    frame = read(dpx_file(codes, bits, packing=packing, descriptor=descriptor, order=order))
    expected = {LUMA: codes.repeat(3, axis=2), RGB: codes, RGBA: codes[..., :3], ABGR: codes[..., :0:-1]}[descriptor]
    assert frame.pixels.dtype == np.uint16
    np.testing.assert_array_equal(frame.pixels, spread(expected, bits))
    kind = frame.kind
    assert (kind.format, kind.codec, kind.width, kind.height, kind.bit_depth) == ("DPX", "dpx", 17, 7, bits)
    assert (kind.channels, kind.transfer, kind.primaries) == (1 if descriptor == LUMA else 3, "bt709", "bt709")
    assert (frame.rate, frame.timecode, frame.pixel_aspect) == ("24/1", "01:02:03:04", "1/1")
    assert frame.warnings == (("the alpha channel was left out",) if descriptor in (RGBA, ABGR) else ())


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("descriptor", [LUMA, RGB, RGBA])
@pytest.mark.parametrize(("bits", "packing"), LAYOUTS)
def test_ffmpeg_agrees(bits: int, packing: int, descriptor: int, order: str) -> None:
    data = dpx_file(codes_of(bits, SAMPLES[descriptor]), bits, packing=packing, descriptor=descriptor, order=order)
    theirs = ffmpeg_codes(data, bits)
    theirs = theirs.repeat(3, axis=2) if theirs.shape[2] == 1 else theirs[..., :3]
    np.testing.assert_array_equal(from_display(read(data).pixels, bits, "none"), theirs)
    enlarged = write_dpx(spread(codes_of(bits, 3, (14, 34), seed=5), bits), data)
    if descriptor != LUMA:
        np.testing.assert_array_equal(ffmpeg_codes(enlarged, bits)[..., :3], codes_of(bits, 3, (14, 34), seed=5))


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("descriptor", [LUMA, RGB])
@pytest.mark.parametrize(("bits", "packing"), LAYOUTS)
@pytest.mark.parametrize("transfer", [1, 2, 6])
def test_the_same_size_gives_the_same_bytes(
    transfer: int, bits: int, packing: int, descriptor: int, order: str
) -> None:
    layout = {"packing": packing, "descriptor": descriptor, "order": order, "transfer": transfer}
    codes = codes_of(bits, SAMPLES[descriptor])
    if bits == 16 and transfer < 3:
        codes &= 0xFFF0  # a curve does not hold apart all of 65536 codes
    data = dpx_file(codes, bits, user=b"edge code KJ 12 3456" * 50, tail=b"end of file", **layout)
    again = write_dpx(read(data).pixels, data)
    if bits == 16 and transfer < 3:
        assert again[:3048] == data[:3048]
        assert abs(codes.astype(int) - ffmpeg_codes(again, bits)).max() <= 1
    else:
        assert again == data


@pytest.mark.parametrize("seed", range(20))
def test_only_sizes_of_the_header_change(seed: int) -> None:
    random = np.random.default_rng(seed)
    bits, packing = LAYOUTS[seed % len(LAYOUTS)]
    order = "<>"[seed // 6 % 2]
    user = random.bytes(int(random.integers(0, 9000)))
    data = dpx_file(
        codes_of(bits, 3), bits, packing=packing, order=order, orientation=seed % 8, user=user, tail=b"tail", seed=seed
    )
    source = read(data)
    enlarged = source.pixels.repeat(3, axis=0).repeat(3, axis=1)
    result = write_dpx(enlarged, data)
    start = 2048 + len(user)
    changed = [at for at in range(start) if result[at] != data[at]]
    assert changed
    assert all(any(first <= at < end for first, end in SIZES) for at in changed)
    assert struct.unpack_from(f"{order}II", result, 772) == (17 * 3, 7 * 3)
    assert struct.unpack_from(f"{order}I", result, 16)[0] == len(result)
    assert result.endswith(b"tail")
    np.testing.assert_array_equal(read(result).pixels, enlarged)
    assert read(result).timecode == source.timecode == "01:02:03:04"


def test_sizes_of_the_original_grow_with_the_picture() -> None:
    def place(*values: float) -> dict[int, bytes]:
        return {1408: struct.pack(">IIffII", *values)}

    codes = codes_of(10, 3)
    for before, after in [
        (place(0, 0, 8.5, 3.5, 17, 7), place(0, 0, 17.0, 7.0, 34, 14)),
        (place(100, 50, 960.5, 540.5, 1920, 1080), place(200, 100, 1921.0, 1081.0, 3840, 2160)),
        ({1408: b"\xff" * 24}, {1408: b"\xff" * 24}),  # undefined stays undefined
    ]:
        result = write_dpx(spread(codes_of(10, 3, (14, 34)), 10), dpx_file(codes, 10, fields=before))
        assert result[1408:1432] == after[1408]


def test_alpha_is_left_out_of_the_result() -> None:
    for descriptor in (RGBA, ABGR):
        data = dpx_file(codes_of(16, 4), 16, descriptor=descriptor)
        result = write_dpx(read(data).pixels, data)
        assert (data[800], result[800]) == (descriptor, RGB)
        np.testing.assert_array_equal(read(result).pixels, read(data).pixels)
        assert len(result) == len(data) - 7 * (17 * 8 - (17 * 6 + 2))  # lines of RGB are filled up to 32 bits


@pytest.mark.parametrize("orientation", range(8))
def test_orientation(orientation: int) -> None:
    codes = codes_of(12, 3)
    # In the words of SMPTE 268M: where pixels of a line run, and where lines follow each other.
    expected = {
        0: codes,
        1: codes[:, ::-1],
        2: codes[::-1],
        3: codes[::-1, ::-1],
        4: codes.transpose(1, 0, 2),
        5: codes.transpose(1, 0, 2)[:, ::-1],
        6: codes.transpose(1, 0, 2)[::-1],
        7: codes.transpose(1, 0, 2)[::-1, ::-1],
    }[orientation]
    data = dpx_file(codes, 12, orientation=orientation, fields={1628: struct.pack(">II", 2, 1)})
    frame = read(data)
    np.testing.assert_array_equal(frame.pixels, spread(expected, 12))
    assert (frame.kind.height, frame.kind.width) == expected.shape[:2]
    assert frame.pixel_aspect == ("2/1" if orientation < 4 else "1/2")
    assert frame.kind.rotation == {3: 180, 5: 90, 6: 270}.get(orientation, 0)
    assert write_dpx(frame.pixels, data) == data


@pytest.mark.parametrize("transfer", [1, 3])
def test_log_is_shown_as_light_and_comes_back_exactly(transfer: int) -> None:
    codes = np.arange(1024, dtype=np.uint16).reshape(32, 32)[..., None].repeat(3, axis=2)
    data = dpx_file(codes, 10, transfer=transfer)
    frame = read(data)
    assert frame.kind.transfer == "log (Cineon printing density)"
    assert any("log code values" in line for line in frame.warnings)
    shown = frame.pixels[..., 0].ravel().astype(int)
    assert (shown[0], shown[-1]) == (0, 65535)
    assert np.diff(shown).min() >= 20  # each code is told from the next, far above rounding
    assert write_dpx(frame.pixels, data) == data
    # Small errors of restoring stay small: a display level of 8 bits is a few code values.
    near = write_dpx(frame.pixels // 257 * 257, data)
    assert abs(ffmpeg_codes(near, 10).astype(int) - codes).max() <= 13


def test_the_log_curve_is_that_of_cineon() -> None:
    linear = log_to_linear(np.array([95, 470, 685, 1023]))
    # An 18 % grey card has code 470; 1023 is 13.5 times white.
    assert linear == pytest.approx([0, 0.18, 1, 13.52], abs=0.01)
    assert log_to_linear(np.array([0]))[0] < 0
    shown = log_to_display(np.arange(1024))
    steps = np.diff(shown)
    assert (steps > 0).all()
    assert (abs(np.diff(steps)) < 0.08 * steps[:-1]).all()  # no kink anywhere
    assert shown[95] == pytest.approx(0.05, abs=0.001)
    assert shown[685] == pytest.approx(0.735, abs=0.001)


@pytest.mark.parametrize(("bits", "error"), [(8, 0), (10, 0), (12, 0), (16, 1)])
@pytest.mark.parametrize("curve", ["log", "linear", "none"])
def test_curves_go_back(curve: str, bits: int, error: int) -> None:
    codes = np.arange(1 << bits)
    back = from_display(to_display(codes, bits, curve), bits, curve)  # type: ignore[arg-type]
    assert abs(back.astype(int) - codes).max() <= error


def test_linear_goes_through_the_srgb_curve() -> None:
    codes = np.array([[[0, 32768, 65535]]], np.uint16)
    frame = read(dpx_file(codes, 16, transfer=2))
    assert (frame.pixels.ravel() / 65535).tolist() == pytest.approx([0, 0.7354, 1], abs=1e-4)
    assert frame.kind.transfer == "linear"


def test_an_open_transfer_is_assumed() -> None:
    for code in (0, 4, 11, 255):
        frame = read(dpx_file(codes_of(10, 3), 10, transfer=code))
        assert (frame.kind.transfer, frame.kind.assumed) == ("bt709", ("transfer",))
        np.testing.assert_array_equal(frame.pixels, spread(codes_of(10, 3), 10))
        assert any("leaves the transfer open" in line for line in frame.warnings)


@pytest.mark.parametrize(
    ("fields", "rate"),
    [
        ({1724: struct.pack(">f", 23.976)}, "24000/1001"),
        ({1724: struct.pack(">f", 24000 / 1001)}, "24000/1001"),
        ({1724: struct.pack(">f", 29.97)}, "30000/1001"),
        ({1724: struct.pack(">f", 18)}, "18/1"),
        ({1724: struct.pack(">f", 16.5)}, "33/2"),
        ({1724: b"\xff" * 4, 1940: struct.pack(">f", 25)}, "25/1"),
        ({1724: struct.pack(">f", 0), 1940: struct.pack(">f", 1e20)}, ""),
        ({1724: struct.pack(">f", -24), 1940: struct.pack(">f", float("inf"))}, ""),
    ],
)
def test_rate(fields: dict[int, bytes], rate: str) -> None:
    assert read(dpx_file(codes_of(10, 3), 10, fields=fields)).rate == rate


@pytest.mark.parametrize(
    ("word", "rate", "timecode"),
    [
        (0x23595924, 0, "23:59:59:24"),
        (0x10000000, 0, "10:00:00:00"),
        (0, 25, "00:00:00:00"),
        (0, 0, ""),  # a part that was never filled in
        (0xFFFFFFFF, 25, ""),
        (0x24000000, 25, ""),
        (0x00600000, 25, ""),
        (0x0000A000, 25, ""),
    ],
)
def test_timecode(word: int, rate: float, timecode: str) -> None:
    fields = {1920: struct.pack(">I", word), 1940: struct.pack(">f", rate)}
    assert read(dpx_file(codes_of(10, 3), 10, fields=fields)).timecode == timecode


def test_a_header_without_the_part_on_film() -> None:
    data = dpx_file(codes_of(10, 3), 10)
    short = data[:4] + struct.pack(">I", 1664) + data[8:808] + struct.pack(">I", 1664) + data[812:1664] + data[2048:]
    frame = read(short)
    assert (frame.rate, frame.timecode) == ("", "")
    np.testing.assert_array_equal(frame.pixels, read(data).pixels)
    assert len(write_dpx(frame.pixels, short)) == len(short)


@pytest.mark.parametrize(("element", "file"), [(2148, 0xFFFFFFFF), (0xFFFFFFFF, 2148), (0, 2148), (2148, 2048)])
def test_where_the_pixels_begin(element: int, file: int) -> None:
    codes = codes_of(10, 3)
    fields = {4: struct.pack(">I", file), 808: struct.pack(">I", element)}
    data = dpx_file(codes, 10, user=b"u" * 100, fields=fields)
    np.testing.assert_array_equal(read(data).pixels, spread(codes, 10))
    assert write_dpx(read(data).pixels, data) == data


@pytest.mark.parametrize(("multiple", "padding", "declared"), [(4, 0, 12), (4, 12, 12), (1, 0, 0), (4, 0, 0xABCDEF01)])
def test_lines_are_found_as_they_lie(multiple: int, padding: int, declared: int) -> None:
    codes = codes_of(8, 3)
    data = dpx_file(codes, 8, multiple=multiple, padding=padding, declared=declared)
    np.testing.assert_array_equal(read(data).pixels, codes * np.uint16(257))
    assert write_dpx(read(data).pixels, data) == data


def test_damage() -> None:
    data = dpx_file(codes_of(8, 3), 8)

    def code(data: bytes, **limits: int) -> str:
        with pytest.raises(ItemError, match=r"shot\.0001\.dpx: .*;") as caught:
            read(data, **limits)
        return caught.value.code

    assert code(b"") == "empty"
    assert code(data[:1000]) == "truncated"
    assert code(data[:2048]) == "truncated"
    # One byte is missing, and then as many as would make lines without gaps of it.
    assert {code(data[:-missing]) for missing in (1, 7, 8, 100)} == {"truncated"}
    unsized = dpx_file(codes_of(8, 3), 8, fields={16: b"\xff" * 4})
    assert {code(unsized[:-missing]) for missing in (1, 3, 6, 8)} == {"truncated"}
    assert code(b"JUNK" + data[4:]) == "not_an_image"
    assert code(data, max_pixels=7 * 17 - 1) == "too_many_pixels"
    assert code(data, max_bytes=len(data) - 1) == "too_many_bytes"
    assert code(dpx_file(codes_of(8, 3), 8, fields={772: b"\0\0\0\0"})) == "zero_size"
    assert code(dpx_file(codes_of(8, 3), 8, fields={776: b"\xff" * 4})) == "corrupt"
    assert code(dpx_file(codes_of(8, 3), 8, fields={772: b"\x7f" * 4})) == "too_many_pixels"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({770: b"\0\2"}, "2 image elements"),
        ({780: b"\0\0\0\1"}, "signed"),
        ({800: b"\x64"}, "kind 100"),
        ({803: b"\x20"}, "32 bits"),
        ({804: b"\0\0"}, "packed without filling"),
        ({806: b"\0\1"}, "run-length"),
    ],
)
def test_what_is_not_supported_says_why(fields: dict[int, bytes], why: str) -> None:
    with pytest.raises(ItemError, match=f"^unsupported: reel/shot.0001.dpx: .*{why}.*; convert the sequence"):
        read(dpx_file(codes_of(10, 3), 10, fields=fields))


def test_whatever_comes_in_only_an_item_error_comes_out() -> None:
    random = np.random.default_rng(7)
    sources = [dpx_file(codes_of(bits, 3), bits, packing=p, order=o) for bits, p in LAYOUTS for o in "<>"]
    decoded = 0
    for number in range(600):
        data = bytearray(sources[number % len(sources)])
        for _ in range(int(random.integers(1, 6))):
            at = int(random.choice([random.integers(0, 40), random.integers(768, 830), random.integers(len(data))]))
            data[at] = random.integers(256)
        if number % 3 == 0:
            data = data[: random.integers(len(data))]
        try:
            frame = read(bytes(data), max_pixels=10_000)
        except ItemError:
            continue
        decoded += 1
        assert frame.pixels.shape == (frame.kind.height, frame.kind.width, 3)
        assert len(write_dpx(frame.pixels, bytes(data))) <= len(data)
    assert 100 < decoded < 500


def test_a_source_that_is_no_dpx_cannot_lend_its_header() -> None:
    with pytest.raises(ItemError, match=r"^encode_error: the source frame's header cannot be used: does not begin"):
        write_dpx(np.zeros((4, 4, 3), np.uint16), b"\x89PNG" + bytes(3000))
