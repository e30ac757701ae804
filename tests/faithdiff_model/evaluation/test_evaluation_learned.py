"""Measures through pyiqa: a small stand-in for it with its interface, and what is said where it is missing."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from faithdiff_model.evaluation.labels import LEARNED, METRIC_NAMES, OWN
from faithdiff_model.evaluation.learned import MetricUnavailableError, load_image_metric, load_set_metric
from faithdiff_model.evaluation.metrics import prepare_metrics

RESULT = np.full((20, 30, 3), 51, np.uint8)
REFERENCE = np.full((20, 30, 3), 102, np.uint8)


class Fake:
    """As pyiqa.InferenceModel is called (pyiqa 0.1.16): tensors [B, 3, H, W] in [0, 1], or two folders for FID."""

    def __init__(self, name: str, device: torch.device) -> None:
        self.name = name
        self.device = device

    def __call__(self, target: Any, ref: Any = None, **options: Any) -> Any:
        if self.name == "fid":
            assert options == {"verbose": False, "num_workers": 0}
            return float(len(list(Path(target).rglob("*.png"))) + 10 * len(list(Path(ref).rglob("*.png"))))
        assert options == {}
        for image in (target, ref):
            assert image.shape == (1, 3, 20, 30)
            assert image.dtype == torch.float32
            assert 0 <= image.min() <= image.max() <= 1
        return (target - 2 * ref).abs().mean(dim=(1, 2, 3), keepdim=True)


@pytest.fixture
def pyiqa(monkeypatch: pytest.MonkeyPatch) -> list[Fake]:
    made: list[Fake] = []

    def create_metric(name: str, *, device: torch.device) -> Fake:
        made.append(Fake(name, device))
        return made[-1]

    module = ModuleType("pyiqa")
    module.create_metric = create_metric  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyiqa", module)
    return made


@pytest.mark.parametrize("label", LEARNED)
def test_an_image_goes_to_pyiqa_as_it_wants_it(pyiqa: list[Fake], label: Any) -> None:
    measure = load_image_metric(label.name, "cpu")
    assert measure(RESULT, REFERENCE) == pytest.approx(0.6)
    assert [(fake.name, fake.device) for fake in pyiqa] == [(label.name, torch.device("cpu"))]


def test_fid_is_of_folders(pyiqa: list[Fake], tmp_path: Path) -> None:
    for folder, count in (("results", 2), ("references", 3)):
        (tmp_path / folder / "deeper").mkdir(parents=True)
        for number in range(count):
            Image.fromarray(RESULT).save(tmp_path / folder / "deeper" / f"{number}.png")
    assert load_set_metric("fid", "cpu")(tmp_path / "results", tmp_path / "references") == 32


def test_metrics_are_prepared_in_one_order_each_once(pyiqa: list[Fake]) -> None:
    images, sets = prepare_metrics(["fid", "lpips", "fsim", "psnr_y"], "cpu")
    assert [metric.label.name for metric in images] == ["psnr_y", "fsim", "lpips"]
    assert [metric.label.name for metric in sets] == ["fid"]
    assert len(pyiqa) == 2


def test_all_that_need_no_download_are_the_default() -> None:
    images, sets = prepare_metrics([], "cpu")
    assert [metric.label for metric in images] == list(OWN)
    assert sets == []


def test_unknown_and_doubled_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"there is no metric 'psnr': choose from psnr_y, .*, fid"):
        prepare_metrics(["psnr"], "cpu")
    with pytest.raises(ValueError, match="metric fsim is given twice"):
        prepare_metrics(["fsim", "fsim"], "cpu")


def hide(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let `import pyiqa` fail, whether it is installed or not."""
    real = builtins.__import__

    def importing(name: str, *rest: Any) -> Any:
        if name == "pyiqa":
            raise error
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "pyiqa", raising=False)
    monkeypatch.setattr(builtins, "__import__", importing)


@pytest.mark.parametrize("name", [name for name in METRIC_NAMES if name not in {label.name for label in OWN}])
def test_pyiqa_is_not_installed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    hide(monkeypatch, ModuleNotFoundError("No module named 'pyiqa'", name="pyiqa"))
    with pytest.raises(MetricUnavailableError) as caught:
        prepare_metrics([name], "cpu")
    assert str(caught.value) == (
        f'metric {name} needs pyiqa, which is not installed: pip install "faitharchive[metrics]"'
    )


def test_pyiqa_is_really_not_installed_here() -> None:
    try:
        import pyiqa  # noqa: F401
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "pyiqa":
            with pytest.raises(MetricUnavailableError, match=r'needs pyiqa, .* pip install "faitharchive\[metrics\]"'):
                load_image_metric("lpips", "cpu")
            return
    pytest.skip("pyiqa is installed here")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'timm'", name="timm"), "No module named 'timm'"),
        (RuntimeError("operator torchvision::nms does not exist\nmore"), "install torchvision of torch's own release"),
    ],
)
def test_pyiqa_is_broken(monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    hide(monkeypatch, error)
    with pytest.raises(MetricUnavailableError) as caught:
        load_image_metric("dists", "cpu")
    assert said in str(caught.value)
    assert "metric dists" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_cannot_be_fetched(pyiqa: list[Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    def create_metric(name: str, device: torch.device) -> Fake:
        raise OSError("<urlopen error [Errno -3] Temporary failure in name resolution>\nat length")

    monkeypatch.setattr(sys.modules["pyiqa"], "create_metric", create_metric)
    with pytest.raises(MetricUnavailableError) as caught:
        load_set_metric("fid", "cpu")
    assert str(caught.value).startswith(
        "metric fid: pyiqa could not fetch or load its weights (OSError: <urlopen error"
    )
    assert "connect this machine to the internet once" in str(caught.value)
    assert "\n" not in str(caught.value)
