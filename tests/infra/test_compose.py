"""The compose stack against the specification, against Docker's own reader where there is one, and against the code."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from dockerfile import stages
from infra_commands import check, commands
from infra_files import INFRA, ROOT, read, schema
from prefect.settings import Settings as PrefectSettings
from prefect.settings.legacy import _get_valid_setting_names

from jobs.settings.load import load_settings
from pipelines.settings import Settings

STACK = read("compose/compose.yaml")
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
PASSWORDS = ("STORE_PASSWORD", "DATABASE_PASSWORD", "GRAFANA_PASSWORD", "RAY_TOKEN")
OURS = [name for name, service in SERVICES.items() if "build" in service]


def _shell(service: dict[str, Any]) -> str:
    command = service.get("command", "")
    return command if isinstance(command, str) else command[-1]


@pytest.mark.parametrize("name", ["compose", "gpu"])
def test_the_files_fit_the_specification(name: str) -> None:
    content, wanted = read(f"compose/{name}.yaml"), schema("compose/compose-spec-170098b")
    jsonschema.validate(content, wanted)
    worse = copy.deepcopy(content)
    worse["services"]["ray-worker"]["noSuchKey"] = 1
    with pytest.raises(jsonschema.ValidationError, match="noSuchKey"):
        jsonschema.validate(worse, wanted)


def _compose(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`config` by Docker's own reader. The old one, which Debian has, does not know the key `name`."""
    docker = shutil.which("docker")
    new = docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0
    command = ["docker", "compose"] if new else ["docker-compose"]
    if not new and shutil.which("docker-compose") is None:
        pytest.skip("neither docker compose nor docker-compose is here")
    content = text if new else re.sub(r"^name: .+$", "", text, flags=re.MULTILINE)
    return subprocess.run(
        [*command, "--project-directory", str(folder), "-f", "-", "config"], input=content, capture_output=True, text=True,
        env={**os.environ, **dict.fromkeys(PASSWORDS, "told")}, check=False,
    )  # fmt: skip


def test_docker_reads_it_and_takes_the_passwords_from_the_environment() -> None:
    text = (INFRA / "compose/compose.yaml").read_text()
    done = _compose(text, INFRA / "compose")
    assert done.returncode == 0, done.stderr
    assert "for-trying-only" not in done.stdout
    found = yaml.safe_load(done.stdout)["services"]
    assert set(found) == set(SERVICES)
    assert found["store"]["environment"]["MINIO_ROOT_PASSWORD"] == "told"
    assert _compose(text.replace("healthcheck:", "healthchek:", 1), INFRA / "compose").returncode != 0


def test_images_are_pinned_or_ours_and_ports_are_this_machine_s_alone() -> None:
    targets = stages(INFRA / "images/Dockerfile")
    for service in [*SERVICES.values(), *read("compose/gpu.yaml")["services"].values()]:
        image, _, tag = service["image"].partition(":")
        assert re.search(r"\d+\.\d+|\d{4}-\d{2}-\d{2}", tag) or (
            image == "faitharchive" and tag == service["build"]["target"]
        )
        if "context" in service.get("build", {}):
            assert (INFRA / "compose" / service["build"]["context"]).resolve() == ROOT
            assert (ROOT / service["build"]["dockerfile"]).is_file()
        if "build" in service:
            assert service["build"]["target"] in targets
        for port in service.get("ports", []):
            assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port), port


def test_secrets_are_named_in_one_place_and_come_from_outside() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|TOKEN|CONNECTION_URL", variable):
                assert re.search(rf"\$\{{({'|'.join(PASSWORDS)}):-", str(value)), (name, variable)


def test_services_start_after_what_they_need() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[other], (name, other)
    assert SERVICES["worker"]["depends_on"] == {
        "prefect": {"condition": "service_healthy"},  # it deploys
        "bucket": {"condition": "service_completed_successfully"},
        "ray-head": {"condition": "service_healthy"},
    }


def test_commands_are_ones_that_their_programs_take() -> None:
    seen = {name: [check(command) for command in commands(_shell(SERVICES[name]))] for name in OURS}
    seen["ray-head healthcheck"] = [check(SERVICES["ray-head"]["healthcheck"]["test"][1:])]
    head, worker, driver = seen["ray-head"][0], seen["ray-worker"][0], seen["worker"][0]
    assert head["head"] and head["block"] and worker["block"] and not driver["block"]
    assert head["num_cpus"] == driver["num_cpus"] == 0
    assert worker["num_cpus"] is None
    assert worker["address"] == driver["address"] == f"ray-head:{head['port']}"
    assert [made["command"] for made in seen["worker"][1:]] == ["create", "deploy", "start"]
    pool = seen["worker"][1]["name"]
    assert pool == seen["worker"][3]["work_pool_name"]
    assert pool in {deployment["work_pool"]["name"] for deployment in read("prefect.yaml")["deployments"]}
    with pytest.raises(ValueError, match="no-such"):
        check(["prefect", "worker", "start", "--no-such"])
    with pytest.raises(ValueError, match="no-such"):
        check(["ray", "start", "--no-such"])


def test_variables_are_ones_that_something_reads() -> None:
    """Those of the worker make valid settings, and are all that the deployments ask for."""
    variables = {name: str(value) for name, value in SERVICES["worker"]["environment"].items()}
    given = {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in variables.items()}
    ours = {name for name in given if name.startswith("FAITHARCHIVE_")}
    assert {name.removeprefix("FAITHARCHIVE_").lower() for name in ours} <= set(Settings.model_fields)
    assert load_settings({}, environment=given).output == "s3://archive/restored"
    assert set(re.findall(r"\$(FAITHARCHIVE_\w+)", (INFRA / "prefect.yaml").read_text())) == ours
    known = _get_valid_setting_names(PrefectSettings)
    for service in SERVICES.values():
        assert {name for name in service.get("environment", {}) if name.startswith("PREFECT_")} <= known
    assert SERVICES["worker"]["stop_grace_period"] == "90s"
    assert Settings().drain_seconds < 90


def test_volumes_are_where_the_images_have_their_places() -> None:
    environment = stages(INFRA / "images/Dockerfile")["base"].all_of("ENV")[0]
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            if not source.startswith("."):
                assert source in STACK["volumes"]
            if source == "weights":
                assert f"FAITHARCHIVE_CACHE={target} " in environment


def test_the_bucket_is_made_by_what_the_image_has(s3_server: str) -> None:
    program, option, code = SERVICES["bucket"]["command"]
    assert (program, option) == ("python", "-c")
    for _ in range(2):  # also where it is there already
        subprocess.run([sys.executable, "-c", code.replace("'archive'", "'made-here'")], check=True)
    import s3fs

    assert s3fs.S3FileSystem().exists("made-here")
