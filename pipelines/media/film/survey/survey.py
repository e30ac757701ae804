"""What is measured of a film while it is read once: shots, the camera's path, colour over time, key frames."""

from __future__ import annotations

import base64
from bisect import bisect_right
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.media.film.facts import JsonObject
from pipelines.media.film.survey.camera import CameraTracker
from pipelines.media.film.survey.shots import ShotFinder

__all__ = ["Survey", "Surveyor", "colour_steps"]

_VERSION = 1
_SIDE = 320  # pixels of the long side that frames are looked at
_NEUTRAL = 0.012  # three levels of 255: what a codec makes of grey
_DARK = 0.06
_REACH = 4
_LEAST, _MOST = 0.5, 2.0
_ARRAYS = ("camera", "mean", "deviation", "high")


@dataclass(frozen=True)
class Survey:
    """Measurements by number of the decodable frame.

    Attributes:
        shots: first frame and number of frames of each, covering all.
        camera: float32 [n, 2], (down, across): where a frame lies in its shot's common plane, source pixels; 0 at its first.
        mean, deviation: float32 [n, 3], of the channels over [0, 1].
        high: float32 [n, 3], the level that one pixel in a thousand is above.
        keyframes: for each shot the frame that tells best what is shown.
        size: height and width of a frame.
        monochrome: whether no frame has colour.
    """

    shots: tuple[tuple[int, int], ...]
    camera: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    high: np.ndarray
    keyframes: tuple[int, ...]
    size: tuple[int, int]
    monochrome: bool

    def to_dict(self) -> JsonObject:
        """Plain values, for JSON."""
        arrays = {name: base64.b64encode(getattr(self, name).astype("<f4").tobytes()).decode() for name in _ARRAYS}
        return {
            "version": _VERSION,
            "shots": [list(shot) for shot in self.shots],
            "keyframes": list(self.keyframes),
            "size": list(self.size),
            "monochrome": self.monochrome,
            **arrays,
        }

    @classmethod
    def from_dict(cls, values: JsonObject) -> Survey:
        """From what `to_dict` gave. Raises ValueError, KeyError or TypeError for anything else."""
        if values["version"] != _VERSION:
            raise ValueError(f"a survey of version {values['version']}")
        columns = {"camera": 2, "mean": 3, "deviation": 3, "high": 3}
        arrays = {
            name: np.frombuffer(base64.b64decode(values[name]), "<f4").reshape(-1, columns[name]) for name in _ARRAYS
        }
        return cls(
            shots=tuple((int(first), int(count)) for first, count in values["shots"]),
            keyframes=tuple(int(number) for number in values["keyframes"]),
            size=(int(values["size"][0]), int(values["size"][1])),
            monochrome=bool(values["monochrome"]),
            **arrays,
        )


class Surveyor:
    """Feed it every decodable frame of a film in order. It holds some tens of bytes a frame."""

    def __init__(self) -> None:
        self._shots, self._tracker = ShotFinder(), CameraTracker()
        self._steps: list[tuple[float, float]] = []
        self._numbers: list[np.ndarray] = []  # mean, deviation, high of each frame
        self._sharpness: list[float] = []
        self._size = (0, 0)
        self._colourless = True

    def add(self, pixels_HWC: np.ndarray) -> None:
        """The next frame: uint8 or uint16 [H, W, 3], RGB."""
        height, width = self._size = pixels_HWC.shape[:2]
        scale = min(1.0, _SIDE / max(height, width))
        size = (max(8, round(width * scale)), max(8, round(height * scale)))
        small = cv2.resize(pixels_HWC, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        small /= np.float32(np.iinfo(pixels_HWC.dtype).max)
        grey = small.mean(axis=2)
        self._shots.add(small)
        self._steps.append(self._tracker.step(grey, size[0] / width))
        flat = small.reshape(-1, 3)
        high = np.partition(flat, -max(1, len(flat) // 1000), axis=0)[-max(1, len(flat) // 1000)]
        self._numbers.append(np.concatenate([flat.mean(axis=0), flat.std(axis=0), high]))
        soft = cv2.GaussianBlur(grey, (0, 0), 1.0)
        self._sharpness.append(float(cv2.Laplacian(soft, cv2.CV_32F).std()))
        self._colourless = self._colourless and _neutral(small)

    def finish(self) -> Survey:
        """After the last frame."""
        shots = self._shots.finish()
        numbers = np.array(self._numbers, np.float32).reshape(-1, 9)
        steps = np.array(self._steps, np.float64).reshape(-1, 2)
        camera = np.zeros_like(steps)
        for first, count in shots:
            camera[first + 1 : first + count] = np.cumsum(steps[first + 1 : first + count], axis=0)
        return Survey(
            shots=tuple(shots),
            camera=camera.astype(np.float32),
            mean=numbers[:, :3],
            deviation=numbers[:, 3:6],
            high=numbers[:, 6:],
            keyframes=tuple(self._keyframe(first, count, numbers) for first, count in shots),
            size=self._size,
            monochrome=self._colourless,
        )

    def _keyframe(self, first: int, count: int, numbers: np.ndarray) -> int:
        """The sharpest of the middle half of a shot, not a black one if there is another."""
        inside = range(first + count // 4, first + max(count // 4 + 1, count - count // 4))
        light = [number for number in inside if numbers[number, :3].mean() > _DARK]
        return max(light or inside, key=lambda number: self._sharpness[number])


def _neutral(small_HWC: np.ndarray) -> bool:
    """Whether a reduced picture has no colour, but for a few pixels that a codec has spoilt."""
    apart = small_HWC.max(axis=2) - small_HWC.min(axis=2)
    return float(np.quantile(apart, 0.99)) < _NEUTRAL


def colour_steps(
    survey: Survey, number: int, reach: int = _REACH, gains: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What brings a frame's colour to that of the frames around it: gain and offset of each channel, over [0, 1].

    The window is as long before the frame as after it, so that a steady fade is left as it is, and ends with the shot.

    Args:
        survey: of the film.
        number: of the decodable frame.
        reach: frames on either side.
        gains: [n, 3], what frames were multiplied by before (`flicker.deflicker_gains`).
    """
    first, count = survey.shots[bisect_right(survey.shots, number, key=lambda shot: shot[0]) - 1]
    reach = min(reach, number - first, first + count - 1 - number)
    around = slice(number - reach, number + reach + 1)
    factor = np.ones((2 * reach + 1, 3)) if gains is None else gains[around]
    mean, deviation = survey.mean[around] * factor, survey.deviation[around] * factor
    gain = np.clip(deviation.mean(axis=0) / np.maximum(deviation[reach], 1e-4), _LEAST, _MOST)
    return gain, mean.mean(axis=0) - gain * mean[reach]
