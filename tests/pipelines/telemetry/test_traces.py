"""Traces of a real run as a collector gets them over OTLP; without a collector, or without the packages, there are none."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from metrics_run import watched_archive
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipelines.settings import Settings

ROOT = Path(__file__).parents[3]


@dataclass
class Collector:
    """Takes OTLP over HTTP, as the real ones do."""

    url: str = ""
    spans: list[Any] = field(default_factory=list)
    services: set[str] = field(default_factory=set)

    def take(self, data: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
            named = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
            self.services.add(named["service.name"])
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            found.take(gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return watched_archive(tmp_path)


def run(settings: Settings, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from traced_run import main; main()", settings.model_dump_json()]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}", **environment}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2 1\n"
    return done


def attributes(span: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_a_run_is_one_tree(collector: Collector, settings: Settings) -> None:
    run(settings, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    assert collector.services == {"faitharchive"}
    assert len({span.trace_id for span in collector.spans}) == 1
    (root,) = [span for span in collector.spans if not span.parent_span_id]
    assert root.name == "run"
    others = [span for span in collector.spans if span is not root]
    assert {span.parent_span_id for span in others} == {root.span_id}
    assert Counter(span.name for span in others) == {
        "plan": 1, "pass": 1, "assemble": 1, "decode": 3, "tile": 2, "restore": 5, "write": 5, "stitch": 1,
    }  # fmt: skip
    whole = attributes(root)
    assert (whole["restored"], whole["failed"], whole["left"]) == (2, 1, 0)
    assert {attributes(span)["run_id"] for span in collector.spans} == {whole["run_id"]}
    for span in others:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
    stages = [attributes(span) for span in others if span.name not in ("plan", "pass", "assemble")]
    assert {(one["source_path"], one["stage"], one["error_code"]) for one in stages if one["status"] == "failed"} == {
        ("bad.jpg", "decode", "not_an_image")
    }
    tiles = [one for one in stages if one["stage"] == "restore" and one["source_path"] == "giant.png"]
    assert sorted(one["part"] for one in tiles) == [0, 1, 2, 3]
    assert len({one["item_id"] for one in tiles}) == 1
    (failed,) = [span for span in others if span.status.code == 2]
    assert attributes(failed)["source_path"] == "bad.jpg"


@pytest.mark.ray
@pytest.mark.timeout(300)
@pytest.mark.slow
def test_a_collector_that_is_down_harms_nothing(settings: Settings) -> None:
    run(settings, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://127.0.0.1:9/v1/traces", OTEL_EXPORTER_OTLP_TIMEOUT="1")


_WITHOUT = """
import sys
from pipelines.telemetry.traces import RunTrace, add_span
if "hide" in sys.argv:
    sys.modules["opentelemetry.exporter.otlp.proto.http.trace_exporter"] = None
trace = RunTrace(1.0, run_id="x")
with trace.step("pass"):
    add_span("decode", trace.traceparent, 1.0, 2.0, {})
add_span("decode", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", 1.0, 2.0, {})
trace.end()
print([trace.traceparent], "opentelemetry.sdk" in sys.modules)
"""


@pytest.mark.parametrize("hide", [True, False])
def test_without_a_collector_or_the_packages_there_are_no_traces(hide: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    command = [sys.executable, "-c", _WITHOUT, *(["hide"] if hide else [])]
    if hide:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=True, timeout=60)
    assert done.stdout == "[''] False\n"
    said = "no traces, though the environment names a collector: pip install 'faitharchive[otel]'\n"
    assert done.stderr == (said if hide else "")
