"""Cut a film's shots into segments, each of which a replica restores. Row of a shot in, a row a segment out (1:N)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import ClassVar

from pipelines.film.plan import FilmPlan, load_plan
from pipelines.film.segments import segment_path
from pipelines.rows import CUT, PART_DONE, Row, drop_payload, parts_key
from pipelines.settings import Settings
from pipelines.store.stores import open_store

__all__ = ["Cut"]


class Cut:
    """The stage; holds the output store, for segments that an earlier run finished.

    Args:
        settings: all settings.
    """

    name: ClassVar[str] = "cut"
    fallback_code: ClassVar[str] = "restore_error"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.output = open_store(settings.output, settings.retry_seconds)
        self.plan = lru_cache(maxsize=1)(self._plan)

    def core(self, row: Row) -> Iterator[Row]:
        """Yield a row for each segment of the row's shot; its frames stay in the source until they are restored."""
        settings, key = self.settings, parts_key(row)
        plan = self.plan(key)
        shot, source_state = row["shot"], row["source_state"]
        drop_payload(row)
        for segment in plan.segments:
            if segment.shot == shot:
                part: Row = {**row, "shot": shot, "source_state": source_state, "part": segment.number, "status": CUT}
                if not settings.redo and self.output.exists(segment_path(key, segment.number)):
                    part["status"] = PART_DONE
                yield part

    def _plan(self, key: str) -> FilmPlan:
        plan = load_plan(self.output, key, self.settings)
        assert plan is not None, key  # the survey has just written or read it
        return plan
