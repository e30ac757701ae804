"""The two-pass degradation on batches of tensors, where they are: for training loops whose images are on a GPU already.

It is meant for a GPU, which filters a batch at once, and where images need not travel. On one CPU core the arrays of
`two_pass.py` are about three times faster (crops of 160 pixels): data loaders use those.

Parameters come from the same draws as there (`draws.py`), each image its own. Results agree in distribution, not in bits: noise
comes from torch, and JPEG is its quantisation alone, without the file. Shapes: B images, C channels, H rows, W columns.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from faithdiff_model.degradation.draws import PassDraw, TwoPassDraw, draw_two_pass
from faithdiff_model.degradation.noise import PHOTONS
from faithdiff_model.degradation.ranges import SMALLEST_SIDE
from faithdiff_model.degradation.settings import TwoPassSettings
from faithdiff_model.degradation.tensor_jpeg import tensor_jpeg
from faithdiff_model.degradation.two_pass import scaled_size, small_size

_LUMA = (0.299, 0.587, 0.114)


def degrade_two_pass_batch(
    images_BCHW: torch.Tensor, settings: TwoPassSettings, generator: torch.Generator
) -> torch.Tensor:
    """Degrade a batch twice and make it smaller.

    Args:
        images_BCHW: float32 [B, 3, H, W] in 0 to 1, RGB, on any device, sides of 16 pixels or more.
        settings: for example `LEVELS["II"]`.
        generator: on the device of the images; the same state gives the same result there.

    Returns:
        float32 [B, 3, ceil(H / scale), ceil(W / scale)] in 0 to 1, on the same device.

    Raises:
        ValueError: images of another kind.
    """
    if images_BCHW.ndim != 4 or images_BCHW.shape[1] != 3 or min(images_BCHW.shape[2:]) < SMALLEST_SIDE:
        raise ValueError(
            f"the images are {tuple(images_BCHW.shape)}: give [B, 3, H, W], sides of {SMALLEST_SIDE} or more"
        )
    if images_BCHW.dtype != torch.float32:
        raise ValueError(f"the images are {images_BCHW.dtype}: give float32 in 0 to 1")
    device = images_BCHW.device
    seed = int(torch.randint(2**62, (), generator=generator, device=device))
    draws = [draw_two_pass(settings, np.random.default_rng([seed, number])) for number in range(len(images_BCHW))]

    blurred = _blur(images_BCHW, [draw.first.kernel for draw in draws])
    sized = [
        _up_to_the_last_size(image, draw, settings.scale, generator)
        for image, draw in zip(blurred.split(1), draws, strict=True)
    ]
    filtered = _blur(torch.cat(sized), [draw.final_kernel for draw in draws])
    last = torch.tensor([draw.jpeg_last for draw in draws], device=device)
    return torch.where(last[:, None, None, None], tensor_jpeg(filtered, _qualities(draws, device)), filtered)


def _up_to_the_last_size(
    image: torch.Tensor, draw: TwoPassDraw, scale: int, generator: torch.Generator
) -> torch.Tensor:
    """One blurred image [1, 3, H, W], from its first resize to its last: between them it has a size of its own."""
    height, width = image.shape[2:]
    image = _resize_and_noise(image, draw.first, (height, width), generator)
    image = tensor_jpeg(image, torch.tensor([draw.first.quality], device=image.device))
    image = _blur(image, [draw.second.kernel])
    image = _resize_and_noise(image, draw.second, (height / scale, width / scale), generator)
    if not draw.jpeg_last:
        image = tensor_jpeg(image, _qualities([draw], image.device))
    return _resize(image, small_size(height, width, scale), draw.final_interpolation)


def _qualities(draws: list[TwoPassDraw], device: torch.device) -> torch.Tensor:
    """Of the second JPEG, [B]."""
    return torch.tensor([draw.second.quality for draw in draws], device=device)


def _resize_and_noise(
    image: torch.Tensor, draw: PassDraw, size: tuple[float, float], generator: torch.Generator
) -> torch.Tensor:
    """One image [1, 3, H, W]; `size` is (height, width) for a factor of 1."""
    image = _resize(image, scaled_size(size, draw.factor), draw.interpolation)
    light = _grey(image) if draw.grey else image
    if draw.gaussian:
        noise = torch.randn(light.shape, generator=generator, device=light.device) * (draw.strength / 255)
    else:
        noise = (torch.poisson(light * PHOTONS, generator=generator) / PHOTONS - light) * draw.strength
    return (image + noise).clamp(0, 1)


def _grey(images_BCHW: torch.Tensor) -> torch.Tensor:
    """Luma [B, 1, H, W]."""
    return (images_BCHW * images_BCHW.new_tensor(_LUMA)[None, :, None, None]).sum(1, keepdim=True)


def _blur(images_BCHW: torch.Tensor, kernels: list[np.ndarray | None]) -> torch.Tensor:
    """Each image filtered by its kernel, or left alone where that is None; borders reflected, clipped to 0 to 1."""
    if all(kernel is None for kernel in kernels):
        return images_BCHW
    batch, channels, height, width = images_BCHW.shape
    side = max(kernel.shape[0] for kernel in kernels if kernel is not None)
    weights = np.zeros((batch, side, side), np.float32)
    for weight, kernel in zip(weights, kernels, strict=True):
        own = np.ones((1, 1), np.float32) if kernel is None else kernel
        margin = (side - own.shape[0]) // 2
        weight[margin : side - margin, margin : side - margin] = own
    rows, columns = (_reflected(length, side // 2, images_BCHW.device) for length in (height, width))
    padded = images_BCHW[:, :, rows][:, :, :, columns].reshape(1, batch * channels, len(rows), len(columns))
    filters = torch.from_numpy(weights).to(images_BCHW.device).repeat_interleave(channels, 0)[:, None]
    result = functional.conv2d(padded, filters, groups=batch * channels)
    return result.reshape(images_BCHW.shape).clamp(0, 1)


def _reflected(length: int, margin: int, device: torch.device) -> torch.Tensor:
    """Indices of a side with `margin` more at both ends, mirrored at its first and last pixel as often as needed."""
    period = max(1, 2 * (length - 1))
    place = torch.arange(-margin, length + margin, device=device).abs() % period
    return torch.minimum(place, period - place).clamp(max=length - 1)


def _resize(images_BCHW: torch.Tensor, size: tuple[int, int], interpolation: str) -> torch.Tensor:
    """The images at (height, width), without low-pass unless by area, as OpenCV does; overshoot is clipped."""
    if tuple(images_BCHW.shape[2:]) == size:
        return images_BCHW
    if interpolation == "area":
        down = _areas(images_BCHW.shape[2], size[0], images_BCHW.device)
        across = _areas(images_BCHW.shape[3], size[1], images_BCHW.device)
        return (down @ images_BCHW @ across.T).clamp(0, 1)
    return functional.interpolate(images_BCHW, size, mode=interpolation, align_corners=False).clamp(0, 1)


def _areas(source: int, target: int, device: torch.device) -> torch.Tensor:
    """Which share of each target pixel lies over each source pixel, [target, source]; rows sum to 1."""
    step = source / target
    start = torch.arange(target, device=device)[:, None] * step
    pixel = torch.arange(source, device=device)[None, :]
    overlap = torch.minimum(start + step, pixel + 1) - torch.maximum(start, pixel)
    return (overlap.clamp(min=0) / step).float()
