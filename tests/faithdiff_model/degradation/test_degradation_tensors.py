"""The tensors' path against the arrays': its JPEG, its resizes and filters one by one, and the whole in distribution."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_degradation_contract import random_image

from faithdiff_model.degradation.blur import blur, gaussian_kernel, sinc_kernel
from faithdiff_model.degradation.codec import jpeg
from faithdiff_model.degradation.settings import LEVELS
from faithdiff_model.degradation.tensor_jpeg import tensor_jpeg
from faithdiff_model.degradation.tensors import _blur, _resize, degrade_two_pass_batch
from faithdiff_model.degradation.two_pass import degrade_two_pass
from jobs.samples.archive import original


def to_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def to_array(tensor: torch.Tensor) -> np.ndarray:
    return tensor[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 75, 90, 100])
@pytest.mark.parametrize("name", ["chelsea.png", "astronaut.png"])
def test_jpeg_is_libjpegs_within_rounding(name: str, quality: int) -> None:
    image = original(name)[:151, :203]  # sides that are no multiples of a block
    ours = to_array(tensor_jpeg(to_tensor(image), torch.tensor([quality])))
    theirs = jpeg(image, quality)
    difference = np.abs(ours - theirs).mean() * 255
    assert difference < 0.9
    # The error that it makes is the same error: what is left is small beside it.
    assert difference < 0.75 * np.abs(theirs - image).mean() * 255
    assert ours.shape == image.shape
    np.testing.assert_allclose(ours * 255, np.rint(ours * 255), atol=1e-4)


def test_jpeg_takes_a_quality_for_each_image() -> None:
    first, second = (to_tensor(original(name)[:96, :96]) for name in ("chelsea.png", "coffee.png"))
    both = tensor_jpeg(torch.cat([first, second]), torch.tensor([20, 80]))
    torch.testing.assert_close(both[:1], tensor_jpeg(first, torch.tensor([20])))
    torch.testing.assert_close(both[1:], tensor_jpeg(second, torch.tensor([80])))
    with pytest.raises(ValueError, match="one for each"):
        tensor_jpeg(first, torch.tensor([20, 30]))


@pytest.mark.parametrize("interpolation", ["area", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(40, 40), (57, 93), (150, 171), (3, 4)])
def test_resizes_are_opencvs(interpolation: str, size: tuple[int, int]) -> None:
    image = original("chelsea.png")[:120, :140]
    flags = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
    theirs = np.clip(cv2.resize(image, size[::-1], interpolation=flags[interpolation]), 0, 1)
    np.testing.assert_allclose(to_array(_resize(to_tensor(image), size, interpolation)), theirs, atol=2e-5)


def test_filters_are_opencvs_one_for_each_image() -> None:
    images = [original(name)[:40, :50] for name in ("chelsea.png", "coffee.png", "astronaut.png")]
    kernels = [gaussian_kernel(21, 3, 1, 0.5), None, sinc_kernel(7, 1.5)]
    done = _blur(torch.cat([to_tensor(image) for image in images]), kernels)
    for number, (image, kernel) in enumerate(zip(images, kernels, strict=True)):
        expected = image if kernel is None else blur(image, kernel)
        np.testing.assert_allclose(to_array(done[number : number + 1]), expected, atol=1e-5)


@pytest.mark.parametrize("sides", [(1, 1), (1, 5), (4, 3)])
def test_filters_reach_over_tiny_images(sides: tuple[int, int]) -> None:
    image = random_image(0, 16, 16)[: sides[0], : sides[1]].copy()
    kernel = gaussian_kernel(21, 3, 2, 0.5)
    np.testing.assert_allclose(to_array(_blur(to_tensor(image), [kernel])), blur(image, kernel), atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    height=st.integers(16, 50),
    width=st.integers(16, 50),
    level=st.sampled_from(sorted(LEVELS)),
)
def test_contract(seed: int, height: int, width: int, level: str) -> None:
    images = torch.cat([to_tensor(random_image(seed + number, height, width)) for number in range(2)])
    before = images.clone()
    small = degrade_two_pass_batch(images, LEVELS[level], torch.Generator().manual_seed(seed))
    assert small.shape == (2, 3, -(-height // 4), -(-width // 4))
    assert small.dtype == torch.float32
    assert 0 <= float(small.min()) <= float(small.max()) <= 1
    torch.testing.assert_close(images, before, rtol=0, atol=0)
    again = degrade_two_pass_batch(images, LEVELS[level], torch.Generator().manual_seed(seed))
    torch.testing.assert_close(small, again, rtol=0, atol=0)


def test_each_image_has_parameters_of_its_own() -> None:
    images = to_tensor(original("chelsea.png")[:64, :64]).repeat(4, 1, 1, 1)
    small = degrade_two_pass_batch(images, LEVELS["II"], torch.Generator().manual_seed(0))
    assert all(float((small[0] - small[number]).abs().mean()) > 0.005 for number in (1, 2, 3))


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_it_degrades_as_the_arrays_do(level: str) -> None:
    """Error, contrast and sharpness of many results have the same mean."""
    image = original("astronaut.png")[20:148, 150:278]
    ideal = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA)
    arrays = np.stack([degrade_two_pass(image, LEVELS[level], np.random.default_rng(seed)) for seed in range(300)])
    generator = torch.Generator().manual_seed(0)
    batches = [
        degrade_two_pass_batch(to_tensor(image).repeat(30, 1, 1, 1), LEVELS[level], generator) for _ in range(10)
    ]
    tensors = torch.cat(batches).permute(0, 2, 3, 1).numpy()

    def measure(results: np.ndarray) -> np.ndarray:
        error = np.abs(results - ideal).mean(axis=(1, 2, 3))
        sharpness = np.abs(np.diff(results, axis=2)).mean(axis=(1, 2, 3))
        return np.stack([error, sharpness, results.std(axis=(1, 2, 3))], axis=1)

    ours, theirs = measure(tensors), measure(arrays)
    spread = np.sqrt(ours.var(axis=0) / len(ours) + theirs.var(axis=0) / len(theirs))
    assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 3.5 * spread).all()
    np.testing.assert_allclose(tensors.mean(axis=0), arrays.mean(axis=0), atol=0.06)


def test_other_images_are_refused() -> None:
    generator = torch.Generator()
    for images in (torch.zeros(3, 32, 32), torch.zeros(1, 1, 32, 32), torch.zeros(1, 3, 8, 32)):
        with pytest.raises(ValueError, match="sides of 16"):
            degrade_two_pass_batch(images, LEVELS["II"], generator)
    with pytest.raises(ValueError, match="give float32"):
        degrade_two_pass_batch(torch.zeros(1, 3, 32, 32, dtype=torch.float16), LEVELS["II"], generator)
