"""A real Prometheus with our rules beside a real run: what it computes, and that it answers every expression there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from infra_files import INFRA, read
from metrics_run import run_watched, watched_archive
from ports import free_port
from watch_expressions import expressions, known_metrics, metrics_of

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]

# What this machine has none of, or what a run of three files need not come to.
_GPU = {"ray_node_gpus_utilization", "ray_node_gram_used"}
_SILENT = ("GPUs busy", "Alerts that fire", "all GPUs", "Time left", "panel GPU")
SECOND = 2


class _Server:
    """Prometheus' HTTP interface."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **parameters: Any) -> Any:
        """Raises HTTPError where an expression is wrong."""
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=20) as answer:
            content = json.loads(answer.read())
        assert content["status"] == "success" and not content.get("warnings"), content
        return content["data"]

    def wait(self) -> None:
        for _ in range(100):
            try:
                with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2):
                    return
            except OSError:
                time.sleep(0.2)
        raise AssertionError("Prometheus did not start within 20 s")

    def values(self, expression: str) -> dict[tuple[str, ...], float]:
        """An expression's values now, by the values of its labels in their order."""
        found = self.get("/api/v1/query", query=expression)["result"]
        return {
            tuple(one["metric"][k] for k in sorted(one["metric"]) if k != "__name__"): float(one["value"][1])
            for one in found
        }


def _configuration(folder: Path, port: int) -> Path:
    """Ours, at a pace that a test can wait for and with the run's own port."""
    config = read("prometheus/prometheus.yml")
    config["global"] = {
        "scrape_interval": f"{SECOND}s",
        "scrape_timeout": f"{SECOND}s",
        "evaluation_interval": f"{SECOND}s",
    }
    (ray,) = config["scrape_configs"]
    del ray["dns_sd_configs"], ray["file_sd_configs"]
    ray["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    rules = (INFRA / "prometheus/rules.yaml").read_text()
    paced = rules.replace("interval: 1m", f"interval: {SECOND}s").replace(":1m]", f":{SECOND}s]")
    (folder / "rules.yaml").write_text(paced)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    return folder / "prometheus.yml"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Server]:
    """Prometheus, after a run over two photographs, one of four tiles, and a file that is none."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not here: apt-get install prometheus")
    folder, port, own = tmp_path_factory.mktemp("prometheus"), free_port(), free_port()
    settings = watched_archive(folder, port)
    words = [f"--config.file={_configuration(folder, port)}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(
            ["prometheus", *words, f"--web.listen-address=127.0.0.1:{own}"], stdout=log, stderr=log
        )
        try:
            prometheus = _Server(own)
            prometheus.wait()
            run_watched(settings, linger=8)
            time.sleep(2 * SECOND)
            yield prometheus
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def test_the_rules_come_to_what_the_run_did(watched: _Server) -> None:
    assert watched.values("faitharchive:items:gained30m") == {("photo", "restored"): 2, ("photo", "failed"): 1}
    assert watched.values("faitharchive:items:gained12h") == {("photo", "restored"): 2, ("photo", "failed"): 1}
    assert watched.values("faitharchive:failures:gained1h") == {("not_an_image", "decode"): 1}
    assert watched.values("faitharchive:parts:gained30m") == {("photo",): 4}
    assert watched.values("faitharchive:failure_share") == {(): pytest.approx(1 / 3)}
    pixels = 4 * (40 * 48 + 80 * 120) / 1e6
    assert watched.values("faitharchive:output_megapixels:gained12h") == {("photo",): pytest.approx(pixels)}
    assert watched.values("max_over_time(faitharchive:run_active[5m])") == {(): 1}
    assert watched.values("max_over_time(faitharchive:queue[5m])") == {(): 3}
    assert watched.values("max_over_time(faitharchive:replicas[5m])") == {(): 1}
    assert 0 < watched.values("time() - faitharchive:run_started_seconds")[()] < 300
    # On a CPU there is no GPU to be busy, to be idle or to be paid for.
    assert watched.values("max_over_time(faitharchive:gpus_held[5m])") == {(): 0}
    assert watched.values("faitharchive:run_cost") == {(): 0}
    assert watched.values("faitharchive:gpu_busy_share") == {}


def test_increase_would_miss_what_the_rules_see(watched: _Server) -> None:
    """Why the rules do not use it."""
    assert watched.values("sum(increase(ray_faitharchive_failures_total[30m]))") in ({}, {(): 0})


def test_replicas_are_forgotten_after_the_run(watched: _Server) -> None:
    assert watched.values("faitharchive:replicas") == {(): 0}
    assert watched.values("ray_faitharchive_replica_gpus") == {}


def test_every_rule_was_evaluated_without_an_error(watched: _Server) -> None:
    rules = [rule for group in watched.get("/api/v1/rules")["groups"] for rule in group["rules"]]
    assert len(rules) == sum(where.startswith("rule ") for where in expressions())
    assert {rule["health"] for rule in rules} == {"ok"}, [rule.get("lastError") for rule in rules]


def test_every_metric_of_rules_and_dashboard_was_exported(watched: _Server) -> None:
    used = set().union(*map(metrics_of, expressions().values()))
    there = set(watched.get("/api/v1/label/__name__/values"))
    conditional = {"ALERTS", "faitharchive:gpu_busy_share", "faitharchive:queue_seconds_left"}
    assert used - there - _GPU - conditional == set()
    assert set(known_metrics()) >= _GPU
    for name in (used & there) - {"ALERTS"}:  # which has its alerts' own labels
        series = watched.get("/api/v1/series", **{"match[]": name})
        labels = set().union(*series) - {"__name__"}
        assert labels - {label for label in labels if label.startswith("otel_")} <= known_metrics()[name], name


@pytest.mark.parametrize(("where", "expression"), expressions().items())
def test_every_expression_is_answered(watched: _Server, where: str, expression: str) -> None:
    watched.get("/api/v1/query", query=expression)
    now = time.time()
    found = watched.get("/api/v1/query_range", query=expression, start=now - 200, end=now, step=SECOND)["result"]
    if where.startswith("panel") and not re.search("|".join(_SILENT), where) and "GPU" not in expression:
        assert found, where
