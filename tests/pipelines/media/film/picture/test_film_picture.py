"""Pictures of written films have the right colours, depth, size and shape."""

from __future__ import annotations

import zlib
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from written_films import (
    HEIGHT,
    KINDS,
    WIDTH,
    decoded,
    facts,
    packets,
    picture,
    rgb_of,
    sound_of,
    source,
    timeline,
    write,
)

from pipelines.media.film.picture.planes import to_bits, to_yuv
from pipelines.media.film.write.comparison import ComparisonWriter


@pytest.mark.parametrize(("bits", "format"), [(8, "gbrp10le"), (10, "gbrp10le"), (12, "gbrp16le"), (16, "gbrp16le")])
def test_ffv1_loses_nothing(tmp_path: Path, bits: int, format: str) -> None:
    top = (1 << bits) - 1
    rng = np.random.default_rng(bits)
    codes = rng.integers(0, top + 1, (12, HEIGHT, WIDTH, 3))
    widened = np.rint(codes * (65535 / top)).astype(np.uint16)
    write(
        tmp_path / "film", "ffv1", timeline(range(12), 1), facts(bit_depth=bits), frame=lambda number: widened[number]
    )
    with av.open(str(tmp_path / "film")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == format
        stored = np.stack([frame.to_ndarray() for frame in container.decode(video=0)]).astype(int)
    np.testing.assert_array_equal(np.rint(stored * top / (1023 if format == "gbrp10le" else 65535)), codes)
    if format == "gbrp16le":
        np.testing.assert_array_equal(stored, widened)


def test_bits_can_be_chosen(tmp_path: Path) -> None:
    for bits, depth in ((16, 8), (10, 16)):
        write(tmp_path / "film", "ffv1", timeline([0], 1), facts(bit_depth=depth), bits=bits)
        (stored,) = decoded(tmp_path / "film")
        np.testing.assert_array_equal(stored, to_bits(picture(0), bits))


@pytest.mark.parametrize(("depth", "format"), [(8, "gray10le"), (16, "gray16le")])
def test_grey_stays_grey(tmp_path: Path, depth: int, format: str) -> None:
    def grey(number: int) -> np.ndarray:
        return np.repeat(picture(number)[..., :1], 3, axis=2)

    writer = write(tmp_path / "film", "ffv1", timeline(range(3), 1), facts(channels=1, bit_depth=depth), frame=grey)
    stored = decoded(tmp_path / "film", format)
    np.testing.assert_array_equal(
        stored, [to_bits(grey(number)[..., 0], 10 if depth == 8 else 16) for number in range(3)]
    )
    assert writer.warnings == []
    writer = write(tmp_path / "film", "ffv1", timeline(range(3), 1), facts(channels=1, bit_depth=16))
    assert "grey" in writer.warnings[0]
    np.testing.assert_allclose(decoded(tmp_path / "film", "gray16le")[0], picture(0).mean(axis=2), atol=0.51)


@pytest.mark.parametrize("kind", ["prores", "h264"])
@pytest.mark.parametrize(
    ("matrix", "primaries", "codes"),
    [
        ("smpte170m", "smpte170m", (6, 6)),
        ("bt470bg", "bt470bg", (5, 5)),
        ("bt709", "bt709", (1, 1)),
        ("bt2020nc", "bt2020", (9, 9)),
    ],
)
def test_solid_colours_are_right(
    tmp_path: Path, kind: str, matrix: str, primaries: str, codes: tuple[int, int]
) -> None:
    colours = np.array([(r, g, b) for r in (0, 30000, 65535) for g in (0, 30000, 65535) for b in (0, 30000, 65535)])
    given = facts(matrix=matrix, primaries=primaries, transfer="smpte170m", colour_range="limited")

    def solid(number: int) -> np.ndarray:
        return np.broadcast_to(colours[number].astype(np.uint16), (HEIGHT, WIDTH, 3))

    write(tmp_path / "film", kind, timeline(range(len(colours)), 1), given, frame=solid)
    bits = 10 if kind == "prores" else 8
    for got, wanted in zip(rgb_of(tmp_path / "film", matrix, bits), colours, strict=True):
        # Two codes of the result, of 219 or 876 that luma has.
        np.testing.assert_allclose(got[HEIGHT // 2, WIDTH // 2], wanted / 65535, atol=2 * 2 / (219 << (bits - 8)))
    with av.open(str(tmp_path / "film")) as container:
        context = container.streams.video[0].codec_context
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        assert tags == (codes[1], 6, codes[0], 1)


@pytest.mark.parametrize(("kind", "decibels"), [("prores", 42), ("h264", 36)])
def test_lossy_formats_stay_close(tmp_path: Path, kind: str, decibels: float) -> None:
    write(tmp_path / "film", kind, timeline(range(12), 1), facts(matrix="bt709"))
    frames = rgb_of(tmp_path / "film", "bt709", 10 if kind == "prores" else 8)
    error = np.mean([np.square(got - picture(number) / 65535)[:, ::2].mean() for number, got in enumerate(frames)])
    assert -10 * np.log10(error) > decibels


@pytest.mark.parametrize("lines", [719, 720])
def test_large_pictures_of_sd_sources_are_bt709(tmp_path: Path, lines: int) -> None:
    given = facts(matrix="smpte170m", primaries="smpte170m")
    write(tmp_path / "film", "prores", timeline([0], 1), given, frame=lambda _: np.zeros((lines, 32, 3), np.uint16))
    with av.open(str(tmp_path / "film")) as container:
        assert container.streams.video[0].codec_context.colorspace == (1 if lines == 720 else 6)


def test_chroma_is_where_it_belongs() -> None:
    """A ramp keeps its values at the left one of two pixels, and in 4:2:0 between two rows: nothing is shifted."""
    ramp = np.zeros((32, 64, 3), np.uint16)
    ramp[..., 0] = np.arange(64) * 500 + np.arange(32)[:, None] * 900
    whole = to_yuv(ramp[:, :1].repeat(2, axis=1), "bt709", 16, halve_rows=False)
    _, _, red = to_yuv(ramp, "bt709", 16, halve_rows=False)
    slope = 500 * 0.5 * 224 / 255.99
    expected = whole[2][:, :1] + np.arange(32) * 2 * slope
    np.testing.assert_allclose(red[:, 2:-2], expected[:, 2:-2], atol=3)
    _, _, both = to_yuv(ramp, "bt709", 16, halve_rows=True)
    middle = (expected[::2] + expected[1::2]) / 2
    np.testing.assert_allclose(both[1:-1, 2:-2], middle[1:-1, 2:-2], atol=3)


@pytest.mark.parametrize(
    ("height", "width", "sides"), [(33, 75, "row and column"), (48, 75, "column"), (33, 64, "row")]
)
def test_odd_sides(tmp_path: Path, height: int, width: int, sides: str) -> None:
    def odd(number: int) -> np.ndarray:
        return picture(number, height, width)

    for kind in KINDS:
        writer = write(tmp_path / "film", kind, timeline(range(4), 1), facts(bit_depth=16), frame=odd)
        with av.open(str(tmp_path / "film")) as container:
            size = container.streams.video[0].height, container.streams.video[0].width
        if kind == "ffv1":
            np.testing.assert_array_equal(decoded(tmp_path / "film"), [odd(number) for number in range(4)])
        else:
            frame = rgb_of(tmp_path / "film", "bt709", 8 if kind == "h264" else 10)[2][:height, :width]
            assert abs(frame[:, ::2] - odd(2)[:, ::2] / 65535).mean() < 0.02
        even = height + height % 2, width + width % 2
        assert size == (even if kind == "h264" else (height, width))
        doubled = f"H.264 has even sides only: the last {sides} is there twice"
        assert writer.warnings == ([doubled] if kind == "h264" else [])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("aspect", "width", "height", "display"),
    [
        ("16/15", 720, 576, (768, 576, 0)),
        ("32/27", 720, 480, (16, 9, 3)),
        ("10/11", 704, 480, (640, 480, 0)),
        ("16/15", 64, 48, (64, 45, 3)),
        ("2/1", 1920, 34, (3840, 34, 0)),
        ("1/1", 64, 48, None),
    ],
)
def test_pixels_keep_their_shape(
    tmp_path: Path, kind: str, aspect: str, width: int, height: int, display: tuple[int, int, int] | None
) -> None:
    def still(_: int) -> np.ndarray:
        return np.zeros((height, width, 3), np.uint16)

    writer = write(tmp_path / "film", kind, timeline(range(2), 1), facts(pixel_aspect=aspect), frame=still)
    with av.open(str(tmp_path / "film")) as container:
        video = container.streams.video[0]
        assert (video.sample_aspect_ratio or 1) == Fraction(aspect)
        assert len(list(container.decode(video))) == 2
        assert "stereo_mode" not in video.metadata
    assert writer.left_out == []
    if kind == "ffv1":
        assert display_of((tmp_path / "film").read_bytes()) == display


def display_of(data: bytes) -> tuple[int, int, int] | None:
    """DisplayWidth, DisplayHeight and DisplayUnit in a Matroska header, after a look at the header's checksum."""
    first = (
        data.index(b"\x16\x54\xae\x6b", data.index(b"\x15\x49\xa9\x66", 100)) + 4
    )  # behind Info; SeekHead names both
    length = 9 - data[first].bit_length()
    size = int.from_bytes(data[first : first + length], "big") & ((1 << 7 * length) - 1)
    tracks = data[first + length : first + length + size]
    assert tracks[:2] == b"\xbf\x84"
    assert zlib.crc32(tracks[6:]).to_bytes(4, "little") == tracks[2:6]
    values = []
    for element in (b"\x54\xb0", b"\x54\xba", b"\x54\xb2"):
        place = tracks.find(element)
        digits = tracks[place + 2] & 0x7F
        values.append(int.from_bytes(tracks[place + 3 : place + 3 + digits], "big") if place >= 0 else 0)
    return (values[0], values[1], values[2]) if values[0] else None


def test_a_comparison_shows_both(tmp_path: Path) -> None:
    original = source(tmp_path / "source", "mov", "pcm_s16le")
    small = np.full((HEIGHT, WIDTH, 3), (200, 40, 40), np.uint8)
    large = np.full((4 * HEIGHT, 4 * WIDTH, 3), (40 * 257, 200 * 257, 40 * 257), np.uint16)
    with ComparisonWriter(
        tmp_path / "film", facts(), width=4 * WIDTH, height=4 * HEIGHT, timeline=timeline(range(30), 1),
        carried=partial(str, original), name="film.mov",
    ) as writer:  # fmt: skip
        for _ in range(30):
            writer.write(small, large)
    frames = rgb_of(tmp_path / "film", "bt709", 8)
    assert len(frames) == 30
    assert frames[7].shape == (4 * HEIGHT, 8 * WIDTH + 4, 3)
    np.testing.assert_allclose(frames[7][150, 60] * 255, (200, 40, 40), atol=4)
    np.testing.assert_allclose(frames[7][150, -60] * 255, (40, 200, 40), atol=4)
    assert frames[7][150, 4 * WIDTH + 2].min() > 0.85  # the divider
    for side in (frames[7][:30, : 4 * WIDTH], frames[7][:30, 4 * WIDTH + 4 :]):
        assert (side.min(axis=2) > 0.7).sum() > 40  # white letters
    assert sound_of(tmp_path / "film")[0] == sound_of(original)[0]
    assert [time for time, _, _ in packets(tmp_path / "film", "video")] == [Fraction(n, 25) for n in range(30)]
    assert writer.left_out == []


def test_a_large_or_odd_comparison(tmp_path: Path) -> None:
    for height, width, size in ((2000, 90, (1920, 2 * 86 + 4)), (33, 75, (34, 2 * 76 + 4))):
        with ComparisonWriter(
            tmp_path / "film",
            facts(),
            width=width,
            height=height,
            timeline=timeline(range(2), 1),
            carried=None,
            name="a",
        ) as writer:
            for number in range(2):
                writer.write(picture(number, height // 3, width // 3), picture(number, height, width))
        assert rgb_of(tmp_path / "film", "bt709", 8)[1].shape == (*size, 3)
        assert writer.warnings == []
