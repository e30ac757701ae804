"""Networks without normalisation, for small VAEs.

Group normalisation divides a crop by its own contrast, which a VAE must then smuggle past it to draw the crop again. SDXL's has
the width and the training for that; at sixteen channels it costs most of the fidelity (see the nano model card).
"""

from __future__ import annotations

from torch import nn


def remove_norms(module: nn.Module) -> None:
    """Replace every group normalisation inside `module` by an identity."""
    for parent in module.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.GroupNorm):
                setattr(parent, name, nn.Identity())
