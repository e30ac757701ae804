"""The flow `train-stage`: one training stage as a Prefect run, for deployments."""

from __future__ import annotations

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger

from jobs.flows.states import refusals_as_states
from jobs.settings.train import TrainSettings
from jobs.training import run_training

__all__ = ["train_stage_flow", "train_task"]


def _is_retryable(_task: object, _run: object, state: State) -> bool:
    """A lost machine or store may come back; a fault in settings, weights or photographs stays, and so does a path."""
    return not isinstance(state.data, ValueError | FileNotFoundError | PermissionError)


@task(
    name="train",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=30,
    retry_condition_fn=_is_retryable,
)
def train_task(settings: TrainSettings) -> str:
    """Train; a retry goes on from the newest checkpoint."""
    logger = get_run_logger()
    return str(run_training(settings, on_log=logger.info))


@flow(name="train-stage", persist_result=False)
@refusals_as_states
def train_stage_flow(settings: TrainSettings) -> str:
    """Train one stage; returns the path of the weights file.

    Args:
        settings: `hq` and `output`, and what is not the recipe's.
    """
    return train_task(settings)
