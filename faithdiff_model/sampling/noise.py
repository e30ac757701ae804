"""Initial noise as a fixed function of (seed, latent row, latent column): neighbouring tiles and re-runs agree.

Philox is a counter-based generator whose raw integers are the same on every platform and numpy release; its key is the seed
and the number of a block of latent pixels, so any rectangle is drawn without drawing what lies before it.
"""

from __future__ import annotations

import numpy as np

from faithdiff_model.image.windows import Rect

BLOCK = 64  # latent pixels a side; part of what a seed means, so never change it


def position_noise(seed: int, area: Rect, channels: int = 4) -> np.ndarray:
    """Standard normal noise [channels, height, width], float32, of the image's latent pixels in `area`.

    Args:
        seed: 0 to 2**64 - 1.
        area: rectangle in the whole image's latent pixels, rows and columns from 0.
        channels: latent channels.
    """
    noise = np.empty((channels, area.height, area.width), np.float32)
    for block_row in range(area.top // BLOCK, -(-area.bottom // BLOCK)):
        for block_column in range(area.left // BLOCK, -(-area.right // BLOCK)):
            block = Rect(block_row * BLOCK, block_column * BLOCK, BLOCK, BLOCK)
            top, bottom = max(area.top, block.top), min(area.bottom, block.bottom)
            left, right = max(area.left, block.left), min(area.right, block.right)
            overlap = Rect(top, left, bottom - top, right - left)
            inside, outside = overlap.within(block).slices, overlap.within(area).slices
            noise[:, outside[0], outside[1]] = _block(seed, block_row, block_column, channels)[:, inside[0], inside[1]]
    return noise


def _block(seed: int, block_row: int, block_column: int, channels: int) -> np.ndarray:
    """One block of noise [channels, BLOCK, BLOCK] by Box and Muller's transform of Philox's integers."""
    key = np.array([seed, (block_row << 32) | block_column], np.uint64)
    count = channels * BLOCK * BLOCK
    raw = np.random.Philox(key=key).random_raw(count)
    uniform = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53  # open interval: its logarithm is finite
    radius = np.sqrt(-2.0 * np.log(uniform[: count // 2]))
    angle = 2.0 * np.pi * uniform[count // 2 :]
    normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return normal.astype(np.float32).reshape(channels, BLOCK, BLOCK)
