"""Films to write, small sources to carry sound from, and what is in the files that come of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np

from pipelines.media.film.facts import FilmFacts, Timeline
from pipelines.media.film.picture.planes import LUMA_WEIGHTS
from pipelines.media.film.write.statement import NOTHING, Statement
from pipelines.media.film.write.streams import payload
from pipelines.media.film.write.writer import FilmWriter

KINDS = ["ffv1", "prores", "h264"]
WIDTH, HEIGHT = 64, 48
RATE = 25


def timeline(pts: list[int] | np.ndarray, last: int) -> Timeline:
    pts = np.array(pts, np.int64)
    return Timeline(pts, np.append(np.diff(pts), last), np.arange(len(pts)), np.zeros(len(pts), bool))


def facts(**given: object) -> FilmFacts:
    values = {"format": "mov", "codec": "prores", "width": WIDTH, "height": HEIGHT, "rate": "25/1", "time_base": "1/25"}
    return FilmFacts.from_dict({**values, **given})


def picture(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Smooth colour that moves, uint16."""
    y, x = np.mgrid[:height, :width].astype(float)
    waves = [np.sin(x / 9 + number / 3), np.cos(y / 7 - number / 5), np.sin((x + y) / 11)]
    return np.rint((np.stack(waves, axis=2) * 0.4 + 0.5) * 65535).astype(np.uint16)


def write(
    path: Path,
    kind: str,
    times: Timeline,
    given: FilmFacts | None = None,
    *,
    carried: Path | None = None,
    frame: Callable[[int], np.ndarray] = picture,
    bits: int | None = None,
    stated: Statement = NOTHING,
) -> FilmWriter:
    height, width = frame(0).shape[:2]
    with FilmWriter(
        path,
        kind,
        given or facts(),
        width=width,
        height=height,
        timeline=times,
        carried=partial(str, carried) if carried else None,
        name="reels/film.mov",
        bits=bits,
        stated=stated,
    ) as writer:
        for number in range(len(times)):
            writer.write(frame(number))
    return writer


def source(
    path: Path,
    format: str,
    sound: str | None,
    frames: int = 30,
    seconds: float = 2.0,
    start: int = 0,
    hours: int = 0,
) -> Path:
    """A clip with noise for sound, longer than its picture; the picture begins `start` frames later, and all after `hours`."""
    options = {"output_ts_offset": str(hours * 3600)}
    with av.open(str(path), "w", format=format, container_options=options) as container:
        container.metadata.update({"title": "Die Brücke", "date": "1931-05-01", "comment": "reel 2"})
        video = container.add_stream("mpeg4" if format == "avi" else "libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.metadata["language"] = "deu"
        audio = container.add_stream(sound, rate=48000, layout="stereo") if sound else None
        if audio:
            audio.metadata["language"] = "fra"
            audio.disposition = 1
            audio.time_base = Fraction(1, 48000)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray((picture(number) >> 8).astype(np.uint8), "rgb24")
            frame.pts, frame.time_base = number + start, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio:
            noise(container, audio, int(seconds * 48000))
    return path


def noise(container: av.container.OutputContainer, audio: av.AudioStream, samples: int) -> None:
    size = audio.codec_context.frame_size or 1024
    rng = np.random.default_rng(1)
    resampler = av.AudioResampler(format=audio.codec_context.format.name, layout="stereo", rate=48000)
    for first in range(0, samples, size):
        values = (rng.standard_normal((1, 2 * size)) * 3000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(values, format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, first, Fraction(1, 48000)
        for resampled in resampler.resample(frame):
            container.mux(audio.encode(resampled))
    container.mux(audio.encode(None))


def packets(path: Path, kind: str) -> list[tuple[Fraction, Fraction, bytes]]:
    """Time, duration and bytes of each packet of the first stream of a kind, as they lie in the file."""
    with av.open(str(path)) as container:
        stream = next(each for each in container.streams if each.type == kind)
        found = [packet for packet in container.demux(stream) if packet.size]
        base = stream.time_base
        return [(packet.pts * base, (packet.duration or 0) * base, bytes(payload(packet))) for packet in found]


def sound_of(path: Path) -> tuple[str, Fraction]:
    found = packets(path, "audio")
    return hashlib.sha256(b"".join(data for _, _, data in found)).hexdigest(), found[0][0]


def decoded(path: Path, format: str | None = None) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format=format or frame.format.name) for frame in container.decode(video=0)]


def rgb_of(path: Path, matrix: str, bits: int) -> list[np.ndarray]:
    """Frames of limited-range YUV as float RGB of 0 to 1, by the textbook; right in even columns, where chroma is."""
    red, blue = LUMA_WEIGHTS[matrix]
    scale, frames = 1 << (bits - 8), []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            kind = np.uint8 if bits == 8 else np.uint16
            planes = []
            for plane in frame.planes:
                rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : plane.width].astype(float)
                rows = cv2.resize(rows, (plane.width, frame.height), interpolation=cv2.INTER_LINEAR)
                planes.append(rows.repeat(-(-frame.width // plane.width), axis=1)[:, : frame.width])
            y, cb, cr = planes[0] / scale - 16, planes[1] / scale - 128, planes[2] / scale - 128
            y, cb, cr = y / 219, cb / 224, cr / 224
            r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
            frames.append(np.stack([r, (y - red * r - blue * b) / (1 - red - blue), b], axis=2))
    return frames
