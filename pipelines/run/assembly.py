"""THE assembly: what happens to a planned row, step by step. Reads top to bottom; `pipelines/run/driver.py` drives it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, Dataset
from ray.remote_function import RemoteFunction

from faithdiff_model.damage.shipped import detector_digest
from pipelines.plan.pending import Expand, RowBuilder
from pipelines.rows import Row, whole_row
from pipelines.run.pools import Pool, Resources
from pipelines.run.stage_runner import SEGMENT, RunContext, StageRunner
from pipelines.run.streaming import FedStream
from pipelines.settings import Settings
from pipelines.stages.adapter import Stage
from pipelines.stages.caption import CaptionStage
from pipelines.stages.cut import Cut
from pipelines.stages.decode import Decode
from pipelines.stages.mux import Mux
from pipelines.stages.repair_damage import RepairDamage
from pipelines.stages.replica import ReplicaLoader
from pipelines.stages.restore import Restore
from pipelines.stages.restore_film import RestoreFilm
from pipelines.stages.stitch import Stitch
from pipelines.stages.survey import SurveyFilm
from pipelines.stages.tile import Tile
from pipelines.stages.write import Write

__all__ = ["blocks", "build_stream", "final_rows", "join_task"]

# A source block: several small files share one trip through the driver (it manages some 30 trips a second), large ones go
# alone so that their pixels do not pile up.
_BLOCK_ROWS = 32
_BLOCK_BYTES = 1 << 20
_COLUMN = 10_000  # values of a column that are Python's at a time

# A process that dies with its rows is replaced, and its rows are tried again, but not for ever: a file that kills every process
# that touches it must not stop the run. What is lost after that, `run` tries alone.
_RETRIES = 2
_ACTOR: dict[str, int] = {"max_restarts": -1, "max_task_retries": _RETRIES}
_TASK: dict[str, int] = {"num_cpus": 1, "max_retries": _RETRIES}
_PHOTOGRAPHS_ALONE: dict[str, StageRunner | None] = {"film": None, SEGMENT: None}


def build_stream(
    ds: Dataset,
    builder: RowBuilder,
    stamp: Mapping[str, str],
    settings: Settings,
    resources: Resources,
    context: RunContext,
) -> Dataset:
    """Blocks of planned rows -> a lazy Ray dataset of final rows and of rows of durable parts, without any all-to-all step.

    A block holds photographs, or one film, or one segment of a film that went through step 5 before. Blocks that a stage has no
    part in go through it as they are. Everything runs in one dataset, so that a replica is loaded once for all of it.

    Args:
        ds: blocks of compact rows, which become whole where they are decoded, and of whole rows of segments.
        builder: makes the whole rows.
        stamp: columns that the run gives to all of them.
        settings: all settings.
        resources: where the models go.
        context: of the run.
    """
    revision = builder.model_revision
    task: dict[str, float] = {**_TASK, "num_cpus": resources.task_cpus}
    expand = _stamped(builder, dict(stamp))
    # 1. a photograph: read, hash and decode              1:1, a CPU task a block; cutting blocks into rows costs more
    #    a film: read once for hash, timeline, shots      1:N, a row a shot
    survey = StageRunner(SurveyFilm, settings, context)
    decode = StageRunner(Decode, settings, context, expand=expand, by_kind={"film": survey, SEGMENT: None})
    ds = ds.map_batches(decode.task(), batch_size=None, batch_format="pyarrow", **task)
    # 2. find damage and fill what is narrow              1:1, a CPU task, one with step 1; left out where it is off
    if settings.repair_damage != "off":
        arguments = {"digest": detector_digest()}
        repair = StageRunner(RepairDamage, settings, context, arguments=arguments, by_kind=_PHOTOGRAPHS_ALONE)
        ds = ds.map_batches(repair.task(), batch_size=None, batch_format="pyarrow", **task)
    # 3. describe, a shot by its key frame                1:1, LLaVA actors, a GPU each; left out without LLaVA
    if settings.captions == "llava":
        own = _on_its_device(settings, resources.caption, revision)
        caption = StageRunner(CaptionStage, own, context, rows=resources.rows_per_call, by_kind={SEGMENT: None})
        ds = _on_actors(ds, caption, resources.caption)
    # 4. a photograph: enlarge and cut into tiles         1:N, a CPU task, one with step 1 where nothing stands between
    # 5. a film: cut shots into segments                  1:N, no frames travel; they come back, a block each
    cut = StageRunner(Cut, settings, context)
    tile = StageRunner(Tile, settings, context, by_kind={"film": cut, SEGMENT: None})
    ds = ds.map_batches(tile.task(), batch_size=None, batch_format="pyarrow", **task)
    # 6. a photograph or tile: restore                    1:1, FaithDiff actors, a replica each, windows of rows batched
    #    a segment: read, restore frame by frame, publish as a part                     1:1
    own = _on_its_device(settings, resources.restore, revision)
    loader = ReplicaLoader(own, resources.threads, builder.model_digest)
    parts: dict[str, object] = {"loader": loader, "writing_fence": context.fence, "on_frame": context.on_frame}
    by_kind = {"film": None, SEGMENT: StageRunner(RestoreFilm, own, context, arguments=parts)}
    model: dict[str, object] = {"loader": loader}
    restore = StageRunner(Restore, own, context, arguments=model, rows=resources.rows_per_call, by_kind=by_kind)
    ds = _on_actors(ds, restore, resources.restore)
    # 7. publish: a photograph with its sidecar, or a durable tile               1:1, a CPU task, goes on while draining
    write = StageRunner(Write, settings, context, writes=True, by_kind=_PHOTOGRAPHS_ALONE)
    return ds.map_batches(write.task(), batch_size=None, batch_format="pyarrow", **task)


def join_task(media_kind: str, settings: Settings, context: RunContext) -> RemoteFunction:
    """What joins an item whose parts are all durable: a task of Ray's, from a table of its row to a table of its final row.

    One item a task: of a photograph a band of rows is held while it is joined, of a film a few frames. It goes on while the run
    drains, as it finishes what others have begun.
    """
    stage: type[Stage] = Mux if media_kind == "film" else Stitch
    call = StageRunner(stage, settings, context, writes=True).task()

    def join(table: pa.Table) -> pa.Table:
        return pa.concat_tables(list(call(table)))

    join.__name__ = join.__qualname__ = stage.__name__
    return ray.remote(**_TASK)(join)


def blocks(table: pa.Table, *, spread: int) -> Iterator[pa.Table]:
    """A table in blocks of at most 32 rows and 1 MiB of files, and in at least `spread` blocks where it has as many rows.

    Each has memory of its own: a slice travels with its whole table.
    """
    most = max(1, min(_BLOCK_ROWS, table.num_rows // max(1, spread)))
    start = size = 0
    for number, weight in _numbered(table["source_size"]):
        if number > start and (number - start >= most or size + (weight or 0) > _BLOCK_BYTES):
            yield table.take(pa.array(range(start, number)))
            start, size = number, 0
        size += weight or 0
    if table.num_rows > start:
        yield table.take(pa.array(range(start, table.num_rows)))


def _numbered(column: pa.ChunkedArray) -> Iterator[tuple[int, int | None]]:
    """A column's values with their numbers, some at a time as Python's."""
    for start in range(0, len(column), _COLUMN):
        yield from enumerate(column.slice(start, _COLUMN).to_pylist(), start)


def _on_actors(ds: Dataset, runner: StageRunner, pool: Pool) -> Dataset:
    """A stage with a model on a pool of actors, each given a block at a time. The pool grows while it is busy and there is
    room, and shrinks when idle."""
    # `map_batches` by the name by which it takes whole blocks on GPUs, too: the stage cuts them into calls itself. A batch size
    # of Ray's would have rows wait for others, and mix those that are tried alone with what killed its process.
    return ds.map_batches_internal(
        runner.actor(),
        fn_constructor_kwargs={"runner": runner},
        batch_size=None,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(min_size=pool.least, max_size=pool.most),
        num_gpus=pool.num_gpus,
        num_cpus=pool.num_cpus,
        label_selector=dict(pool.labels) or None,
        **_ACTOR,
    )


def _on_its_device(settings: Settings, pool: Pool, revision: str | None) -> Settings:
    """Settings of a stage with a model on a pool's device. All its actors load the weights of the plan's `revision`."""
    return settings.at_revisions(revision).model_copy(update={"device": pool.device})


def _stamped(expander: Expand, stamp: dict[str, str]) -> Expand:
    return lambda table: [whole_row({**row, **stamp}) for row in expander(table)]


def final_rows(stream: FedStream) -> Iterator[Row]:
    """The rows of a stream as they come, as whole row dicts. Raises RayError: the cluster failed."""
    for table in stream.tables():
        for row in table.to_pylist():
            yield whole_row(row)
