"""The objective of a network that restores in one step: its result beside the photograph, as pixels.

    scan -> coefficients -> one call of the network -> + change -> decoded -> head -> result

What counts is how far off each patch is on a scale of decibels (the logarithm of its mean squared error, as the mean PSNR of an
evaluation has it), so that a smooth sky weighs as much as a hedge. A share of gradient similarity keeps edges as steep as the
photograph has them: squared errors alone prefer them flat wherever their place is uncertain.

The crisp end (stage `detail`) adds how unlike the result is to a network that knows edges and textures, and the errors of means
of 4x4 pixels: what is drawn finer than that must look right, what is coarser must be right.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from faithdiff_model.network.dct_codec import DCTCodec
from faithdiff_model.network.unet import FaithDiffUNet
from faithdiff_model.sampling.denoise import START_TIMESTEP
from faithdiff_model.training.features import FeatureDistance

PATCH = 16  # pixels a side
COARSE = 4  # pixels a side of a mean
DAMAGE_WEIGHT = 4.0
_FLOOR = (
    3 / 255
) ** 2  # being off by three levels of 255 is nearly good enough: undamaged patches do not outweigh the others
_STABLE = 170 / 255**2  # GMSD's constant, for images in [0, 1]
_LUMA = (0.299, 0.587, 0.114)


class RestorationLoss(nn.Module):
    """The network behind its loss, as one module: what runs in parallel and what autocast sees whole.

    Args:
        unet: the network; it has a head.
        codec: its codec.
        gradient_weight: of `gradient_difference` beside `patch_log_error`; 0 leaves it out.
        feature_weight: of `features.FeatureDistance`; above 0 the errors of means of 4x4 pixels count, too.

    Raises:
        ValueError: a feature weight without the packages that it needs.
    """

    def __init__(
        self, unet: FaithDiffUNet, codec: DCTCodec, *, gradient_weight: float, feature_weight: float = 0.0
    ) -> None:
        super().__init__()
        self.unet = unet
        self.codec = codec
        self.gradient_weight = gradient_weight
        self.feature_weight = feature_weight
        self.features = FeatureDistance() if feature_weight else None

    def restored(self, lq_BCHW: Tensor, mask_B1HW: Tensor) -> Tensor:
        """Results [B, 3, H, W], not clamped, of LQ images in [-1, 1] and their damage masks."""
        unet = self.unet
        start = self.codec.encode(lq_BCHW).mode()
        embedding = unet.alignment.lq_embedding(unet.lq_encoder(torch.cat([lq_BCHW, mask_B1HW], dim=1)))
        change = unet.predict(unet.alignment(start, embedding), START_TIMESTEP, None, None, start)
        image = self.codec.decode(start + change.float())[0]
        return image if unet.head is None else unet.head(image)

    def forward(self, hq_BCHW: Tensor, lq_BCHW: Tensor, mask_B1HW: Tensor, damage_B1HW: Tensor) -> Tensor:
        """The loss, a scalar in float32.

        Args:
            hq_BCHW, lq_BCHW: in [-1, 1], sides a multiple of 16.
            mask_B1HW: see `CoefficientEncoder`.
            damage_B1HW: where damage is in truth, 0 or 1: errors there count `DAMAGE_WEIGHT` times more.
        """
        restored = (self.restored(lq_BCHW, mask_B1HW).float() + 1) / 2
        wanted = (hq_BCHW + 1) / 2
        weight = 1 + DAMAGE_WEIGHT * damage_B1HW
        loss = patch_log_error(restored, wanted, weight)
        if self.gradient_weight:
            loss = loss + self.gradient_weight * gradient_difference(restored, wanted)
        if self.features is not None:
            coarse = (functional.avg_pool2d(image, COARSE) for image in (restored, wanted, weight))
            loss = loss + patch_log_error(*coarse, patch=PATCH // COARSE)
            loss = loss + self.feature_weight * self.features(restored, wanted)
        return loss


def patch_log_error(
    restored_BCHW: Tensor, wanted_BCHW: Tensor, weight_B1HW: Tensor | float = 1.0, *, patch: int = PATCH
) -> Tensor:
    """Mean natural logarithm of the weighted mean squared error of patches (pixels a side), of images in [0, 1]: a scalar."""
    squared = (restored_BCHW - wanted_BCHW).square().mean(dim=1, keepdim=True) * weight_B1HW
    return (functional.avg_pool2d(squared, patch) + _FLOOR).log().mean()


def gradient_difference(restored_BCHW: Tensor, wanted_BCHW: Tensor) -> Tensor:
    """How unlike the magnitudes of the gradients are, 0 to 1, a scalar: the complement of what GMSD (Xue et al., 2014) maps.

    Of the luma at full and at half size.
    """
    total = restored_BCHW.new_zeros(())
    luma = restored_BCHW.new_tensor(_LUMA).view(1, 3, 1, 1)
    pair = [(image * luma).sum(dim=1, keepdim=True) for image in (restored_BCHW, wanted_BCHW)]
    for _ in range(2):
        ours, theirs = (_gradient(image) for image in pair)
        total = total + (1 - (2 * ours * theirs + _STABLE) / (ours**2 + theirs**2 + _STABLE)).mean() / 2
        pair = [functional.avg_pool2d(image, 2) for image in pair]
    return total


def _gradient(image_B1HW: Tensor) -> Tensor:
    """Magnitude of Prewitt's gradient, without the border."""
    across = image_B1HW.new_tensor([[1, 0, -1]] * 3).view(1, 1, 3, 3) / 3
    kernels = torch.cat([across, across.transpose(2, 3)])
    return (functional.conv2d(image_B1HW, kernels).square().sum(dim=1, keepdim=True) + 1e-8).sqrt()
