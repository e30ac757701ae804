"""A codec without weights: the whitened orthonormal cosine transform of blocks, in the place of a VAE.

A VAE of a few channels loses more of a photograph than a small network can restore. The transform loses nothing: its inverse is
its transpose. Each coefficient is divided by its standard deviation over good photographs, so that all are of one size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn import functional


def cosine_matrix(side: int) -> Tensor:
    """The orthonormal DCT-II as rows [side, side], float64; row 0 is the mean's."""
    place = torch.arange(side, dtype=torch.float64)
    rows = torch.cos(math.pi / side * place[:, None] * (place[None, :] + 0.5)) * math.sqrt(2 / side)
    rows[0] /= math.sqrt(2)
    return rows


def block_basis(side: int) -> Tensor:
    """The two-dimensional transform of a block as rows [side * side, side * side], float64, orthonormal.

    Coefficient `row * side + column` of a block's pixels, row by row.
    """
    rows = cosine_matrix(side)
    return torch.kron(rows, rows)


@dataclass(frozen=True)
class _Encoded:
    """What diffusers' VAE gives back, as far as it is used: a distribution, here of one value."""

    latent: Tensor

    @property
    def latent_dist(self) -> _Encoded:
        return self

    def mode(self) -> Tensor:
        """The latents [B, C, h, w]."""
        return self.latent


class DCTCodec(nn.Module):
    """Image [B, 3, H, W] <-> latents [B, 3 * side**2, H / side, W / side], with the interface of diffusers' VAE.

    Args:
        side: of a block in pixels.
        deviations: of each coefficient over good photographs in [-1, 1]: red's `side**2`, then green's, then blue's.

    Raises:
        ValueError: another number of deviations than coefficients, or one that is not above 0.
    """

    basis: Tensor
    deviations: Tensor

    def __init__(self, side: int, deviations: tuple[float, ...]) -> None:
        super().__init__()
        if len(deviations) != 3 * side * side or min(deviations) <= 0:
            raise ValueError(f"{len(deviations)} deviations for blocks of {side}: give {3 * side * side} above 0")
        self.side = side
        self.config = SimpleNamespace(latent_channels=3 * side * side)
        # Not part of any weights file: they follow from the configuration.
        with torch.device("cpu"):
            basis, scale = block_basis(side), torch.tensor(deviations, dtype=torch.float64)
        self.register_buffer("basis", basis.to(torch.float32)[:, :, None, None].contiguous(), persistent=False)
        self.register_buffer("deviations", scale.to(torch.float32)[:, None, None], persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Of images and latents."""
        return self.basis.dtype

    def encode(self, image_BCHW: Tensor) -> _Encoded:
        """Images in [-1, 1], sides a multiple of `side` -> latents, as `.latent_dist.mode()`."""
        B, C, H, W = image_BCHW.shape
        blocks = functional.pixel_unshuffle(image_BCHW.reshape(B * C, 1, H, W), self.side)
        coefficients = functional.conv2d(blocks, self.basis).reshape(B, -1, H // self.side, W // self.side)
        return _Encoded(coefficients / self.deviations)

    def decode(self, latent_BChw: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        """Latents -> images, as the first of a tuple. `return_dict` is diffusers' and is not looked at."""
        B, C, h, w = latent_BChw.shape
        coefficients = (latent_BChw * self.deviations).reshape(B * 3, C // 3, h, w)
        blocks = functional.conv_transpose2d(coefficients, self.basis)
        return (functional.pixel_shuffle(blocks, self.side).reshape(B, 3, h * self.side, w * self.side),)
