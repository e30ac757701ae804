"""The error network and its calibration: what they say, what they are kept as, and that they are of nano as it ships."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from faithdiff_model.build import build_restorer
from faithdiff_model.presets import DEFAULTS
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec
from faithdiff_model.training.config import DataConfig
from faithdiff_model.trust import estimate
from faithdiff_model.trust.calibrate import calibrated
from faithdiff_model.trust.estimate import Calibration, ErrorEstimator
from faithdiff_model.trust.measure import BLOCK, block_means, cases, rank_correlation
from faithdiff_model.trust.network import ErrorConfig, ErrorNetwork
from faithdiff_model.trust.pairs import Pairs, cell_errors, make_pairs, pixel_errors
from faithdiff_model.trust.shipped import CELL, SHIPPED
from faithdiff_model.trust.train import TrustStage, laplace_loss, train_trust
from faithdiff_model.weights.download import WeightsError
from faithdiff_model.weights.files import model_digest
from jobs.samples.archive import original


@pytest.fixture(scope="module")
def nano() -> Restorer:
    return build_restorer(ModelSpec(preset="nano", device="cpu"), DEFAULTS["nano"])


@pytest.fixture(scope="module")
def shipped() -> ErrorEstimator:
    return ErrorEstimator.load()


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 x 160 pixels of a cat, which nothing was trained or calibrated on."""
    path = tmp_path_factory.mktemp("photo") / "chelsea.png"
    image = np.rint(original("chelsea.png")[60:220, 100:260, ::-1] * 255).astype(np.uint8)
    cv2.imwrite(str(path), image)
    return path


def small() -> ErrorEstimator:
    torch.manual_seed(0)
    config = ErrorConfig(fine=4, middle=10, coarse=4, depth=1, coarse_depth=1)
    return ErrorEstimator(ErrorNetwork(config), Calibration((-4.0, -2.0), (3.0, 2.0)), "m")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


def test_it_was_trained_on_the_errors_of_nano_as_it_ships(nano: Restorer, shipped: ErrorEstimator) -> None:
    """If nano is trained anew, `make trust` has to be run as well."""
    assert shipped.model == model_digest(ModelSpec(preset="nano")) == nano.digest
    assert shipped.speaks_for(nano.digest)
    assert not shipped.speaks_for("0" * 64)
    assert SHIPPED.stat().st_size < 1 << 20


def test_it_ranks_degradations_and_blocks_of_an_unseen_photograph(
    nano: Restorer, shipped: ErrorEstimator, photograph: Path
) -> None:
    bands = {}
    for case in cases(nano, [photograph], ("level-II", "undamaged"), side=160):
        found = shipped.bands(case.scan, case.result)
        errors = pixel_errors(case.result, case.reference)
        bands[case.degradation] = float(found.mean())
        pixels = np.kron(found, np.ones((CELL, CELL), np.float32))
        if case.degradation == "level-II":
            # A hundred blocks of one cat; the card has the mean of a hundred restorations.
            assert rank_correlation(block_means(pixels, BLOCK), block_means(errors, BLOCK)) > 0.3
            assert 0.7 < float((errors <= pixels).mean()) <= 1
    assert bands["undamaged"] < bands["level-II"]


def test_tiles_are_judged_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    estimator, scan, result = small(), noise(150, 100, 3), noise(150, 100, 3)
    whole = estimator.bands(scan, result)
    assert whole.shape == (19, 13)
    monkeypatch.setattr(estimate, "_CORE", 64)
    np.testing.assert_allclose(estimator.bands(scan, result), whole, rtol=1e-4)


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (2, np.uint16), (4, np.uint8), (4, np.float32)])
def test_every_layout_is_judged_by_its_colours(channels: int, dtype: type) -> None:
    estimator, image = small(), noise(40, 24, channels)
    scan = image if dtype == np.float32 else np.rint(image * np.iinfo(dtype).max).astype(dtype)
    colour = image[..., :1] if channels < 3 else image[..., :3]
    expected = estimator.bands(*(2 * [np.broadcast_to(colour, (40, 24, 3))]))
    np.testing.assert_allclose(estimator.bands(scan, scan), expected, rtol=0.05)


def test_sizes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="give equal sizes"):
        small().bands(noise(16, 16, 3), noise(16, 24, 3))


def test_weights_come_back_as_they_were_saved(tmp_path: Path) -> None:
    estimator, image = small(), noise(32, 32, 3)
    estimator.save(tmp_path / "errors.safetensors")
    again = ErrorEstimator.load(tmp_path / "errors.safetensors")
    assert (again.model, again.calibration) == (estimator.model, estimator.calibration)
    np.testing.assert_allclose(again.bands(image, image), estimator.bands(image, image), rtol=0.01)


