"""One photograph or tile on its way through the network: padded RGB in, the source's own layout out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from faithdiff_model.image.codec_windows import codec_grid
from faithdiff_model.image.resize import from_unit_float, to_grey, to_unit_float
from faithdiff_model.image.windows import Rect, TilePlacement, plan_tiles
from faithdiff_model.network.config import NetworkConfig

__all__ = ["PreparedImage"]


class PreparedImage:
    """One input, brought to padded RGB, and what is needed to bring the result back.

    Args:
        config: of the network that will see it.
        image: [H, W] or [H, W, 1 to 4], uint8, uint16 or float in [0, 1] (`restorer.Restorer.restore`).
        place: where it lies in a larger image, whose tile it then is.
        overlap: step between windows as a part of their side, in (0, 1].
        mask: where damage is known to be, [H, W], bool or 0 to 1.
        codec_overlap: part of a side that windows of VAE and LQ encoder share; 0 takes those of denoising, as a tile does.

    Attributes:
        padded: RGB [H, W, 3] float32 in [0, 1], sides multiples of a latent pixel's.
        mask: the mask [1, H, W], padded alike; None where the network takes none, or none was given.
        windows: denoising windows in latent pixels of this image.
        in_one_piece: whether it goes through VAE and LQ encoder whole.
        codec_grid: the windows of VAE and LQ encoder where it does not; None for those of denoising.
        time_ids: of each window.
        core_pixels: what is delivered of it.

    Raises:
        ValueError: an image or a mask of a wrong shape, or too small an image.
    """

    def __init__(
        self,
        config: NetworkConfig,
        image: np.ndarray,
        place: TilePlacement | None,
        overlap: float,
        mask: np.ndarray | None = None,
        codec_overlap: float = 0.0,
    ) -> None:
        self.source = image
        self.place = place
        pixels = to_unit_float(image[..., None] if image.ndim == 2 else image)
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
            raise ValueError(f"an image of shape {image.shape}: give [H, W] or [H, W, 1 to 4]")
        height, width, channels = pixels.shape
        if min(height, width) < config.min_side and place is None:
            raise ValueError(f"an image of {width}x{height} pixels: the model takes sides of {config.min_side} or more")
        self.alpha = pixels[..., -1:] if channels in (2, 4) else None
        self.grey = channels < 3
        colour = pixels[..., :1] if self.grey else pixels[..., :3]
        rgb = torch.from_numpy(np.broadcast_to(colour, (height, width, 3)).copy())
        scale = config.pixels_per_latent
        self.padded = _pad(rgb, -height % scale, -width % scale)
        self.mask = _padded_mask(mask, height, width, scale) if config.takes_mask and mask is not None else None
        place_ = place or _whole(config, height, width, overlap)
        self.tile = place_.tile
        expected = (self.tile.region.height * scale, self.tile.region.width * scale)
        if tuple(self.padded.shape[:2]) != expected:
            raise ValueError(f"a tile of {tuple(self.padded.shape[:2])} pixels at a place of {expected}")
        self.windows = [window.within(self.tile.region) for window in self.tile.windows]
        # By the size of the whole image, so that every tile of one image takes the same way.
        self.in_one_piece = max(place_.height, place_.width) <= config.codec_window
        self.codec_grid = None
        if codec_overlap and not self.in_one_piece and place is None:
            # A tile has not the pixels around it that such windows would take: all tiles of an image keep those of denoising.
            self.codec_grid = codec_grid(place_.height, place_.width, window=config.codec_window, overlap=codec_overlap)
        self.time_ids = [
            (
                place_.original_height,
                place_.original_width,
                window.top,
                window.left,
                config.window * scale,
                config.window * scale,
            )
            for window in self.tile.windows
        ]
        core = self.tile.core.scaled(scale)
        bottom, right = min(core.bottom, place_.original_height), min(core.right, place_.original_width)
        inside = Rect(core.top, core.left, bottom - core.top, right - core.left)
        self.core_pixels = inside.within(self.tile.region.scaled(scale))

    def with_alpha(self, rgb_HWC: np.ndarray) -> np.ndarray:
        """Join the core's own alpha channel, if there is one."""
        if self.alpha is None:
            return rgb_HWC
        return np.concatenate([rgb_HWC, self.alpha[self.core_pixels.slices]], axis=2)

    def like_source(self, rgb_HWC: np.ndarray) -> np.ndarray:
        """Restored RGB in the layout and dtype of the source."""
        colour = to_grey(rgb_HWC) if self.grey else rgb_HWC
        result = from_unit_float(self.with_alpha(colour), self.source.dtype)
        return result[..., 0] if self.source.ndim == 2 else result


def _whole(config: NetworkConfig, height: int, width: int, overlap: float) -> TilePlacement:
    """The place of an image of so many pixels that is a tile of none: all of itself."""
    grid = config.grid(height, width, overlap)
    return TilePlacement(
        height=grid.height,
        width=grid.width,
        original_height=height,
        original_width=width,
        tile=plan_tiles(grid, tile=max(grid.height, grid.width), halo=0)[0],
    )


def _padded_mask(mask: np.ndarray, height: int, width: int, scale: int) -> Tensor:
    """A mask [H, W] of an image as [1, H, W], padded as the image is. Raises ValueError for one of another size."""
    if mask.shape != (height, width):
        raise ValueError(f"a mask of shape {mask.shape} for an image of {height}x{width}: give one of its size")
    known = torch.from_numpy(mask.astype(np.float32))[..., None]
    return _pad(known, -height % scale, -width % scale).permute(2, 0, 1)


def _pad(image_HWC: Tensor, below: int, right: int) -> Tensor:
    """Repeat the last row and column (golden README, fact 7)."""
    if not below and not right:
        return image_HWC
    channels_first = image_HWC.permute(2, 0, 1)[None]
    return torch.nn.functional.pad(channels_first, (0, right, 0, below), mode="replicate")[0].permute(1, 2, 0)
