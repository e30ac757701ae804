"""PSNR and SSIM, on Y and on RGB: distance to the reference, pixel by pixel and in small windows.

Y is ITU-R BT.601 luma in studio swing, as super-resolution papers take it (MATLAB's rgb2ycbcr): 16 to 235 of 255. All values
are over the whole image, no border cut off. SSIM is as Wang et al. 2004 define it: Gaussian window of 11 pixels and sigma 1.5,
only where the window lies inside the image, K1 0.01, K2 0.03; the same figures as scikit-image's with `gaussian_weights`.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

__all__ = ["MAX_DB", "WINDOW", "check_pair", "psnr_rgb", "psnr_y", "ssim", "ssim_rgb", "ssim_y", "to_y"]

MAX_DB = 100.0  # what equal images get, so that a mean stays a number; the manifest's lq_psnr_db does the same
WINDOW, SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2  # for values in [0, 1]
_STUDIO = (65.481, 128.553, 24.966)  # of R, G, B in [0, 1]; Y starts at 16


def check_pair(result_HW3: np.ndarray, reference_HW3: np.ndarray) -> None:
    """Refuse what cannot be compared.

    Raises:
        ValueError: not two uint8 RGB images [H, W, 3] of one size.
    """
    for image in (result_HW3, reference_HW3):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"an image of {image.dtype} {image.shape}: give uint8 [H, W, 3]")
    if result_HW3.shape != reference_HW3.shape:
        raise ValueError(f"the result is {_size(result_HW3)} pixels and its reference {_size(reference_HW3)}")


def to_y(image_HW3: np.ndarray) -> np.ndarray:
    """Luma of BT.601 in studio swing, not rounded: uint8 RGB [H, W, 3] -> float64 [H, W] in [16/255, 235/255]."""
    return (16 + image_HW3 @ (np.array(_STUDIO) / 255)) / 255


def psnr_y(result_HW3: np.ndarray, reference_HW3: np.ndarray) -> float:
    """PSNR of Y in dB, the peak being 255. Images uint8 [H, W, 3]. Raises ValueError as `check_pair`."""
    check_pair(result_HW3, reference_HW3)
    return _psnr(to_y(result_HW3), to_y(reference_HW3))


def psnr_rgb(result_HW3: np.ndarray, reference_HW3: np.ndarray) -> float:
    """PSNR of all three channels together in dB. Images uint8 [H, W, 3]. Raises ValueError as `check_pair`."""
    check_pair(result_HW3, reference_HW3)
    return _psnr(result_HW3 / 255, reference_HW3 / 255)


def ssim_y(result_HW3: np.ndarray, reference_HW3: np.ndarray) -> float:
    """Mean SSIM of Y, at most 1. Images uint8 [H, W, 3]. Raises ValueError as `check_pair`, or a side below 11."""
    check_pair(result_HW3, reference_HW3)
    return ssim(to_y(result_HW3), to_y(reference_HW3))[0]


def ssim_rgb(result_HW3: np.ndarray, reference_HW3: np.ndarray) -> float:
    """Mean of the three channels' SSIM, at most 1. Images uint8 [H, W, 3]. Raises ValueError as `ssim_y`."""
    check_pair(result_HW3, reference_HW3)
    return float(np.mean([ssim(result_HW3[..., c] / 255, reference_HW3[..., c] / 255)[0] for c in range(3)]))


def ssim(one_HW: np.ndarray, other_HW: np.ndarray) -> tuple[float, float]:
    """Mean SSIM of two planes, and the mean of its contrast and structure part alone, which MS-SSIM wants.

    Args:
        one_HW, other_HW: float64 in [0, 1], equal shapes.

    Raises:
        ValueError: a side below 11 pixels.
    """
    if min(one_HW.shape) < WINDOW:
        raise ValueError(f"{one_HW.shape[1]}x{one_HW.shape[0]} pixels: SSIM wants sides of {WINDOW} or more")
    mean_one, mean_other = _window_mean(one_HW), _window_mean(other_HW)
    variance_one = _window_mean(one_HW**2) - mean_one**2
    variance_other = _window_mean(other_HW**2) - mean_other**2
    covariance = _window_mean(one_HW * other_HW) - mean_one * mean_other
    luminance = (2 * mean_one * mean_other + _C1) / (mean_one**2 + mean_other**2 + _C1)
    structure = (2 * covariance + _C2) / (variance_one + variance_other + _C2)
    return float((luminance * structure).mean()), float(structure.mean())


def _window_mean(plane_HW: np.ndarray) -> np.ndarray:
    """Gaussian-weighted mean around every pixel whose window lies inside the plane: [H - 10, W - 10]."""
    kernel = cv2.getGaussianKernel(WINDOW, SIGMA, cv2.CV_64F)
    reach = WINDOW // 2
    return cv2.sepFilter2D(plane_HW, cv2.CV_64F, kernel, kernel)[reach:-reach, reach:-reach]


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = float(np.mean((one - other) ** 2))
    return MAX_DB if error <= 10 ** (-MAX_DB / 10) else -10 * math.log10(error)


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
