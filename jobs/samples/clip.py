"""A short old film to try the pipeline on: two shots of free photographs under a moving camera, aged, with a tone for sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from faithdiff_model.degradation.clip import Path as CameraPath
from faithdiff_model.degradation.clip import age_clip, moving_clip
from jobs.samples.archive import original

__all__ = ["make_demo_clip"]

FRAMES = 16  # of each shot
SIZE = (240, 320)  # of a frame before it is aged: twice the film's
_RATE = Fraction(24)
_SOUND_RATE = 48_000
_TONE = 440.0
_SHOTS: tuple[tuple[str, CameraPath], ...] = (("coffee.png", "pan"), ("chelsea.png", "hand-held"))


def make_demo_clip(path: Path, *, seed: int = 0) -> Path:
    """Write it as FFV1 with PCM in Matroska; a file of this name is replaced.

    Args:
        path: its folder is made when missing.
        seed: of motion, grain and flicker. The same seed gives the same frames.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="matroska") as container:
        container.metadata["title"] = "Coffee and a cat"
        picture = container.add_stream("ffv1", rate=_RATE, options={"level": "3", "slicecrc": "1"})
        picture.width, picture.height, picture.pix_fmt = SIZE[1] // 2, SIZE[0] // 2, "yuv444p"
        sound = container.add_stream("pcm_s16le", rate=_SOUND_RATE, layout="mono")
        number = 0
        for shot, (name, way) in enumerate(_SHOTS):
            clip = moving_clip(original(name), FRAMES, SIZE, way, seed=seed + shot)
            for pixels in age_clip(clip.frames, seed + shot):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = number, 1 / _RATE
                container.mux(picture.encode(frame))
                container.mux(sound.encode(_tone(number)))
                number += 1
        container.mux(picture.encode(None))
        container.mux(sound.encode(None))
    return path


def _tone(number: int) -> av.AudioFrame:
    """The sound of a frame."""
    first, last = (int(n * _SOUND_RATE / _RATE) for n in (number, number + 1))
    wave = np.sin(2 * np.pi * _TONE / _SOUND_RATE * np.arange(first, last)) * 3000
    frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = _SOUND_RATE, first, Fraction(1, _SOUND_RATE)
    return frame
