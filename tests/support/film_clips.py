"""Small films for tests of the pipeline: two moving shots with sound, written by PyAV alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = Fraction(24)
_SOUND_RATE = 48_000


def moving_frames(count: int, size: tuple[int, int] = (48, 64), seed: int = 0) -> list[np.ndarray]:
    """Frames [H, W, 3], uint8, of a window that moves over a smooth texture; another seed is another place."""
    rng = np.random.default_rng(seed)
    height, width = size
    coarse = rng.integers(0, 256, (height // 16 + 3, (width + count) // 16 + 3, 3)).astype(np.float32)
    rows, columns = np.arange(height) / 16, np.arange(width + count) / 16
    texture = _bilinear(coarse, rows, columns)
    return [np.rint(texture[:height, n : n + width]).astype(np.uint8) for n in range(count)]


def _bilinear(coarse: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    top, left = rows.astype(int), columns.astype(int)
    down, across = (rows - top)[:, None, None], (columns - left)[None, :, None]
    upper = coarse[top][:, left] * (1 - across) + coarse[top][:, left + 1] * across
    lower = coarse[top + 1][:, left] * (1 - across) + coarse[top + 1][:, left + 1] * across
    return upper * (1 - down) + lower * down


def write_film(
    path: Path,
    frames: Sequence[np.ndarray] | Iterator[np.ndarray],
    *,
    codec: str = "ffv1",
    pix_fmt: str = "bgr0",
    rate: Fraction = RATE,
    sound: bool = True,
) -> Path:
    """A film file of frames [H, W, 3], uint8; with `sound`, a second of PCM in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        tone = container.add_stream("pcm_s16le", rate=_SOUND_RATE, layout="mono") if sound else None
        for count, pixels in enumerate(frames):
            if not count:
                stream.width, stream.height, stream.pix_fmt = pixels.shape[1], pixels.shape[0], pix_fmt
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = count, 1 / rate
            container.mux(stream.encode(frame))
            if tone is not None:
                _add_sound(container, tone, count, rate)
        container.mux(stream.encode(None))
        if tone is not None:
            container.mux(tone.encode(None))
    return path


def _add_sound(container: av.container.OutputContainer, stream: av.AudioStream, number: int, rate: Fraction) -> None:
    """The sound of a frame: noise, so that a lost packet shows in its hash."""
    first, last = (int(n * _SOUND_RATE / rate) for n in (number, number + 1))
    samples = np.random.default_rng(number).integers(-9000, 9000, (1, last - first), np.int16)
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = _SOUND_RATE, first, Fraction(1, _SOUND_RATE)
    container.mux(stream.encode(frame))


def times_and_sound(path: Path) -> tuple[list[float], str]:
    """When each frame is shown, in seconds, and the SHA-256 of all sound packets: what a restored film must share."""
    digest, times = hashlib.sha256(), []
    with av.open(str(path)) as container:
        for packet in container.demux():
            if not packet.size:
                continue
            if packet.stream.type == "video":
                times.append(float(packet.pts * packet.time_base))
            elif packet.stream.type == "audio":
                digest.update(bytes(packet))
    return sorted(times), digest.hexdigest()


def decoded(path: Path) -> list[np.ndarray]:
    """Its frames as RGB, uint8."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
