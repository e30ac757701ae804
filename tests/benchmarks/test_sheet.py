"""What no photograph is comes out without artefacts: no tint, no pattern on one colour, nothing far beyond the scan's levels.

But for checks of single pixels, which no scan of a print holds: they lose contrast and come out with a pattern of their own.
"""

from __future__ import annotations

import numpy as np
import pytest
from sheet import SCANS, outside, result_of, sheet

from faithdiff_model.build import build_restorer
from faithdiff_model.presets import DEFAULTS
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec


@pytest.fixture(scope="module")
def nano() -> Restorer:
    return build_restorer(ModelSpec(preset="nano", device="cpu"), DEFAULTS["nano"])


@pytest.mark.parametrize("name", SCANS)
def test_it_comes_out_as_it_went_in_but_for_its_noise(nano: Restorer, name: str) -> None:
    scan, result = result_of(nano, SCANS[name](), 2)
    assert result.shape == scan.shape
    assert np.abs(result.mean(axis=(0, 1)) - scan.mean(axis=(0, 1))).max() < (8 if name == "checks" else 2.5)
    tint = result.astype(int) - result.mean(axis=2, keepdims=True)
    if name not in ("noise", "checks"):
        assert np.abs(tint).max() < 12  # grey stays grey
    if name in ("black", "grey", "white"):
        assert np.abs(result.astype(int) - scan).max() <= 2
    if name in ("letters", "one bit", "lines"):
        assert np.abs(result.astype(int) - scan).mean() < 8
    assert outside(scan, result) < 30


def test_the_sheet_shows_all(nano: Restorer) -> None:
    page = np.asarray(sheet(nano, 1))
    assert page.shape[0] > 4 * 96
    assert page.std() > 20
