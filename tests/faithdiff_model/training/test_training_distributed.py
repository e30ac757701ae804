"""The same trainer in several processes: under `accelerate launch`, and in a Ray Train group that loses a worker."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.utils import get_total_norm
from training_runs import log_rows, save_photographs, short_stage, small_data, tiny_parts
from training_sums import losses_by_hand

from jobs.settings.train import TrainSettings
from jobs.training import run_training
from pipelines.run.training import TrainingJob, _stop_at_faults, _with_absolute_paths, train_on_ray

ROOT = Path(__file__).parents[3]


def settings(hq: Path, output: Path, **changes: Any) -> TrainSettings:
    values = {"hq": str(hq), "output": str(output), "preset": "tiny", "stage": "2", "steps": 4, "batch": 2, "crop": 32}
    values |= {"workers": 0, "shrink": 1.0, "precision": "no", "learning_rate": 0.01, "log_every": 1, "save_every": 2}
    return TrainSettings(**{**values, "accumulation": 2, "degradations": "level-I", **changes})


@pytest.fixture(scope="module")
def launched(hq: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Four steps of stage 2 by the command line in two processes: the folder, and what was printed."""
    output = tmp_path_factory.mktemp("launched") / "run"
    chosen = settings(hq, output)
    flags = [
        f"--{name.replace('_', '-')}={getattr(chosen, name)}"
        for name in sorted(chosen.model_fields_set - {"hq", "output"})
    ]
    # --multi_gpu is what makes it start several processes; without a GPU they find their place on the CPU.
    launcher = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes=2",
        "--num_machines=1",
    ]
    launcher += ["--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0", "--no_python", sys.executable]
    command = [*launcher, "-c", "from jobs.cli.main import main; main()", "train", str(hq), str(output), *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    return output, done.stdout


def test_two_processes_train_as_one(hq: Path, launched: tuple[Path, str]) -> None:
    """A step's loss and gradient are the means over both, of samples that they share without overlap."""
    job, parts, losses = settings(hq, launched[0]).job(), tiny_parts(), []
    rows = log_rows(launched[0])
    for step in (0, 1):  # the first step's learning rate is 0, so that the second has the same weights
        calls = range(2 * step, 2 * step + 2)
        losses = [
            loss
            for rank in (0, 1)
            for loss in losses_by_hand(parts, job.stage, job.data, calls=calls, rank=rank, processes=2)
        ]
        assert rows[step]["loss"] == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)
    torch.stack(losses).mean().backward()
    norm = get_total_norm([parameter.grad for parameter in parts.unet.parameters()])
    assert rows[1]["gradient_norm"] == pytest.approx(norm.item(), rel=1e-4)


def test_one_process_writes_and_speaks(launched: tuple[Path, str]) -> None:
    output, printed = launched
    assert [row["step"] for row in log_rows(output)] == [1, 2, 3, 4]
    assert printed.count("step ") == 4
    assert printed.count("weights: ") == 1
    states = sorted(path.name for path in (output / "checkpoint-0000004").glob("random_states_*"))
    assert states == ["random_states_0.pkl", "random_states_1.pkl"]  # both were there


@dataclass(frozen=True, kw_only=True)
class ReportingJob(TrainingJob):
    """A job whose processes say what weights they end with, and whose main process is killed once at a step."""

    killed_at: int

    def run(self, on_log: Callable[[dict[str, Any]], None] | None = None) -> Path:
        from faithdiff_model.training.initial import training_parts
        from faithdiff_model.training.loop import train_stage

        killed = self.output / "killed"

        def kill(row: dict[str, Any]) -> None:
            if row["step"] == self.killed_at and not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)

        torch.set_num_threads(1)
        parts = training_parts(self.spec, self.network, init=None, seed=self.stage.seed)
        path = train_stage(self.network, parts, self.stage, self.data, self.output, on_log=kill)
        content = b"".join(tensor.detach().numpy().tobytes() for tensor in parts.unet.state_dict().values())
        rank = os.environ["RANK"]
        (self.output / f"ends-{rank}").write_text(hashlib.sha256(content).hexdigest())
        return path


@pytest.fixture
def by_value() -> Iterator[None]:
    """Workers cannot import this module."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def ray_job(hq: Path, output: Path, *, killed_at: int) -> ReportingJob:
    """What `launched` runs, but for the average: without one the main process's weights stay what all processes have."""
    plain = settings(hq, output).job()
    stage, data = replace(plain.stage, ema_decay=0.0), replace(plain.data, hq=(hq.name,))
    return ReportingJob(
        spec=plain.spec, network=plain.network, stage=stage, data=data, output=output, killed_at=killed_at
    )


@pytest.mark.ray
@pytest.mark.slow  # two processes train as one: the launched ones above
@pytest.mark.parametrize("killed_at", [0, 3], ids=["whole", "a worker is lost"])
def test_a_ray_group_ends_as_launched_processes_do(
    hq: Path,
    tmp_path: Path,
    launched: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    ray_session: None,
    by_value: None,
    killed_at: int,
) -> None:
    monkeypatch.chdir(hq.parent)
    assert train_on_ray(ray_job(hq, tmp_path, killed_at=killed_at), workers=2) == tmp_path / "FaithDiff.safetensors"
    assert (tmp_path / "killed").exists() == bool(killed_at)
    assert log_rows(tmp_path) == log_rows(launched[0])
    assert (tmp_path / "ends-0").read_text() == (tmp_path / "ends-1").read_text()


@pytest.mark.slow
@pytest.mark.ray
def test_a_fault_of_the_user_is_said_at_once(tmp_path: Path, ray_session: None) -> None:
    """Through the command's own function: the worker's error arrives as it is, and the group is not started again."""
    small = save_photographs(tmp_path / "small", 2, 40, 40)
    with pytest.raises(ValueError, match="none of 2 photographs can be used"):
        run_training(settings(small, tmp_path / "out", ray_workers=1))


@pytest.mark.ray
def test_more_workers_than_the_cluster_has_room_for(hq: Path, tmp_path: Path, ray_session: None) -> None:
    with pytest.raises(ValueError, match="the Ray cluster has 3 CPUs: choose that many workers at most"):
        train_on_ray(settings(hq, tmp_path, device="cpu").job(), workers=4)


def test_only_faults_of_the_user_end_a_group() -> None:
    callback = _stop_at_faults()
    callback.after_exception(None, {0: RuntimeError("connection lost"), 1: OSError("store")})
    with pytest.raises(ValueError, match="no photograph"):
        callback.after_exception(None, {1: ValueError("no photograph"), 0: RuntimeError("connection closed")})


def test_workers_find_the_folders_of_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hq").mkdir()
    (tmp_path / "captions.csv").touch()
    plain = settings(Path("hq"), Path("out"), captions="captions.csv", init="first.safetensors").job()
    job = _with_absolute_paths(replace(plain, data=replace(plain.data, hq=("hq", "s3://bucket/hq"))))
    assert job.data.hq == (str(tmp_path / "hq"), "s3://bucket/hq")
    assert job.data.captions == str(tmp_path / "captions.csv")
    assert (job.output, job.init) == (tmp_path / "out", tmp_path / "first.safetensors")
    assert _with_absolute_paths(plain).spec == plain.spec  # nothing named: the preset's own
    assert short_stage().name  # stages have no paths
    assert small_data("x").captions == _with_absolute_paths(replace(plain, data=small_data("x"))).data.captions
