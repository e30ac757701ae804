"""Every container: colours, turns, times and random access."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from film_files import film, make_clip, weave

from pipelines.errors import ItemError
from pipelines.media.film.container.packets import begins_frame
from pipelines.media.film.container.reader import ContainerReader, open_container
from pipelines.media.film.facts import FilmOptions, Frame

FILM = film(30)
NTSC_FILM = Fraction(24000, 1001)
WEIGHTS = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114), "bt470bg": (0.299, 0.114), "bt2020nc": (0.2627, 0.0593),
           "fcc": (0.30, 0.11), "smpte240m": (0.212, 0.087)}  # fmt: skip


def reader(path: Path, **options: Any) -> ContainerReader:
    return open_container(partial(str, path), f"reels/{path.name}", FilmOptions(**options))


def scanned(path: Path, **options: Any) -> tuple[ContainerReader, list[np.ndarray]]:
    film_ = reader(path, **options)
    return film_, [frame.pixels for frame in film_.scan()]


def pixels_of(frames: Iterator[Frame]) -> list[np.ndarray]:
    return [frame.pixels for frame in frames]


# --- colour -----------------------------------------------------------------------------------------------------------


def coded(rgb: np.ndarray, matrix: str, bits: int, colour_range: str) -> list[np.ndarray]:
    """Planes of 4:4:4 for RGB in 0..1, by the definitions of ITU-R BT.601, 709 and 2020."""
    red, blue = WEIGHTS[matrix]
    luma = rgb @ [red, 1 - red - blue, blue]
    differences = [(rgb[..., 2] - luma) / (2 - 2 * blue), (rgb[..., 0] - luma) / (2 - 2 * red)]
    step, top = 2 ** (bits - 8), 2**bits - 1
    if colour_range == "full":
        planes = [luma * top, *(d * top + 128 * step for d in differences)]
    else:
        planes = [luma * 219 * step + 16 * step, *(d * 224 * step + 128 * step for d in differences)]
    return [np.clip(np.rint(plane), 0, top).astype(np.uint8 if bits == 8 else np.uint16) for plane in planes]


def shown(planes: list[np.ndarray], matrix: str, bits: int, colour_range: str) -> np.ndarray:
    """What such planes mean: RGB in 0..1, clipped."""
    red, blue = WEIGHTS[matrix]
    step, top = 2 ** (bits - 8), 2**bits - 1
    y, b, r = (plane.astype(float) for plane in planes)
    if colour_range == "full":
        y, b, r = y / top, (b - 128 * step) / top, (r - 128 * step) / top
    else:
        y, b, r = (y - 16 * step) / (219 * step), (b - 128 * step) / (224 * step), (r - 128 * step) / (224 * step)
    reds, blues = y + (2 - 2 * red) * r, y + (2 - 2 * blue) * b
    greens = (y - red * reds - blue * blues) / (1 - red - blue)
    return np.clip(np.stack([reds, greens, blues], -1), 0, 1)


def corners(seed: int = 0, *, smooth: bool = False) -> np.ndarray:
    """RGB in 0..1 [48, 64, 3]: noise, or ramps; with black, white and the primaries."""
    rng = np.random.default_rng(seed)
    rgb = rng.random((48, 64, 3))
    if smooth:
        x, y = np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 48))
        return np.stack([0.2 + 0.6 * x, 0.3 + 0.4 * y, 0.8 - 0.5 * x * y], -1)
    rgb[0, :8] = [[n >> 2 & 1, n >> 1 & 1, n & 1] for n in range(8)]
    return rgb


@pytest.mark.parametrize("colour_range", ["limited", "full"])
@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt470bg", "bt2020nc", "fcc", "smpte240m"])
@pytest.mark.parametrize(
    ("pix_fmt", "bits"), [("yuv444p", 8), ("yuv444p10le", 10), ("yuv444p12le", 12), ("yuv444p16le", 16)]
)
def test_matrix_and_range_are_exact(tmp_path: Path, pix_fmt: str, bits: int, matrix: str, colour_range: str) -> None:
    planes = coded(corners(), matrix, bits, colour_range)
    make_clip(tmp_path / "a.mkv", [planes] * 2, pix_fmt=pix_fmt, matrix=matrix, colour_range=colour_range,
              options={"level": "3"})  # fmt: skip
    film_, frames = scanned(tmp_path / "a.mkv")
    top = 255 if bits == 8 else 65535
    assert frames[0].dtype == (np.uint8 if bits == 8 else np.uint16)
    assert abs(frames[0] - shown(planes, matrix, bits, colour_range) * top).max() <= 0.51
    assert (frames[0][0, 0].tolist(), frames[0][0, 7].tolist()) == ([0, 0, 0], [top, top, top])
    facts = film_.facts
    assert (facts.matrix, facts.colour_range, facts.bit_depth, facts.channels) == (matrix, colour_range, bits, 3)
    assert set(facts.assumed) == {"primaries", "transfer"}


@pytest.mark.parametrize(
    ("pix_fmt", "bits"), [("yuv420p", 8), ("yuv422p", 8), ("yuv420p10le", 10), ("yuv422p10le", 10)]
)
@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_chroma_lies_with_the_left_pixel(tmp_path: Path, pix_fmt: str, bits: int, size: tuple[int, int]) -> None:
    height, width = size
    whole = coded(corners(smooth=True)[:height, :width], "bt709", bits, "limited")
    rows = 2 if "420" in pix_fmt else 1
    chroma = [plane[::rows, ::2] for plane in whole[1:]]
    if rows == 2:  # halfway between two rows
        below = [np.vstack([plane[1::2], plane[-1:]])[: (height + 1) // 2, ::2] for plane in whole[1:]]
        chroma = [
            np.rint((up.astype(float) + down) / 2).astype(up.dtype) for up, down in zip(chroma, below, strict=True)
        ]
    make_clip(tmp_path / "a.mkv", [[whole[0], *chroma]], pix_fmt=pix_fmt, matrix="bt709", colour_range="limited")
    _, frames = scanned(tmp_path / "a.mkv")
    scale = 255 if bits == 8 else 65535
    error = abs(frames[0] / scale - shown(whole, "bt709", bits, "limited"))[2:-2, 2:-2]
    # A quarter of a chroma sample to one side would be an error of 0.0024 in these ramps, all to one side.
    assert error.max() <= 4 / 2**bits
    signed = (frames[0] / scale - shown(whole, "bt709", bits, "limited"))[2:-2, 2:-2].mean((0, 1))
    assert abs(signed).max() < 0.0006


@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("ffv1", "bgr0"), ("rawvideo", "rgb24"), ("qtrle", "rgb24"), ("png", "rgb24")]
)
def test_rgb_of_8_bits_is_exact(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    container = "matroska" if codec == "ffv1" else "mov"
    make_clip(tmp_path / "a.mov", FILM[:3], codec=codec, pix_fmt=pix_fmt, container=container)
    film_, frames = scanned(tmp_path / "a.mov")
    np.testing.assert_array_equal(frames, FILM[:3])
    assert (film_.facts.matrix, film_.facts.colour_range, film_.facts.channels) == ("rgb", "full", 3)


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
def test_deep_rgb_fills_the_range(tmp_path: Path, bits: int) -> None:
    codes = np.rint(corners() * (2**bits - 1)).astype(np.uint16)
    planes = [np.ascontiguousarray(codes[..., n]) for n in (1, 2, 0)]
    make_clip(tmp_path / "a.mkv", [planes], pix_fmt=f"gbrp{bits}le", options={"level": "3"})
    film_, frames = scanned(tmp_path / "a.mkv")
    np.testing.assert_array_equal(frames[0], np.rint(codes * (65535 / (2**bits - 1))))
    assert film_.facts.bit_depth == bits


def test_full_range_with_transparency(tmp_path: Path) -> None:
    planes = [*coded(corners(), "bt709", 8, "full"), np.full((48, 64), 200, np.uint8)]
    make_clip(tmp_path / "a.mkv", [planes], pix_fmt="yuva444p", matrix="bt709", colour_range="full")
    _, frames = scanned(tmp_path / "a.mkv")
    assert abs(frames[0] - shown(planes[:3], "bt709", 8, "full") * 255).max() <= 0.51


def test_packed_rgb_of_16_bits(tmp_path: Path) -> None:
    frames = film(3, dtype=np.uint16)
    make_clip(tmp_path / "a.mkv", frames, codec="png", pix_fmt="rgb48be", container="mov")
    np.testing.assert_array_equal(scanned(tmp_path / "a.mkv")[1], frames)


@pytest.mark.parametrize(
    ("bits", "colour_range"), [(8, "full"), (8, "limited"), (10, "full"), (12, "limited"), (16, "full")]
)
def test_grey(tmp_path: Path, bits: int, colour_range: str) -> None:
    codes = np.rint(corners()[..., 0] * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    pix_fmt = {8: "gray", 16: "gray16le"}.get(bits, f"gray{bits}le")
    make_clip(tmp_path / "a.mkv", [[codes]], pix_fmt=pix_fmt, colour_range=colour_range, options={"level": "3"})
    film_, frames = scanned(tmp_path / "a.mkv")
    low, span = (16 * 2 ** (bits - 8), 219 * 2 ** (bits - 8)) if colour_range == "limited" else (0, 2**bits - 1)
    grey = np.rint(np.clip((codes.astype(float) - low) / span, 0, 1) * (255 if bits == 8 else 65535))
    np.testing.assert_array_equal(frames[0], np.repeat(grey[..., None], 3, 2))
    assert (film_.facts.channels, film_.facts.colour_range) == (1, colour_range)


@pytest.mark.parametrize(
    ("size", "rate", "matrix", "primaries"),
    [((720, 1280), 25, "bt709", "bt709"), ((576, 720), 24, "bt470bg", "bt470bg"), ((48, 64), 25, "bt470bg", "bt470bg"),
     ((480, 720), Fraction(30000, 1001), "smpte170m", "smpte170m")],
)  # fmt: skip
def test_colours_that_are_not_said_are_assumed(
    tmp_path: Path, size: tuple[int, int], rate: Any, matrix: str, primaries: str
) -> None:
    planes = coded(np.full((*size, 3), [0.7, 0.2, 0.4]), matrix, 8, "limited")
    make_clip(tmp_path / "a.mkv", [planes] * 2, pix_fmt="yuv444p", rate=rate)
    film_, frames = scanned(tmp_path / "a.mkv")
    facts = film_.facts
    assert (facts.matrix, facts.primaries, facts.colour_range) == (matrix, primaries, "limited")
    assert set(facts.assumed) == {"matrix", "colour_range", "primaries", "transfer"}
    assert abs(frames[0][0, 0] - np.array([0.7, 0.2, 0.4]) * 255).max() <= 2


def test_what_frames_leave_open_their_container_says(tmp_path: Path) -> None:
    """Encoders fill MOV's box for colours and leave ProRes's own header open."""
    planes = [np.full((48, 64 if number == 0 else 32), 500, np.uint16) for number in range(3)]
    tags = {"matrix": "bt2020nc", "primaries": "bt2020", "transfer": "smpte2084"}
    path = tmp_path / "a.mov"
    make_clip(path, [planes] * 2, codec="prores_ks", pix_fmt="yuv422p10le", colour_range="limited", **tags)  # type: ignore[arg-type]
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).color_primaries == 2  # not said
    facts = scanned(path)[0].facts
    assert (facts.matrix, facts.primaries, facts.transfer, facts.assumed) == ("bt2020nc", "bt2020", "smpte2084", ())


def test_hdr_is_recorded_and_not_changed(tmp_path: Path) -> None:
    planes = coded(corners(), "bt2020nc", 10, "limited")
    tags = {"matrix": "bt2020nc", "colour_range": "limited", "primaries": "bt2020", "transfer": "smpte2084"}
    make_clip(tmp_path / "a.mkv", [planes] * 2, pix_fmt="yuv444p10le", options={"level": "3"}, **tags)  # type: ignore[arg-type]
    film_, frames = scanned(tmp_path / "a.mkv")
    assert (film_.facts.primaries, film_.facts.transfer, film_.facts.assumed) == ("bt2020", "smpte2084", ())
    assert any("high dynamic range (PQ)" in line for line in film_.facts.warnings)
    assert abs(frames[0] - shown(planes, "bt2020nc", 10, "limited") * 65535).max() <= 0.51


def test_transparency_is_dropped_and_said(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mov", FILM[:2], codec="png", pix_fmt="rgba")
    film_, frames = scanned(tmp_path / "a.mov")
    np.testing.assert_array_equal(frames, FILM[:2])
    assert "transparency was dropped" in film_.facts.warnings


# --- geometry ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_frames_stand_upright(tmp_path: Path, rotation: int, hflip: bool) -> None:
    make_clip(tmp_path / "plain.mov", FILM[:3], codec="png", pix_fmt="rgb24")
    make_clip(
        tmp_path / "a.mov", FILM[:3], codec="png", pix_fmt="rgb24", rotation=rotation, hflip=hflip, sar=Fraction(4, 3)
    )
    film_, frames = scanned(tmp_path / "a.mov")
    # FFmpeg mirrors what is turned already.
    upright = [np.rot90(frame, -rotation // 90)[:, :: -1 if hflip else 1] for frame in FILM[:3]]
    np.testing.assert_array_equal(frames, upright)
    facts = film_.facts
    turned = rotation in {90, 270}
    assert (facts.width, facts.height) == ((48, 64) if turned else (64, 48))
    assert facts.pixel_aspect == ("3/4" if turned else "4/3")
    assert ("frames were mirrored, as the film asks for" in facts.warnings) == hflip
    if not hflip:
        assert facts.rotation == rotation


def test_times_that_start_again_are_refused(tmp_path: Path) -> None:
    buffers = []
    for seed in (0, 1):
        buffer = io.BytesIO()
        make_clip(buffer, film(20, seed=seed), codec="mpeg2video", pix_fmt="yuv420p", container="mpegts")
        buffers.append(buffer.getvalue())
    (tmp_path / "a.ts").write_bytes(b"".join(buffers))
    with pytest.raises(ItemError, match=r"^unsupported: reels/a.ts: 20 of its frames have times that go back"):
        scanned(tmp_path / "a.ts")


def test_a_change_of_size_is_refused(tmp_path: Path) -> None:
    buffers = []
    for start, height, width in ((0, 48, 64), (10, 64, 80)):
        buffer = io.BytesIO()
        frames, pts = film(10, height, width), list(range(start, start + 10))
        make_clip(buffer, frames, codec="mpeg2video", pix_fmt="yuv420p", container="mpegts", pts=pts)
        buffers.append(buffer.getvalue())
    (tmp_path / "a.ts").write_bytes(b"".join(buffers))
    with pytest.raises(ItemError, match=r"^unsupported: reels/a.ts: frames change from 64x48 .* to 80x64 .*split"):
        scanned(tmp_path / "a.ts")


# --- time -------------------------------------------------------------------------------------------------------------

CLIPS: dict[str, dict[str, Any]] = {
    "ffv1.mkv": {"codec": "ffv1", "gop": 1},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "h264.mp4": {"codec": "libx264", "pix_fmt": "yuv420p", "gop": 10, "b_frames": 2},
    "h264.mkv": {"codec": "libx264", "pix_fmt": "yuv420p", "gop": 10, "b_frames": 3},
    "open.mp4": {"codec": "libx264", "pix_fmt": "yuv420p", "gop": 10, "b_frames": 3,
                 "options": {"x264-params": "open-gop=1:b-pyramid=normal:scenecut=0"}},
    "h265.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le", "gop": 10, "b_frames": 2},
    "mpeg2.mpg": {"codec": "mpeg2video", "pix_fmt": "yuv420p", "gop": 10, "b_frames": 2},
    "mpeg2.vob": {"codec": "mpeg2video", "pix_fmt": "yuv420p", "gop": 10, "b_frames": 2},
    "mpeg2.ts": {"codec": "mpeg2video", "pix_fmt": "yuv420p", "gop": 10, "b_frames": 2},
    "h264.ts": {"codec": "libx264", "pix_fmt": "yuv420p", "gop": 10, "b_frames": 2},
    "mpeg2.mxf": {"codec": "mpeg2video", "pix_fmt": "yuv420p", "gop": 10, "b_frames": 2},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "huffyuv.avi": {"codec": "huffyuv", "pix_fmt": "yuv422p"},
    "mpeg4.avi": {"codec": "mpeg4", "pix_fmt": "yuv420p", "gop": 10, "b_frames": 2},
    "h264.avi": {"codec": "libx264", "pix_fmt": "yuv420p", "gop": 10, "b_frames": 2},
    "vp9.webm": {"codec": "libvpx-vp9", "pix_fmt": "yuv420p", "gop": 10},
    "raw.h264": {"codec": "libx264", "pix_fmt": "yuv420p", "gop": 10, "b_frames": 2, "container": "h264"},
}  # fmt: skip


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    for name, settings in CLIPS.items():
        make_clip(folder / name, film(60), rate=25, **settings)
    return {name: folder / name for name in CLIPS}


@pytest.mark.parametrize("name", CLIPS)
def test_every_frame_comes_at_its_time(clips: dict[str, Path], name: str) -> None:
    film_, frames = scanned(clips[name])
    timeline, facts = film_.timeline(), film_.facts
    assert (len(frames), facts.rate, facts.variable_rate, facts.field_order) == (60, "25/1", False, "progressive")
    unit = 1 / (25 * Fraction(facts.time_base))
    np.testing.assert_array_equal(timeline.pts - timeline.pts[0], np.arange(60) * int(unit))
    np.testing.assert_array_equal(timeline.durations, np.full(60, int(unit)))
    np.testing.assert_array_equal(timeline.origins, np.arange(60))
    assert not timeline.repeats.any()
    assert facts.width, facts.height == (64, 48)
    # The right frame at each place: the texture moves on from frame to frame, so a neighbour differs plainly.
    for number in (0, 1, 29, 58, 59):
        errors = [
            abs(frames[number].astype(float) / np.iinfo(frames[0].dtype).max - other / 255).mean() for other in film(60)
        ]
        assert int(np.argmin(errors)) == number


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("deinterlace", ["refuse", "frames"])
def test_frames_after_a_seek_are_those_of_the_scan(clips: dict[str, Path], name: str, deinterlace: str) -> None:
    film_, frames = scanned(clips[name], deinterlace=deinterlace)
    timeline = film_.timeline()
    other = open_container(lambda: clips[name].open("rb"), name, FilmOptions(deinterlace=deinterlace))  # type: ignore[arg-type]
    for first, count in ((0, 3), (8, 5), (10, 1), (29, 14), (50, 1), (57, 3)):
        got = list(other.frames(timeline, first, count))
        assert [frame.number for frame in got] == list(range(first, first + count))
        np.testing.assert_array_equal([frame.pixels for frame in got], frames[first : first + count])


@pytest.mark.parametrize(
    "name", ["ffv1.mkv", "prores.mov", "h264.mp4", "h264.mkv", "h265.mp4", "mpeg2.mxf", "mjpeg.avi"]
)
def test_well_indexed_films_are_not_decoded_from_their_start(clips: dict[str, Path], name: str) -> None:
    film_, _ = scanned(clips[name])
    timeline = film_.timeline()
    again = reader(clips[name])
    list(again.frames(timeline, 55, 3))
    # One frame for the film's look; a group of ten at most before the first; a few that the decoder holds.
    limit = 1 + 3 + 3 if name in {"ffv1.mkv", "prores.mov", "mjpeg.avi"} else 1 + 5 + 3 + 8
    assert 3 <= again.decoded <= limit


@pytest.mark.parametrize(
    ("codec", "data", "begins"),
    [
        ("mpeg2video", "000001b3b0012000", True),
        ("mpeg2video", "0000010000000000", True),
        ("mpeg2video", "000001b800080000", True),
        ("mpeg2video", "0000010343000000", False),
        ("mpeg2video", "fffb800000010000", False),
        ("h264", "0000000109f00000", True),
        ("h264", "0000016588840000", True),
        ("h264", "0000014111222222", False),
        ("hevc", "0000000146015000", True),
        ("hevc", "000001020180aa00", True),
        ("hevc", "0000000102010000", False),
        ("vc1", "0000010d00000000", False),
    ],
)
def test_beginning_of_a_frame(codec: str, data: str, begins: bool) -> None:
    assert begins_frame(bytes.fromhex(data), codec) is begins


@pytest.mark.parametrize("name", ["h264.mp4", "mpeg2.ts", "ffv1.mkv"])
def test_threads_change_nothing(clips: dict[str, Path], name: str) -> None:
    _, frames = scanned(clips[name])
    threaded = open_container(partial(str, clips[name]), name, FilmOptions(), threads=2)
    np.testing.assert_array_equal(pixels_of(threaded.scan()), frames)


@pytest.mark.parametrize(("rate", "container"), [(NTSC_FILM, "mkv"), (NTSC_FILM, "mov"), (Fraction(30000, 1001), "mkv"),
                                                 (18, "mkv"), (16, "mov"), (Fraction(60000, 1001), "mkv")])  # fmt: skip
def test_the_rate_is_exact(tmp_path: Path, rate: Fraction, container: str) -> None:
    path = tmp_path / f"a.{container}"
    make_clip(path, film(80), codec="libx264", pix_fmt="yuv420p", rate=rate)
    film_, _ = scanned(path)
    assert Fraction(film_.facts.rate) == rate
    assert not film_.facts.variable_rate
    timeline = film_.timeline()
    assert len(timeline) == 80
    assert timeline.seconds(film_.facts.time_base) == pytest.approx(float(80 / rate), abs=0.002)


def test_guessed_times_of_programme_streams_are_mended(tmp_path: Path) -> None:
    # libavformat gives a key frame of this film a time before that of the frame shown before it.
    moving = film(300, 144, 176, speed=1)
    make_clip(
        tmp_path / "a.vob",
        moving,
        codec="mpeg2video",
        pix_fmt="yuv420p",
        gop=15,
        b_frames=2,
        sound=12,
        sound_codec="mp2",
    )
    film_, frames = scanned(tmp_path / "a.vob")
    timeline = film_.timeline()
    assert (len(frames), timeline.filled) == (300, [])
    np.testing.assert_array_equal(np.diff(timeline.pts), np.full(299, 3600))
    again = reader(tmp_path / "a.vob")
    for first in (100, 105, 107):
        np.testing.assert_array_equal(pixels_of(again.frames(timeline, first, 3)), frames[first : first + 3])
    assert again.decoded < 3 * 40


def test_a_start_other_than_zero_is_kept(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", FILM[:10], pts=list(range(100, 110)))
    film_, _ = scanned(tmp_path / "a.mkv")
    assert film_.timeline().pts.tolist() == [4000 + 40 * n for n in range(10)]


def test_variable_rate_has_no_holes(tmp_path: Path) -> None:
    times = np.cumsum([0, *([40, 40, 75, 33, 120, 51, 40, 90, 66, 40] * 3)])[:30].tolist()
    make_clip(tmp_path / "a.mkv", FILM, pts=times, time_base=Fraction(1, 1000))
    film_, _ = scanned(tmp_path / "a.mkv")
    timeline = film_.timeline()
    assert film_.facts.variable_rate
    assert timeline.pts.tolist() == times
    assert timeline.durations.tolist()[:-1] == np.diff(times).tolist()
    assert float(Fraction(film_.facts.rate)) == pytest.approx(29 / (times[-1] / 1000))


# --- other facts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "settings", "streams"), [
    ("a.mkv", {"subtitles": "subrip"}, ("audio: pcm_s16le, 48000 Hz", "subtitle: srt")),
    ("a.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le", "subtitles": "mov_text"},
     ("audio: pcm_s16le, 48000 Hz", "subtitle: mov_text", "data: ")),
    ("a.mxf", {"codec": "mpeg2video", "pix_fmt": "yuv420p"}, ("audio: pcm_s16le, 48000 Hz",)),
])  # fmt: skip
def test_other_streams_and_timecode(
    tmp_path: Path, name: str, settings: dict[str, Any], streams: tuple[str, ...]
) -> None:
    make_clip(tmp_path / name, FILM, rate=25, sound=1.2, timecode="01:02:03:04", **settings)
    film_, frames = scanned(tmp_path / name)
    assert (film_.facts.timecode, len(frames)) == ("01:02:03:04", 30)
    assert len(film_.facts.streams) == len(streams)
    for line, start in zip(film_.facts.streams, streams, strict=True):
        assert line.startswith(start)


def test_timecode_of_mpeg_groups(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mpg", FILM, codec="mpeg2video", pix_fmt="yuv420p", options={"gop_timecode": "01:02:03:04"})
    assert scanned(tmp_path / "a.mpg")[0].facts.timecode == "01:02:03:04"


def test_a_film_is_told_by_content(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.txt", FILM[:4], container="matroska")
    film_, frames = scanned(tmp_path / "a.txt")
    assert (film_.facts.format, film_.facts.codec, len(frames)) == ("matroska", "ffv1", 4)


def test_facts_and_timeline_need_a_scan(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", FILM[:4])
    with pytest.raises(RuntimeError, match="after a whole scan"):
        _ = reader(tmp_path / "a.mkv").facts


# --- interlaced -------------------------------------------------------------------------------------------------------

FIELDS = film(60, 96, 128, speed=1.5)


@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize("flagged", [True, False])
def test_interlaced_film_is_refused(tmp_path: Path, order: str, flagged: bool) -> None:
    make_clip(tmp_path / "a.mkv", weave(FIELDS, order), codec="libx264", pix_fmt="yuv422p",
              field_order=order if flagged else None, options={"crf": "5"})  # fmt: skip
    with pytest.raises(
        ItemError, match=rf"^interlaced: reels/a.mkv: .*{order}.*--deinterlace frames.*--deinterlace keep"
    ) as caught:
        scanned(tmp_path / "a.mkv")
    assert f"flagged interlaced: {30 if flagged else 0} of 30" in caught.value.reason
    kept, frames = scanned(tmp_path / "a.mkv", deinterlace="keep")
    assert (kept.facts.field_order, kept.facts.deinterlaced, len(frames)) == (order, False, 30)
    assert any("kept as they are" in line for line in kept.facts.warnings)


def test_a_long_interlaced_film_is_refused_before_its_end(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", weave(film(1600, speed=1)), codec="ffv1", pix_fmt="yuv422p")
    seen = 0
    with pytest.raises(ItemError, match=r"^interlaced: "):
        for _ in reader(tmp_path / "a.mkv").scan():
            seen += 1
    assert 400 < seen < 700


@pytest.mark.parametrize("order", ["tff", "bff"])
def test_deinterlacing_makes_one_progressive_frame_of_each(tmp_path: Path, order: str) -> None:
    path = tmp_path / "a.mkv"
    make_clip(path, weave(FIELDS, order), pix_fmt="bgr0", gop=5)
    film_, frames = scanned(path, deinterlace="frames")
    timeline = film_.timeline()
    assert (len(frames), len(timeline), film_.facts.field_order, film_.facts.deinterlaced) == (30, 30, order, True)
    np.testing.assert_array_equal(timeline.pts, np.arange(30) * 40)
    kept = pixels_of(reader(path, deinterlace="keep").scan())
    # Each shows the moment of its earlier field, its own lines untouched.
    for number, frame in enumerate(frames):
        moment = FIELDS[2 * number].astype(float)
        own = slice(0, None, 2) if order == "tff" else slice(1, None, 2)
        np.testing.assert_array_equal(frame[own], kept[number][own])
        assert abs(frame - moment).mean() < 0.5 * abs(kept[number] - moment).mean()
    again = reader(path, deinterlace="frames")
    for first, count in ((0, 2), (7, 6), (13, 1), (28, 2)):
        np.testing.assert_array_equal(pixels_of(again.frames(timeline, first, count)), frames[first : first + count])


def test_progressive_film_flagged_as_interlaced_is_not_refused(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", FIELDS[:30], codec="libx264", pix_fmt="yuv422p", field_order="tff")
    film_, frames = scanned(tmp_path / "a.mkv")
    assert (film_.facts.field_order, len(frames)) == ("progressive", 30)
    assert any("flagged as interlaced" in line for line in film_.facts.warnings)
    as_asked, made = scanned(tmp_path / "a.mkv", deinterlace="frames")
    np.testing.assert_array_equal(made, frames)
    assert not as_asked.facts.deinterlaced


def test_grain_does_not_make_a_film_interlaced(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    grainy = [np.clip(frame + rng.normal(0, 20, frame.shape), 0, 255).astype(np.uint8) for frame in FIELDS[:40]]
    make_clip(tmp_path / "a.mkv", grainy, pix_fmt="bgr0")
    assert scanned(tmp_path / "a.mkv")[0].facts.field_order == "progressive"


@pytest.mark.parametrize("combed", [6, 9])
def test_a_handful_of_combed_frames_does_not_make_a_film_interlaced(tmp_path: Path, combed: int) -> None:
    """As of stripes, grain or fast cuts: 15 of 322 progressive clips were refused for such frames."""
    still = [FIELDS[0]] * 80
    frames = [*still, *weave(FIELDS[: 2 * combed]), *[FIELDS[2 * combed]] * 40]
    make_clip(tmp_path / "a.mp4", frames, codec="libx264", pix_fmt="yuv422p", options={"crf": "5"})
    film_, shown = scanned(tmp_path / "a.mp4")
    assert (film_.facts.field_order, len(shown)) == ("progressive", len(frames))
    assert any("too few to tell from chance" in line for line in film_.facts.warnings)


def test_a_film_that_says_that_it_is_interlaced_needs_less_proof(tmp_path: Path) -> None:
    frames = [*[FIELDS[0]] * 80, *weave(FIELDS[:20]), *[FIELDS[20]] * 40]
    make_clip(tmp_path / "a.mov", frames, codec="libx264", pix_fmt="yuv422p", field_order="tff", options={"crf": "5"})
    with pytest.raises(ItemError, match=r"^interlaced: reels/a.mov: .*--deinterlace-for"):
        scanned(tmp_path / "a.mov")


def test_pulldown_is_mixed(tmp_path: Path) -> None:
    fields = [frame for number, frame in enumerate(film(24, 96, 128, speed=4)) for frame in [frame] * (2 + number % 2)]
    make_clip(tmp_path / "a.mkv", weave(fields), pix_fmt="bgr0")
    with pytest.raises(ItemError, match=r"^interlaced: "):
        scanned(tmp_path / "a.mkv")


def test_versions_in_use() -> None:
    # The numbers above were found with this libswscale; a new one may site or round otherwise.
    assert av.library_versions["libswscale"][0] == 9
