"""MS-SSIM, GMSD and FSIM: what they are for, and the same figures as straight from the papers' formulas.

Besides, on 2026-11-23 GMSD and FSIM gave the figures of the authors' MATLAB code that the test suite of photosynthesis-team/piq
quotes, for its images goldhill (0.1380125871, 0.89691) and I01 (0.0941246558, 0.93674), to all their digits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import correlate, gaussian_filter
from scipy.signal import convolve2d
from skimage import data

from faithdiff_model.evaluation.fidelity import ssim_y, to_y
from faithdiff_model.evaluation.fsim import fsim, phase_congruency
from faithdiff_model.evaluation.perceptual import MS_SSIM_WEIGHTS, gmsd, grey_of, ms_ssim_y, scales_of

Measure = Callable[[np.ndarray, np.ndarray], float]
MEASURES: dict[str, tuple[Measure, float]] = {"ms_ssim_y": (ms_ssim_y, 1.0), "gmsd": (gmsd, 0.0), "fsim": (fsim, 1.0)}


def photograph(height: int = 180, width: int = 223) -> np.ndarray:
    return np.ascontiguousarray(data.astronaut()[20 : 20 + height, 90 : 90 + width])


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    return np.rint(gaussian_filter(image.astype(float), (sigma, sigma, 0))).astype(np.uint8)


def noisy(image: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(7).normal(0, sigma, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", MEASURES)
def test_equal_images(name: str) -> None:
    measure, best = MEASURES[name]
    assert measure(photograph(), photograph()) == pytest.approx(best, abs=1e-12)
    blank = np.full((40, 50, 3), 200, np.uint8)
    assert measure(blank, blank) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("damage", [blurred, noisy])
def test_more_damage_is_worse(name: str, damage: Callable[[np.ndarray, float], np.ndarray]) -> None:
    measure, best = MEASURES[name]
    reference = photograph()
    far = [abs(measure(damage(reference, amount), reference) - best) for amount in (1, 2, 4, 8)]
    assert 0 < far[0] < far[1] < far[2] < far[3]


@pytest.mark.parametrize("name", MEASURES)
def test_which_of_the_two_is_the_result_does_not_matter(name: str) -> None:
    measure, _ = MEASURES[name]
    one, other = photograph(), blurred(photograph(), 2)
    assert measure(one, other) == pytest.approx(measure(other, one), abs=1e-12)


@pytest.mark.parametrize("name", MEASURES)
def test_what_cannot_be_compared_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="its reference"):
        MEASURES[name][0](photograph(), photograph()[1:])


@pytest.mark.parametrize("size", [(180, 223), (161, 300), (64, 97), (11, 30)])
def test_ms_ssim_by_the_formula(size: tuple[int, int]) -> None:
    """Wang et al. 2003, equation 7, written down with scipy."""
    reference = photograph(*size)
    one, other = to_y(noisy(blurred(reference, 1), 6)), to_y(reference)
    ruler = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(ruler, ruler) / np.outer(ruler, ruler).sum()
    parts = []
    for _ in range(scales_of(*size)):
        means = [convolve2d(plane, window, "valid") for plane in (one, other)]
        spreads = [convolve2d(a * b, window, "valid") for a, b in ((one, one), (other, other), (one, other))]
        variance_one, variance_other = spreads[0] - means[0] ** 2, spreads[1] - means[1] ** 2
        structure = (2 * (spreads[2] - means[0] * means[1]) + 9e-4) / (variance_one + variance_other + 9e-4)
        luminance = (2 * means[0] * means[1] + 1e-4) / (means[0] ** 2 + means[1] ** 2 + 1e-4)
        parts.append((structure.mean(), (luminance * structure).mean()))
        one, other = (  # MATLAB's imfilter with "symmetric" and a 2x2 box, every second pixel
            correlate(plane, np.full((2, 2), 0.25), mode="reflect", origin=-1)[::2, ::2] for plane in (one, other)
        )
    weights = np.array(MS_SSIM_WEIGHTS[: len(parts)]) / sum(MS_SSIM_WEIGHTS[: len(parts)])
    expected = parts[-1][1] ** weights[-1]
    for (structure_mean, _), weight in zip(parts[:-1], weights, strict=False):
        expected *= structure_mean**weight
    assert ms_ssim_y(noisy(blurred(reference, 1), 6), reference) == pytest.approx(expected, abs=1e-9)


def test_small_images_have_fewer_scales() -> None:
    assert [scales_of(side, 999) for side in (11, 20, 21, 40, 41, 80, 81, 160, 161, 5000)] == [
        1, 1, 2, 2, 3, 3, 4, 4, 5, 5,
    ]  # fmt: skip
    reference = photograph(20, 60)
    result = blurred(reference, 1)
    assert ms_ssim_y(result, reference) == pytest.approx(ssim_y(result, reference), abs=1e-12)


def test_opposed_structures_are_worth_nothing() -> None:
    reference = photograph()
    assert ms_ssim_y(255 - reference, reference) == 0


@pytest.mark.parametrize("size", [(180, 222), (97, 64), (33, 35)])
def test_gmsd_by_the_formula(size: tuple[int, int]) -> None:
    """Xue et al. 2014, equations 1 to 6, written down with scipy."""
    reference = photograph(*size)
    result = noisy(blurred(reference, 1), 6)
    prewitt = np.array([[1, 0, -1]] * 3) / 3
    gradients = []
    for image in (result, reference):
        grey = image @ np.array([0.299, 0.587, 0.114])
        half = convolve2d(grey, np.full((2, 2), 0.25))[1::2, 1::2]
        half = half[: (size[0] + 1) // 2, : (size[1] + 1) // 2]
        pieces = convolve2d(half, prewitt, "same"), convolve2d(half, prewitt.T, "same")
        gradients.append(np.sqrt(pieces[0] ** 2 + pieces[1] ** 2))
    one, other = gradients
    alike = (2 * one * other + 170) / (one**2 + other**2 + 170)
    expected = np.sqrt(((alike - alike.mean()) ** 2).sum() / (alike.size - 1))
    assert gmsd(result, reference) == pytest.approx(expected, abs=1e-12)


def slow_phase_congruency(plane: np.ndarray) -> np.ndarray:
    """Kovesi's, filter by filter and sum by sum, as the paper's own code goes about it."""
    rows, columns = plane.shape
    spans = [
        np.arange(-(n - 1) / 2, n / 2) / (n - 1) if n % 2 else np.arange(-n / 2, n / 2) / n for n in (columns, rows)
    ]
    x, y = (np.fft.ifftshift(place) for place in np.meshgrid(*spans))
    radius, theta = np.sqrt(x**2 + y**2), np.arctan2(-y, x)
    low_pass = 1 / (1 + (radius / 0.45) ** 30)
    radius[0, 0] = 1
    spectrum, energy_all, amplitude_all = np.fft.fft2(plane), np.zeros(plane.shape), np.zeros(plane.shape)
    for orientation in range(4):
        angle = orientation * np.pi / 4
        sine = np.sin(theta) * np.cos(angle) - np.cos(theta) * np.sin(angle)
        cosine = np.cos(theta) * np.cos(angle) + np.sin(theta) * np.sin(angle)
        spread = np.exp(-(np.arctan2(sine, cosine) ** 2) / (2 * (np.pi / 4 / 1.2) ** 2))
        kernels, responses, filters = [], [], []
        for scale in range(4):
            band = np.exp(-(np.log(radius * 6 * 2**scale) ** 2) / (2 * np.log(0.55) ** 2)) * low_pass
            band[0, 0] = 0
            filters.append(band * spread)
            kernels.append(np.fft.ifft2(filters[-1]).real * np.sqrt(rows * columns))
            responses.append(np.fft.ifft2(spectrum * filters[-1]))
        even, odd = sum(r.real for r in responses), sum(r.imag for r in responses)
        length = np.sqrt(even**2 + odd**2) + 1e-4
        energy = sum(
            r.real * even / length + r.imag * odd / length - np.abs(r.real * odd / length - r.imag * even / length)
            for r in responses
        )
        noise = -np.median(np.abs(responses[0]) ** 2) / np.log(0.5) / (filters[0] ** 2).sum()
        squares = sum((kernel**2).sum() for kernel in kernels)
        products = sum((kernels[i] * kernels[j]).sum() for i in range(4) for j in range(i + 1, 4))
        tau = np.sqrt((2 * noise * squares + 4 * noise * products) / 2)
        threshold = (tau * np.sqrt(np.pi / 2) + 2 * np.sqrt((2 - np.pi / 2) * tau**2)) / 1.7
        energy_all += np.maximum(energy - threshold, 0)
        amplitude_all += sum(np.abs(r) for r in responses)
    return energy_all / amplitude_all


@pytest.mark.parametrize("size", [(60, 71), (61, 70)])
def test_phase_congruency_by_the_formula(size: tuple[int, int]) -> None:
    plane = grey_of(photograph(*size))
    np.testing.assert_allclose(phase_congruency(plane), slow_phase_congruency(plane), atol=1e-9)


@pytest.mark.parametrize("size", [(120, 131), (390, 500)])
def test_fsim_by_the_formula(size: tuple[int, int]) -> None:
    """Zhang et al. 2011, equations 4 to 7; the larger images are halved first."""
    reference = photograph(*size) if size[0] < 384 else np.ascontiguousarray(data.astronaut()[: size[0], : size[1]])
    result = noisy(blurred(reference, 1), 6)
    planes = []
    for image in (result, reference):
        plane = image @ np.array([0.299, 0.587, 0.114])
        planes.append(plane if size[0] < 384 else convolve2d(plane, np.full((2, 2), 0.25))[1:, 1:][::2, ::2])
    scharr = np.array([[3, 0, -3], [10, 0, -10], [3, 0, -3]]) / 16
    gradients = [np.hypot(convolve2d(p, scharr, "same"), convolve2d(p, scharr.T, "same")) for p in planes]
    phases = [slow_phase_congruency(plane) for plane in planes]
    alike = [
        (2 * a * b + constant) / (a**2 + b**2 + constant) for (a, b), constant in ((phases, 0.85), (gradients, 160))
    ]
    weight = np.maximum(*phases)
    expected = (alike[0] * alike[1] * weight).sum() / weight.sum()
    assert fsim(result, reference) == pytest.approx(expected, abs=1e-9)


def test_phase_congruency_is_for_features_whatever_their_contrast() -> None:
    step = np.full((64, 96), 40.0)
    step[:, 32:80] = 200
    congruency = phase_congruency(step)
    assert congruency[32, [31, 32, 79, 80]].min() > 0.5
    assert congruency[32, 44:50].max() < 0.1
    faint = phase_congruency(10 + step / 8)
    np.testing.assert_allclose(faint, congruency, atol=0.01)
