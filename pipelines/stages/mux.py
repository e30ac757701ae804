"""Join a film's durable segments and publish it with its sound, copies and sidecar. Row in, final row out (1:1)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import ClassVar, cast

import numpy as np

from pipelines.errors import ItemError
from pipelines.film.outputs import FilmOutputs
from pipelines.film.plan import FilmPlan, load_plan
from pipelines.film.preprocess import FrameSteps
from pipelines.film.published import film_record, missing_beside, published, result_frames
from pipelines.film.segments import Segment, SegmentRecord, joined, segment_path
from pipelines.film.sinks import OutputRecord
from pipelines.manifest.ownership import check_may_write
from pipelines.manifest.sidecar import sidecar_bytes
from pipelines.media.film.write.segment_file import read_record, read_segment
from pipelines.rows import RESTORED, Row, drop_payload, parts_key
from pipelines.settings import Settings
from pipelines.stages.faithfulness import psnr_db
from pipelines.stages.publish import write_errors
from pipelines.store.large_files import opener
from pipelines.store.layout import parts_folder, sidecar_path
from pipelines.store.stores import stores_of

__all__ = ["Mux"]


class Mux:
    """The stage; holds both stores.

    Args:
        settings: all settings.
    """

    name: ClassVar[str] = "mux"
    fallback_code: ClassVar[str] = "write_error"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        stores = stores_of(settings)
        self.source, self.output = stores.source, stores.output

    def core(self, row: Row) -> Iterator[Row]:
        """Assemble one film; its parts are removed once it is published.

        Raises:
            ItemError: a segment is missing or damaged, the result could not be written, or a file that is not ours lies there.
        """
        started = time.monotonic()
        key, path = parts_key(row), row["source_path"]
        plan = load_plan(self.output, key, self.settings)
        if plan is None:
            raise ItemError("write_error", f"{path}: its survey is gone from the output; run again")
        before = published(self.output, row, self.settings)
        if before is not None:
            yield self._beside(row, plan, before)
            return
        records = [self._record(row, segment) for segment in plan.segments]
        whole = self._whole(row, plan, records)
        with write_errors(row["output_path"]), ExitStack() as stack:
            outputs = stack.enter_context(FilmOutputs(whole, plan, self.settings, self.source, self.output))
            for number, pixels in enumerate(joined(plan.segments, lambda number: self._frames(row, number))):
                outputs.write(number, pixels)
            written = outputs.finish()
            for each in written:
                check_may_write(self.output, row, each["path"], each["sha256"])
            # From here on things appear under their names; an older sidecar would speak of an older file.
            self.output.retract(sidecar_path(row["output_path"]))
        whole["film"] = json.dumps(self._film(plan, records, written), sort_keys=True)
        whole.update(
            {
                "status": RESTORED,
                "output_size": written[0]["size"],
                "output_sha256": written[0]["sha256"],
                "output_format": written[0]["format"],
                "disclosure": outputs.disclosure,
                "warnings": [*whole["warnings"], *(text for each in written for text in each["warnings"])],
                "seconds_write": time.monotonic() - started,
                "finished_at": datetime.now(UTC),
            }
        )
        with write_errors(row["output_path"]):
            self.output.publish(sidecar_path(row["output_path"]), sidecar_bytes(whole))
        self.output.remove_folder(parts_folder(key))
        yield drop_payload(whole)

    def _beside(self, row: Row, plan: FilmPlan, before: Row) -> Row:
        """What is wanted beside a result that is there, made of it: no frame is restored again.

        Args:
            row: of this run.
            plan: of the film.
            before: the result's row.

        Raises:
            ItemError: the result or the source cannot be read, or what is made cannot be written.
        """
        missing = missing_beside(self.output, before, row, self.settings)
        written: list[OutputRecord] = []
        with write_errors(row["output_path"]), ExitStack() as stack:
            outputs = FilmOutputs(before, plan, self.settings, self.source, self.output, missing)
            if missing:
                stack.enter_context(outputs)
                count = 0
                for count, pixels in enumerate(result_frames(self.output, before, self.settings), 1):
                    outputs.write(count - 1, pixels)
                if count != len(plan.timeline):
                    reason = f"its result has {count} frames and not {len(plan.timeline)}; --redo restores it anew"
                    raise ItemError("write_error", f"{row['source_path']}: {reason}")
                written = outputs.finish()
        film = film_record(before)
        film["outputs"] = [*(record for record in film["outputs"] if record["path"] not in missing), *written]
        whole = before.copy()
        whole.update({"run_id": row["run_id"], "flow_run_id": row["flow_run_id"], "attempt": row["attempt"]})
        whole.update({"source_version": row["source_version"], "film": json.dumps(film, sort_keys=True)})
        whole["warnings"] = [*before["warnings"], *(text for each in written for text in each["warnings"])]
        whole["finished_at"] = datetime.now(UTC)
        with write_errors(row["output_path"]):
            self.output.publish(sidecar_path(row["output_path"]), sidecar_bytes(whole))
        self.output.remove_folder(parts_folder(parts_key(row)))
        return drop_payload(whole)

    def _whole(self, row: Row, plan: FilmPlan, records: list[SegmentRecord]) -> Row:
        """The film's row, of what its parts recorded."""
        whole, first = row.copy(), records[0]
        whole.update(
            {
                "device": first["device"],
                "software": first["software"],
                "model_preset": first["model_preset"],
                "model_trained": first["model_trained"],
            }
        )
        captions = dict.fromkeys(record["caption"] for record in records if record["caption"])
        prompts = dict.fromkeys(record["prompt"] for record in records if record["prompt"])
        if captions:
            described = next(record for record in records if record["caption"])
            whole.update({"caption_source": described["caption_source"], "caption_model": described["caption_model"]})
            whole.update({"caption": " / ".join(captions), "prompt": " / ".join(prompts)})
        whole["seconds_caption"] = (
            sum({record["shot"]: record["seconds_caption"] or 0.0 for record in records}.values()) or None
        )
        whole["seconds_restore"] = sum(record["seconds_restore"] for record in records)
        steps = FrameSteps(plan, self.settings, row["source_path"]).described()
        noted = [warning for record in records for warning in record["warnings"]]
        whole["warnings"] = list(dict.fromkeys([*row["warnings"], *noted, *steps]))
        whole["lq_psnr_db"] = psnr_db(sum(r["error"] for r in records), sum(r["count"] for r in records))
        return whole

    def _film(
        self,
        plan: FilmPlan,
        records: list[SegmentRecord],
        outputs: list[OutputRecord],
    ) -> dict[str, object]:
        """What the manifest's column `film` holds."""
        captions = {record["shot"]: record["caption"] or "" for record in records}
        return {
            "facts": plan.facts.to_dict(),
            "seconds": plan.timeline.seconds(plan.facts.time_base),
            "filled": plan.timeline.filled,
            "shots": [
                {"first": first, "frames": count, "caption": captions.get(number, "")}
                for number, (first, count) in enumerate(plan.shots)
            ],
            "segments": len(plan.segments),
            "outputs": outputs,
        }

    def _record(self, row: Row, segment: Segment) -> SegmentRecord:
        with self._part(row, segment.number):
            record = read_record(opener(self.output, segment_path(parts_key(row), segment.number)))
            return cast(SegmentRecord, record)

    def _frames(self, row: Row, number: int) -> Iterator[np.ndarray]:
        with self._part(row, number):
            yield from read_segment(opener(self.output, segment_path(parts_key(row), number)))

    @contextmanager
    def _part(self, row: Row, number: int) -> Iterator[None]:
        """A segment that cannot be read is an error of the film; a damaged one is removed, so that it is made again."""
        path = segment_path(parts_key(row), number)
        try:
            yield
        except OSError as error:
            reason = f"segment {number} cannot be read ({error.strerror or type(error).__name__}); run again"
            raise ItemError("write_error", f"{row['source_path']}: {reason}") from error
        except ValueError as error:
            self.output.remove(path)
            raise ItemError("write_error", f"{row['source_path']}: segment {number}: {error}; run again") from error
