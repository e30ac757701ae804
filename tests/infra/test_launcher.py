"""Cluster-launcher files as `ray up` reads them, without its asking AWS or SSH for anything."""

from __future__ import annotations

import copy
import re
import shlex
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from dockerfile import stages
from infra_commands import check, commands
from infra_files import INFRA, read
from jsonschema import ValidationError
from ray._raylet import RAY_NODE_ACCELERATOR_TYPE_KEY
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.util.accelerators import accelerators

from pipelines.setting_types import node_labels

START = ("head_start_ray_commands", "worker_start_ray_commands")
# GPUs of the instance families, as AWS's list of instance types has them.
GPU_OF = {"g6e": "L40S", "g6": "L4"}


@pytest.mark.parametrize("name", ["aws", "local"])
def test_ray_up_takes_the_file(name: str) -> None:
    content = read(f"launcher/{name}.yaml")
    prepared = prepare_config(copy.deepcopy(content))
    validate_config(prepared)
    for worse, why in (({"no_such_key": 1}, "no_such_key"), ({"auth": {"no_such_user": "x"}}, "no_such_user")):
        with pytest.raises(ValidationError, match=why):
            validate_config({**prepared, **worse})
    most = sum(kind.get("max_workers", 0) for kind in content.get("available_node_types", {}).values())
    assert content["max_workers"] == (most or len(content["provider"]["worker_ips"]))


@pytest.mark.parametrize("name", ["aws", "local"])
def test_ray_is_started_by_options_that_it_has(name: str) -> None:
    content = read(f"launcher/{name}.yaml")
    started: dict[str, dict[str, Any]] = {}
    for group in START:
        stop, start = content[group]
        assert [command[:2] for command in commands(stop)] == [["ray", "stop"]]
        (words,) = commands(re.sub(r"\bRAY_\w+=\d+ ", "", start))
        assert words[:2] == ["ray", "start"]
        started[group] = check(words)
        assert started[group]["metrics_export_port"] == 8080
        assert not started[group]["block"]  # the launcher waits for these to return
    head, worker = (started[group] for group in START)
    assert head["head"] and head["autoscaling_config"] == "~/ray_bootstrap_config.yaml"
    assert worker["address"] == f"$RAY_HEAD_IP:{head['port']}"


def test_commands_in_the_comments_are_ones() -> None:
    for name in ("aws", "local"):
        lines = re.findall(
            r"^#   (ray .+?)(?:\s{2,}#.*)?$", (INFRA / f"launcher/{name}.yaml").read_text(), re.MULTILINE
        )
        assert lines
        for line in lines:
            words = shlex.split(line)
            assert words[2] == f"infra/launcher/{name}.yaml"
            check(words)
            for inner in words[3:]:
                check(shlex.split(inner))


def _run_instances(config: dict[str, Any]) -> str:
    shape = botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances").input_shape
    return ParamValidator().validate({"MinCount": 1, "MaxCount": 1, **config}, shape).generate_report()


def test_aws_takes_what_it_is_asked_for() -> None:
    kinds = read("launcher/aws.yaml")["available_node_types"]
    known = botocore.session.get_session().get_service_model("ec2").shape_for("InstanceType").enum
    for kind in kinds.values():
        assert _run_instances(kind["node_config"]) == ""
        assert kind["node_config"]["InstanceType"] in known
    assert "NoSuch" in _run_instances({"NoSuch": 1})
    spot = {
        name
        for name, kind in kinds.items()
        if kind["node_config"].get("InstanceMarketOptions") == {"MarketType": "spot"}
    }
    assert spot == {name for name, kind in kinds.items() if kind.get("labels", {}).get("ray.io/market-type") == "spot"}
    assert all("IamInstanceProfile" in kind["node_config"] for name, kind in kinds.items() if name != "head")


def test_nodes_carry_the_labels_that_models_ask_for_and_the_images_that_there_are() -> None:
    content = read("launcher/aws.yaml")
    targets = stages(INFRA / "images/Dockerfile")
    for name, kind in content["available_node_types"].items():
        default = content["docker"]["head_image" if name == "head" else "worker_image"]
        image = kind.get("docker", {}).get("worker_image", default)
        assert image.removeprefix("faitharchive:") in targets
        gpu = kind.get("labels", {}).get(RAY_NODE_ACCELERATOR_TYPE_KEY)
        assert gpu == GPU_OF.get(kind["node_config"]["InstanceType"].split(".")[0])
        assert (image == "faitharchive:cuda") == (gpu is not None)
        if gpu:
            assert gpu in vars(accelerators).values()
            assert node_labels(f"{RAY_NODE_ACCELERATOR_TYPE_KEY}={gpu}")
    assert content["available_node_types"]["head"]["resources"] == {"CPU": 0}


def test_the_image_has_what_the_launcher_uses_in_it() -> None:
    """rsync and ssh in the container, boto3 on the head, and no entry point before its own `bash`."""
    found = stages(INFRA / "images/Dockerfile")
    assert re.search(r"openssh-client=\S+ rsync=", found["base"].all_of("RUN")[0])
    assert "'boto3'" in found["libraries"].all_of("RUN")[0]
    assert found["base"].all_of("ENTRYPOINT") == ["[]"]
