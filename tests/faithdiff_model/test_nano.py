"""The shipped network: small enough to carry, and it restores: better than bicubic where nothing but the picture is known."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from faithdiff_model.build import build_restorer
from faithdiff_model.degradation.recipes import degrade
from faithdiff_model.evaluation.data import as_rgb
from faithdiff_model.evaluation.fidelity import psnr_y
from faithdiff_model.evaluation.perceptual import gmsd, ms_ssim_y
from faithdiff_model.image.resize import enlarge
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets import DEFAULTS, SHIPPED
from faithdiff_model.presets.nano import NANO
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec
from faithdiff_model.training.state import read_log
from jobs.samples.archive import original

FOLDER = SHIPPED / "nano"


@pytest.fixture(scope="module")
def nano() -> Restorer:
    return build_restorer(ModelSpec(preset="nano", device="cpu"), DEFAULTS["nano"])


def compare(nano: Restorer, hq: np.ndarray, degradation: str, seed: int) -> dict[str, tuple[float, float]]:
    """(bicubic, nano) of each measure."""
    degraded = degrade(degradation, hq, seed)
    lq = as_rgb(degraded.lq)
    height, width = hq.shape[:2]
    bicubic = cv2.resize(lq, (width, height), interpolation=cv2.INTER_CUBIC)
    restored = as_rgb(nano.restore([enlarge(lq, height, width)], [""], [seed])[0])
    reference = as_rgb(degraded.hq)
    measures = {"psnr": psnr_y, "ms_ssim": ms_ssim_y, "gmsd": gmsd}
    return {name: (f(bicubic, reference), f(restored, reference)) for name, f in measures.items()}


def check(rows: list[dict[str, tuple[float, float]]]) -> None:
    bicubic, restored = ({name: np.mean([row[name][side] for row in rows]) for name in rows[0]} for side in (0, 1))
    assert restored["psnr"] > bicubic["psnr"] - 1
    assert restored["ms_ssim"] > bicubic["ms_ssim"]
    assert restored["gmsd"] < bicubic["gmsd"]


def test_it_is_small_and_whole(nano: Restorer) -> None:
    size = sum(file.stat().st_size for file in FOLDER.rglob("*.safetensors"))
    assert size <= 16 << 20
    assert nano.trained
    assert nano.prompt_encoder is None
    assert json.loads((FOLDER / "vae" / "config.json").read_text())["scaling_factor"] == NANO.scaling_factor


def test_its_card_and_log_are_there() -> None:
    card = (FOLDER / "MODEL_CARD.md").read_text()
    for words in ("Urban100", "Sun-Hays80", "Kodak", "seed", "faitharchive train", "VAE", "curves.png"):
        assert words in card
    assert (FOLDER / "curves.png").stat().st_size > 1000
    assert len((FOLDER / "training-photographs.sha256").read_text().splitlines()) == 162
    for stage in ("prior", "stage1", "stage2"):
        losses = [row["loss"] for row in read_log(FOLDER / "log" / f"{stage}.jsonl")]
        assert np.mean(losses[-5:]) < np.mean(losses[:5])


@pytest.mark.parametrize("degradation", ["level-II", "archive"])
def test_it_restores_photographs_it_has_never_seen(nano: Restorer, degradation: str) -> None:
    """Free photographs of scikit-image, which are in neither of our sets."""
    pictures = [original(name)[:256, :384] for name in ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")]
    check([compare(nano, picture, degradation, seed) for seed, picture in enumerate(pictures)])


@pytest.mark.slow
@pytest.mark.parametrize("degradation", ["level-II", "archive"])
def test_it_restores_the_val_set(nano: Restorer, photographs: list[Path], degradation: str) -> None:
    pictures = [cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB).astype(np.float32) / 255 for file in photographs]
    check([compare(nano, picture, degradation, seed) for seed, picture in enumerate(pictures)])


def test_a_restoration_is_the_same_twice_and_differs_by_seed(nano: Restorer) -> None:
    image = original("chelsea.png")[100:164, 100:180]
    one, again, other = nano.restore([image, image, image], ["", "", ""], [1, 1, 2])
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_prompts_and_guidance_do_not_reach_it(nano: Restorer) -> None:
    image = original("chelsea.png")[100:164, 100:180]
    guided = nano.with_options(guidance_scale=7.5)
    assert np.array_equal(nano.restore([image], [""], [1])[0], guided.restore([image], ["a cat"], [1])[0])


def test_it_starts_from_the_scan_alone() -> None:
    with pytest.raises(ValueError, match="trained to start from lr"):
        build_restorer(ModelSpec(preset="nano", device="cpu"), RestoreOptions(start="noise"))


def test_the_vae_has_no_norms_and_loses_little(nano: Restorer) -> None:
    assert not any(isinstance(module, torch.nn.GroupNorm) for module in nano.vae.modules())
    image = torch.from_numpy(original("coffee.png")[:256, :256].transpose(2, 0, 1)[None].copy()) * 2 - 1
    decoded = nano.vae.decode(nano.vae.encode(image).latent_dist.mode()).sample
    mse = ((decoded.clamp(-1, 1) - image) / 2).square().mean()
    assert -10 * torch.log10(mse) > 27  # 28.3 dB measured; 33.2 dB on the val set
