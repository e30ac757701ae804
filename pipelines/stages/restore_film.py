"""Restore a film's segment, frame by frame, by a replica of the model. Row in, row of a durable part out (1:1)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from faithdiff_model.film.steady import ShotFrame, restore_shot
from faithdiff_model.image.resize import enlarge, from_unit_float, to_unit_float
from pipelines.errors import ItemError
from pipelines.film.plan import FilmPlan, load_plan
from pipelines.film.preprocess import FrameSteps
from pipelines.film.segments import Segment, SegmentRecord, segment_path
from pipelines.film.source import open_film, reading_film, source_state
from pipelines.manifest.identity import software_versions
from pipelines.media.film.facts import FilmReader
from pipelines.media.film.write.segment_file import SegmentWriter
from pipelines.rows import HELD_BACK, PART_DONE, Row, drop_payload, parts_key
from pipelines.settings import Settings
from pipelines.stages.adapter import describe
from pipelines.stages.faithfulness import squared_error
from pipelines.stages.publish import write_errors
from pipelines.stages.replica import FittingRestorer, ReplicaLoader
from pipelines.store.concurrency import prefetch
from pipelines.store.large_files import publishing
from pipelines.store.lease import LOST, Fence
from pipelines.store.stores import stores_of

__all__ = ["RestoreFilm"]


class RestoreFilm:
    """The stage, with one replica.

    Args:
        settings: all settings.
        threads: CPU threads of the replica; 0 leaves torch's choice.
        digest: of the model that the run was planned with; empty is not compared.
        loader: of a replica that other stages of the process restore by, too; used instead of `threads` and `digest`.
        writing_fence: of the run's lease: a part is not published once it is lost.
        on_frame: called after each restored frame with the item's id and path, its frames, the part's number, and how many of
            the part's are done; `last` says that this was its last.

    Raises:
        WeightsError: this node's weights are missing or others.
    """

    name: ClassVar[str] = "restore"
    fallback_code: ClassVar[str] = "restore_error"

    def __init__(
        self,
        settings: Settings,
        threads: int = 0,
        digest: str = "",
        writing_fence: Fence | None = None,
        on_frame: Callable[..., None] | None = None,
        loader: ReplicaLoader | None = None,
    ) -> None:
        self.on_frame = on_frame
        replica = (loader or ReplicaLoader(settings, threads, digest)).load()
        self.fitting, self.device = FittingRestorer(replica), replica.device
        self.settings, self.fence = settings, writing_fence
        stores = stores_of(settings)
        self.source, self.output = stores.source, stores.output
        self.batch = settings.rows_per_call or (4 if replica.kind == "cuda" else 1)
        self._known: tuple[str, FilmPlan] | None = None

    def core(self, row: Row) -> Iterator[Row]:
        """Restore a segment and publish it; out of memory, from its first frame with fewer windows in a UNet call, down to one,
        and then with parts of the network off the device, as the segments that follow.

        Raises:
            ItemError: the source, the model or the output failed; `out_of_memory`, where nothing smaller can be made of it, and
                the segments that follow get all windows again.
        """
        import torch

        while True:
            try:
                result = self._restore(row)
                break
            except torch.OutOfMemoryError as error:
                if not self.fitting.shrink():
                    self.fitting.reset()
                    raise ItemError("out_of_memory", describe(error, row)) from error
            except _LostError:
                result = drop_payload(row | {"status": HELD_BACK})
                break
        yield result

    def _restore(self, row: Row) -> Row:
        path, key, number = row["source_path"], parts_key(row), row["part"]
        plan = self._plan(row)
        segment = plan.segments[number]
        row.update(
            {
                "device": self.device,
                "software": software_versions(),
                "model_preset": self.settings.preset,
            }
        )
        row["model_trained"] = self.fitting.now.trained
        with write_errors(f"{path}: segment {number}"), publishing(self.output, segment_path(key, number)) as local:
            self._write(row, plan, segment, local)
            if self.fence is not None and self.fence.state() == LOST:
                raise _LostError
            self._check_unchanged(row)
        row["status"] = PART_DONE
        return drop_payload(row)

    def _write(self, row: Row, plan: FilmPlan, segment: Segment, local: Path) -> None:
        """Restore a segment's frames one after the other into a local file."""
        started, factor = time.monotonic(), self.settings.upscale
        steps = FrameSteps(plan, self.settings, row["source_path"], segment.shot)
        waiting: deque[tuple[bool, np.ndarray]] = (
            deque()
        )  # read, not yet restored: the look-ahead of the fusion, no more

        def shot_frames() -> Iterator[ShotFrame]:
            for frame in prefetch(steps.read(self._open(row), segment)):
                seen = steps.seen(frame)
                waiting.append((steps.is_slate(frame), seen))
                yield steps.shot_frame(frame, seen)

        restored = restore_shot(
            self.fitting.now,
            shot_frames(),
            steady=self.settings.steady,
            prompt=row["prompt"] or "",
            seed=row["seed"],
            upscale=factor,
            batch=self.batch,
        )
        error, count, frames = 0.0, 0, 0
        size = {"width": plan.facts.width * factor, "height": plan.facts.height * factor}
        with SegmentWriter(local, **size) as writer:
            for pixels in restored:
                slate, seen = waiting.popleft()
                whole = enlarge(seen, size["height"], size["width"])
                result = whole if slate else to_unit_float(pixels)
                part = squared_error(result, whole, factor)
                error, count = error + part[0], count + part[1]
                rgb = np.broadcast_to(result, (*result.shape[:2], 3))
                writer.write(from_unit_float(rgb, np.dtype(np.uint16)))
                frames += 1
                self._tell(row, frames, segment.count)
            seconds = row["seconds_restore"] = time.monotonic() - started
            row["warnings"] = [*row["warnings"], *self.fitting.warnings()]
            writer.finish({**_record(row, segment, seconds, error, count)})

    def _tell(self, row: Row, done: int, count: int) -> None:
        if self.on_frame is not None:
            about = row["item_id"], row["source_path"], row["frames"] or 0, row["part"]
            self.on_frame(*about, done, last=done == count)

    def _open(self, row: Row) -> FilmReader:
        return open_film(self.source, row["source_path"], self.settings)

    def _check_unchanged(self, row: Row) -> None:
        with reading_film(row["source_path"]):
            if source_state(self.source, row["source_path"]) == row["source_state"]:
                return
        reason = "changed while it was being restored; the next run restores it as it is now"
        raise ItemError("unreadable", f"{row['source_path']}: {reason}")

    def _plan(self, row: Row) -> FilmPlan:
        key = parts_key(row)
        if self._known is None or self._known[0] != key:
            plan = load_plan(self.output, key, self.settings)
            if plan is None:
                raise ItemError("restore_error", f"{row['source_path']}: its survey is gone from the output; run again")
            self._known = key, plan
        return self._known[1]


def _record(row: Row, segment: Segment, seconds: float, error: float, count: int) -> SegmentRecord:
    return {
        "warnings": row["warnings"],
        "seconds_restore": seconds,
        "caption": row["caption"],
        "prompt": row["prompt"],
        "caption_source": row["caption_source"],
        "caption_model": row["caption_model"],
        "seconds_caption": row["seconds_caption"],
        "device": row["device"],
        "software": row["software"],
        "model_preset": row["model_preset"],
        "model_trained": row["model_trained"],
        "error": error,
        "count": count,
        "first": segment.first,
        "shot": segment.shot,
    }


class _LostError(Exception):
    """Another run holds the output now: nothing may be written."""
