"""The shipped network: small enough to carry, and it restores: better than bicubic where nothing but the picture is known."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from faithdiff_model.build import build_restorer
from faithdiff_model.degradation.archive.rescan import rescan
from faithdiff_model.degradation.archive.surface import dust, scratches
from faithdiff_model.degradation.archive.tone import colour_cast, fade, sepia
from faithdiff_model.degradation.recipes import degrade
from faithdiff_model.evaluation.data import as_rgb
from faithdiff_model.evaluation.fidelity import psnr_y
from faithdiff_model.evaluation.perceptual import gmsd, ms_ssim_y
from faithdiff_model.image.resize import enlarge, to_grey
from faithdiff_model.image.windows import TilePlacement, plan_tiles
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
    assert not list(nano.vae.parameters())
    assert not any(isinstance(module, torch.nn.GroupNorm) for module in nano.unet.modules())


def test_its_card_and_log_are_there() -> None:
    card = (FOLDER / "MODEL_CARD.md").read_text()
    for words in ("Urban100", "Sun-Hays80", "Kodak", "seed", "make nano", "held-out-photographs.txt", "curves.png"):
        assert words in card
    assert (FOLDER / "curves.png").stat().st_size > 1000
    held_out = set((FOLDER / "held-out-photographs.txt").read_text().split())
    trained_on = {line.split()[1] for line in (FOLDER / "training-photographs.sha256").read_text().splitlines()}
    assert (len(trained_on), len(held_out), trained_on & held_out) == (142, 20, set())
    assert read_log(FOLDER / "log" / "joint.jsonl")[-1]["lr_unet"] < 1e-5  # it came to its end


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


def test_a_restoration_is_the_same_twice_whatever_the_seed(nano: Restorer) -> None:
    image = original("chelsea.png")[100:164, 100:180]
    one, again, other = nano.restore([image, image, image], ["", "", ""], [1, 1, 2])
    assert np.array_equal(one, again)
    assert np.array_equal(one, other)


def test_prompts_and_guidance_do_not_reach_it(nano: Restorer) -> None:
    image = original("chelsea.png")[100:164, 100:180]
    guided = nano.with_options(guidance_scale=7.5)
    assert np.array_equal(nano.restore([image], [""], [1])[0], guided.restore([image], ["a cat"], [1])[0])


def test_it_starts_from_the_scan_alone_and_takes_one_step(nano: Restorer) -> None:
    with pytest.raises(ValueError, match="trained to start from lr"):
        build_restorer(ModelSpec(preset="nano", device="cpu"), RestoreOptions(start="noise"))
    with pytest.raises(ValueError, match="restores in 1 step"):
        nano.with_options(steps=2).restore([original("chelsea.png")[:32, :32]], [""], [0])


@pytest.mark.parametrize("size", [(1, 1), (2, 37), (17, 5), (64, 63)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_size_and_depth(nano: Restorer, size: tuple[int, int], dtype: type) -> None:
    image = original("coffee.png")[100 : 100 + size[0], 100 : 100 + size[1]]
    scan = image if dtype is np.float32 else np.rint(image * np.iinfo(dtype).max).astype(dtype)
    result = nano.restore([scan], [""], [0])[0]
    assert (result.shape, result.dtype) == (scan.shape, dtype)
    if dtype is np.uint16:
        assert len(np.unique(result % 257)) > 1  # not eight bits drawn out


def test_grey_stays_grey_and_alpha_is_kept(nano: Restorer) -> None:
    image = original("astronaut.png")[:40, :48]
    grey, alpha = nano.restore([image[..., :1], np.concatenate([image, image[..., :1]], axis=2)], ["", ""], [0, 0])
    assert grey.shape == (40, 48, 1)
    assert np.array_equal(alpha[..., 3], image[..., 0])


def laplacian_variance(image_HWC: np.ndarray) -> float:
    return float(cv2.Laplacian(to_grey(image_HWC)[..., 0], cv2.CV_32F).var())


def good_scans() -> list[np.ndarray]:
    """Undamaged photographs at half their size, where each pixel is sharp."""
    pictures = [original(name) for name in ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")]
    halves = [cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for picture in pictures]
    return [np.ascontiguousarray(half[:192, :192]) for half in halves]


def test_good_scans_are_left_alone(nano: Restorer) -> None:
    """Undamaged photographs at their own size: close to what they were, and as sharp."""
    for scan in good_scans():
        result = nano.restore([scan], [""], [0])[0]
        assert psnr_y(as_rgb(result), as_rgb(scan)) > 36
        assert laplacian_variance(result) > 0.95 * laplacian_variance(scan)


def test_good_scans_are_enlarged_no_worse_than_by_lanczos(nano: Restorer) -> None:
    ours, lanczos = [], []
    for hq in good_scans():
        small = cv2.resize(hq, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        enlarged = enlarge(small, *hq.shape[:2])
        ours.append(psnr_y(as_rgb(nano.restore([enlarged], [""], [0])[0]), as_rgb(hq)))
        lanczos.append(psnr_y(as_rgb(enlarged), as_rgb(hq)))
    assert np.mean(ours) >= np.mean(lanczos)


def test_colours_and_tone_stay(nano: Restorer) -> None:
    for picture in good_scans()[:2]:
        for scan in (sepia(picture), fade(picture, 0.15, 0.85), colour_cast(picture, 0.4)):
            result = nano.restore([scan], [""], [0])[0]
            assert np.abs(result.mean(axis=(0, 1)) - scan.mean(axis=(0, 1))).max() < 1 / 255


def test_no_grid_of_blocks_shows(nano: Restorer) -> None:
    """Steps across the borders of the codec's blocks are little larger than steps inside them."""
    hq = original("coffee.png")[:256, :384]
    lq = degrade("level-II", hq, 3).lq
    result = to_grey(nano.restore([enlarge(lq, *hq.shape[:2])], [""], [0])[0])[..., 0]
    for steps in (np.abs(np.diff(result, axis=0)).mean(axis=1), np.abs(np.diff(result, axis=1)).mean(axis=0)):
        at = [steps[phase::4].mean() for phase in range(4)]  # border steps have phase 3
        assert at[3] < 1.15 * np.mean(at[:3])


