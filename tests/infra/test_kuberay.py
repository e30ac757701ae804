"""KubeRay's files against the operator's schema and rules, and against the autoscaler that reads them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from dockerfile import stages
from infra_commands import check
from infra_files import INFRA, pinned, read, schema
from ray._raylet import RAY_NODE_ACCELERATOR_TYPE_KEY
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.dashboard.modules.job import job_supervisor
from ray.util.accelerators import accelerators

from jobs.settings.load import load_settings
from pipelines.setting_types import node_labels
from pipelines.settings import Settings

CLUSTER, JOB = read("kuberay/raycluster.yaml"), read("kuberay/rayjob.yaml")
GROUPS: dict[str, dict[str, Any]] = {group["groupName"]: group for group in CLUSTER["spec"]["workerGroupSpecs"]}
HEAD = CLUSTER["spec"]["headGroupSpec"]


def _container(group: dict[str, Any]) -> dict[str, Any]:
    (container,) = group["template"]["spec"]["containers"]
    return container


@pytest.mark.parametrize(("name", "kind"), [("raycluster", "rayclusters"), ("rayjob", "rayjobs")])
def test_the_files_fit_the_operator_s_schema(name: str, kind: str) -> None:
    content, wanted = read(f"kuberay/{name}.yaml"), schema(f"kuberay/{kind}-v1.7.0")
    jsonschema.validate(content, wanted)
    content["spec"]["noSuchKey"] = 1
    with pytest.raises(jsonschema.ValidationError, match="noSuchKey"):
        jsonschema.validate(content, wanted)


def _refused(job: dict[str, Any], cluster: dict[str, Any]) -> list[str]:
    """What the operator refuses beyond its schema (`ValidateRayJobSpec` and `ValidateRayClusterSpec` of release 1.7)."""
    spec, groups = job["spec"], cluster["spec"]["workerGroupSpecs"]
    wrong = []
    if spec.get("ttlSecondsAfterFinished") and not spec.get("shutdownAfterJobFinishes"):
        wrong.append("ttlSecondsAfterFinished without shutdownAfterJobFinishes")
    if ("clusterSelector" in spec) == ("rayClusterSpec" in spec):
        wrong.append("clusterSelector or rayClusterSpec")
    if "clusterSelector" in spec and (spec.get("backoffLimit") or spec.get("suspend")):
        wrong.append("backoffLimit or suspend with clusterSelector")
    for group in [cluster["spec"]["headGroupSpec"], *groups]:
        parameters = group.get("rayStartParams", {})
        if "labels" in parameters:
            wrong.append("rayStartParams['labels']")
        if group.get("resources") and {"num-cpus", "num-gpus", "memory", "resources"} & set(parameters):
            wrong.append("resources in two places")
        if group["template"]["spec"].get("restartPolicy", "Never") != "Never":
            wrong.append("restartPolicy with autoscaler v2")
    for group in groups:
        if not 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]:
            wrong.append("replicas")
        if group.get("priority") and cluster["spec"]["autoscalerOptions"]["version"] != "v2":
            wrong.append("priority without autoscaler v2")
    return wrong


def test_the_operator_s_own_rules_are_kept() -> None:
    assert _refused(JOB, CLUSTER) == []
    before = {**JOB, "spec": {**JOB["spec"], "ttlSecondsAfterFinished": 86400, "backoffLimit": 1}}
    assert len(_refused(before, CLUSTER)) == 2


def test_versions_ports_images_and_users_are_ours() -> None:
    assert CLUSTER["spec"]["rayVersion"] == pinned("ray")
    assert {port["name"]: port["containerPort"] for port in _container(HEAD)["ports"]} == {
        "gcs": 6379, "dashboard": 8265, "client": 10001, "metrics": 8080,
    }  # fmt: skip
    found = stages(INFRA / "images/Dockerfile")
    (user,) = found["cpu"].all_of("USER")
    for group in (HEAD, *GROUPS.values()):
        container, spec = _container(group), group["template"]["spec"]
        gpus = container["resources"]["limits"].get("nvidia.com/gpu")
        assert container["image"] == ("faitharchive:cuda" if gpus else "faitharchive:cpu")
        assert container["resources"]["requests"].get("nvidia.com/gpu") == gpus
        assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]
        security = spec["securityContext"]
        assert security["runAsNonRoot"] and f"{security['runAsUser']}:{security['runAsGroup']}" == user
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        annotations = group["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] in {str(port["containerPort"]) for port in container["ports"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in container.get("volumeMounts", [])}
        assert mounts.keys() == {volume["name"] for volume in spec.get("volumes", [])}
        if gpus:
            assert f"FAITHARCHIVE_CACHE={mounts['weights']} " in found["base"].all_of("ENV")[0]
        # A drained run and a drained node end by themselves.
        assert spec["terminationGracePeriodSeconds"] > Settings().drain_seconds


def test_the_autoscaler_reads_the_groups_as_they_are_meant() -> None:
    """By Ray's own code: what `pools._largest_cluster` is told, and by which labels it brings nodes."""
    found = _derive_autoscaling_config_from_ray_cr(
        {**CLUSTER, "metadata": {**CLUSTER["metadata"], "namespace": "default"}}
    )
    kinds = found["available_node_types"]
    head = kinds.pop(found["head_node_type"])
    assert head["resources"]["CPU"] == 0 and head["max_workers"] == 0
    assert {
        name: (kind["max_workers"], kind["resources"].get("GPU", 0), kind["labels"]) for name, kind in kinds.items()
    } == {
        "cpu": (20, 0, {}),
        "faithdiff-spot": (16, 1, {"ray.io/accelerator-type": "A100", "ray.io/market-type": "spot"}),
        "faithdiff": (4, 1, {"ray.io/accelerator-type": "A100", "ray.io/market-type": "on-demand"}),
        "llava": (4, 1, {"ray.io/accelerator-type": "L4"}),
    }
    assert kinds["faithdiff-spot"]["priority"] > kinds["faithdiff"].get("priority", 0)
    assert found["idle_timeout_minutes"] == 5
    for group in GROUPS.values():
        gpu = group.get("labels", {}).get(RAY_NODE_ACCELERATOR_TYPE_KEY)
        assert gpu is None or gpu in vars(accelerators).values()
        assert gpu is None or gpu in group["template"]["spec"]["nodeSelector"]["nvidia.com/gpu.product"]


def test_the_job_s_command_is_one_and_finds_its_nodes() -> None:
    given = check(shlex.split(JOB["spec"]["entrypoint"]))
    settings = load_settings(
        {name: value for name, value in given.items() if name in Settings.model_fields}, environment={}
    )
    assert (settings.preset, settings.captions, settings.ray_address) == ("sdxl", "llava", "auto")
    for asked, group in ((settings.replica_label, "faithdiff-spot"), (settings.caption_label, "llava")):
        wanted = node_labels(asked)
        assert wanted and wanted.items() <= GROUPS[group]["labels"].items()
    assert JOB["spec"]["clusterSelector"]["ray.io/cluster"] == CLUSTER["metadata"]["name"]
    assert JOB["spec"]["activeDeadlineSeconds"] > settings.budget_hours * 3600 + settings.drain_seconds
    (patience,) = [int(variable["value"]) for variable in _container(HEAD)["env"]]
    assert HEAD["template"]["spec"]["terminationGracePeriodSeconds"] > patience > settings.drain_seconds


def test_the_variable_of_ray_s_patience_is_one() -> None:
    (variable,) = [variable["name"] for variable in _container(HEAD)["env"]]
    assert f'"{variable}"' in Path(job_supervisor.__file__).read_text()
