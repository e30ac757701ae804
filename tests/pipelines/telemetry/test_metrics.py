"""Metrics and traces of one real run, as Ray's own endpoint exports and a collector gets them; and runs without a port."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from metrics_run import ROOT, run_watched, watched_archive
from ports import free_port
from trace_collector import attributes, running_collector

import pipelines.run.ray_patches
from pipelines.run.ray_patches import check_metrics_port, without_agent
from pipelines.store.layout import TRUST_SUFFIX
from pipelines.store.store import StoreError
from pipelines.telemetry.metrics import METRICS, change


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run over two photographs, one of several tiles, and a file that is none: what its Ray exported, and its traces."""
    folder = tmp_path_factory.mktemp("metrics")
    settings = watched_archive(folder, free_port())
    with running_collector() as collector:
        found = run_watched(settings, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    return {**found, "folder": folder, "collector": collector}


def values(exported: dict[str, Any], name: str) -> dict[tuple[str, ...], float]:
    """A metric's values by its own labels, added up over the workers that recorded it."""
    (metric,) = (
        metric for metric in METRICS if f"ray_{metric.name}" == name.removesuffix("_total").removesuffix("_count")
    )
    found: dict[tuple[str, ...], float] = {}
    for sample in exported["after"]:
        if sample["name"] == name:
            labels = tuple(sample["labels"][label] for label in metric.labels)
            found[labels] = found.get(labels, 0) + sample["value"]
    return found


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_a_run_is_counted_as_it_was(exported: dict[str, Any]) -> None:
    assert exported["outcome"] == [2, 1]
    assert values(exported, "ray_faitharchive_items_total") == {("restored", "photo"): 2, ("failed", "photo"): 1}
    assert values(exported, "ray_faitharchive_failures_total") == {("decode", "not_an_image"): 1}
    assert values(exported, "ray_faitharchive_parts_total") == {("photo",): 4}
    scans, results = exported["folder"] / "scans", exported["folder"] / "restored"
    sizes = {
        "source": sum(path.stat().st_size for path in scans.glob("*.png")),
        "output": sum(path.stat().st_size for path in results.glob("*.png") if not path.name.endswith(TRUST_SUFFIX)),
    }
    for which, size in sizes.items():
        assert values(exported, f"ray_faitharchive_{which}_bytes_total") == {("photo",): size}
    pixels = 4 * (40 * 48 + 80 * 120) / 1e6
    assert values(exported, "ray_faitharchive_output_megapixels_total") == {("photo",): pytest.approx(pixels)}


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_workers_tell_how_long_they_were_busy(exported: dict[str, Any]) -> None:
    seconds = values(exported, "ray_faitharchive_stage_seconds_total")
    assert {stage for stage, _ in seconds} >= {"decode", "tile", "restore"}
    assert {device for _, device in seconds} == {"cpu"}
    assert seconds["restore", "cpu"] > seconds["decode", "cpu"] > 0
    rows = values(exported, "ray_faitharchive_item_seconds_count")
    assert rows["decode",] == 3
    assert rows["restore",] == 5  # one photograph, and the four tiles of the other


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_gauges_are_those_of_the_moment(exported: dict[str, Any]) -> None:
    during = {name: [sample["value"] for sample in samples] for name, samples in exported["during"].items()}
    assert during["ray_faitharchive_run_active"][0] == 1
    assert during["ray_faitharchive_run_active"][-1] == 0
    assert during["ray_faitharchive_items_pending"][0] == 3
    assert during["ray_faitharchive_items_pending"][-1] == 0
    assert len(set(during["ray_faitharchive_run_started_timestamp_seconds"])) == 1
    (sample, *_) = exported["during"]["ray_faitharchive_replica_gpus"]
    assert (sample["labels"]["stage"], sample["labels"]["device"], sample["value"]) == ("restore", "cpu", 0)


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_every_metric_of_the_table_is_exported_under_its_name_and_kind(exported: dict[str, Any]) -> None:
    gauges = [sample for samples in exported["during"].values() for sample in samples]
    found = {(sample["name"], sample["type"]) for sample in [*exported["after"], *gauges]}
    endings = {"counter": "_total", "gauge": "", "histogram": "_count"}
    assert found >= {(f"ray_{metric.name}{endings[metric.kind]}", metric.kind) for metric in METRICS}
    known = tuple(f"ray_{metric.name}" for metric in METRICS)
    assert all(name.startswith(known) for name, _ in found)


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_a_run_is_one_tree_of_traces(exported: dict[str, Any]) -> None:
    collector = exported["collector"]
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


def test_changes_are_of_the_table() -> None:
    with pytest.raises(AssertionError):
        change("faitharchive_items", 1, status="restored")
    with pytest.raises(KeyError):
        change("faitharchive_photographs", 1)


def test_a_port_that_cannot_be_had_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StoreError, match=f"metrics port {port}: cannot be used .*choose another"):
            check_metrics_port(port)
    check_metrics_port(free_port())


def test_without_ray_s_agent_a_port_is_refused_and_its_absence_lasts_for_a_block_alone() -> None:
    with without_agent(), pytest.raises(StoreError, match=r"pip install 'faitharchive\[cluster\]'"):
        check_metrics_port(free_port())
    check_metrics_port(free_port())
    assert pipelines.run.ray_patches.ray._private.utils.get_dashboard_dependency_error() is None


_LOCAL = """
import psutil, ray
from pipelines.run.cluster import connected
from pipelines.telemetry.metrics import METRICS, change, record
from pipelines.settings import Settings
with connected(Settings(cpus=1, object_store_mb=100)):
    for metric in METRICS:
        record([change(metric.name, 1.0, **dict.fromkeys(metric.labels, "x"))])
    commands = [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
    agents = [command for command in commands if "dashboard/agent.py" in command]
    print(len(commands) > 1, [("--minimal" in agent) for agent in agents])
record([change(METRICS[0].name, 1.0, **dict.fromkeys(METRICS[0].labels, "x"))])
"""


@pytest.mark.ray
def test_a_local_run_that_asks_for_no_port_has_no_agent_and_records_in_peace() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOCAL], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout in ("True []\n", "True [True]\n")
