"""FSIM (Zhang et al. 2011): similarity where the eye looks, by phase congruency and gradients. No download.

Phase congruency is Kovesi's, with the constants of the paper's own code: where the Fourier waves of many sizes are in step
there is a feature (a line, an edge), whatever its contrast. Grey alone, not the paper's FSIM_C: SSIM on RGB sees colour.
"""

from __future__ import annotations

import cv2
import numpy as np

from faithdiff_model.evaluation.fidelity import check_pair
from faithdiff_model.evaluation.perceptual import gradient_magnitude, grey_of, similarity

__all__ = ["fsim", "phase_congruency"]

_SCHARR = np.array([[3, 0, -3], [10, 0, -10], [3, 0, -3]]) / 16
_T1, _T2 = 0.85, 160.0  # of phase congruency and of gradients for values up to 255 (equations 4 and 5)
_SIZE = 256  # the shorter side is reduced to about this, by a whole factor

_SCALES, _ORIENTATIONS = 4, 4
_SHORTEST_WAVE, _WAVE_FACTOR = 6.0, 2.0  # pixels; from scale to scale
_BANDWIDTH = 0.55  # sigma of the log-Gabor over its centre frequency
_SPREAD = np.pi / _ORIENTATIONS / 1.2  # sigma of an orientation's filter, radians
_NOISE_SIGMAS = 2.0  # energy below noise + 2 sigma is taken for noise
_TINY = 1e-4


def fsim(result_HW3: np.ndarray, reference_HW3: np.ndarray) -> float:
    """Feature similarity of two uint8 RGB images [H, W, 3], in [0, 1]; 1 for equal ones.

    Where neither has a feature (a blank page), all pixels count alike.

    Raises:
        ValueError: as `fidelity.check_pair`.
    """
    check_pair(result_HW3, reference_HW3)
    one, other = (_reduce(grey_of(image)) for image in (result_HW3, reference_HW3))
    phase_one, phase_other = phase_congruency(one), phase_congruency(other)
    alike = similarity(gradient_magnitude(one, _SCHARR), gradient_magnitude(other, _SCHARR), _T2)
    alike *= similarity(phase_one, phase_other, _T1)
    weight = np.maximum(phase_one, phase_other)
    return float(np.average(alike, weights=weight if weight.any() else None))


def phase_congruency(plane_HW: np.ndarray) -> np.ndarray:
    """How much the waves through each pixel are in step (Kovesi 1999): float64 [H, W] in [0, 1].

    Args:
        plane_HW: grey, float64 in [0, 255].
    """
    spectrum = np.fft.fft2(plane_HW)
    radius, angle = _frequencies(*plane_HW.shape)
    waves = _SHORTEST_WAVE * _WAVE_FACTOR ** np.arange(_SCALES)
    smooth = 1 / (1 + (radius / 0.45) ** 30)  # Butterworth: nothing from the corners of the spectrum
    radius[0, 0] = 1.0  # no wave: any value whose logarithm exists
    radial = [np.exp(-(np.log(radius * wave) ** 2) / (2 * np.log(_BANDWIDTH) ** 2)) * smooth for wave in waves]
    for band in radial:
        band[0, 0] = 0.0
    energy, amplitude = np.zeros(plane_HW.shape), np.full(plane_HW.shape, np.finfo(float).tiny)
    for orientation in range(_ORIENTATIONS):
        difference = np.abs((angle - orientation * np.pi / _ORIENTATIONS + np.pi) % (2 * np.pi) - np.pi)
        direction = np.exp(-(difference**2) / (2 * _SPREAD**2))
        bands = np.stack([band * direction for band in radial])
        responses = np.fft.ifft2(spectrum * bands)  # real: even (lines), imaginary: odd (edges)
        amplitude += np.abs(responses).sum(axis=0)
        total = responses.sum(axis=0)
        mean = total / (np.abs(total) + _TINY)  # of length one where there is any energy
        along = responses * mean.conj()
        in_step = (along.real - np.abs(along.imag)).sum(axis=0)
        energy += np.maximum(in_step - _noise_threshold(bands, responses[0]), 0)
    return energy / amplitude


def _noise_threshold(bands_SHW: np.ndarray, finest_HW: np.ndarray) -> float:
    """Energy that noise alone would have in one orientation, by the median of its finest waves (Rayleigh distributed)."""
    power = np.median(np.abs(finest_HW) ** 2) / np.log(2) / (bands_SHW[0] ** 2).sum()
    kernel = np.fft.ifft2(bands_SHW.sum(axis=0)).real  # over all sizes together
    expected = 2 * power * (kernel**2).sum() * kernel.size
    tau = np.sqrt(expected / 2)
    return float(
        (tau * np.sqrt(np.pi / 2) + _NOISE_SIGMAS * tau * np.sqrt(2 - np.pi / 2)) / 1.7
    )  # 1.7: the paper's code


def _frequencies(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Radius (cycles a pixel) and angle of every place of the spectrum, zero first."""
    down, across = (np.fft.ifftshift(np.arange(-(n // 2), n - n // 2) / (n - n % 2)) for n in (height, width))
    return np.hypot(down[:, None], across[None]), np.arctan2(-down[:, None], across[None])


def _reduce(plane_HW: np.ndarray) -> np.ndarray:
    """By a whole factor to about 256 pixels on the shorter side: means around every n-th pixel."""
    factor = max(1, int(min(plane_HW.shape) / _SIZE + 0.5))
    if factor == 1:
        return plane_HW
    # The anchor is where MATLAB's conv2 with "same" has it, whose zeros beyond the image are the published figures', too.
    anchor = ((factor - 1) // 2, (factor - 1) // 2)
    kernel = np.full((factor, factor), 1 / factor**2)
    means = cv2.filter2D(plane_HW, cv2.CV_64F, kernel, anchor=anchor, borderType=cv2.BORDER_CONSTANT)
    return means[::factor, ::factor]
