"""The dashboard and its provisioning: whole, without overlaps, and of what Grafana's own types know."""

from __future__ import annotations

import itertools
import json
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml
from infra_files import INFRA, read
from watch_expressions import DASHBOARD, dashboard

FOLDER = INFRA / "grafana"
UNITS = {"Bps", "bytes", "mbytes", "none", "percent", "percentunit", "s", "short"}
VARIABLE = {"type": "prometheus", "uid": "${datasource}"}


def _panels() -> list[dict[str, Any]]:
    return dashboard()["panels"]


def _cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    at = panel["gridPos"]
    return set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))


def test_panels_fill_the_grid_without_overlapping() -> None:
    panels = _panels()
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    cells = [_cells(panel) for panel in panels]
    assert sum(map(len, cells)) == len(set().union(*cells))
    assert {x for x, _ in set().union(*cells)} == set(range(24))
    rows = [panel["title"] for panel in panels if panel["type"] == "row"]
    assert rows == ["The run", "Items and queue", "Failures", "GPUs and stages", "Throughput", "Cost", "Nodes"]


def test_every_panel_asks_the_chosen_prometheus_and_has_a_unit() -> None:
    (variable,) = dashboard()["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    for panel in _panels():
        if panel["type"] == "row":
            continue
        assert panel["datasource"] == VARIABLE, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["targets"], panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
        assert all(target["datasource"] == VARIABLE for target in panel["targets"]), panel["title"]


def test_the_stack_provisions_it() -> None:
    services = read("compose/compose.yaml")["services"]
    mounts = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    (source,) = read("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    (port,) = services["prometheus"]["ports"]
    assert source["url"] == f"http://prometheus:{port.rpartition(':')[2]}"
    assert source["jsonData"]["timeInterval"] == read("prometheus/prometheus.yml")["global"]["scrape_interval"]
    (provider,) = read("grafana/provisioning/dashboards/faitharchive.yaml")["providers"]
    assert mounts["../grafana/dashboards"] == provider["options"]["path"]
    assert mounts["../grafana/provisioning"] == "/etc/grafana/provisioning"
    # The folders that Grafana reads there; a file elsewhere would be passed over.
    found = {PurePosixPath(path.relative_to(FOLDER / "provisioning")).parent.name for path in FOLDER.rglob("*.yaml")}
    assert found == {"dashboards", "datasources"}
    assert all(yaml.safe_load(path.read_text())["apiVersion"] == 1 for path in FOLDER.rglob("*.yaml"))


def _lost(wanted: Any, kept: Any, at: str = "") -> list[str]:
    if isinstance(wanted, dict) and isinstance(kept, dict):
        gone = [f"{at}/{key}" for key in wanted if key not in kept]
        return gone + [one for key in wanted if key in kept for one in _lost(wanted[key], kept[key], f"{at}/{key}")]
    if isinstance(wanted, list) and isinstance(kept, list) and len(wanted) == len(kept):
        return [one for i, pair in enumerate(zip(wanted, kept, strict=True)) for one in _lost(*pair, f"{at}/{i}")]
    return [] if wanted == kept else [at]


def _through_grafana_s_types(content: dict[str, Any]) -> dict[str, Any]:
    models = pytest.importorskip(
        "grafana_foundation_sdk.models.dashboard",
        reason="Grafana's types are not here: pip install grafana-foundation-sdk",
    )
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins

    register_default_plugins()
    return json.loads(JSONEncoder().encode(models.Dashboard.from_json(content)))


def test_grafana_s_types_know_every_key_and_value() -> None:
    content = json.loads(DASHBOARD.read_text())
    assert _lost(content, _through_grafana_s_types(content)) == []
    charts = [number for number, panel in enumerate(content["panels"]) if panel["type"] == "timeseries"]
    wrong = content["panels"][charts[0]]
    wrong["options"]["legend"]["placment"] = "bottom"
    wrong["fieldConfig"]["defaults"]["custom"]["drawstyle"] = "line"
    wrong["targets"][0]["expression"] = "up"
    assert len(_lost(content, _through_grafana_s_types(content))) == 3
