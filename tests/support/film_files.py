"""Small films for tests: any codec, container, pixel format, timing, sound and flags, made by PyAV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import cv2
import numpy as np
from av.filter import Graph
from av.video.reformatter import Interpolation

HEIGHT, WIDTH = 48, 64
# FFmpeg's numbers of what tests name.
MATRIX_CODES = {"rgb": 0, "bt709": 1, "fcc": 4, "bt470bg": 5, "smpte170m": 6, "smpte240m": 7, "bt2020nc": 9}
PRIMARIES_CODES = {"bt709": 1, "bt470bg": 5, "smpte170m": 6, "bt2020": 9}
TRANSFER_CODES = {"bt709": 1, "smpte170m": 6, "smpte2084": 16, "arib-std-b67": 18}
RANGE_CODES = {"limited": 1, "full": 2}

Picture = np.ndarray | Sequence[np.ndarray]


def film(
    count: int = 12,
    height: int = HEIGHT,
    width: int = WIDTH,
    dtype: Any = np.uint8,
    *,
    seed: int = 0,
    speed: float = 1.5,
) -> list[np.ndarray]:
    """RGB frames [height, width, 3] of a soft texture that moves to the right, no two of them equal."""
    rng = np.random.default_rng(seed)
    strip = cv2.GaussianBlur(rng.random((height, width + int(speed * count) + 2, 3)).astype(np.float32), (0, 0), 1.5)
    strip = (strip - strip.min()) / (strip.max() - strip.min())
    top = np.iinfo(dtype).max
    frames = []
    for number in range(count):
        move = np.array([[1, 0, number * speed], [0, 1, 0]], np.float32)
        view = cv2.warpAffine(strip, move, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        frames.append(np.rint(np.clip(view, 0, 1) * top).astype(dtype))
    return frames


def weave(fields: Sequence[np.ndarray], order: str = "tff") -> list[np.ndarray]:
    """Interlaced frames out of twice as many progressive ones: each takes its lines from two moments in turn."""
    frames = []
    for earlier, later in zip(fields[0::2], fields[1::2], strict=True):
        top, bottom = (earlier, later) if order == "tff" else (later, earlier)
        frame = top.copy()
        frame[1::2] = bottom[1::2]
        frames.append(frame)
    return frames


def make_clip(
    path: Path | str | BinaryIO,
    frames: Iterable[Picture],
    *,
    codec: str = "ffv1",
    pix_fmt: str = "yuv444p",
    rate: Fraction | int = 25,
    container: str | None = None,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    gop: int | None = None,
    b_frames: int | None = None,
    matrix: str | None = None,
    colour_range: str | None = None,
    primaries: str | None = None,
    transfer: str | None = None,
    field_order: str | None = None,
    sar: Fraction | None = None,
    rotation: int = 0,
    hflip: bool = False,
    sound: float = 0.0,
    sound_codec: str = "pcm_s16le",
    language: str | None = None,
    subtitles: str | None = None,
    timecode: str | None = None,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write a film.

    Args:
        path: file, or a binary file object (then `container` must be given).
        frames: RGB [H, W, 3] uint8 or uint16; or planes [rows, columns] of `pix_fmt`, taken as they are. RGB goes through
            libswscale by `matrix` and `colour_range`; use planes where exact values matter.
        codec: encoder, such as "libx264". pix_fmt: what it is given.
        rate: frames a second.
        container: FFmpeg's name of the format; by the extension if None.
        pts: of each frame, in `time_base` (1/rate if None); 0, 1, 2 ... if None.
        options: of the encoder. container_options: of the muxer.
        gop, b_frames: frames between key frames; most B-frames in a row.
        matrix, colour_range, primaries, transfer: tags, by FFmpeg's names; none if None.
        field_order: "tff" or "bff": frames are flagged (and coded) as interlaced; pixels are taken as given.
        sar: aspect of a pixel.
        rotation: degrees clockwise that a player must turn frames by; hflip: and mirror them.
        sound: seconds of a tone.
        subtitles: codec of one line of text ("subrip", "mov_text").
        timecode: of the first frame, for containers that hold one.
        metadata: tags of the container.
    """
    items = iter(frames)
    first = next(items, None)
    target = path if hasattr(path, "write") else str(path)
    with av.open(target, "w", format=container, container_options=container_options or {}) as out:  # type: ignore[call-overload]
        out.metadata.update(metadata or {})
        stream = out.add_stream(codec, rate=rate, options=_encoder_options(codec, options, field_order))
        context = stream.codec_context
        planes = not isinstance(first, np.ndarray)
        if first is None:
            stream.width, stream.height = WIDTH, HEIGHT
        else:
            stream.height, stream.width = (first[0] if planes else first).shape[:2]
        stream.pix_fmt, context.thread_count = pix_fmt, 1
        base = Fraction(time_base) if time_base else 1 / Fraction(rate)
        context.time_base = base
        if gop is not None:
            context.gop_size = gop
        if b_frames is not None:
            context.max_b_frames = b_frames
        if matrix:
            context.colorspace = MATRIX_CODES[matrix]
        if colour_range:
            context.color_range = RANGE_CODES[colour_range]
        if primaries:
            context.color_primaries = PRIMARIES_CODES[primaries]
        if transfer:
            context.color_trc = TRANSFER_CODES[transfer]
        if sar:
            context.sample_aspect_ratio = sar
        if rotation or hflip:
            stream.set_display_rotation(-rotation, hflip=hflip)
        if timecode:
            stream.metadata["timecode"] = timecode
        if language:
            stream.metadata["language"] = language
        tone = _add_sound(out, sound_codec) if sound else None
        titles = _add_titles(out, subtitles) if subtitles else None
        flag = _Flag(pix_fmt, stream.width, stream.height, base, field_order) if field_order else None
        number = 0
        item = first
        while item is not None:
            rgb = isinstance(item, np.ndarray)
            frame = _from_rgb(item, pix_fmt, matrix, colour_range) if rgb else raw_frame(item, pix_fmt)
            frame.pts, frame.time_base = (pts[number] if pts is not None else number), base
            if pts is None and time_base:
                frame.pts = round(number / Fraction(rate) / base)
            if matrix:
                frame.colorspace = MATRIX_CODES[matrix]
            if colour_range:
                frame.color_range = RANGE_CODES[colour_range]
            for packet in stream.encode(flag(frame) if flag else frame):
                out.mux(packet)
            number, item = number + 1, next(items, None)
        if number == 0:
            out.start_encoding()
        else:
            for packet in stream.encode(None):
                out.mux(packet)
        if tone is not None:
            _write_sound(out, tone, sound)
        if titles is not None:
            _write_title(out, titles)


