"""The detector around its network: it does not depend on how a scan is cut or stored, and refuses what it cannot use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from faithdiff_model.damage import detect
from faithdiff_model.damage.detect import HALO, DamageDetector, Thresholds
from faithdiff_model.damage.network import FAMILIES, DamageNetwork, DetectorConfig
from faithdiff_model.degradation.archive.surface import dust, scratches
from faithdiff_model.weights.download import WeightsError
from jobs.samples.archive import original


def random_detector() -> DamageDetector:
    """A network that says something of every pixel, of the shipped one's size: random, and sure of little."""
    torch.manual_seed(1)
    network = DamageNetwork(DetectorConfig())
    torch.nn.init.normal_(network.judge.weight)
    torch.nn.init.constant_(network.leave.bias, -1.0)
    return DamageDetector(network, Thresholds())


@pytest.fixture(scope="module")
def detector() -> DamageDetector:
    return random_detector()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "detector.safetensors"
    random_detector().save(path)
    return path


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.ascontiguousarray(original("coffee.png"))


def levels(image: np.ndarray) -> np.ndarray:
    return np.rint(image * 255).astype(np.uint8)


def test_tiles_find_what_the_whole_finds(
    detector: DamageDetector, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked = levels(dust(scratches(photo, np.random.default_rng(1), 5), np.random.default_rng(2), 60))
    whole, families = detector.probabilities(marked)
    monkeypatch.setattr(detect, "_CORE", 208)
    cut, cut_families = detector.probabilities(marked)
    assert np.abs(whole.astype(int) - cut.astype(int)).max() <= 1
    assert (families != cut_families)[whole > 20].mean() < 1e-3
    assert min(marked.shape[:2]) > 208 + HALO // 2  # it was cut


def test_the_halo_is_as_wide_as_the_network_sees(detector: DamageDetector) -> None:
    """A pixel beyond it changes nothing at all."""
    side = 2 * HALO + 32
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    other = image.copy()
    other[:, : side // 2 - HALO] = 255
    first, second = (detector.probabilities(pixels)[0] for pixels in (image, other))
    np.testing.assert_array_equal(first[:, side // 2 :], second[:, side // 2 :])


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_a_mirrored_scan_has_the_mirrored_mask(
    detector: DamageDetector, photo: np.ndarray, axes: tuple[int, ...]
) -> None:
    marked = levels(dust(photo[:96, :144], np.random.default_rng(6), 80))
    found, mirrored = (detector.probabilities(each)[0].astype(int) for each in (marked, np.flip(marked, axes)))
    assert np.ptp(found) > 100
    assert np.abs(found - np.flip(mirrored, axes)).max() <= 1


def test_the_same_photograph_in_other_forms_has_the_same_mask(detector: DamageDetector, photo: np.ndarray) -> None:
    marked = levels(dust(photo[:96, :144], np.random.default_rng(5), 80))
    expected = detector.detect(marked)
    deep = marked.astype(np.uint16) * 257
    alpha = np.dstack([marked, np.full(marked.shape[:2], 9, np.uint8)])
    for form in (marked, deep, marked.astype(np.float32) / 255, alpha):
        found = detector.detect(form)
        np.testing.assert_array_equal(found.mask, expected.mask)
        assert (found.share, found.marks) == (expected.share, expected.marks)
    grey = marked[..., 1]
    three = detector.detect(np.dstack([grey] * 3))
    for form in (grey, grey[..., None], np.dstack([grey, grey])):
        np.testing.assert_array_equal(detector.detect(form).mask, three.mask)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((8, 8, 3), np.int32),
        np.zeros((8, 8, 3), bool),
        np.zeros((8, 8, 5), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.full((8, 8, 3), np.nan, np.float32),
        [[1, 2], [3, 4]],
    ],
    ids=["int32", "bool", "five channels", "empty", "batch", "nan", "list"],
)
def test_another_photograph_is_refused_in_one_line(detector: DamageDetector, pixels: object) -> None:
    with pytest.raises(ValueError, match="the photograph") as caught:
        detector.detect(pixels)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_an_infrared_channel_of_another_size_is_refused(detector: DamageDetector) -> None:
    with pytest.raises(ValueError, match="the infrared channel is 9x8 pixels"):
        detector.detect(np.zeros((8, 8, 3), np.uint8), infrared=np.zeros((8, 9), np.uint8))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = DamageNetwork(DetectorConfig(widths=(8, 16), depths=(1, 1)))
    DamageDetector(network, Thresholds(sure=200, part=90, smallest=3)).save(tmp_path / "detector.safetensors")
    loaded = DamageDetector.load(tmp_path / "detector.safetensors")
    assert loaded.thresholds == Thresholds(sure=200, part=90, smallest=3)
    assert loaded.network.config == network.config
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], value.half().float())


def _broken(weights: Path, path: Path, change) -> None:
    with safe_open(weights, "pt") as file:
        facts, tensors = dict(file.metadata()), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(facts, tensors)
    save_file(tensors, path, metadata=facts)


@pytest.mark.parametrize(
    "change",
    [
        lambda facts, tensors: tensors.pop("leave.bias"),
        lambda facts, tensors: tensors.update({"extra": torch.zeros(1)}),
        lambda facts, tensors: tensors.update({"leave.bias": torch.zeros(len(FAMILIES))}),
        lambda facts, tensors: facts.pop("config"),
        lambda facts, tensors: facts.update(thresholds=json.dumps({"likely": 3})),
        lambda facts, tensors: facts.update(config="not json"),
    ],
    ids=["missing", "unknown", "misshapen", "no configuration", "other thresholds", "no json"],
)
def test_weights_of_another_network_are_refused_in_one_line(weights: Path, tmp_path: Path, change) -> None:
    _broken(weights, tmp_path / "detector.safetensors", change)
    with pytest.raises(WeightsError, match="not a damage detector's") as caught:
        DamageDetector.load(tmp_path / "detector.safetensors")
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_files_are_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        DamageDetector.load(tmp_path / "none.safetensors")
    (tmp_path / "short.safetensors").write_bytes(weights.read_bytes()[:500])
    with pytest.raises(WeightsError, match="damaged"):
        DamageDetector.load(tmp_path / "short.safetensors")
