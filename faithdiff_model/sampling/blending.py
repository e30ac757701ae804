"""A network over the windows of an image too large for it, their overlaps blended."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import torch
from torch import Tensor

from faithdiff_model.image.codec_windows import CodecGrid
from faithdiff_model.sampling.denoise import call_sizes
from faithdiff_model.sampling.transfer import to_device

__all__ = ["blend_windows"]


def blend_windows(
    function: Callable[[Tensor], Tensor], source_CHW: Tensor, grid: CodecGrid, *, batch: int, enters: int, leaves: int
) -> Tensor:
    """What `function` makes of an image [C, H, W], window by window: [channels, H, W] in its own dtype.

    Args:
        function: [B, C, h, w] -> [B, channels, h, w], for windows of one size.
        source_CHW: the image.
        grid: its windows.
        batch: most windows in one call; what is left of them takes calls of powers of two, as in denoising.
        enters, leaves: pixels to a latent pixel of what `function` takes and gives.
    """
    waiting, canvas = iter(grid.windows()), None
    down, across = (
        {at: to_device(torch.from_numpy(share), source_CHW.device) for at, share in side.items()}
        for side in grid.shares(leaves)
    )
    for size in call_sizes(len(grid.windows()), batch, shares_calls=False):
        together = list(islice(waiting, size))
        cut = torch.stack(
            [source_CHW[:, rows, columns] for rows, columns in (w.scaled(enters).slices for w in together)]
        )
        for window, piece in zip(together, function(cut), strict=True):
            if canvas is None:
                canvas = piece.new_zeros(len(piece), grid.height * leaves, grid.width * leaves)
            rows, columns = window.scaled(leaves).slices
            canvas[:, rows, columns] += piece * (down[window.top][:, None] * across[window.left])
    assert canvas is not None, "a region without windows"
    return canvas
