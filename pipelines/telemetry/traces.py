"""OpenTelemetry traces, optional: one a run, with a span for each step of the driver and for each item in each stage.

On where `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set, as OTLP over HTTP; on a cluster in the
environment of driver and workers. OpenTelemetry's other variables count as well, such as OTEL_TRACES_SAMPLER.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

__all__ = ["RunTrace", "add_span", "flush", "is_enabled"]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
# Workers may end half a second after their last row; a collector that is down must not hold up a row.
_DELAY_MS = 400

logger = logging.getLogger(__name__)


def is_enabled() -> bool:
    """Whether the environment names a collector."""
    return any(os.environ.get(name) for name in _ENDPOINTS)


@lru_cache(maxsize=1)
def _provider() -> TracerProvider | None:
    """This process's own: Prefect may have a global one. None where nothing is to be traced, or nothing can be."""
    if not is_enabled():
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        logger.warning("no traces, though the environment names a collector: pip install 'faitharchive[otel]'")
        return None
    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "faitharchive")})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=_DELAY_MS))
    return provider


def add_span(name: str, traceparent: str, began: float, ended: float, attributes: Mapping[str, object]) -> None:
    """A span of the past, below that which `traceparent` names.

    Args:
        name: of the span.
        traceparent: as W3C has it; empty if the run has no trace.
        began, ended: seconds since 1970.
        attributes: plain values; None is left out. A `status` of failed makes the span an error.
    """
    provider = _provider() if traceparent else None
    if provider is None:
        return
    from opentelemetry.trace import StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
    span = provider.get_tracer(__name__).start_span(name, parent, attributes=_plain(attributes), start_time=_ns(began))
    if attributes.get("status") == "failed":
        span.set_status(StatusCode.ERROR)
    span.end(_ns(ended))


class RunTrace:
    """A run's trace in its driver: the span of the run, and of its steps below it.

    Args:
        began: when the run began, seconds since 1970.
        attributes: of the run.
    """

    def __init__(self, began: float, **attributes: object) -> None:
        self.traceparent = ""
        self._root: Span | None = None
        provider = _provider()
        if provider is None:
            return
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._root = provider.get_tracer(__name__).start_span(
            "run", attributes=_plain(attributes), start_time=_ns(began)
        )
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(self._root))
        self.traceparent = carrier.get("traceparent", "")

    @contextmanager
    def step(self, name: str, **attributes: object) -> Iterator[None]:
        """A step of the run for the length of a block."""
        began = time.time()
        try:
            yield
        finally:
            add_span(name, self.traceparent, began, time.time(), attributes)

    def end(self, **attributes: object) -> None:
        """The run is over; waits for what its workers have still to tell."""
        if self._root is None:
            return
        self._root.set_attributes(_plain(attributes))
        self._root.end()
        flush()
        time.sleep(5 * _DELAY_MS / 1000)  # a local Ray's workers go when we go


def flush() -> None:
    """Send what this process has not sent yet."""
    provider = _provider()
    if provider is not None:
        provider.force_flush()


def _plain(attributes: Mapping[str, object]) -> dict[str, str | bool | int | float]:
    """What OpenTelemetry takes: it refuses None, and warns of what is no plain value."""
    values = {name: value for name, value in attributes.items() if value is not None}
    return cast("dict[str, str | bool | int | float]", values)


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
