"""Running a Ray dataset where it can run: in this process, or, over `ray://`, in an actor on the cluster's head.

Ray Data's executor needs a process that is part of the cluster. A Ray client is not: there only small tables, without pixels,
come over the wire, one call a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa
import ray
from ray.exceptions import RayError

# Held by the head alone, so that a spot node's end cannot take the driver of a night along.
_ON_THE_HEAD = {"node:__internal_head__": 0.001}


def tables(make: Callable[[], Any], configure: Callable[[], None]) -> Iterator[pa.Table]:
    """The tables of a dataset as they come, in no order.

    Args:
        make: builds the lazy dataset; can be pickled, and is called where the dataset runs.
        configure: sets Ray Data up; called in the same process before.

    Raises:
        RayError: the cluster failed.
    """
    if ray.util.client.ray.is_connected():
        yield from _from_afar(make, configure)
        return
    configure()
    yield from _batches(make())


def _batches(dataset: Any) -> Iterator[pa.Table]:
    yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)


class _Driver:
    """Runs a dataset and hands its tables over, one a call.

    Args:
        make, configure: see `tables`.
    """

    def __init__(self, make: Callable[[], Any], configure: Callable[[], None]) -> None:
        configure()
        self._tables = _batches(make())

    def next(self) -> pa.Table | None:
        """The next table; None at the end."""
        return next(self._tables, None)


def _from_afar(make: Callable[[], Any], configure: Callable[[], None]) -> Iterator[pa.Table]:
    # Never repeated: a second driver would do again what is done. What went with it is planned again.
    remote = ray.remote(num_cpus=0, resources=_ON_THE_HEAD, max_restarts=0, max_task_retries=0)(_Driver)
    driver = remote.remote(make, configure)
    try:
        while (table := ray.get(driver.next.remote())) is not None:
            yield table
    finally:
        with suppress(RayError, ConnectionError):
            ray.kill(driver)
