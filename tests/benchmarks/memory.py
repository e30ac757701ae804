"""Memory of a process and everything below it, sampled in a thread."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import Any

import psutil

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Sample:
    """At `seconds` since the start, in MiB.

    Attributes:
        resident: sum of resident memory; a page that processes share (the object store) counts in each.
        proportional: the same with a shared page split between its users: what the machine really gives.
        driver: resident memory of the first process alone.
        store: memory of Ray's object store that has ever been touched (shared memory of the raylet).
        processes: how many there were.
    """

    seconds: float
    resident: float
    proportional: float
    driver: float
    store: float
    processes: int


class MemorySampler:
    """Samples this process and its children from `start` until `stop`.

    Args:
        interval: seconds between samples; reading proportional memory costs some milliseconds a process.
    """

    def __init__(self, interval: float) -> None:
        self.samples: list[Sample] = []
        self._interval = interval
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = time.monotonic()

    def start(self) -> MemorySampler:
        self._thread.start()
        return self

    def stop(self) -> dict[str, Any]:
        """Peaks, and the samples, as plain values in MiB."""
        self._done.set()
        self._thread.join()
        names = ("resident", "proportional", "driver", "store", "processes")
        peaks = {f"peak_{name}": max((getattr(s, name) for s in self.samples), default=0) for name in names}
        return {**peaks, "samples": [vars(sample) for sample in self.samples]}

    def _run(self) -> None:
        while not self._done.is_set():
            self.samples.append(self._sample())
            self._done.wait(self._interval)

    def _sample(self) -> Sample:
        driver = psutil.Process()
        resident = proportional = store = 0.0
        processes = [driver, *driver.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.Error, OSError):  # it may end while we look
                found = process.memory_full_info()
                resident += found.rss / MIB
                proportional += found.pss / MIB
                if process.name() == "raylet":
                    store = process.memory_info().shared / MIB
        return Sample(
            seconds=round(time.monotonic() - self._started, 2),
            resident=round(resident, 1),
            proportional=round(proportional, 1),
            driver=round(driver.memory_info().rss / MIB, 1),
            store=round(store, 1),
            processes=len(processes),
        )