def raw_frame(planes: Sequence[np.ndarray], pix_fmt: str) -> av.VideoFrame:
    """A frame of given planes [rows, columns], uint8 or uint16, in the format's own order."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pix_fmt)
    for plane, samples in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(plane, samples.dtype).reshape(plane.height, plane.line_size // samples.itemsize)
        rows[:, : samples.shape[1]] = samples
    return frame


def _encoder_options(codec: str, options: dict[str, str] | None, field_order: str | None) -> dict[str, str]:
    given = {"threads": "1", **(options or {})}
    if codec == "libx265":
        given["x265-params"] = ":".join(
            filter(None, ["log-level=none:pools=1:frame-threads=1", given.get("x265-params")])
        )
    if field_order and codec in {"mpeg2video", "libx264", "dvvideo"}:
        given["flags"] = "+ildct+ilme"
    return given


def _from_rgb(rgb: np.ndarray, pix_fmt: str, matrix: str | None, colour_range: str | None) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(rgb, "rgb48le" if rgb.dtype == np.uint16 else "rgb24")
    full = colour_range == "full" or pix_fmt.startswith(("yuvj", "gray", "gbr", "rgb", "bgr"))
    return frame.reformat(
        format=pix_fmt,
        dst_colorspace={"bt709": 1, "bt2020nc": 9}.get(matrix or "", 5),
        dst_color_range=2 if full else 1,
        interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
        threads=1,
    )


class _Flag:
    """Marks frames as interlaced, which PyAV itself cannot."""

    def __init__(self, pix_fmt: str, width: int, height: int, base: Fraction, order: str) -> None:
        self._graph = Graph()
        source = self._graph.add_buffer(width=width, height=height, format=av.VideoFormat(pix_fmt), time_base=base)
        self._graph.link_nodes(source, self._graph.add("setfield", order), self._graph.add("buffersink")).configure()

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        self._graph.vpush(frame)
        return self._graph.vpull()


def _add_sound(out: Any, codec: str) -> Any:
    tone = out.add_stream(codec, rate=48000)
    tone.codec_context.layout = "mono"
    return tone


def _add_titles(out: Any, codec: str) -> Any:
    titles = out.add_stream(codec)
    # What libass calls a style sheet; encoders of text want one.
    titles.codec_context.subtitle_header = (
        b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\n"
        b"Format: Name, Fontname, Fontsize\r\nStyle: Default,Arial,16\r\n\r\n[Events]\r\nFormat: Layer, Text\r\n"
    )
    return titles


def _write_sound(out: Any, tone: Any, seconds: float) -> None:
    samples = int(seconds * 48000)
    wave = (np.sin(np.arange(samples) * 0.06) * 8000).astype(np.int16)
    planar = tone.codec_context.format.name
    for start in range(0, samples, 1024):
        block = wave[start : start + 1024]
        data = (block / 32768).astype(np.float32) if planar.startswith("flt") else block
        frame = av.AudioFrame.from_ndarray(data[None], format=planar, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        for packet in tone.encode(frame):
            out.mux(packet)
    for packet in tone.encode(None):
        out.mux(packet)


def _write_title(out: Any, titles: Any) -> None:
    text = b"The end"
    packet = av.Packet(len(text).to_bytes(2, "big") + text if titles.codec_context.name == "mov_text" else text)
    packet.stream, packet.time_base = titles, Fraction(1, 1000)
    packet.pts = packet.dts = 0
    packet.duration = 400
    out.mux(packet)
