"""`faitharchive train` as a person meets it: what it prints, its one-line errors, its dry run; and its Prefect flow."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from archive_steps import picture, save_photo
from pydantic import ValidationError
from typer.testing import CliRunner

from faithdiff_model.training.config import LoRAConfig
from faithdiff_model.training.recipes import small_stage
from jobs.cli import train as train_cli
from jobs.cli.main import app, main
from jobs.settings.train import TrainSettings

QUICK = {"preset": "tiny", "stage": "1", "steps": 2, "batch": 2, "crop": 32, "workers": 0, "shrink": 1.0}
QUICK |= {"precision": "no", "degradations": "level-I", "log_every": 1, "save_every": 1, "device": "cpu"}
FLAGS = [f"--{name.replace('_', '-')}={value}" for name, value in QUICK.items()]


def refusal(*arguments: str | Path) -> str:
    """What `main` would print in one line with exit code 2, without a process for each."""
    result = CliRunner().invoke(app, ["train", *map(str, arguments)])
    assert isinstance(result.exception, ValueError | OSError), result.exception
    return str(result.exception)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small networks are no faster with more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def hq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hq")
    for number in range(2):
        save_photo(folder / f"{number}.png", picture(72, 80, seed=number))
    return folder


def test_train_by_flags_file_and_environment_and_again(
    hq: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "train.yaml"
    config.write_text("".join(f"{name}: {value!r}\n" for name, value in QUICK.items() if name != "batch") + "seed: 3\n")
    monkeypatch.setenv("FAITHARCHIVE_TRAIN_BATCH", "1")
    monkeypatch.setenv("FAITHARCHIVE_TRAIN_SEED", "4")
    command = ["train", str(hq), str(tmp_path / "out"), "--config", str(config), "--steps=3"]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, command)
    assert done.exit_code == 0, done.exception
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [["step", "1"], ["step", "2"], ["step", "3"]]
    assert "loss " in lines[0]
    assert "s a step" in lines[0]
    assert lines[3] == f"weights: {tmp_path / 'out' / 'FaithDiff.safetensors'}"
    stage = (tmp_path / "out" / "stage.json").read_text()
    assert '"batch": 1' in stage
    assert '"seed": 4' in stage
    assert CliRunner(env={"COLUMNS": "200"}).invoke(app, command).stdout.splitlines() == [lines[3]]
    monkeypatch.delenv("FAITHARCHIVE_TRAIN_SEED")
    assert "another stage" in refusal(*command[1:])


def test_one_process_of_a_group_speaks(hq: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_cli, "run_training", lambda *_, **__: tmp_path / "weights")
    for rank, printed in (("0", 1), ("1", 0)):
        monkeypatch.setenv("RANK", rank)
        assert CliRunner().invoke(app, ["train", str(hq), str(tmp_path)]).stdout.count("weights: ") == printed


def test_an_error_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(sys, "argv", ["faitharchive", "train", str(tmp_path / "empty"), str(tmp_path / "out"), *FLAGS])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
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
    done = CliRunner(env={"COLUMNS": "200"}).invoke(
        app, ["train", str(tmp_path / "none"), str(tmp_path / "out"), "--preset=sdxl", "--dry-run"]
    )
    assert done.exit_code == 0, done.exception
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
        preset="tiny",
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
    plain = TrainSettings(hq="a", output="b", preset="tiny", stage="prior").job()
    assert (plain.data.degradations, plain.data.crop, plain.stage.name) == ({}, 128, "prior")


def test_settings_are_checked() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        TrainSettings(hq="a", output="b", speed=3)


def test_the_vae_stage(hq: Path, tmp_path: Path) -> None:
    flags = [flag for flag in FLAGS if not flag.startswith(("--stage", "--crop", "--preset"))]
    result = CliRunner().invoke(
        app, ["train", str(hq), str(tmp_path), "--stage=vae", "--preset=tiny", "--crop=16", *flags]
    )
    assert result.exit_code == 0, result.exception
    assert "PSNR" in result.stdout
    assert (tmp_path / "vae" / "config.json").exists()


@pytest.fixture
def flow() -> Any:
    """The flow's module; Prefect must not be imported before the tests have a home of their own."""
    from jobs.flows import train

    return train


def test_the_flow_trains(hq: Path, tmp_path: Path, flow: Any) -> None:
    weights = flow.train_stage_flow({**QUICK, "hq": str(hq), "output": str(tmp_path)})
    assert weights == str(tmp_path / "FaithDiff.safetensors")
    assert Path(weights).exists()


@pytest.mark.parametrize(
    ("error", "tries"), [(OSError("store away"), 3), (ValueError("bad weights"), 1)], ids=["store", "fault"]
)
def test_the_flow_tries_again_what_may_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flow: Any, error: Exception, tries: int
) -> None:
    calls = []

    def fail(*_: Any, **__: Any) -> Path:
        calls.append(1)
        raise error

    monkeypatch.setattr(flow, "train_task", flow.train_task.with_options(retry_delay_seconds=0))
    monkeypatch.setattr(flow, "run_training", fail)
    with pytest.raises(type(error), match=str(error)):
        flow.train_stage_flow({**QUICK, "hq": "a", "output": str(tmp_path)})
    assert len(calls) == tries
