"""THE assembly: what happens to a planned row, step by step. Reads top to bottom; `pipelines/run/driver.py` drives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, Dataset
from ray.remote_function import RemoteFunction

from faithdiff_model.damage.shipped import detector_digest
from pipelines.plan.pending import Expand, PendingRows
from pipelines.rows import Row, whole_row
from pipelines.run.pools import Pool, Resources
from pipelines.run.stage_runner import RunContext, StageRunner
from pipelines.run.streaming import StreamOptions, tables
from pipelines.settings import Settings
from pipelines.stages.adapter import Stage
from pipelines.stages.caption import CaptionStage
from pipelines.stages.cut import Cut
from pipelines.stages.decode import Decode
from pipelines.stages.mux import Mux
from pipelines.stages.repair_damage import RepairDamage
from pipelines.stages.restore import Restore
from pipelines.stages.restore_film import RestoreFilm
from pipelines.stages.stitch import Stitch
from pipelines.stages.survey import SurveyFilm
from pipelines.stages.tile import Tile
from pipelines.stages.write import Write

__all__ = ["blocks", "build_film_stream", "build_stream", "final_rows", "join_task"]

# A source block: several small files share one trip through the driver (it manages some 30 trips a second), large ones go
# alone so that their pixels do not pile up.
_BLOCK_ROWS = 32
_BLOCK_BYTES = 1 << 20

# A process that dies with its rows is replaced, and its rows are tried again, but not for ever: a file that kills every process
# that touches it must not stop the run. What is lost after that, `run` tries alone.
_RETRIES = 2
_ACTOR: dict[str, int] = {"max_restarts": -1, "max_task_retries": _RETRIES}
_TASK: dict[str, int] = {"num_cpus": 1, "max_retries": _RETRIES}


def build_stream(
    rows: PendingRows,
    stamp: Mapping[str, str],
    settings: Settings,
    resources: Resources,
    context: RunContext,
    *,
    isolated: bool = False,
) -> Dataset:
    """Planned rows -> a lazy Ray dataset of final rows, without any all-to-all step.

    Args:
        rows: what to do; they travel compactly, and become whole where they are decoded.
        stamp: columns that the run gives to all of them.
        settings: all settings.
        resources: where the models go.
        context: of the run.
        isolated: a row a block and a call, so that whichever kills its process takes no other row with it.
    """
    together, revision = 1 if isolated else resources.rows_per_call, rows.builder.model_revision
    # 1. planned rows, small ones several a block                                            (driver)
    spread = len(rows) if isolated else 4 * resources.replicas
    ds = ray.data.from_arrow(list(blocks(rows.table, spread=spread)))
    # 2. read, hash and decode                            1:1, a CPU task a block; cutting blocks into rows costs more
    decode = StageRunner(Decode, settings, context, expand=_stamped(rows.builder, dict(stamp)))
    ds = ds.map_batches(decode.task(), batch_size=None, batch_format="pyarrow", **_TASK)
    # 3. find damage and fill what is narrow              1:1, a CPU task, one with step 2; left out where it is off
    if settings.repair_damage != "off":
        repair = StageRunner(RepairDamage, settings, context, arguments={"digest": detector_digest()})
        ds = ds.map_batches(repair.task(), batch_size=None, batch_format="pyarrow", **_TASK)
    # 4. describe                                         1:1, LLaVA actors, a GPU each; left out without LLaVA
    if settings.captions == "llava":
        ds = _on_actors(ds, CaptionStage, resources.caption, settings, context, rows=together, revision=revision)
    # 5. enlarge and cut into tiles                       1:N, a CPU task, one with step 2 where nothing stands between
    tile = StageRunner(Tile, settings, context)
    ds = ds.map_batches(tile.task(), batch_size=None, batch_format="pyarrow", **_TASK)
    # 6. restore                                          1:1, FaithDiff actors, a replica each, windows of rows batched
    model = {"threads": resources.threads, "digest": rows.builder.model_digest}
    ds = _on_actors(ds, Restore, resources.restore, settings, context, rows=together, revision=revision, **model)
    # 7. publish: a photograph with its sidecar, or a durable tile               1:1, a CPU task, goes on while draining
    write = StageRunner(Write, settings, context, writes=True)
    return ds.map_batches(write.task(), batch_size=None, batch_format="pyarrow", **_TASK)


def build_film_stream(
    rows: PendingRows,
    stamp: Mapping[str, str],
    settings: Settings,
    resources: Resources,
    context: RunContext,
    *,
    isolated: bool = False,
) -> Dataset:
    """Planned films -> a lazy Ray dataset of rows of durable segments, or of films that failed. Arguments as `build_stream`."""
    together, revision = 1 if isolated else resources.rows_per_call, rows.builder.model_revision
    # 1. planned rows, a film a block                                                         (driver)
    ds = ray.data.from_arrow(list(blocks(rows.table, spread=len(rows))))
    # 2. read each once: hash, facts, timeline, shots     1:N, a row a shot; a CPU task a film
    survey = StageRunner(SurveyFilm, settings, context, expand=_stamped(rows.builder, dict(stamp)))
    ds = ds.map_batches(survey.task(), batch_size=None, batch_format="pyarrow", **_TASK)
    # 3. describe each shot by its key frame               1:1, LLaVA actors, a GPU each; left out without LLaVA
    if settings.captions == "llava":
        ds = _on_actors(ds, CaptionStage, resources.caption, settings, context, rows=together, revision=revision)
    # 4. cut shots into segments                           1:N, a CPU task; no frames travel
    cut = StageRunner(Cut, settings, context)
    ds = ds.map_batches(cut.task(), batch_size=None, batch_format="pyarrow", **_TASK)
    # 5. a segment a block, so that those of one film spread over all replicas
    ds = ds.repartition(target_num_rows_per_block=1)
    # 6. read, restore and publish a segment as a part     1:1, FaithDiff actors, a replica each, frame by frame
    model = {"threads": resources.threads, "digest": rows.builder.model_digest, "writing_fence": context.fence}
    model["on_frame"] = context.on_frame
    return _on_actors(ds, RestoreFilm, resources.restore, settings, context, rows=1, revision=revision, **model)


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
    """A table in blocks of at most 32 rows and 1 MiB of files, and in at least `spread` blocks where it has as many rows."""
    most = max(1, min(_BLOCK_ROWS, table.num_rows // max(1, spread)))
    start = size = 0
    for number, weight in enumerate(table["source_size"].to_pylist()):
        if number > start and (number - start >= most or size + (weight or 0) > _BLOCK_BYTES):
            yield table.slice(start, number - start)
            start, size = number, 0
        size += weight or 0
    if table.num_rows > start:
        yield table.slice(start)


def _on_actors(
    ds: Dataset,
    stage: type[Stage],
    pool: Pool,
    settings: Settings,
    context: RunContext,
    *,
    rows: int,
    revision: str | None,
    **arguments: object,
) -> Dataset:
    """A stage with a model on a pool of actors, each given `rows` rows at a time. The pool grows while it is busy and there is
    room, and shrinks when idle. All load the weights of the plan's `revision`."""
    own = settings.at_revisions(revision).model_copy(update={"device": pool.device})
    runner = StageRunner(stage, own, context, arguments=arguments)
    return ds.map_batches(
        runner.actor(),
        fn_constructor_kwargs={"runner": runner},
        batch_size=rows,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(min_size=pool.least, max_size=pool.most),
        num_gpus=pool.num_gpus,
        num_cpus=pool.num_cpus,
        label_selector=dict(pool.labels) or None,
        **_ACTOR,
    )


def _stamped(expander: Expand, stamp: dict[str, str]) -> Expand:
    return lambda table: [whole_row({**row, **stamp}) for row in expander(table)]


def final_rows(build: Callable[[], Dataset], options: StreamOptions) -> Iterator[Row]:
    """The rows of a stream as they come, as whole row dicts. Arguments as `streaming.tables`."""
    for table in tables(build, options):
        for row in table.to_pylist():
            yield whole_row(row)
