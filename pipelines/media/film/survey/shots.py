"""Where shots begin, by PySceneDetect, fed frame by frame."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from scenedetect import FrameTimecode

__all__ = ["ShotFinder"]

SHORTEST = 6  # frames; a flash or a splice is shorter
_SIDE = 160  # pixels of the long side: grain is gone, what is shown is not
_RATE = Fraction(24)  # the detector counts in frames; any rate does
_LEVEL = 110.0  # of 255
_FLASH = 3  # frames that a flash may last
_STILL, _ALIKE = 2.0, 3.0  # levels that frames of a still shot differ by, and how many times that a moving one may


class ShotFinder:
    """Feed it every frame of a film in order.

    Frames are brought to one brightness first, so that flicker and flashes are not taken for cuts: what differs between shots
    is what they show.
    """

    def __init__(self) -> None:
        # Importing it runs `ffmpeg`, if there is one: not in every process that knows this module, and not at a terminal.
        from scenedetect import AdaptiveDetector, FrameTimecode

        self._timecode = FrameTimecode
        self._detector = AdaptiveDetector(min_scene_len=SHORTEST, adaptive_threshold=2.0, min_content_val=10.0)
        self._cuts: set[int] = set()
        self._count = 0
        self._recent: deque[tuple[int, np.ndarray]] = deque(maxlen=16)  # more than the detector lags behind

    def add(self, small_HWC: np.ndarray) -> None:
        """The next frame, reduced: float32 RGB [h, w, 3] in [0, 1]."""
        scale = _SIDE / max(small_HWC.shape[:2])
        if scale < 1:
            size = (max(8, round(small_HWC.shape[1] * scale)), max(8, round(small_HWC.shape[0] * scale)))
            small_HWC = cv2.resize(small_HWC, size, interpolation=cv2.INTER_AREA)
        mean = float(small_HWC.mean())
        levelled = small_HWC * (_LEVEL / max(mean * 255, 16.0)) * 255
        self._recent.append((self._count, cv2.resize(levelled.mean(axis=2), (32, 24), interpolation=cv2.INTER_AREA)))
        bgr = np.ascontiguousarray(np.clip(levelled, 0, 255).astype(np.uint8)[..., ::-1])
        self._note(self._detector.process_frame(self._timecode(self._count, float(_RATE)), bgr))
        self._count += 1

    def finish(self) -> list[tuple[int, int]]:
        """First frame and number of frames of each shot; they cover the film."""
        if self._count:
            self._note(self._detector.post_process(self._timecode(self._count - 1, float(_RATE))))
        starts = [0, *sorted(cut for cut in self._cuts if SHORTEST <= cut <= self._count - 1)]
        ends = [*starts[1:], self._count]
        return [(start, end - start) for start, end in zip(starts, ends, strict=True) if end > start]

    def _note(self, found: list[FrameTimecode]) -> None:
        self._cuts |= {int(cut.frame_num) for cut in found if not self._returns(int(cut.frame_num))}

    def _returns(self, cut: int) -> bool:
        """Whether the picture before a cut is there again behind it: a flash or a damaged frame, not another shot."""
        recent = dict(self._recent)
        before, earlier = recent.get(cut - 1), recent.get(cut - 2)
        if before is None or earlier is None:
            return False
        usual = max(float(np.abs(before - earlier).mean()), _STILL)
        after = [recent[number] for number in range(cut + 1, cut + _FLASH + 1) if number in recent]
        return any(float(np.abs(picture - before).mean()) < _ALIKE * usual for picture in after)
