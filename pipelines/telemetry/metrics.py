"""Metrics of a run for Prometheus, exported by Ray's own endpoint: one table of names, and two functions to use them.

Ray's agent on each node exports what the node's processes record, under `ray_` and, of counters, with `_total` at the end.
Where there is no agent, as in a local run that asked for no port, recording does nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

import ray
from ray.actor import ActorHandle
from ray.util.metrics import Counter, Gauge, Histogram

__all__ = ["METRICS", "Change", "Metric", "change", "record"]

# Ray's agent forgets a gauge 20 s after it was last set, though its process lives.
_GAUGE_SECONDS = 5.0
# From a small photograph's decoding to a film's segment on a CPU.
_BOUNDARIES = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]


class Metric(NamedTuple):
    """A metric as Ray exports it.

    Attributes:
        name: without Ray's prefix and suffix.
        kind: `counter`, `gauge` or `histogram`.
        labels: names of its labels.
        meaning: its help text.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


METRICS: tuple[Metric, ...] = (
    Metric("faitharchive_items", "counter", ("status", "media_kind"), "items that became final: restored or failed"),
    Metric("faitharchive_failures", "counter", ("stage", "code"), "failed items by stage and error code"),
    Metric("faitharchive_parts", "counter", ("media_kind",), "tiles and film segments that became durable"),
    Metric(
        "faitharchive_stage_seconds", "counter", ("stage", "device"), "seconds that workers were busy with a stage's rows"
    ),
    Metric("faitharchive_source_bytes", "counter", ("media_kind",), "bytes of the sources that were restored"),
    Metric("faitharchive_output_bytes", "counter", ("media_kind",), "bytes of the results"),
    Metric(
        "faitharchive_output_megapixels", "counter", ("media_kind",), "millions of pixels of the results, of all frames"
    ),
    Metric("faitharchive_items_pending", "gauge", (), "planned items that are not final yet"),
    Metric("faitharchive_run_active", "gauge", (), "1 while a run is on, 0 after it"),
    Metric("faitharchive_run_started_timestamp_seconds", "gauge", (), "when the run began, seconds since 1970"),
    Metric("faitharchive_replica_gpus", "gauge", ("stage", "device"), "GPUs that an actor with a model holds"),
    Metric(
        "faitharchive_item_seconds", "histogram", ("stage",), "seconds that a row, an item or a part of one, took in a stage"
    ),
)  # fmt: skip
_TABLE = {metric.name: metric for metric in METRICS}


class Change(NamedTuple):
    """What happened to a metric: added to a counter, set for a gauge, observed by a histogram."""

    name: str
    value: float
    labels: dict[str, str]


def change(name: str, value: float, **labels: str) -> Change:
    """A change, checked against the table."""
    assert set(labels) == set(_TABLE[name].labels), (name, labels)
    return Change(name, value, labels)


def record(changes: Iterable[Change]) -> None:
    """Have changes exported. In a Ray client, which is no process of the cluster, an actor there does it."""
    if ray.util.client.ray.is_connected():
        _recorder().record.remote(list(changes))
        return
    for one in changes:
        _recording.take(one)


class _Recording:
    """This process's metrics, each created when it is first used."""

    def __init__(self) -> None:
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}
        self._gauges: dict[tuple[str, tuple[tuple[str, str], ...]], Change] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def take(self, one: Change) -> None:
        kind = _TABLE[one.name].kind
        metric = self._metrics.get(one.name) or self._make(one.name)
        if kind == "counter":
            if one.value > 0:  # Ray refuses to add nothing
                metric.inc(one.value, one.labels)
        elif kind == "histogram":
            metric.observe(one.value, one.labels)
        else:
            metric.set(one.value, one.labels)
            with self._lock:
                self._gauges[one.name, tuple(one.labels.items())] = one
                if self._thread is None:
                    self._thread = threading.Thread(target=self._keep, name="gauges", daemon=True)
                    self._thread.start()

    def _make(self, name: str) -> Counter | Gauge | Histogram:
        metric = _TABLE[name]
        with self._lock:
            if name not in self._metrics:
                about = {"description": metric.meaning, "tag_keys": metric.labels}
                if metric.kind == "histogram":
                    self._metrics[name] = Histogram(name, boundaries=_BOUNDARIES, **about)
                else:
                    self._metrics[name] = (Counter if metric.kind == "counter" else Gauge)(name, **about)
            return self._metrics[name]

    def _keep(self) -> None:
        while True:
            time.sleep(_GAUGE_SECONDS)
            with self._lock:
                gauges = list(self._gauges.values())
            for one in gauges:
                self._metrics[one.name].set(one.value, one.labels)


_recording = _Recording()


class _Recorder:
    """Records on the cluster for a driver outside it."""

    def record(self, changes: list[Change]) -> None:
        record(changes)


def _recorder() -> ActorHandle:
    """The actor of this client's session; a session's end takes it along."""
    session = ray.util.client.ray.get_context().client_worker
    if not _remote or _remote[0][0] is not session:
        _remote[:] = [(session, ray.remote(num_cpus=0)(_Recorder).remote())]
    return _remote[0][1]


_remote: list[tuple[object, ActorHandle]] = []  # the session and its recorder, once there is one
