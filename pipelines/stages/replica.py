"""Loads a replica of the model, for the stages that restore photographs and films."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faithdiff_model.weights.download import WeightsError
from pipelines.settings import Settings

if TYPE_CHECKING:
    from faithdiff_model.restorer import Restorer

__all__ = ["Replica", "load_replica"]

_WINDOW_BATCH = {"cuda": 4}  # a guess until it is measured on a GPU; a CPU gains nothing from batches


@dataclass(frozen=True)
class Replica:
    """A loaded model.

    Attributes:
        restorer: the model.
        kind: of device, such as `cuda`.
        device: the device's name, for the record.
        window_batch: windows in a UNet call where memory does not matter.
    """

    restorer: Restorer
    kind: str
    device: str
    window_batch: int


def load_replica(settings: Settings, threads: int, planned: str) -> Replica:
    """Load the model.

    Args:
        settings: model and sampling.
        threads: CPU threads; 0 leaves torch's choice.
        planned: digest of the model that the run was planned with; empty is not compared.

    Raises:
        WeightsError: this node's weights are missing, unsafe, or not those of the plan, as when they were replaced since or on
            one node alone: nothing must be restored under the others' name.
    """
    import torch  # the driver imports this module too, and has no use for it

    from faithdiff_model.build import build_restorer

    if threads:
        torch.set_num_threads(threads)
    spec = settings.model_spec()
    device = spec.torch_device()
    options = settings.restore_options(_WINDOW_BATCH.get(device.type, 1))
    restorer = build_restorer(spec, options, fewer_windows=not settings.window_batch)
    if planned and restorer.digest != planned:
        raise WeightsError(
            f"weights on {socket.gethostname()}: are {restorer.digest[:12]}, and the run was planned with {planned[:12]}; give "
            "all nodes the same files and run again"
        )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Replica(restorer, device.type, name, options.window_batch)
