"""Read a film from end to end once: its hash, facts, timeline and shots. Row in, a row a shot out (1:N)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from typing import ClassVar

from pipelines.errors import ItemError
from pipelines.film.plan import FilmPlan, load_plan, plan_path
from pipelines.film.published import published
from pipelines.film.source import open_film, reading_film, source_digest, source_state
from pipelines.manifest.identity import row_identity
from pipelines.media.film.facts import FilmReader
from pipelines.media.film.survey.survey import Surveyor
from pipelines.rows import PART_DONE, Row, parts_key, put_pixels
from pipelines.settings import Settings
from pipelines.stages.publish import write_errors
from pipelines.stages.tiling import check_result_size
from pipelines.store.stores import stores_of

__all__ = ["SurveyFilm"]


class SurveyFilm:
    """The stage; holds both stores.

    Args:
        settings: all settings.
    """

    name: ClassVar[str] = "survey"
    fallback_code: ClassVar[str] = "corrupt"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        stores = stores_of(settings)
        self.source, self.output = stores.source, stores.output

    def core(self, row: Row) -> Iterator[Row]:
        """Survey a film, or take over what an earlier run found, and yield a row for each of its shots.

        Raises:
            ItemError: unreadable, no film, damaged beyond what is tolerated, or interlaced without a choice.
        """
        path = row["source_path"]
        row["started_at"] = datetime.now(UTC)
        row["settings"] = json.dumps(self.settings.for_film(path).result_settings("film"), sort_keys=True)
        started = time.monotonic()
        if (row["source_size"] or 0) > self.settings.max_film_bytes:
            reason = f"{row['source_size']} bytes, the limit is {self.settings.max_film_bytes}"
            raise ItemError("too_many_bytes", f"{path}: {reason}; raise --max-film-bytes if it is genuine")
        with reading_film(path):
            row["source_sha256"], row["source_size"] = source_digest(self.source, path)
            row["source_state"] = source_state(self.source, path)  # what segments compare with
        row["seconds_read"] = time.monotonic() - started
        started = time.monotonic()
        row["identity"] = row_identity(row, disclosed=self.settings.disclosure)
        plan = load_plan(self.output, parts_key(row), self.settings)
        reader: FilmReader | None = None
        if plan is None or self.settings.redo:
            reader, plan = self._survey(path)
            with write_errors(f"{path}: survey"):
                self.output.publish(plan_path(parts_key(row)), plan.to_bytes())
        row["seconds_decode"] = time.monotonic() - started
        self._fill(row, plan)
        if published(self.output, row, self.settings) is not None:  # what is wanted beside it is all that is made
            yield {**row, "part": 0, "parts": 1, "status": PART_DONE}
            return
        for number in range(len(plan.shots)):
            shot: Row = {**row, "shot": number}
            if self.settings.captions == "llava":
                reader = reader or open_film(self.source, path, self.settings)
                with reading_film(path):
                    (frame,) = reader.frames(plan.timeline, plan.key_frame(number), 1)
                put_pixels(shot, frame.pixels)
            yield shot

    def _survey(self, path: str) -> tuple[FilmReader, FilmPlan]:
        reader, surveyor = open_film(self.source, path, self.settings), Surveyor()
        with reading_film(path):
            for frame in reader.scan():
                surveyor.add(frame.pixels)
            timeline = reader.timeline()
        facts = reader.facts
        check_result_size(path, facts.width, facts.height, self.settings.upscale)
        settings = self.settings
        survey = surveyor.finish()
        return reader, FilmPlan(facts, timeline, survey, settings.segment_frames, settings.segment_overlap)

    def _fill(self, row: Row, plan: FilmPlan) -> None:
        """What the manifest says of the source, and how many parts there will be."""
        facts, settings = plan.facts, self.settings
        warnings = list(facts.warnings)
        filled = plan.timeline.filled
        if filled:
            kind = "a slate" if settings.gap_fill == "slate" else "the frame before"
            what = "1 missing frame was" if len(filled) == 1 else f"{len(filled)} missing frames were"
            warnings.append(f"{what} filled by {kind}: {_ranges(filled)} (counted from 0)")
        row.update(
            {
                "media_format": facts.format,
                "width": facts.width,
                "height": facts.height,
                "channels": facts.channels,
                "bit_depth": facts.bit_depth,
                "colour_profile": _colour(plan),
                "frames": len(plan.timeline),
                "frame_rate": float(Fraction(facts.rate)),
                "output_width": facts.width * settings.upscale,
                "output_height": facts.height * settings.upscale,
                "parts": len(plan.segments),
                "warnings": [*row["warnings"], *warnings],
            }
        )


def _colour(plan: FilmPlan) -> str:
    facts = plan.facts
    assumed = f" ({', '.join(facts.assumed)} assumed)" if facts.assumed else ""
    return f"{facts.primaries}/{facts.transfer}/{facts.matrix}, {facts.colour_range} range{assumed}"


def _ranges(numbers: list[int], most: int = 20) -> str:
    """Numbers as ranges, `3-5, 9`; the first few of many."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
