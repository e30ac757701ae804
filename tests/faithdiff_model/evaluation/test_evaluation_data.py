"""Pairs, from folders or made on the fly, and what methods make of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from faithdiff_model.build import build_restorer
from faithdiff_model.degradation.recipes import DEGRADATIONS, degrade
from faithdiff_model.evaluation.data import PAIRED, Pair, degraded_folder, image_seed, load_pair, paired_folders
from faithdiff_model.evaluation.methods import (
    check_names,
    folder_method,
    network_method,
    parameters_of,
    plain_methods,
)
from faithdiff_model.image.resize import enlarge
from faithdiff_model.options import RestoreOptions
from faithdiff_model.spec import ModelSpec

SUFFIXES = (".png", ".jpg")
PHOTOGRAPH = np.ascontiguousarray(data.astronaut()[60:140, 150:246])  # 96x80


def read(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return np.load(path)
    pixels = np.asarray(Image.open(path))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def put(path: Path, pixels: np.ndarray = PHOTOGRAPH) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_folders_are_paired_by_path_and_stem(tmp_path: Path) -> None:
    hq, lq = tmp_path / "hq", tmp_path / "lq"
    for name in ("b.png", "1924/a.v2.png", ".hidden.png", ".trash/c.png"):
        put(hq / name)
    for name in ("b.jpg", "1924/a.v2.PNG"):
        put(lq / name, PHOTOGRAPH[::2, ::2])
    (hq / "b.txt").write_text("not a photograph")
    pairs = paired_folders(hq, lq, SUFFIXES, seed=3)
    assert [(pair.name, pair.degradation, pair.lq) for pair in pairs] == [
        ("1924/a.v2", PAIRED, lq / "1924/a.v2.PNG"),
        ("b", PAIRED, lq / "b.jpg"),
    ]
    assert [pair.seed for pair in pairs] == [image_seed(3, "1924/a.v2", PAIRED), image_seed(3, "b", PAIRED)]


def test_images_without_a_partner_are_named(tmp_path: Path) -> None:
    hq, lq = tmp_path / "hq", tmp_path / "lq"
    for number in range(8):
        put(hq / f"{number}.png")
    for name in ("7.png", "x/other.png"):
        put(lq / name)
    with pytest.raises(ValueError, match="give every HQ image an LQ image") as caught:
        paired_folders(hq, lq, SUFFIXES, seed=0)
    assert f"0, 1, 2, 3, 4 and 2 more are in {hq} but not in {lq}" in str(caught.value)
    assert f"x/other is in {lq} but not in {hq}" in str(caught.value)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absent: is not a folder"):
        degraded_folder(tmp_path / "absent", ["archive"], SUFFIXES, 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: no photograph in it; give a folder with \.jpg, \.png files"):
        degraded_folder(tmp_path / "empty", ["archive"], SUFFIXES, 0)
    put(tmp_path / "twins" / "a.png")
    put(tmp_path / "twins" / "a.jpg")
    with pytest.raises(ValueError, match=r"a\.jpg and a\.png: two photographs of one stem"):
        degraded_folder(tmp_path / "twins", ["archive"], SUFFIXES, 0)


def test_every_image_under_every_degradation(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        put(tmp_path / name)
    pairs = degraded_folder(tmp_path, ["level-II", "archive"], SUFFIXES, 5)
    found = [(pair.degradation, pair.name) for pair in pairs]
    assert found == [("level-II", "a"), ("level-II", "b"), ("archive", "a"), ("archive", "b")]
    seeds = {pair.seed for pair in pairs}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert degraded_folder(tmp_path, ["archive"], SUFFIXES, 5) == pairs[2:]  # whatever else is measured
    assert not seeds & {pair.seed for pair in degraded_folder(tmp_path, ["level-II"], SUFFIXES, 6)}
    with pytest.raises(ValueError, match=r"there is no degradation 'level-IV': choose from level-I, "):
        degraded_folder(tmp_path, ["level-IV"], SUFFIXES, 0)
    with pytest.raises(ValueError, match="degradation archive is given twice"):
        degraded_folder(tmp_path, ["archive", "archive"], SUFFIXES, 0)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_an_lq_image_is_made_from_the_seed_in_8_bits(tmp_path: Path, name: str) -> None:
    pair = Pair(name="a", degradation=name, seed=12345678901234567890 >> 1, hq=put(tmp_path / "a.png"))
    lq, reference = load_pair(pair, read)
    expected = degrade(name, PHOTOGRAPH.astype(np.float32) / 255, pair.seed)
    np.testing.assert_array_equal(lq, np.rint(expected.lq * 255).astype(np.uint8))
    np.testing.assert_array_equal(reference, np.rint(expected.hq * 255).astype(np.uint8))
    assert lq.dtype == reference.dtype == np.uint8
    assert reference.shape == PHOTOGRAPH.shape
    again, _ = load_pair(pair, read)
    np.testing.assert_array_equal(again, lq)


def test_grey_stays_grey_alpha_is_left_out_and_16_bits_are_rounded(tmp_path: Path) -> None:
    deep = (PHOTOGRAPH.astype(np.uint16) * 257)[..., [0, 1, 2, 0]]
    np.save(tmp_path / "hq.npy", deep)
    grey = put(tmp_path / "lq.png", np.ascontiguousarray(PHOTOGRAPH[::2, ::2, 1]))
    lq, reference = load_pair(Pair(name="a", degradation=PAIRED, seed=0, hq=tmp_path / "hq.npy", lq=grey), read)
    np.testing.assert_array_equal(reference, PHOTOGRAPH)
    np.testing.assert_array_equal(lq, PHOTOGRAPH[::2, ::2, 1:2])


def test_swapped_folders_are_noticed(tmp_path: Path) -> None:
    small, large = put(tmp_path / "small.png", PHOTOGRAPH[::2, ::2]), put(tmp_path / "large.png")
    with pytest.raises(ValueError, match=r"large\.png is larger \(96x80\) than its reference \(48x40\)"):
        load_pair(Pair(name="a", degradation=PAIRED, seed=0, hq=small, lq=large), read)


PAIR = Pair(name="a", degradation=PAIRED, seed=99, hq=Path("a.png"))


def test_plain_methods() -> None:
    bicubic, lanczos = plain_methods()
    lq = np.ascontiguousarray(PHOTOGRAPH[::2, ::2])
    result = bicubic.run(lq, 80, 96, PAIR)
    planes = [
        Image.fromarray(lq[..., c].astype(np.float32)).resize((96, 80), Image.Resampling.BICUBIC) for c in range(3)
    ]
    expected = np.clip(np.rint(np.stack([np.asarray(plane) for plane in planes], axis=2)), 0, 255)
    assert result.dtype == np.uint8
    assert np.abs(result - expected).max() <= 1  # a half may be rounded either way
    assert np.mean(result == expected) > 0.99
    np.testing.assert_array_equal(lanczos.run(lq, 80, 96, PAIR), np.rint(enlarge(lq, 80, 96) * 255).astype(np.uint8))
    grey = bicubic.run(lq[..., :1], 80, 96, PAIR)
    np.testing.assert_array_equal(grey, result[..., :1].repeat(3, axis=2))
    assert [(m.name, m.steps, m.parameters, m.trained) for m in (bicubic, lanczos)] == [
        ("bicubic", None, 0, True),
        ("lanczos", None, 0, True),
    ]


def test_a_network_restores_as_the_pipeline_does() -> None:
    options = RestoreOptions(steps=1, guidance_scale=1, window_batch=2)
    restorer = build_restorer(ModelSpec(preset="tiny", device="cpu"), options)
    method = network_method("mine", restorer)
    lq = np.ascontiguousarray(PHOTOGRAPH[:20, :24])
    enlarged = np.rint(enlarge(lq, 40, 48) * 255).astype(np.uint8)
    expected = restorer.restore([enlarged], [""], [99])[0]
    np.testing.assert_array_equal(method.run(lq, 40, 48, PAIR), expected)
    grey = method.run(lq[..., :1], 40, 48, PAIR)
    assert grey.shape == (40, 48, 3)
    assert np.ptp(grey, axis=2).max() == 0
    assert (method.steps, method.trained, method.timed) == (1, False, True)
    assert method.parameters == parameters_of(restorer) > 250_000
    assert method.made_by["model_digest"] == restorer.digest
    assert (method.made_by["sampler"], method.made_by["dtype"]) == ("euler", "float32")
    assert "thread" in method.device


def test_results_of_a_folder(tmp_path: Path) -> None:
    put(tmp_path / "1924" / "a.png", PHOTOGRAPH[:9])
    method = folder_method("other", tmp_path, ["archive"], SUFFIXES, read)
    pair = Pair(name="1924/a", degradation="archive", seed=0, hq=Path("a.png"))
    np.testing.assert_array_equal(method.run(PHOTOGRAPH, 80, 96, pair), PHOTOGRAPH[:9])
    assert (method.timed, method.steps, method.parameters, method.device) == (False, None, None, "")
    absent = Pair(name="1924/b", degradation="archive", seed=0, hq=Path("b.png"))
    with pytest.raises(ValueError, match="has no result 1924/b of archive"):
        method.run(PHOTOGRAPH, 80, 96, absent)
    with pytest.raises(ValueError, match="has no folder archive; put the results of each degradation into one"):
        folder_method("other", tmp_path, ["archive", "level-I"], SUFFIXES, read)
    for degradation in ("archive", "level-I"):
        shutil.copytree(tmp_path / "1924", tmp_path / degradation / "1924")
    put(tmp_path / "level-I" / "1924" / "a.png", PHOTOGRAPH[:11])
    method = folder_method("other", tmp_path, ["archive", "level-I"], SUFFIXES, read)
    other = Pair(name="1924/a", degradation="level-I", seed=0, hq=Path("a.png"))
    assert [len(method.run(PHOTOGRAPH, 80, 96, each)) for each in (pair, other)] == [9, 11]


@pytest.mark.parametrize("name", ["hq", "lq", "paired", "", " ", "a/b", ".."])
def test_names_that_methods_cannot_have(name: str) -> None:
    with pytest.raises(ValueError, match="a method cannot be called"):
        check_names(["bicubic", name])


def test_two_methods_of_one_name() -> None:
    with pytest.raises(ValueError, match="two methods are called bicubic"):
        check_names(["bicubic", "lanczos", "bicubic"])
