"""Files of infra/ against schemas and against the code: no unknown key, no command, option, path or port that there is not."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pipelines.settings import Settings

ROOT = Path(__file__).parents[1]
INFRA = ROOT / "infra"


def _yaml(name: str) -> dict[str, Any]:
    return yaml.safe_load((INFRA / name).read_text())


def _options(command: str) -> set[str]:
    return {option.removeprefix("--").replace("-", "_") for option in re.findall(r"--[a-z-]+", command)}


def _schema(kind: str) -> dict[str, Any]:
    """KubeRay's own, of its release 1.7.0 (Apache-2.0), made strict: what it does not name is an error."""
    data = (ROOT / f"tests/data/kuberay/{kind}-v1.7.0.json.gz").read_bytes()
    return json.loads(gzip.decompress(data))


@pytest.mark.parametrize(("name", "kind"), [("raycluster", "rayclusters"), ("rayjob", "rayjobs")])
def test_kuberay_files_fit_the_operator_s_schema(name: str, kind: str) -> None:
    content, schema = _yaml(f"kuberay/{name}.yaml"), _schema(kind)
    jsonschema.validate(content, schema)
    content["spec"]["noSuchKey"] = 1
    with pytest.raises(jsonschema.ValidationError, match="noSuchKey"):
        jsonschema.validate(content, schema)


def test_the_cluster_s_versions_and_ports_are_ours() -> None:
    spec = _yaml("kuberay/raycluster.yaml")["spec"]
    pinned = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert spec["rayVersion"] == pinned[1]
    (head,) = spec["headGroupSpec"]["template"]["spec"]["containers"]
    assert {port["name"]: port["containerPort"] for port in head["ports"]} == {
        "gcs": 6379, "dashboard": 8265, "client": 10001, "metrics": 8080,
    }  # fmt: skip
    groups = {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    (gpu,) = groups["gpu"]["template"]["spec"]["containers"]
    assert gpu["resources"]["limits"]["nvidia.com/gpu"] == gpu["resources"]["requests"]["nvidia.com/gpu"] == "1"
    targets = re.findall(r"^FROM \S+ AS (\w+)$", (INFRA / "images/Dockerfile").read_text(), re.MULTILINE)
    for group in (spec["headGroupSpec"], *groups.values()):
        for container in group["template"]["spec"]["containers"]:
            assert container["image"].removeprefix("faitharchive:") in targets
        assert group["template"]["spec"]["securityContext"]["runAsNonRoot"]


def test_the_job_s_command_is_one() -> None:
    command = _yaml("kuberay/rayjob.yaml")["spec"]["entrypoint"]
    assert command.startswith("faitharchive restore s3://")
    assert _options(command) <= set(Settings.model_fields)


def test_images_copy_what_there_is_and_do_not_run_as_root() -> None:
    text = (INFRA / "images/Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in [word for word in line.split() if not word.startswith("--")][:-1]:
            assert (ROOT / source).exists(), source
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {
        "constraints.txt",
        "pyproject.toml",
        "jobs",
        "pipelines",
        "faithdiff_model",
        "infra/prefect.yaml",
    } <= allowed
    assert all((ROOT / name).exists() for name in allowed)
    final = text.rpartition("AS base")[2]
    assert re.search(r"^USER archive$", final, re.MULTILINE)
    assert ":latest" not in text


def test_the_compose_stack_names_commands_and_services_that_there_are() -> None:
    stack = _yaml("compose/compose.yaml")
    services = stack["services"]
    for name, service in services.items():
        for other in service.get("depends_on", []):
            assert other in services, (name, other)
        image = service.get("image", "")
        assert image and not image.endswith(":latest")
        if "build" in service:
            assert (INFRA / "compose" / service["build"]["context"]).resolve() == ROOT
            assert (ROOT / service["build"]["dockerfile"]).is_file()
    variables = services["worker"]["environment"]
    ours = {name for name in variables if name.startswith("FAITHARCHIVE_")}
    assert {name.removeprefix("FAITHARCHIVE_").lower() for name in ours} <= set(Settings.model_fields)
    used = set(re.findall(r"\$(FAITHARCHIVE_\w+)", (INFRA / "prefect.yaml").read_text())) - {"FAITHARCHIVE_HOME"}
    assert used <= ours
    assert (
        "ENV" in (INFRA / "images/Dockerfile").read_text()
        and "FAITHARCHIVE_HOME=/app" in (INFRA / "images/Dockerfile").read_text()
    )
    assert "infra/prefect.yaml" in services["worker"]["command"]
