"""Prometheus' files: by its own checker, and against the metrics, settings and headings that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from infra_files import INFRA, read
from ray._private.ray_constants import PROMETHEUS_SERVICE_DISCOVERY_FILE
from watch_expressions import alerts, complaints, expressions, metrics_of, rules

from pipelines.errors import ERROR_CODES
from pipelines.run.outage import _STORE_CODES, _SUSPICIOUS

FOLDER = INFRA / "prometheus"


def _promtool(*words: str, folder: Path = FOLDER) -> subprocess.CompletedProcess[str]:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not here: apt-get install prometheus")
    return subprocess.run(["promtool", *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "words", ["check config prometheus.yml", "check rules rules.yaml", "test rules rules_test.yaml"]
)
def test_promtool_is_content(words: str) -> None:
    done = _promtool(*words.split())
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_in_the_tests_and_they_can_fail(tmp_path: Path) -> None:
    tests = (FOLDER / "rules_test.yaml").read_text()
    names = {alert["alert"] for alert in alerts()}
    fired = set(re.findall(r"alertname=\"(\w+)\"\}'", tests)) | set(re.findall(r"alertname: (\w+)", tests))
    assert fired == names
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    text = (FOLDER / "rules.yaml").read_text()
    (tmp_path / "rules.yaml").write_text(text.replace("alert: ", "alert: Other"))
    done = _promtool("test", "rules", "rules_test.yaml", folder=tmp_path)
    assert done.returncode != 0
    assert all(f'alertname="{name}"' in done.stdout + done.stderr for name in names)


@pytest.mark.parametrize(("where", "expression"), expressions().items())
def test_every_metric_and_label_exists(where: str, expression: str) -> None:
    assert metrics_of(expression) or where.startswith("rule faitharchive:"), where
    assert complaints(expression) == []


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("sum(ray_faitharchive_failures)", "no metric ray_faitharchive_failures"),
        ("max(ray_faitharchive_run_activ) or vector(0)", "no metric ray_faitharchive_run_activ"),
        ("sum by (kind) (ray_faitharchive_items_total)", "no label kind of ['ray_faitharchive_items_total']"),
        ('ray_faitharchive_items_total{state="failed"}[5m]', "no label state of ray_faitharchive_items_total"),
        ("faitharchive:items:gained5m * 3", "no metric faitharchive:items:gained5m"),
        ("ray_node_disk_left / ray_node_disk_usage", "no metric ray_node_disk_left"),
        ('faitharchive:items:gained30m{stage="x"}', "no label stage of faitharchive:items:gained30m"),
    ],
)
def test_a_wrong_name_is_found(expression: str, wrong: str) -> None:
    assert complaints(expression) == [wrong]


def test_codes_and_numbers_are_those_of_the_code() -> None:
    codes = set(re.findall(r'code=~"([^"]+)"', str([alert["expr"] for alert in alerts()])))
    assert {code for listed in codes for code in listed.split("|")} <= set(ERROR_CODES)
    (store,) = (alert for alert in alerts() if alert["alert"] == "StoreFailing")
    assert store["expr"].endswith(f'{{code=~"{"|".join(_STORE_CODES)}"}}) >= {_SUSPICIOUS}')
    (night,) = (rule["expr"] for rule in rules() if rule.get("record") == "faitharchive:night_hours")
    (nightly,) = (one for one in read("prefect.yaml")["deployments"] if one["name"] == "nightly")
    assert night == f"vector({nightly['parameters']['settings']['budget_hours']})"


def test_what_is_scraped_are_ray_s_nodes_of_a_machine_and_of_the_compose_stack() -> None:
    (ray,) = read("prometheus/prometheus.yml")["scrape_configs"]
    assert ray["job_name"] == "ray"
    assert ray["file_sd_configs"] == [{"files": [f"/tmp/ray/{PROMETHEUS_SERVICE_DISCOVERY_FILE}"]}]
    (names,) = ray["dns_sd_configs"]
    services = read("compose/compose.yaml")["services"]
    exporting = {
        name
        for name, service in services.items()
        if f"--metrics-export-port={names['port']}" in str(service.get("command"))
    }
    assert set(names["names"]) == exporting
    mounted = [volume.split(":")[:2] for volume in services["prometheus"]["volumes"]]
    assert ["../prometheus", "/etc/prometheus"] in mounted


def test_every_alert_says_how_bad_it_is_and_has_its_section_in_the_runbook() -> None:
    readme = (INFRA / "README.md").read_text()
    for alert in alerts():
        name = alert["alert"]
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
        assert alert["annotations"]["runbook_url"] == f"infra/README.md#alert-{name.lower()}"
        assert re.search(rf"^### Alert {name}$", readme, re.MULTILINE), f"{name}: no section in infra/README.md"
    described = re.findall(r"^### Alert (\w+)$", readme, re.MULTILINE)
    assert sorted(described) == sorted(alert["alert"] for alert in alerts())
