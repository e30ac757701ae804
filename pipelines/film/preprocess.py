"""From a film's frames to what a replica restores: gaps bridged, weave and flicker taken out where the settings want it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from faithdiff_model.film.steady import ShotFrame
from pipelines.film.plan import FilmPlan
from pipelines.film.segments import Segment
from pipelines.film.source import reading_film
from pipelines.media.film.facts import SLATE, FilmReader, Frame
from pipelines.media.film.survey.camera import apply_shift, weave
from pipelines.media.film.survey.flicker import apply_deflicker, deflicker_gains
from pipelines.media.film.survey.survey import colour_steps
from pipelines.settings import Settings

__all__ = ["FrameSteps"]


class FrameSteps:
    """What is done to the frames of a film, or of one of its shots, before they are restored.

    Args:
        plan: of the film.
        settings: `stabilise` and `deflicker`.
        name: of the film, for errors.
        shot: number of the one shot that is worked on; None for all.
    """

    def __init__(self, plan: FilmPlan, settings: Settings, name: str, shot: int | None = None) -> None:
        self.plan, self.name = plan, name
        survey = plan.survey
        self.grey = plan.facts.channels == 1 or survey.monochrome
        shots = list(survey.shots) if shot is None else [plan.measured_shot(shot)]
        self.gains = deflicker_gains(survey.mean, survey.high, shots) if settings.deflicker else None
        self.weave = weave(survey.camera, shots, survey.size) if settings.stabilise else None
        self._last: np.ndarray | None = None

    def described(self) -> list[str]:
        """What was done to the whole film, with figures, for the manifest."""
        lines = []
        if self.gains is not None:
            change = np.abs(self.gains - 1) * 100
            rms = float(np.sqrt((change**2).mean()))
            lines.append(f"deflicker changed brightness by {rms:.1f} % on average, by {change.max():.1f} % at most")
        if self.weave is not None:
            far = np.hypot(self.weave[:, 0], self.weave[:, 1])
            rms = float(np.sqrt((far**2).mean()))
            lines.append(f"stabilise moved frames by {rms:.2f} source pixels on average, by {far.max():.2f} at most")
        if self.grey and self.plan.facts.channels != 1:
            lines.append("no frame has colour: restored as grey, so that the model adds none")
        return lines

    def read(self, reader: FilmReader, segment: Segment) -> Iterator[Frame]:
        """The frames of a segment as they are in the source."""
        with reading_film(self.name):
            yield from reader.frames(self.plan.timeline, segment.first, segment.count)

    def is_slate(self, frame: Frame) -> bool:
        """Whether a frame only stands for a missing one."""
        return bool(self.plan.timeline.origins[frame.number] == SLATE)

    def seen(self, frame: Frame) -> np.ndarray:
        """A frame [H, W, 1 or 3] after the pre-steps, uint8 or uint16: one channel for film without colour."""
        pixels = frame.pixels
        if not self.is_slate(frame):
            number = int(self.plan.shown[frame.number])
            if self.gains is not None:
                pixels = apply_deflicker(pixels, self.gains[number])
            if self.weave is not None:
                pixels = apply_shift(pixels, self.weave[number])
        return np.ascontiguousarray(pixels[..., 1:2]) if self.grey else pixels

    def shot_frame(self, frame: Frame, seen: np.ndarray) -> ShotFrame:
        """What the model gets of a frame.

        For a slate that is the frame before it: a slate says nothing of the shot.

        Args:
            frame: as it was read.
            seen: the same after the pre-steps.
        """
        if self.is_slate(frame) and self._last is not None:
            seen = self._last
        self._last = seen
        number = int(self.plan.shown[frame.number])
        place = self.plan.survey.camera[number].astype(np.float64)
        if self.weave is not None:
            place = place - self.weave[number]
        gain, offset = colour_steps(self.plan.survey, number, gains=self.gains)
        return ShotFrame(
            number=frame.number,
            lq=seen,
            camera=(float(place[0]), float(place[1])),
            colour=((gain[0], gain[1], gain[2]), (offset[0], offset[1], offset[2])),
        )
