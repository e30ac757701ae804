"""What all files of infra/ must agree in: commands that there are, paths that there are, and one table of ports."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from infra_commands import OURS, check, commands
from infra_files import INFRA, read
from readmes import missing_names, missing_paths

FILES = sorted(
    path for path in INFRA.rglob("*") if path.suffix in {".md", ".yaml", ".yml"} or path.name == "Dockerfile"
)
# Ray's own, unless told otherwise: KubeRay, the launcher and compose tell it the same.
PORTS = {"gcs": 6379, "dashboard": 8265, "client": 10001, "metrics": 8080}


def _told(path: Path) -> Iterator[str]:
    """Commands that a file tells people: in comments three spaces in, in code blocks, and between backticks."""
    text = path.read_text()
    programs = "|".join(OURS)
    variables = r"(?:[A-Z_]+=\S+ )*"
    if path.suffix == ".md":
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            yield from re.findall(
                rf"^{variables}(?:\.venv/bin/)?((?:{programs}) .+)$", block.replace("\\\n", " "), re.MULTILINE
            )
        text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    else:
        yield from re.findall(rf"^#   {variables}((?:{programs}) .+)$", text, re.MULTILINE)
    for found in re.findall(r"`([^`]+)`", text):
        line = re.sub(r"\s*\n#?\s*", " ", found)
        if re.match(rf"(?:{programs}) [a-z-]", line):
            yield line


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(INFRA)))
def test_commands_told_are_ones(path: Path) -> None:
    for line in _told(path):
        for command in commands(shlex.join(shlex.split(line, comments=True)).replace("';'", ";")):
            check([re.sub(r"^[A-Z]$", "1", word) for word in command], whole=False)  # N stands for a number


def test_commands_are_found() -> None:
    told = [line for path in FILES for line in _told(path)]
    assert {line.split()[0] for line in told} == set(OURS)
    with pytest.raises(ValueError, match="no-such"):
        check(["faitharchive", "restore", "--no-such"], whole=False)
    with pytest.raises(ValueError, match="no-such"):
        check(["faitharchive", "no-such"], whole=False)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(INFRA)))
def test_paths_and_names_are_there(path: Path) -> None:
    assert missing_paths(path.read_text()) == []
    assert missing_names(path.read_text()) == []


def test_all_mean_the_same_ports() -> None:
    services = read("compose/compose.yaml")["services"]
    head = check(next(commands(services["ray-head"]["command"])))
    assert (head["port"], head["metrics_export_port"]) == (PORTS["gcs"], PORTS["metrics"])
    assert services["ray-head"]["ports"] == [f"127.0.0.1:{PORTS['dashboard']}:{PORTS['dashboard']}"]
    (container,) = read("kuberay/raycluster.yaml")["spec"]["headGroupSpec"]["template"]["spec"]["containers"]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == PORTS
    for name in ("aws", "local"):
        (words,) = commands(re.sub(r"RAY_\w+=\d+ ", "", read(f"launcher/{name}.yaml")["head_start_ray_commands"][1]))
        given = check([word for word in words if word not in {"export"}])
        assert (given["port"], given["metrics_export_port"]) == (PORTS["gcs"], PORTS["metrics"])
    for found in re.findall(r"ray://[\w.-]+:(\d+)", "".join(path.read_text() for path in FILES)):
        assert int(found) == PORTS["client"]
    # Of the others, what one service is asked on is what it listens on.
    assert "http://store:9000" in services["worker"]["environment"]["AWS_ENDPOINT_URL"]
    assert services["store"]["ports"][0].endswith(":9000:9000")
    prefect = str(services["prefect"])
    assert services["worker"]["environment"]["PREFECT_API_URL"] == "http://prefect:4200/api"
    assert prefect.count("4200") == prefect.count("http://localhost:4200/api") + 2 == 4


def test_prometheus_scrapes_the_stack_s_nodes() -> None:
    (job,) = [job for job in read("prometheus/prometheus.yml")["scrape_configs"] if job["job_name"] == "ray"]
    services = read("compose/compose.yaml")["services"]
    nodes = {name for name, service in services.items() if "ray start" in str(service.get("command"))}
    (found,) = job["dns_sd_configs"]
    assert (set(found["names"]), found["port"]) == (nodes, PORTS["metrics"])
    folder = services["prometheus"]["volumes"][0].split(":")[0]
    assert (INFRA / "compose" / folder / Path(services["prometheus"]["command"]).name).is_file()


def test_a_deployment_drains_before_prefect_ends_its_process() -> None:
    """Prefect's runner waits so long between SIGTERM and SIGKILL, and has no setting for it."""
    import inspect

    from prefect.runner import _process_manager

    (grace,) = re.findall(r"grace_seconds: float = (\d+), \*, force", inspect.getsource(_process_manager))
    for deployment in read("prefect.yaml")["deployments"]:
        settings = deployment["parameters"].get("settings")
        if settings:
            assert settings["drain_seconds"] <= int(grace) - 5, deployment["name"]
