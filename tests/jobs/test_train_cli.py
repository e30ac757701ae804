"""`faitharchive train` as a person meets it: real processes, exit codes, one-line errors; and its Prefect flow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from archive_steps import picture, save_photo
from pydantic import ValidationError
from typer.testing import CliRunner

from faithdiff_model.training.config import LoRAConfig
from faithdiff_model.training.recipes import small_stage
from jobs.cli import app
from jobs.train_settings import TrainSettings

QUICK = {"preset": "tiny", "stage": "1", "steps": 2, "batch": 2, "crop": 32, "workers": 0, "shrink": 1.0}
QUICK |= {"precision": "no", "degradations": "level-I", "log_every": 1, "save_every": 1, "device": "cpu"}
FLAGS = [f"--{name.replace('_', '-')}={value}" for name, value in QUICK.items()]


def faitharchive(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from jobs.cli import main; main()", *map(str, arguments)]
    variables = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=variables, check=False)


def refusal(*arguments: str | Path) -> str:
    """What `main` would print in one line with exit code 2, without a process for each."""
    result = CliRunner().invoke(app, ["train", *map(str, arguments)])
    assert isinstance(result.exception, ValueError | OSError), result.exception
    return str(result.exception)


@pytest.fixture(scope="module")
def hq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hq")
    for number in range(2):
        save_photo(folder / f"{number}.png", picture(72, 80, seed=number))
    return folder


def test_train_by_flags_file_and_environment_and_again(hq: Path, tmp_path: Path) -> None:
    config = tmp_path / "train.yaml"
    config.write_text("".join(f"{name}: {value!r}\n" for name, value in QUICK.items() if name != "batch") + "seed: 3\n")
    arguments = ("train", hq, tmp_path / "out", "--config", config, "--steps", "3")
    done = faitharchive(*arguments, FAITHARCHIVE_TRAIN_BATCH="1", FAITHARCHIVE_TRAIN_SEED="4")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [["step", "1"], ["step", "2"], ["step", "3"]]
    assert "loss " in lines[0]
    assert "s a step" in lines[0]
    assert lines[3] == f"weights: {tmp_path / 'out' / 'FaithDiff.safetensors'}"
    stage = (tmp_path / "out" / "stage.json").read_text()
    assert '"batch": 1' in stage
    assert '"seed": 4' in stage

    again = CliRunner().invoke(
        app, ["train", str(hq), str(tmp_path / "out"), *FLAGS, "--steps=3", "--batch=1", "--seed=4"]
    )
    assert again.exit_code == 0, again.exception
    assert "step" not in again.stdout
    assert "weights:" in again.stdout
    assert "another stage" in refusal(hq, tmp_path / "out", *FLAGS)


def test_an_error_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = faitharchive("train", tmp_path / "empty", tmp_path / "out", *FLAGS, COLUMNS="400")
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'empty'}: no photograph in it: give a folder with .jpg")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "hq and output are needed: faitharchive train PHOTOGRAPHS OUTPUT"),
        (["--preset=huge"], "'huge' is not a preset"),
        (["--degradations=fog"], "'fog' is not a degradation: choose from level-I"),
        (["--degradations=archive=much"], "the weight is no number"),
        (["--degradations=archive=0"], "the weight must be above 0"),
        (["--stage=3"], "stage is '3'"),
        (["--preset=sdxl", "--stage=prior"], "sdxl is trained as far as that: choose stage 1 or 2"),
        (["--stage=vae", "--ray-workers=2"], "one process trains"),
        (["--stage=vae", "--dry-run"], "has no plan"),
        (["--ablation=fog"], "ablation is 'fog'"),
        (["--save-every=3", "--log-every=2"], "no multiple"),
        (["--lora-rank=2", "--stage=1"], "LoRA without a learning rate of the UNet"),
        (["--lora-rank=2", "--stage=2", "--lora-targets=to_x"], "the UNet has no such layer"),
        (["--crop=8"], "crop is 8"),
        (["--init=/nowhere/FaithDiff.safetensors"], "/nowhere/FaithDiff.safetensors: no such file"),
        (["--captions=/nowhere/c.csv"], "captions could not be read"),
        (["--precision=fp16"], "takes a GPU"),
        (["--crop=512"], "none of 2 photographs can be used: each side must be 544"),
        (["--config=/nowhere/train.yaml"], "settings file /nowhere/train.yaml"),
    ],
)
def test_bad_input_is_one_line(hq: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    places = [str(hq), str(tmp_path / "out")] if arguments else []
    text = refusal(*places, *FLAGS, *arguments)
    assert words in text
    assert "\n" not in text.strip()


def test_an_unknown_setting_in_a_file(hq: Path, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("step: 3\n")
    assert "unknown setting 'step'; did you mean steps?" in refusal(hq, tmp_path, "--config", tmp_path / "t.yaml")


def test_a_dry_run_of_sdxl(tmp_path: Path) -> None:
    """Nothing is needed and nothing written: no photograph, no weights, no folder."""
    done = faitharchive("train", tmp_path / "none", tmp_path / "out", "--preset", "sdxl", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "out").exists()
    rows = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[2:-1]]
        for line in done.stdout.splitlines()
        if "│" in line
    }
    assert rows["lq_encoder"] == ["34,125,696", "34,125,696", "5e-06"]
    assert rows["alignment"] == ["10,620,352", "10,620,352", "5e-05"]
    assert rows["unet"] == ["2,567,451,844", "2,567,451,844", "5e-05"]
    for gpus, batch in (("1", "64"), ("4", "256"), ("8", "512")):
        *_, total, samples = rows[gpus]
        assert 70 < float(total) < 95
        assert samples == batch
    assert "stage2: 40,000 steps" in done.stdout


def test_settings_become_a_job(tmp_path: Path) -> None:
    changed = {
        "steps": 7,
        "batch": 3,
        "accumulation": 2,
        "learning_rate": 2e-3,
        "gradient_checkpointing": True,
        "seed": 5,
    }
    job = TrainSettings(
        hq="a, s3://b/c",
        output=str(tmp_path),
        ablation="without-pretraining",
        attention="spatial",
        lora_rank=4,
        lora_targets="conv1",
        **changed,
    ).job()
    recipe = small_stage("2")
    assert job.stage.learning_rates == {name: 2 * rate for name, rate in recipe.learning_rates.items()}
    assert (job.stage.steps, job.stage.batch, job.stage.accumulation, job.stage.seed) == (7, 3, 2, 5)
    assert job.stage.gradient_checkpointing
    assert job.stage.lora == LoRAConfig(rank=4, alpha=4.0, targets=("conv1",))
    assert job.data.hq == ("a", "s3://b/c")
    assert job.data.degradations == {"level-I": 1, "level-II": 3, "archive": 2}
    assert job.network.alignment.attention == "spatial"
    assert job.fresh_alignment
    plain = TrainSettings(hq="a", output="b", stage="prior").job()
    assert (plain.data.degradations, plain.data.crop, plain.stage.name) == ({}, 128, "prior")


def test_settings_are_checked() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        TrainSettings(hq="a", output="b", speed=3)


def test_the_vae_stage(hq: Path, tmp_path: Path) -> None:
    flags = [flag for flag in FLAGS if not flag.startswith(("--stage", "--crop", "--preset"))]
    result = CliRunner().invoke(
        app, ["train", str(hq), str(tmp_path), "--stage=vae", "--preset=nano", "--crop=16", *flags]
    )
    assert result.exit_code == 0, result.exception
    assert "PSNR" in result.stdout
    assert (tmp_path / "vae" / "config.json").exists()


@pytest.fixture
def flow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The flow's module, retrying at once."""
    from jobs.flows import train

    monkeypatch.setattr(train, "train_task", train.train_task.with_options(retry_delay_seconds=0))
    return train


def test_the_flow_trains(hq: Path, tmp_path: Path, flow: Any) -> None:
    weights = flow.train_stage_flow({**QUICK, "hq": str(hq), "output": str(tmp_path)})
    assert weights == str(tmp_path / "FaithDiff.safetensors")
    assert Path(weights).exists()


@pytest.mark.parametrize(("error", "tries"), [(OSError("store away"), 3), (ValueError("bad weights"), 1)])
def test_the_flow_tries_again_what_may_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flow: Any, error: Exception, tries: int
) -> None:
    calls = []

    def fail(*_: Any, **__: Any) -> Path:
        calls.append(1)
        raise error

    monkeypatch.setattr(flow, "run_training", fail)
    with pytest.raises(type(error), match=str(error)):
        flow.train_stage_flow({**QUICK, "hq": "a", "output": str(tmp_path)})
    assert len(calls) == tries
