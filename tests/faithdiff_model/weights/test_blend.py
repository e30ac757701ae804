"""Between the faithful and the crisp end of a training: what is loaded, and what names it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from faithdiff_model.build import build_restorer
from faithdiff_model.presets import DEFAULTS, SHIPPED
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec
from faithdiff_model.weights.blend import blend
from faithdiff_model.weights.download import WeightsError
from faithdiff_model.weights.files import model_digest
from jobs.samples.archive import original


@pytest.fixture(scope="module")
def two_ends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """nano's weights, and as a crisp end one whose head does more."""
    folder = tmp_path_factory.mktemp("ends")
    shutil.copyfile(SHIPPED / "nano" / "FaithDiff.safetensors", folder / "FaithDiff.safetensors")
    weights = load_file(folder / "FaithDiff.safetensors")
    heads = {name: 2 * value for name, value in weights.items() if name.endswith("head.conv_out.weight")}
    assert heads
    save_file(heads, folder / "FaithDiff-detail.safetensors")
    return folder


def spec(folder: Path, detail: float) -> ModelSpec:
    return ModelSpec(preset="nano", device="cpu", faithdiff=str(folder / "FaithDiff.safetensors"), detail=detail)


def load(folder: Path, detail: float) -> Restorer:
    return build_restorer(spec(folder, detail), DEFAULTS["nano"])


def test_weights_lie_between_the_ends() -> None:
    faithful = {"a": torch.tensor([0.0, 2.0], dtype=torch.float16), "b": torch.tensor([5.0])}
    between = blend(faithful, {"a": torch.tensor([4.0, 2.0])}, 0.25, source="x")
    assert between["a"].tolist() == [1.0, 2.0]
    assert between["b"].tolist() == [5.0]


@pytest.mark.parametrize("crisp", [{"c": torch.ones(2)}, {"a": torch.ones(3)}])
def test_weights_of_another_network_are_refused(crisp: dict[str, torch.Tensor]) -> None:
    with pytest.raises(WeightsError, match=r"weights x: . is not of the network beside it"):
        blend({"a": torch.ones(2)}, crisp, 0.5, source="x")


def test_results_go_from_one_end_to_the_other(two_ends: Path) -> None:
    scan = original("coffee.png")[100:164, 100:180]
    none, half, whole = (load(two_ends, detail).restore([scan], [""], [0])[0] for detail in (0.0, 0.5, 1.0))
    assert np.abs(whole - none).max() > 1e-4
    np.testing.assert_allclose(half, (none + whole) / 2, atol=1e-4)  # the last layer is linear; results are clamped


def test_each_detail_is_a_model_of_its_own(two_ends: Path, tmp_path: Path) -> None:
    digests = [model_digest(spec(two_ends, detail)) for detail in (0.0, 0.5, 1.0)]
    assert len(set(digests)) == 3
    alone = tmp_path / "FaithDiff.safetensors"
    shutil.copyfile(two_ends / "FaithDiff.safetensors", alone)
    assert model_digest(spec(tmp_path, 0.0)) == digests[0]


def test_no_crisp_end_is_said_with_what_to_do(tmp_path: Path) -> None:
    shutil.copyfile(SHIPPED / "nano" / "FaithDiff.safetensors", tmp_path / "FaithDiff.safetensors")
    with pytest.raises(WeightsError, match=r"the crisp end is not there, and detail is 0\.5; train stage detail"):
        load(tmp_path, 0.5)


@pytest.mark.parametrize(("preset", "detail"), [("sdxl", 0.1), ("tiny", 1.0), ("nano", 1.1), ("nano", -0.1)])
def test_detail_is_checked(preset: str, detail: float) -> None:
    with pytest.raises(ValueError, match=f"detail is {detail}"):
        ModelSpec(preset=preset, detail=detail)
