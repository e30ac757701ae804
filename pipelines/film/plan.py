"""A film's plan, for all who work on it after its survey: facts, timeline, shots, segments. Durable, beside its parts."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipelines.film.segments import Segment, cut
from pipelines.media.film.facts import SLATE, FilmFacts, Timeline
from pipelines.media.film.survey.survey import Survey
from pipelines.settings import Settings
from pipelines.store.layout import parts_folder
from pipelines.store.store import Store

__all__ = ["FilmPlan", "load_plan", "plan_path"]

_VERSION = 1


@dataclass(frozen=True)
class FilmPlan:
    """What is known of a film before it is restored.

    Attributes:
        facts: of the source.
        timeline: frames of the result.
        survey: what was measured, by number of the decodable frame.
        segment_frames, segment_overlap: most frames of a segment, and those that neighbours share: see `segments.cut`.
    """

    facts: FilmFacts
    timeline: Timeline
    survey: Survey
    segment_frames: int
    segment_overlap: int

    @cached_property
    def shown(self) -> np.ndarray:
        """For each frame of the timeline, the decodable frame that it is measured by: its own, or that before a slate."""
        filled = np.where(self.timeline.origins == SLATE, -1, self.timeline.origins)
        return np.maximum(np.maximum.accumulate(filled), 0)

    @cached_property
    def _spans(self) -> list[tuple[int, int, int]]:
        """First frame and number of frames in the timeline, and the number in the survey, of each shot that is shown."""
        starts = [int(np.searchsorted(self.shown, first)) for first, _ in self.survey.shots]
        starts[0] = 0
        ends = [*starts[1:], len(self.timeline)]
        spans = enumerate(zip(starts, ends, strict=True))
        return [(start, end - start, number) for number, (start, end) in spans if end > start]

    @cached_property
    def shots(self) -> list[tuple[int, int]]:
        """First frame and number of frames of each shot, in the timeline."""
        return [(first, count) for first, count, _ in self._spans]

    @cached_property
    def segments(self) -> list[Segment]:
        """What the film is restored in, by number of the part."""
        return cut(self.shots, self.segment_frames, self.segment_overlap)

    def measured_shot(self, shot: int) -> tuple[int, int]:
        """First decodable frame of a shot and how many it has: where its measurements are."""
        return self.survey.shots[self._spans[shot][2]]

    def key_frame(self, shot: int) -> int:
        """The frame of the timeline that stands for a shot."""
        first, count, number = self._spans[shot]
        inside = self.shown[first : first + count]
        return first + int(np.searchsorted(inside, self.survey.keyframes[number]))

    def to_bytes(self) -> bytes:
        """The plan as it is kept, without the lengths of segments: those are settings, which the plan's name stands for."""
        record = {
            "version": _VERSION,
            "facts": self.facts.to_dict(),
            "timeline": self.timeline.to_dict(),
            "survey": self.survey.to_dict(),
        }
        return gzip.compress(json.dumps(record).encode(), mtime=0)

    @classmethod
    def from_bytes(cls, data: bytes, settings: Settings) -> FilmPlan:
        """Raises ValueError, KeyError, TypeError or OSError for what `to_bytes` did not give."""
        record = json.loads(gzip.decompress(data))
        if record["version"] != _VERSION:
            raise ValueError(f"a film plan of version {record['version']}")
        return cls(
            FilmFacts.from_dict(record["facts"]),
            Timeline.from_dict(record["timeline"]),
            Survey.from_dict(record["survey"]),
            settings.segment_frames,
            settings.segment_overlap,
        )


def plan_path(key: str) -> str:
    """Where a film's plan is."""
    return f"{parts_folder(key)}/film.json.gz"


def load_plan(store: Store, key: str, settings: Settings) -> FilmPlan | None:
    """A film's plan, or None where there is no usable one.

    Args:
        store: the output store.
        key: of the film's parts (`rows.parts_key`).
        settings: that the key stands for.

    Raises:
        OSError: the store fails.
    """
    try:
        return FilmPlan.from_bytes(store.read(plan_path(key)), settings)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, EOFError, gzip.BadGzipFile):
        return None
