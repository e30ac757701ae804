"""A Ray dataset of which the blocks come one by one while it runs, so that its actors, and their models, outlive any of them.

Ray Data knows inputs that are complete when a dataset starts, and generator tasks. The first cost the driver 52 KB a block
before any is worked on; what the second give is put together to blocks of 128 MiB before the next operator sees a row of it.
An input operator of our own takes some lines. Like `ray_patches.py` it uses names that Ray does not publish; written for Ray
2.60: look at it before `ray` in pyproject.toml is raised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import ray
from ray.data import DataContext, Dataset
from ray.data._internal.execution.execution_callback import ExecutionCallback
from ray.data._internal.execution.interfaces import BlockEntry, PhysicalOperator, RefBundle
from ray.data._internal.execution.operators.input_data_buffer import InputDataBuffer
from ray.data._internal.logical.interfaces import LogicalOperator, LogicalPlan, SourceOperator
from ray.data._internal.planner.planner import Planner
from ray.data._internal.stats import DatasetStats
from ray.data.block import BlockAccessor, BlockMetadata

from pipelines.run.block_feed import BlockFeed

if TYPE_CHECKING:
    from ray.data._internal.execution.streaming_executor import StreamingExecutor

__all__ = ["delivered_tables", "fed_dataset"]

_REST = 0.05  # seconds that a stream without anything to do waits for a block, before it looks after its actors again


def fed_dataset(feed: BlockFeed) -> Dataset:
    """A lazy dataset of the blocks of a feed, in their order. It ends when the feed is closed and its blocks are through."""
    Planner._DEFAULT_PLAN_FNS[_Fed] = _plan_fed
    context = DataContext.get_current().copy()
    others = [each for each in context.custom_execution_callback_classes if each is not _Rest]
    context.custom_execution_callback_classes = [*others, _Rest]
    return Dataset(LogicalPlan(_Fed(feed), context), context, DatasetStats(metadata={}, parent=None))


def delivered_tables(dataset: Dataset, feed: BlockFeed) -> Iterator[pa.Table]:
    """The tables of a dataset that was made of `fed_dataset`, as they come. The feed is told when the caller is done with each.

    Raises:
        RayError: the cluster failed.
    """
    for bundle in dataset.iter_internal_ref_bundles():
        for entry in bundle.blocks:
            yield ray.get(entry.ref)
        feed.handled()


@dataclass(frozen=True, repr=False, eq=False)
class _Fed(LogicalOperator, SourceOperator):
    """In a dataset's plan: its blocks come from a feed."""

    feed: BlockFeed
    _input_dependencies: list[LogicalOperator] = field(init=False, repr=False, default_factory=list)

    def output_data(self) -> list[RefBundle] | None:
        return None

    @property
    def num_outputs(self) -> int | None:
        return None

    def infer_metadata(self) -> BlockMetadata:
        return BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)

    def infer_schema(self) -> None:
        return None

    def is_lineage_serializable(self) -> bool:
        return False


class _FedBuffer(InputDataBuffer):
    """The input of a running dataset: gives out what the feed has, and is complete when the feed ended."""

    def __init__(self, context: DataContext, feed: BlockFeed) -> None:
        super().__init__(context, input_data=[])
        self.feed = feed

    def has_next(self) -> bool:
        return self.feed.has_next

    def _get_next_inner(self) -> RefBundle:
        table = self.feed.take()
        accessor = BlockAccessor.for_block(table)
        # The tasks that read a block keep it as long as what they made of it may have to be made again.
        entry = BlockEntry(ray.put(table), accessor.get_metadata())
        bundle = RefBundle((entry,), schema=accessor.schema(), owns_blocks=False)
        self._metrics.on_input_received(bundle)
        return bundle

    def has_completed(self) -> bool:
        return self.feed.ended


def _plan_fed(operator: _Fed, children: list[PhysicalOperator], context: DataContext) -> _FedBuffer:
    return _FedBuffer(context, operator.feed)


class _Rest(ExecutionCallback):
    """Has a stream without anything to do wait for its feed: Ray's loop would turn without a pause."""

    def on_execution_step(self, executor: StreamingExecutor) -> None:
        topology = executor._topology
        feeds = [operator.feed for operator in topology if isinstance(operator, _FedBuffer)]
        if not feeds or feeds[0].has_next:
            return
        for operator, state in topology.items():
            if operator.num_active_tasks() or operator.has_next():
                return
            if state.total_enqueued_input_blocks() or state.total_enqueued_output_blocks():
                return
        feeds[0].rest(operator.metrics.num_outputs_taken, _REST)
