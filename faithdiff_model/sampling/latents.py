"""Between pixels and latents: the VAE and the LQ encoder, whole or by windows.

Both normalise over all the pixels they see and attend across them, so their result depends on the piece they are given. An
image no larger than one window is encoded and decoded whole, as the reference does. A larger one goes by windows that overlap
by a quarter, as there (`image.codec_windows`); or by those of denoising, as it did before and as nano does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from faithdiff_model.image.codec_windows import CodecGrid
from faithdiff_model.image.windows import Rect
from faithdiff_model.network.unet import FaithDiffUNet
from faithdiff_model.sampling.blending import blend_windows
from faithdiff_model.sampling.merging import WindowMerger


def to_model_range(image_HWC: Tensor) -> Tensor:
    """[H, W, 3] in [0, 1] -> [3, H, W] in [-1, 1]."""
    return image_HWC.permute(2, 0, 1) * 2 - 1


def embed_windows(
    unet: FaithDiffUNet,
    image_CHW: Tensor,
    windows: Sequence[Rect],
    *,
    whole: bool,
    pixels_per_latent: int,
    grid: CodecGrid | None = None,
    batch: int = 1,
) -> Tensor:
    """LQ embedding of each window [windows, C, h, w], in the UNet's dtype.

    The embedding is made of a window's own features even where those were encoded whole or by other windows: its normalisation
    then sees the window alone, as in the reference.

    Args:
        unet: the network.
        image_CHW: LQ image in [-1, 1], sides a multiple of `pixels_per_latent`; with its damage mask as a fourth channel where
            the network takes one.
        windows: of denoising, latent rectangles within the image.
        whole: encode the image's features in one piece and cut the windows out of them.
        pixels_per_latent: 8.
        grid: windows to encode by where it is not whole; None takes those of denoising, each by itself.
        batch: most windows of `grid` in one call.
    """
    if whole or grid is not None:
        if whole or grid is None:
            encoded = unet.lq_encoder(image_CHW[None])
        else:
            sizes = {"enters": pixels_per_latent, "leaves": 1}
            encoded = blend_windows(unet.lq_encoder, image_CHW, grid, batch=batch, **sizes)[None]
        features = (encoded[:, :, w.slices[0], w.slices[1]] for w in windows)
    else:
        pixels = (w.scaled(pixels_per_latent).slices for w in windows)
        features = (unet.lq_encoder(image_CHW[None, :, rows, columns]) for rows, columns in pixels)
    return torch.cat([unet.alignment.lq_embedding(piece) for piece in features])


def encode_latent(
    vae: Any,
    image_CHW: Tensor,
    windows: Sequence[Rect],
    *,
    whole: bool,
    pixels_per_latent: int,
    scaling_factor: float,
    grid: CodecGrid | None = None,
    batch: int = 1,
) -> Tensor:
    """Scaled VAE latent [4, h, w] float32: the posterior's mode, so that nothing depends on a draw. Arguments as above."""

    def encode(pixels_BCHW: Tensor) -> Tensor:
        return vae.encode(pixels_BCHW).latent_dist.mode().float()

    if whole:
        return encode(image_CHW[None])[0] * scaling_factor
    if grid is not None:
        return blend_windows(encode, image_CHW, grid, batch=batch, enters=pixels_per_latent, leaves=1) * scaling_factor
    merger = WindowMerger(image_CHW.shape[1] // pixels_per_latent, image_CHW.shape[2] // pixels_per_latent, windows)
    merger.to(image_CHW.device)
    latent = merger.empty(vae.config.latent_channels, image_CHW.device)
    for index, window in enumerate(windows):
        rows, columns = window.scaled(pixels_per_latent).slices
        merger.add(latent, index, encode(image_CHW[None, :, rows, columns])[0])
    return latent * scaling_factor


def decode_latent(
    vae: Any,
    latent_Chw: Tensor,
    windows: Sequence[Rect],
    *,
    whole: bool,
    pixels_per_latent: int,
    scaling_factor: float,
    head: Callable[[Tensor], Tensor] | None = None,
    grid: CodecGrid | None = None,
    batch: int = 1,
) -> Tensor:
    """Latent [4, h, w] -> image [3, H, W] float32 in [0, 1], clamped. Arguments as above; `head` changes what was decoded."""
    head = head or nn.Identity()
    unscaled = (latent_Chw / scaling_factor).to(vae.dtype)

    def decode(latent_BChw: Tensor) -> Tensor:
        image: Tensor = head(vae.decode(latent_BChw, return_dict=False)[0])
        return image.float()

    if whole:
        image = decode(unscaled[None])[0]
    elif grid is not None:
        image = blend_windows(decode, unscaled, grid, batch=batch, enters=1, leaves=pixels_per_latent)
    else:
        height, width = latent_Chw.shape[1:]
        merger = WindowMerger(height * pixels_per_latent, width * pixels_per_latent, windows, scale=pixels_per_latent)
        merger.to(latent_Chw.device)
        image = merger.empty(3, latent_Chw.device)
        for index, window in enumerate(windows):
            piece = unscaled[None, :, window.slices[0], window.slices[1]]
            merger.add(image, index, decode(piece)[0])
    return (image / 2 + 0.5).clamp(0, 1)
