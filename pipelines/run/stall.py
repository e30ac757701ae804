"""Ends a run that waits for what never comes: nothing was done for too long, and it says what waits for what."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

import ray
from ray.exceptions import RayError

from pipelines.run.pools import Pool, Resources

__all__ = ["StallWatch"]

_NAMED = 3  # items that the reason names


class StallWatch:
    """Sees each row, and looks now and then how long ago the last one came.

    Args:
        minutes: without any row that are too long; 0 waits for ever.
        resources: that the pass was planned with.
        clock: seconds; for tests.
    """

    def __init__(self, minutes: float, resources: Resources, clock: Callable[[], float] = time.monotonic) -> None:
        self._minutes, self._resources, self._clock = minutes, resources, clock
        self._last = clock()

    def see(self) -> None:
        """A row came: of an item or of a part."""
        self._last = self._clock()

    def is_over(self) -> bool:
        """Whether the last row came too long ago."""
        return self._minutes > 0 and self._clock() - self._last >= self._minutes * 60

    def reason(self, waiting: Collection[str], joining: bool) -> str:
        """Why the run must end, in one line.

        Args:
            waiting: paths of the items that are not final.
            joining: whether items wait for their parts to be joined.
        """
        names = ", ".join(sorted(waiting)[:_NAMED]) + (", ..." if len(waiting) > _NAMED else "")
        items = f"{len(waiting)} item{'s wait' if len(waiting) != 1 else ' waits'} ({names})"
        needs = f"a replica takes {_taken(self._resources.restore)}, and reading and writing 1 CPU"
        return (
            f"nothing was done for {self._minutes:g} minutes of --stall-minutes: {items}"
            f"{', some for their parts to be joined' if joining else ''}; {needs}; {_cluster()}. Free what else runs there, "
            "or raise --stall-minutes if a part truly takes so long"
        )


def _taken(pool: Pool) -> str:
    return f"{pool.num_gpus:g} GPU" if pool.num_gpus else f"{pool.num_cpus:g} CPU"


def _cluster() -> str:
    try:
        has, free = ray.cluster_resources(), ray.available_resources()
    except (RayError, RuntimeError, ConnectionError):
        return "the cluster does not answer"
    amounts = [f"{free.get(name, 0):g} of {has[name]:g} {name}" for name in ("CPU", "GPU") if has.get(name)]
    return f"free in the cluster: {', '.join(amounts) or 'nothing'}"