def test_other_weights_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "errors.safetensors"
    with pytest.raises(WeightsError, match="no such file"):
        ErrorEstimator.load(path)
    path.write_bytes(b"no")
    with pytest.raises(WeightsError, match="damaged or not safetensors"):
        ErrorEstimator.load(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="not an error network's"):
        ErrorEstimator.load(path)


def test_calibration_covers_what_it_says() -> None:
    """Errors that are Laplace distributed with the scales predicted: nine of ten lie within 2.3 scales."""
    rng = np.random.default_rng(0)
    logarithm = rng.uniform(-4, -2.5, (60, 60)).astype(np.float32)
    error = rng.exponential(np.kron(np.exp(logarithm), np.ones((CELL, CELL))))
    result = np.full((480, 480, 3), 0, np.uint8)
    reference = np.repeat(np.rint(np.clip(error, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)
    found = calibrated([(logarithm, result, reference)], bins=4)
    np.testing.assert_allclose(found.factors, math.log(10), rtol=0.08)
    bands = np.kron(found.bands(logarithm), np.ones((CELL, CELL)))
    assert float((pixel_errors(result, reference) <= bands).mean()) == pytest.approx(0.9, abs=0.01)
    with pytest.raises(ValueError, match="no photographs to calibrate on"):
        calibrated([])


def test_factors_that_are_no_calibration_are_refused() -> None:
    with pytest.raises(ValueError, match="give a factor for each rising scale"):
        Calibration((-2.0, -4.0), (1.0, 1.0))


def test_the_likelihood_is_greatest_where_the_scale_is_the_error() -> None:
    error = torch.full((1, 4, 4), 0.05)
    losses = [float(laplace_loss(torch.full((1, 4, 4), math.log(scale)), error)) for scale in (0.04, 0.052, 0.07)]
    assert losses[1] == min(losses)


def test_training_learns_where_errors_are() -> None:
    """Half of each picture is noise that the result lacks, and wrong; the other half is flat, and right."""
    rng = np.random.default_rng(0)
    scans = np.full((6, 48, 48, 3), 128, np.uint8)
    scans[:, :, 24:] = rng.integers(0, 256, (6, 48, 24, 3))
    errors = np.full((6, 6, 6), 0.002, np.float16)
    errors[:, :, 3:] = 0.2
    pairs = Pairs(scans, np.full_like(scans, 128), errors)
    config = ErrorConfig(fine=8, middle=16, coarse=8, depth=1, coarse_depth=1)
    network = train_trust(pairs, config, TrustStage(minutes=0.03, batch=4, crop=48), on_log=lambda _: None)
    scales = ErrorEstimator(network, Calibration((0.0,), (1.0,)), "").scales(scans[0], pairs.results[0])
    assert scales[:, 4:].mean() > scales[:, :2].mean() + 1


def test_crops_are_made_once_and_hold_the_true_error(nano: Restorer, photograph: Path, tmp_path: Path) -> None:
    data = DataConfig(hq=(str(photograph.parent),), crop=32, degradations={"undamaged": 1.0}, workers=0)
    said: list[str] = []
    first = make_pairs(nano, data, 3, tmp_path, on_log=said.append)
    again = make_pairs(nano, data, 3, tmp_path, on_log=said.append)
    assert said == ["3 of 3 crops"]
    for ours, theirs in zip(first, again, strict=True):
        assert np.array_equal(ours, theirs)
    assert first.errors.shape == (3, 4, 4)
    assert np.abs(first.scans.astype(int) - first.results).max() > 0
    with pytest.raises(ValueError, match="choose a multiple of 16"):
        make_pairs(nano, DataConfig(hq=("x",), crop=40, degradations={}), 1, tmp_path)


def test_errors_are_means_of_whole_cells() -> None:
    result, reference = np.zeros((20, 16, 3), np.uint8), np.zeros((20, 16, 3), np.uint8)
    reference[:8, 8:, 0] = 255
    np.testing.assert_allclose(cell_errors(result, reference), [[0, 1 / 3], [0, 0]], rtol=1e-6)


def test_ranks_that_are_equal_are_shared() -> None:
    first = np.array([1.0, 2.0, 2.0, 3.0])
    assert rank_correlation(first, first**3) == pytest.approx(1)
    assert rank_correlation(first, -first) == pytest.approx(-1)
    assert rank_correlation(first, np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(0.9487, abs=1e-4)
    assert rank_correlation(first, np.ones(4)) == 0