@pytest.mark.parametrize(("draw", "left"), [(dust, 0.4), (scratches, 0.75)], ids=["dust", "scratches"])
def test_a_mask_is_where_it_changes_more(nano: Restorer, draw: Callable[..., np.ndarray], left: float) -> None:
    """Marks on a soft scan, beside the same scan without them: how much of their contrast is left."""
    image = np.ascontiguousarray(original("coffee.png")[60:252, 100:356])
    marked = draw(image, np.random.default_rng(4), 60 if draw is dust else 6)
    visible = np.abs(marked - image).max(axis=2) > 0.04
    scans = [enlarge(rescan(each, np.random.default_rng(0), 2, 90), *image.shape[:2]) for each in (image, marked)]
    mask = cv2.dilate(visible.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    clean, blind, masked = nano.restore([scans[0], scans[1], scans[1]], [""] * 3, [0] * 3, masks=[None, None, mask])
    before, without, given = (
        np.abs(x - y)[visible].mean() for x, y in ((scans[1], scans[0]), (blind, clean), (masked, clean))
    )
    assert given < 0.8 * without
    assert given < left * before
    far = cv2.dilate(mask.astype(np.uint8), np.ones((41, 41), np.uint8)) == 0
    assert np.abs(masked - blind)[far].mean() < 0.004


def test_a_mask_of_another_size_is_refused(nano: Restorer) -> None:
    with pytest.raises(ValueError, match="a mask of shape"):
        nano.restore([original("coffee.png")[:32, :32]], [""], [0], masks=[np.zeros((32, 31), bool)])


def test_tiles_are_what_the_whole_is(nano: Restorer) -> None:
    """A photograph of more than one window, with a mask, in one piece and cut."""
    image = enlarge(original("coffee.png")[:150, :180], 300, 360)
    mask = np.zeros(image.shape[:2], bool)
    mask[100:110, 200:300] = True
    small = copy(nano)
    small.config = replace(NANO, window=64, codec_window=64)
    whole = small.restore([image], [""], [0], masks=[mask])[0]
    grid = small.grid(*image.shape[:2])
    joined = np.zeros_like(image)
    for tile in plan_tiles(grid, tile=64, halo=32):
        place = TilePlacement(height=grid.height, width=grid.width, original_height=300, original_width=360, tile=tile)
        rows, columns = tile.region.scaled(4).slices
        piece = small.restore([image[rows, columns]], [""], [0], [place], masks=[mask[rows, columns]])[0]
        joined[tile.core.scaled(4).slices] = piece
    assert np.abs(joined - whole).max() < 1e-3
    assert np.abs(whole - image).mean() > 1e-3
