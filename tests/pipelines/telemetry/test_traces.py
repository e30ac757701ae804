"""Without a collector, or without the packages, there are no traces, and no harm. What a real run sends: test_metrics.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from metrics_run import watched_archive

from pipelines.settings import Settings

ROOT = Path(__file__).parents[3]


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
