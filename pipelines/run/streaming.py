"""Runs Ray datasets, with Ray Data set up for it, in this process or, over `ray://`, in an actor on the cluster's head.

Ray Data's executor needs a process that is part of the cluster. A Ray client is not: there only small tables, without pixels,
come over the wire, one call a table.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import ray
from ray.actor import ActorHandle
from ray.data import DataContext, Dataset, ExecutionResources
from ray.exceptions import RayError

from pipelines.run.block_feed import BlockFeed
from pipelines.run.fed_dataset import delivered_tables, fed_dataset
from pipelines.run.ray_patches import ON_THE_HEAD, end_released_actors

__all__ = ["FedStream", "StreamOptions", "open_stream", "tables"]

# New actors that may die while they start, as when their spot node goes, before the run fails.
_START_DEATHS = 5

Build = Callable[[], Dataset]
BuildOn = Callable[[Dataset], Dataset]


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """What datasets differ in.

    Attributes:
        skip_lost_blocks: go on without the rows of a block that is lost for good, which the caller finds missing; otherwise the
            dataset fails.
        limit_memory: let rows in flight take half the object store; the rest is for blocks that are being written while others
            are read. Of a cluster, which grows and shrinks, Ray takes half by itself.
    """

    skip_lost_blocks: bool = False
    limit_memory: bool = False


def tables(build: Build, options: StreamOptions) -> Iterator[pa.Table]:
    """The tables of a dataset as they come, in no order.

    Args:
        build: builds the lazy dataset; can be pickled, and is called where the dataset runs.
        options: how it is run.

    Raises:
        RayError: the cluster failed.
    """
    if ray.util.client.ray.is_connected():
        yield from _remote_tables(build, options)
    else:
        yield from _local_tables(build, options)


def _local_tables(build: Build, options: StreamOptions) -> Iterator[pa.Table]:
    _set_up_ray_data(options)
    yield from build().iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)


def _set_up_ray_data(options: StreamOptions) -> None:
    # Ray 2.60 has no other name yet for max_restarts and max_task_retries, and warns at each use.
    warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
    # Nor does it know how many blocks a stream that is fed will have.
    warnings.filterwarnings("ignore", message="The minimum number of concurrent actors")
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # a lost block is ours to handle and to report
    end_released_actors()
    context = DataContext.get_current()
    context.enable_progress_bars = False  # ours counts items, not blocks
    context.print_on_execution_start = False
    context.max_errored_blocks = -1 if options.skip_lost_blocks else 0
    context.max_consecutive_actor_init_deaths = _START_DEATHS
    store = ray.cluster_resources().get("object_store_memory", 0) / 2 if options.limit_memory else None
    context.execution_options.resource_limits = ExecutionResources.for_limits(object_store_memory=store)


class _Driver:
    """Runs a dataset and hands its tables over, one a call. Arguments as `tables`."""

    def __init__(self, build: Build, options: StreamOptions) -> None:
        self._tables = _local_tables(build, options)

    def next(self) -> pa.Table | None:
        """The next table; None at the end."""
        return next(self._tables, None)


def _remote_tables(build: Build, options: StreamOptions) -> Iterator[pa.Table]:
    yield from _drawn(_on_the_head(_Driver, build, options))


def _drawn(driver: ActorHandle) -> Iterator[pa.Table]:
    """The tables that an actor on the head gives, one a call, and its end with them."""
    try:
        while (table := ray.get(driver.next.remote())) is not None:
            yield table
    finally:
        with suppress(RayError, ConnectionError):
            ray.kill(driver)


class FedStream(Protocol):
    """A dataset that is given its blocks while it runs. All but `tables` may be called from any thread.

    Attributes:
        idle: whether all blocks went through, and all tables were handled: rows that are missing now went with a process that
            died.
    """

    @property
    def idle(self) -> bool: ...

    def add(self, block: pa.Table) -> None:
        """A block of rows for the dataset."""
        ...

    def close(self) -> None:
        """There will be no more blocks."""
        ...

    def tables(self) -> Iterator[pa.Table]:
        """The tables of the dataset as they come, in no order, until it is closed and all blocks are through. A table counts
        as handled when the next is asked for.

        Raises:
            RayError: the cluster failed.
        """
        ...


def open_stream(build: BuildOn, options: StreamOptions) -> FedStream:
    """A dataset to be fed, where it can run.

    Args:
        build: makes the lazy dataset of that of the blocks; can be pickled, and is called where the dataset runs.
        options: how it is run.
    """
    stream = _RemoteStream if ray.util.client.ray.is_connected() else _LocalStream
    return stream(build, options)


class _LocalStream:
    """In this process. Arguments as `open_stream`."""

    def __init__(self, build: BuildOn, options: StreamOptions) -> None:
        self._build, self._options, self._feed = build, options, BlockFeed()
        self.add, self.close = self._feed.add, self._feed.close

    @property
    def idle(self) -> bool:
        return self._feed.idle

    def tables(self) -> Iterator[pa.Table]:
        _set_up_ray_data(self._options)
        yield from delivered_tables(self._build(fed_dataset(self._feed)), self._feed)


class _StreamActor:
    """A stream on the cluster's head, for a client. Arguments as `open_stream`."""

    def __init__(self, build: BuildOn, options: StreamOptions) -> None:
        self._stream = _LocalStream(build, options)
        self._tables = self._stream.tables()

    def next(self) -> pa.Table | None:
        """The next table; None at the end."""
        return next(self._tables, None)

    def add(self, block: pa.Table) -> None:
        self._stream.add(block)

    def close(self) -> None:
        self._stream.close()

    def idle(self) -> bool:
        return self._stream.idle


class _RemoteStream:
    """On the cluster's head. Arguments as `open_stream`."""

    def __init__(self, build: BuildOn, options: StreamOptions) -> None:
        self._actor = _on_the_head(_StreamActor, build, options)

    @property
    def idle(self) -> bool:
        return bool(ray.get(self._actor.idle.remote()))

    def add(self, block: pa.Table) -> None:
        self._actor.add.remote(block)

    def close(self) -> None:
        with suppress(RayError, ConnectionError):
            self._actor.close.remote()

    def tables(self) -> Iterator[pa.Table]:
        return _drawn(self._actor)


def _on_the_head(cls: type, build: object, options: StreamOptions) -> ActorHandle:
    """An actor that drives a dataset. Never repeated: a second one would do again what is done; what went with it is planned
    again. One call waits for a table while others add blocks."""
    remote = ray.remote(num_cpus=0, resources=ON_THE_HEAD, max_restarts=0, max_task_retries=0, max_concurrency=4)(cls)
    return remote.remote(build, options)
