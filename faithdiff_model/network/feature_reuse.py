"""A UNet in two ways that share its weights: one that also gives its deep features, one that is given them.

Deep features change little from step to step, and cost most of a step; a step may take those of the step before and compute
the outermost blocks alone (DeepCache; Ma, Fang and Wang, CVPR 2024). Both ways go through diffusers' own forward, of which
nothing is copied: what differs are the blocks that it finds.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:  # takes seconds to import, and nano has a UNet of its own
    from diffusers import UNet2DConditionModel

__all__ = ["SplitCore"]


class SplitCore:
    """Both ways of a core.

    Args:
        core: diffusers' UNet, whose weights stay where they are and are shared.

    Attributes:
        whole: called as the core; gives noise, with the core's bits, and deep features in the place of noise.
        shallow: called as the core, with deep features in the text's place; gives noise.

    Raises:
        ValueError: a UNet without deep features, or one whose outermost blocks read the prompt.
    """

    def __init__(self, core: UNet2DConditionModel) -> None:
        first, last = core.down_blocks[0], core.up_blocks[-1]
        # The UNet's input, a residual a layer of the first block, its downsampler's: the last up block takes the first ones.
        passed_by = 1 + len(first.resnets) + len(first.downsamplers or ()) - len(last.resnets)
        if len(core.up_blocks) < 2 or passed_by < 1:
            raise ValueError("this UNet has a single level, so it has no deep features to reuse")
        if any(getattr(block, "has_cross_attention", False) for block in (first, last)):
            raise ValueError("the outermost blocks of this UNet read the prompt, and reused features leave it none")
        self.whole: nn.Module = _view(
            core,
            up_blocks=nn.ModuleList([*core.up_blocks[:-1], _Last(last)]),
            conv_norm_out=None,
            conv_out=_Tail(core.conv_norm_out, core.conv_act, core.conv_out),
        )
        self.shallow: nn.Module = _view(
            core,
            down_blocks=nn.ModuleList([first]),
            mid_block=None,
            up_blocks=nn.ModuleList([_Recalled(passed_by), last]),
        )


def _view(core: Any, **blocks: nn.Module | None) -> nn.Module:
    """The core with other blocks in the place of some of its own, and all its weights."""
    view = copy.copy(core)
    view.__dict__["_modules"] = {**core._modules, **blocks}
    view.__dict__.pop("forward", None)  # of a core that was compiled, or comes to the device when it is called
    view.__dict__.update(
        {name: OrderedDict() for name in core.__dict__ if name.endswith("_hooks")}
    )  # the core's are its own
    return view


class _Last(nn.Module):
    """The last up block, which also gives what it was given: the deep features."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.block = block
        self.resnets = block.resnets

    def forward(self, hidden_states: Tensor, **given: Any) -> tuple[Tensor, Tensor]:
        return self.block(hidden_states=hidden_states, **given), hidden_states


class _Tail(nn.Module):
    """What comes behind the up blocks, of the first of two tensors."""

    def __init__(self, norm: Any, activation: Any, convolution: Any) -> None:
        super().__init__()
        self.norm, self.activation, self.convolution = norm, activation, convolution

    def forward(self, given: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        outer, deep = given
        if self.norm is not None:
            outer = self.activation(self.norm(outer))
        return self.convolution(outer), deep


class _Recalled(nn.Module):
    """In the place of all up blocks but the last: the deep features of a step before, which come in the text's place."""

    has_cross_attention = True

    def __init__(self, residuals: int) -> None:
        super().__init__()
        self.resnets = (None,) * residuals  # as many as it takes off the down blocks' residuals

    def forward(self, *, encoder_hidden_states: Tensor, **_given: Any) -> Tensor:
        return encoder_hidden_states
