"""Weights between two ends of one training: a network between faithful and crisp, at the cost of one.

Weights that were trained on from others can be averaged with them, and the network changes smoothly in between (network
interpolation: Wang et al., ESRGAN, ECCV Workshops 2018).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from faithdiff_model.weights.download import WeightsError


def blend(
    faithful: Mapping[str, Tensor], crisp: Mapping[str, Tensor], share: float, *, source: str
) -> dict[str, Tensor]:
    """`1 - share` of the faithful weights and `share` of the crisp ones, by name, in float32.

    Args:
        faithful: all weights of the network.
        crisp: those that differ at the crisp end.
        share: 0 to 1.
        source: names the crisp weights' file.

    Raises:
        WeightsError: the crisp weights are not of this network.
    """
    for name, tensor in crisp.items():
        if name not in faithful or faithful[name].shape != tensor.shape:
            raise WeightsError(
                f"weights {source}: {name} is not of the network beside it; give both files of one training, or detail 0"
            )
    blended = dict(faithful)
    for name, tensor in crisp.items():
        blended[name] = faithful[name].float().lerp(tensor.float(), share)
    return blended
