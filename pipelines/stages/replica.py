"""Loads a replica of the model, for the stages that restore photographs and films."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faithdiff_model.weights.download import WeightsError
from pipelines.settings import Settings

if TYPE_CHECKING:
    from faithdiff_model.restorer import Restorer

__all__ = ["FittingRestorer", "Replica", "ReplicaLoader", "load_replica"]

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


class FittingRestorer:
    """A replica's model as its device's memory takes it: with fewer windows in a UNet call, then with parts of the network off
    the device while they do not compute.

    Args:
        replica: as it was loaded.

    Attributes:
        now: the model to restore with.
    """

    def __init__(self, replica: Replica) -> None:
        self._whole, self._windows = replica.restorer, replica.window_batch
        self.now = self._whole

    def shrink(self) -> bool:
        """A step down, after memory ran out; what fits then is kept. False where there is none left."""
        import torch

        torch.cuda.empty_cache()
        half = self.now.options.window_batch // 2
        if half:
            self.now = self.now.with_options(window_batch=half)
            return True
        return self.now.parts is not None and self.now.parts.fall_back()

    def reset(self) -> None:
        """All windows and the first placement again: they were not why an item failed."""
        self.now = self._whole
        if self.now.parts is not None:
            self.now.parts.reset()

    def warnings(self) -> list[str]:
        """What is otherwise than with more memory, for the rows that are restored so."""
        few, parts, told = self.now.options.window_batch, self.now.parts, []
        if few != self._windows:
            told.append(f"{few} windows a call instead of {self._windows}, as the device's memory was too small")
        if parts is not None and parts.placement != "resident":
            told.append(f"slower by {parts.placement}, as the device's memory was too small; no result changes by it")
        return told


class ReplicaLoader:
    """Loads a replica at most once in a process, for the stages there that restore by it. Travels unloaded.

    Args:
        settings, threads, planned: as `load_replica`.
    """

    def __init__(self, settings: Settings, threads: int, planned: str) -> None:
        self._arguments = settings, threads, planned
        self._replica: Replica | None = None

    def load(self) -> Replica:
        """The replica. Raises as `load_replica`."""
        if self._replica is None:
            self._replica = load_replica(*self._arguments)
        return self._replica


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
