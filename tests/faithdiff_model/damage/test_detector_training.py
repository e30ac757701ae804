"""Training of the detector: the loss says what is wrong, the loop learns, goes on where it stopped, and ends by the clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from faithdiff_model.damage import train
from faithdiff_model.damage.crops import SIDE
from faithdiff_model.damage.network import FAMILIES, DamageNetwork, DetectorConfig, with_norms, without_norms
from faithdiff_model.damage.prominence import CHANNELS, network_input, prominence
from faithdiff_model.damage.scans import UNSURE
from faithdiff_model.damage.train import DetectorStage, damage_loss, train_detector

SMALL = DetectorConfig(widths=(8, 12), depths=(1, 1))


class Squares:
    """Grey noise with white squares, which are damage."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> np.ndarray:
        rng = np.random.default_rng(index)
        crop = np.zeros((SIDE, SIDE, 4), np.uint8)
        crop[..., :3] = rng.integers(60, 120, (SIDE, SIDE, 3))
        for row, column in rng.integers(SIDE - 12, size=(12, 2)):
            crop[row : row + 8, column : column + 8] = (250, 250, 250, 1)
        return crop


def stage(**changes: object) -> DetectorStage:
    return DetectorStage(**{"minutes": 0.05, "batch": 4, "crop": 48, "learning_rate": 1e-2, **changes})


def logits(target: torch.Tensor, right: float) -> torch.Tensor:
    bits = torch.stack([target >> number & 1 for number in range(len(FAMILIES))], dim=1).float()
    return (2 * bits - 1) * right


def test_the_loss_falls_with_what_is_right_and_ignores_what_is_unsure() -> None:
    target = torch.zeros(1, 16, 16, dtype=torch.uint8)
    target[0, 2:5, 2:5], target[0, 8:10], target[0, 12] = 1, 2, UNSURE
    right, vague, wrong = (float(damage_loss(logits(target, sign), target, stage())) for sign in (8.0, 0.5, -8.0))
    assert right < 0.02 < vague < wrong
    changed = logits(target, 8.0)
    changed[0, :, 12] = 20
    assert float(damage_loss(changed, target, stage())) == pytest.approx(right, abs=1e-5)


def test_the_loss_stays_finite_however_sure_the_network_is() -> None:
    target = torch.zeros(1, 8, 8, dtype=torch.uint8)
    target[0, :4] = 4
    for size in (-200.0, 200.0):
        values = torch.full((1, 3, 8, 8), size, requires_grad=True)
        loss = damage_loss(values, target, stage())
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(values.grad).all()


def test_it_learns_and_ends_by_the_clock(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = train_detector(Squares(), SMALL, stage(minutes=0.12), tmp_path)
    crop = Squares()[100]
    seen = torch.from_numpy(network_input(crop[..., :3].astype(np.float32) / 255))[None]
    found = (network.eval()(seen)[0].amax(dim=0) > 0).numpy()
    damaged = crop[..., 3] > 0
    assert (found & damaged).sum() > 0.8 * damaged.sum()
    assert (found & ~damaged).sum() < 0.2 * damaged.sum()


def test_it_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose time is spent takes no further step; one with time left counts on."""
    seconds = iter(np.arange(0, 1000, 0.5).tolist())
    monkeypatch.setattr(train.time, "monotonic", lambda: next(seconds))
    train_detector(Squares(), SMALL, stage(minutes=0.1), tmp_path)
    first = torch.load(tmp_path / train.CHECKPOINT, weights_only=True)
    assert first["step"] > 3
    assert first["spent"] >= 6
    train_detector(Squares(), SMALL, stage(minutes=0.1), tmp_path)
    again = torch.load(tmp_path / train.CHECKPOINT, weights_only=True)
    assert again["step"] == first["step"]
    for name, value in first["average"].items():
        assert torch.equal(value, again["average"][name])
    train_detector(Squares(), SMALL, stage(minutes=0.15), tmp_path)
    assert torch.load(tmp_path / train.CHECKPOINT, weights_only=True)["step"] > first["step"]


@pytest.mark.parametrize("change", [{"minutes": 0}, {"batch": 0}, {"crop": SIDE + 1}, {"ema_decay": 1.0}])
def test_stages_out_of_range_are_refused(change: dict) -> None:
    with pytest.raises(ValueError, match="choose minutes above 0"):
        stage(**change)


def test_widths_and_depths_must_match() -> None:
    with pytest.raises(ValueError, match="one width and depth for each scale"):
        DetectorConfig(widths=(8, 16), depths=(1,))


def test_the_network_is_small_and_keeps_the_picture_size() -> None:
    network = DamageNetwork(DetectorConfig())
    assert 200_000 < sum(parameter.numel() for parameter in network.parameters()) < 650_000
    with torch.inference_mode():
        assert network(torch.zeros(2, CHANNELS, 32, 48)).shape == (2, len(FAMILIES), 32, 48)


def test_normalisation_folds_into_the_weights() -> None:
    torch.manual_seed(3)
    network = with_norms(DamageNetwork(SMALL))
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 2)
            torch.nn.init.normal_(layer.bias)
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    torch.nn.init.normal_(network.judge.weight)
    plain = without_norms(network.eval()).eval()
    seen = torch.randn(2, CHANNELS, 32, 48)
    with torch.inference_mode():
        torch.testing.assert_close(plain(seen), network(seen), rtol=1e-4, atol=1e-4)
    assert not [layer for layer in plain.modules() if isinstance(layer, torch.nn.BatchNorm2d)]


def test_a_speck_stands_out_from_a_flat_picture_and_less_from_a_texture() -> None:
    rng = np.random.default_rng(0)
    flat = np.full((80, 80, 3), 0.5, np.float32)
    texture = np.repeat(rng.uniform(0.2, 0.8, (80, 80, 1)).astype(np.float32), 3, axis=2)
    for level, channel in ((0.9, 0), (0.1, 1)):  # above its surroundings, below them
        marked = flat.copy()
        marked[40, 40] = level
        found = prominence(marked)
        assert found[40, 40, channel] > 2.5
        assert found[40, 40, 1 - channel] == 0
        assert found[..., channel].max() == found[40, 40, channel]
        marked = texture.copy()
        marked[40, 40] = level
        assert prominence(marked)[40, 40, channel] < 2
    assert prominence(flat).max() == 0
    seen = network_input(flat)
    assert seen.shape == (CHANNELS, 80, 80)
    assert seen.dtype == np.float32
