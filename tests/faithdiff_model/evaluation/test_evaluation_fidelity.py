"""PSNR and SSIM against scikit-image's, on Y and RGB."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from faithdiff_model.evaluation.fidelity import MAX_DB, psnr_rgb, psnr_y, ssim, ssim_rgb, ssim_y, to_y

WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def images(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A photograph and a noisy, darker copy: uint8 [150, 201, 3]."""
    reference = np.ascontiguousarray(data.astronaut()[40:190, 100:301])
    noise = np.random.default_rng(seed).normal(0, 12, reference.shape)
    return np.clip(0.9 * reference + noise, 0, 255).astype(np.uint8), reference


def test_y_is_that_of_matlab() -> None:
    result, _ = images()
    np.testing.assert_allclose(to_y(result) * 255, rgb2ycbcr(result)[..., 0], atol=1e-10)
    ends = to_y(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)) * 255
    np.testing.assert_allclose(ends, [[16, 235]], atol=1e-9)


def test_psnr_is_scikit_images() -> None:
    result, reference = images()
    assert psnr_rgb(result, reference) == pytest.approx(
        peak_signal_noise_ratio(reference, result, data_range=255), abs=1e-9
    )
    one, other = rgb2ycbcr(result)[..., 0], rgb2ycbcr(reference)[..., 0]
    assert psnr_y(result, reference) == pytest.approx(peak_signal_noise_ratio(other, one, data_range=255), abs=1e-9)
    assert 15 < psnr_rgb(result, reference) < psnr_y(result, reference) < 30


def test_ssim_is_scikit_images() -> None:
    result, reference = images()
    on_rgb = structural_similarity(result, reference, channel_axis=2, data_range=255, **WANG)
    assert ssim_rgb(result, reference) == pytest.approx(on_rgb, abs=1e-9)
    planes = rgb2ycbcr(result)[..., 0], rgb2ycbcr(reference)[..., 0]
    on_y = structural_similarity(*planes, data_range=255, **WANG)
    assert ssim_y(result, reference) == pytest.approx(on_y, abs=1e-9)
    assert 0.2 < on_rgb < on_y < 0.9


@pytest.mark.parametrize("shape", [(11, 11), (11, 40), (16, 17)])
def test_ssim_of_small_images_is_scikit_images(shape: tuple[int, int]) -> None:
    result, reference = (image[: shape[0], : shape[1]] for image in images(1))
    expected = structural_similarity(result, reference, channel_axis=2, data_range=255, **WANG)
    assert ssim_rgb(result, reference) == pytest.approx(expected, abs=1e-9)


def test_equal_images() -> None:
    reference = images()[1]
    assert psnr_y(reference, reference) == psnr_rgb(reference, reference) == MAX_DB
    assert ssim_y(reference, reference) == ssim_rgb(reference, reference) == 1


def test_structure_alone_does_not_mind_brightness() -> None:
    plane = to_y(images()[1])
    whole, structure = ssim(plane, plane + 0.1)
    assert whole < 0.99
    assert structure == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("measure", [psnr_y, psnr_rgb, ssim_y, ssim_rgb])
def test_what_cannot_be_compared_is_refused(measure: object) -> None:
    assert callable(measure)
    result, reference = images()
    with pytest.raises(ValueError, match="the result is 201x149 pixels and its reference 201x150"):
        measure(result[:-1], reference)
    with pytest.raises(ValueError, match="give uint8"):
        measure(result / 255, reference / 255)
    with pytest.raises(ValueError, match="give uint8"):
        measure(result[..., 0], reference[..., 0])


def test_images_below_the_window_are_refused() -> None:
    result, reference = (image[:10, :40] for image in images())
    with pytest.raises(ValueError, match="40x10 pixels: SSIM wants sides of 11 or more"):
        ssim_y(result, reference)
