"""The detector that ships: what it finds on plain scans, and how rarely it marks undamaged photographs (figures: its card)."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors import safe_open

from faithdiff_model.damage.detect import DamageDetector
from faithdiff_model.damage.shipped import SHIPPED
from faithdiff_model.degradation.archive.surface import crease
from jobs.samples.archive import original

FALSE_MARKS = 1e-3  # of the pixels of five undamaged photographs; it is half of that, in coffee and on a mast


@pytest.fixture(scope="module")
def detector() -> DamageDetector:
    return DamageDetector.load()


def levels(image: np.ndarray) -> np.ndarray:
    return np.rint(image * 255).astype(np.uint8)


def test_it_finds_a_fold(detector: DamageDetector) -> None:
    photo = np.ascontiguousarray(original("chelsea.png"))
    folded = crease(photo, np.random.default_rng(11), 1.0)
    visible = np.abs(folded - photo).max(axis=2) > 0.1
    found = detector.detect(levels(folded))
    assert found.mask[visible].mean() > 0.7
    assert found.marks > 0
    assert found.share == found.mask.mean()
    assert sum(found.families.values()) == pytest.approx(found.share)


def test_it_rarely_marks_undamaged_photographs(detector: DamageDetector) -> None:
    names = ("astronaut.png", "coffee.png", "chelsea.png", "camera.png", "rocket.jpg")
    shares = [detector.detect(levels(original(name)[:400, :400])).share for name in names]
    assert np.mean(shares) < FALSE_MARKS


@pytest.mark.parametrize("shape", [(1, 1, 3), (16, 16, 3), (7, 300, 1), (65, 33, 4)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_one_colour_of_any_size_is_undamaged(detector: DamageDetector, shape: tuple[int, int, int], value: int) -> None:
    found = detector.detect(np.full(shape, value, np.uint8))
    assert found.mask.shape == shape[:2]
    assert found.marks == 0


def test_the_shipped_file_is_small_and_float16() -> None:
    assert SHIPPED.stat().st_size < 1_500_000
    with safe_open(SHIPPED, "pt") as file:
        assert {str(file.get_tensor(name).dtype) for name in file.keys()} == {"torch.float16"}  # noqa: SIM118
    assert (SHIPPED.parent / "MODEL_CARD.md").is_file()
