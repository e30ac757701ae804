"""Perceptual measures that need no download: MS-SSIM and GMSD (and FSIM, in `fsim.py`)."""

from __future__ import annotations

import cv2
import numpy as np

from faithdiff_model.evaluation.fidelity import WINDOW, check_pair, ssim, to_y
from faithdiff_model.image.resize import to_grey

__all__ = ["MS_SSIM_WEIGHTS", "gmsd", "gradient_magnitude", "grey_of", "ms_ssim_y", "scales_of", "similarity"]

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # from fine to coarse (Wang et al. 2003, section 3.2)
_GMSD_C = 170.0  # for values up to 255 (Xue et al. 2014, section III)
_PREWITT = np.array([[1, 0, -1], [1, 0, -1], [1, 0, -1]]) / 3


def ms_ssim_y(result_HW3: np.ndarray, reference_HW3: np.ndarray) -> float:
    """Multi-scale SSIM of Y (Wang et al. 2003): structure at five sizes, each half the one before; 1 for equal images.

    An image with a side below 161 pixels has no room for five sizes: it gets as many as its shorter side allows (11 pixels at
    the smallest), their weights raised to add up to 1. Where structures are opposed at any size the value is 0.

    Args:
        result_HW3, reference_HW3: uint8 RGB of one size.

    Raises:
        ValueError: as `fidelity.check_pair`, or a side below 11.
    """
    check_pair(result_HW3, reference_HW3)
    one, other = to_y(result_HW3), to_y(reference_HW3)
    weights = np.array(MS_SSIM_WEIGHTS[: scales_of(*one.shape)])
    weights /= weights.sum()
    product = 1.0
    for scale, weight in enumerate(weights):
        whole, structure = ssim(one, other)
        last = scale == len(weights) - 1  # luminance counts at the coarsest size alone
        product *= max(whole if last else structure, 0.0) ** weight
        one, other = _halve(one), _halve(other)
    return float(product)


def scales_of(height: int, width: int) -> int:
    """How many of MS-SSIM's five sizes an image of `height` x `width` pixels has room for; 1 for the smallest."""
    side, scales = min(height, width), 1
    while scales < len(MS_SSIM_WEIGHTS) and (side + 1) // 2 >= WINDOW:
        side, scales = (side + 1) // 2, scales + 1
    return scales


def gmsd(result_HW3: np.ndarray, reference_HW3: np.ndarray) -> float:
    """Gradient magnitude similarity deviation (Xue et al. 2014) on grey at half size: how uneven the damage to edges is.

    Args:
        result_HW3, reference_HW3: uint8 RGB of one size.

    Returns:
        0 for equal images (and for evenly changed ones), more is worse; mostly below 0.35.

    Raises:
        ValueError: as `fidelity.check_pair`.
    """
    check_pair(result_HW3, reference_HW3)
    one, other = (gradient_magnitude(_halve_zero(grey_of(image)), _PREWITT) for image in (result_HW3, reference_HW3))
    return float(similarity(one, other, _GMSD_C).std(ddof=1))


def grey_of(image_HW3: np.ndarray) -> np.ndarray:
    """Full-range luma: uint8 RGB [H, W, 3] -> float64 [H, W] in [0, 255]."""
    return to_grey(image_HW3.astype(np.float64))[..., 0]


def gradient_magnitude(plane_HW: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Length of the gradient [H, W] by a 3x3 filter and its transpose, zeros around the plane."""
    pieces = [
        cv2.filter2D(plane_HW, cv2.CV_64F, kernel, borderType=cv2.BORDER_CONSTANT) for kernel in (across, across.T)
    ]
    return np.hypot(*pieces)


def similarity(one: np.ndarray, other: np.ndarray, constant: float) -> np.ndarray:
    """(2ab + c) / (a² + b² + c), the form that SSIM, GMSD and FSIM share: 1 where both are equal."""
    return (2 * one * other + constant) / (one**2 + other**2 + constant)


def _halve(plane_HW: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels, the last row or column of an odd side repeated."""
    height, width = plane_HW.shape
    even = np.pad(plane_HW, ((0, height % 2), (0, width % 2)), mode="edge")
    return even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).mean(axis=(1, 3))


def _halve_zero(plane_HW: np.ndarray) -> np.ndarray:
    """As `_halve` with zeros beyond the image, as the published GMSD has them."""
    height, width = plane_HW.shape
    return _halve(np.pad(plane_HW, ((0, height % 2), (0, width % 2))))
