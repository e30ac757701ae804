"""Trains on a Ray cluster: the same trainer in every worker of a Ray Train group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.spec import ModelSpec
from faithdiff_model.training.config import DataConfig, StageConfig
from pipelines.setting_types import absolute_if_there

if TYPE_CHECKING:
    from ray.train import UserCallback

__all__ = ["TrainingJob", "train_on_ray"]


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """All that a process needs to train a stage; travels to workers.

    Attributes:
        spec: where VAE, base model and text encoders are.
        network, stage, data: what to train, how, on what.
        output: folder for checkpoints, log and weights. With several machines, one that all of them share.
        init: weights to begin with, or None.
        fresh_alignment: see `initial.training_parts`.
    """

    spec: ModelSpec
    network: NetworkConfig
    stage: StageConfig
    data: DataConfig
    output: Path
    init: Path | None = None
    fresh_alignment: bool = False

    def run(self, on_log: Callable[[dict[str, Any]], None] | None = None) -> Path:
        """Train in this process; the weights file. `on_log` as of `loop.train_stage`."""
        from faithdiff_model.training.initial import training_parts
        from faithdiff_model.training.loop import train_stage

        parts = training_parts(
            self.spec, self.network, init=self.init, seed=self.stage.seed, fresh_alignment=self.fresh_alignment
        )
        device = "cpu" if self.spec.device == "cpu" else "auto"
        return train_stage(self.network, parts, self.stage, self.data, self.output, device=device, on_log=on_log)


def train_on_ray(job: TrainingJob, *, workers: int, max_failures: int = 3) -> Path:
    """Train on the Ray cluster that this process is connected to. Each worker is one process of the data-parallel group.

    A worker takes one GPU where the cluster has some and the job may use them, otherwise one CPU.

    Args:
        job: what to train; its batch is a worker's.
        workers: processes.
        max_failures: how often a group that lost a worker is started again, from its newest checkpoint.

    Returns:
        The weights file.

    Raises:
        ValueError: what `TrainingJob.run` raises for a user's fault, which is not tried again; or a cluster that is too small.
    """
    from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    use_gpu = job.spec.device != "cpu" and _available("GPU") >= 1
    have = _available("GPU" if use_gpu else "CPU")
    if workers > have:  # Ray would wait for them for ever
        raise ValueError(
            f"the Ray cluster has {have} {'GPUs' if use_gpu else 'CPUs'}: choose that many workers at most"
        )
    job = _with_absolute_paths(job)
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"job": job},
        torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=workers, use_gpu=use_gpu, resources_per_worker={"GPU": 1, "CPU": 1} if use_gpu else {"CPU": 1}
        ),
        run_config=RunConfig(
            name=job.stage.name,
            storage_path=str(job.output / "ray"),
            failure_config=FailureConfig(max_failures=max_failures),
            callbacks=[_stop_at_faults()],
        ),
    )
    try:
        trainer.fit()
    except ControllerError as error:
        if isinstance(error.controller_failure, ValueError):
            raise error.controller_failure from error
        raise
    from faithdiff_model.training.loop import WEIGHTS

    return job.output / WEIGHTS


def _worker(config: dict[str, TrainingJob]) -> None:
    """One process of the group. Accelerate finds the group by the environment that Ray Train has set."""
    config["job"].run()


def _with_absolute_paths(job: TrainingJob) -> TrainingJob:
    """Workers run in a folder of their own."""
    return replace(
        job,
        spec=replace(job.spec, base=absolute_if_there(job.spec.base), vae=absolute_if_there(job.spec.vae)),
        data=replace(
            job.data, hq=tuple(map(absolute_if_there, job.data.hq)), captions=absolute_if_there(job.data.captions)
        ),
        output=job.output.resolve(),
        init=job.init.resolve() if job.init else None,
    )


def _available(resource: str) -> int:
    import ray

    return int(ray.cluster_resources().get(resource, 0))


def _stop_at_faults() -> UserCallback:
    """A callback of Ray Train that ends the run where a worker met a user's fault: a second try would meet it again."""
    from ray.train import UserCallback

    class StopAtFaults(UserCallback):
        def after_exception(self, run_context: object, worker_exceptions: dict[int, Exception]) -> None:
            for error in worker_exceptions.values():
                if isinstance(error, ValueError):
                    raise error

    return StopAtFaults()
