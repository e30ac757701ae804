"""Filling narrow marks: only they change, in every layout and depth, and by the true mask little of them is left."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from faithdiff_model.damage import fill as module
from faithdiff_model.damage.fill import fill, fillable, widest
from faithdiff_model.damage.scans import mark
from faithdiff_model.degradation.archive.emulsion import grain
from jobs.samples.archive import original

LAYOUTS = [(1, np.uint8), (2, np.uint8), (3, np.uint8), (4, np.uint8), (1, np.uint16), (2, np.uint16), (4, np.uint16)]


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.ascontiguousarray(original("coffee.png"))


def levels(image: np.ndarray) -> np.ndarray:
    return np.rint(image * 255).astype(np.uint8)


def layout_of(photo: np.ndarray, channels: int, dtype: type) -> np.ndarray:
    """A photograph with so many channels, the last of two or four being an alpha that is not even."""
    colour = photo[..., :1] if channels < 3 else photo
    alpha = np.broadcast_to(np.linspace(0, 1, photo.shape[1], dtype=np.float32)[None, :, None], (*photo.shape[:2], 1))
    whole = np.concatenate([colour, alpha], axis=2) if channels in (2, 4) else colour
    return np.rint(whole * np.iinfo(dtype).max).astype(dtype)


def lines(height: int, width: int, *, half: int = 1) -> np.ndarray:
    """A mask of an upright and a slanting line, a few pixels wide."""
    drawn = np.zeros((height, width), np.uint8)
    cv2.line(drawn, (width // 3, 0), (width // 3, height), 1, 2 * half + 1)
    cv2.line(drawn, (0, height // 4), (width, height // 2), 1, 2 * half + 1)
    return drawn > 0


@pytest.mark.parametrize(("channels", "dtype"), LAYOUTS)
def test_nothing_changes_outside_and_alpha_nowhere(photo: np.ndarray, channels: int, dtype: type) -> None:
    scan = layout_of(photo, channels, dtype)
    mask = lines(*scan.shape[:2])
    damaged = scan.copy()
    damaged[mask, : 1 if channels < 3 else 3] = np.iinfo(dtype).max
    before = damaged.copy()
    filled = fill(damaged, mask)
    assert (filled.shape, filled.dtype) == (damaged.shape, damaged.dtype)
    np.testing.assert_array_equal(damaged, before)  # what it was given stays
    chosen = fillable(mask)
    np.testing.assert_array_equal(filled[~chosen], damaged[~chosen])
    if channels in (2, 4):
        np.testing.assert_array_equal(filled[..., -1], damaged[..., -1])
    colours = 1 if channels < 3 else 3

    def error(image: np.ndarray) -> float:
        return float(np.abs(image.astype(np.float64) - scan)[mask][:, :colours].mean())

    assert error(filled) < 0.15 * error(damaged)


def test_sixteen_bits_are_filled_with_sixteen(photo: np.ndarray) -> None:
    ramp = np.linspace(1000, 1400, 200).astype(np.uint16)  # under two levels of eight bits
    scan = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (120, 200, 1)))
    mask = np.zeros((120, 200), bool)
    mask[58:61] = True
    damaged = scan.copy()
    damaged[mask] = 65535
    assert np.abs(fill(damaged, mask).astype(int) - scan)[mask].max() < 30


def test_the_same_scan_in_eight_and_sixteen_bits_is_filled_alike(photo: np.ndarray) -> None:
    scan = levels(photo)
    mask = lines(*scan.shape[:2])
    eight, sixteen = fill(scan, mask), fill(scan.astype(np.uint16) * 257, mask)
    assert np.abs(sixteen / 257 - eight).max() < 12
    assert np.abs(sixteen / 257 - eight)[mask].mean() < 1


def test_wide_areas_stay_with_their_ragged_edges(photo: np.ndarray) -> None:
    scan = levels(photo)
    height, width = scan.shape[:2]
    area = np.zeros((height, width), np.uint8)
    cv2.circle(area, (width // 2, height // 2), 60, 1, -1)
    for angle in np.linspace(0, 2 * np.pi, 40, endpoint=False):  # a fringe
        end = (width // 2 + round(63 * np.cos(angle)), height // 2 + round(63 * np.sin(angle)))
        cv2.line(area, (width // 2, height // 2), end, 1, 2)
    wide = area > 0
    assert fill(scan, wide) is scan
    both = wide | lines(height, width)
    chosen = fillable(both)
    far = cv2.dilate(area, np.ones((41, 41), np.uint8)) == 0
    assert not chosen[cv2.erode(area, np.ones((3, 3), np.uint8)) > 0].any()
    assert chosen[far & both].all()
    np.testing.assert_array_equal(fill(scan, both)[~chosen], scan[~chosen])


def test_an_area_found_in_patches_is_an_area() -> None:
    patches = np.zeros((300, 300), bool)
    patches[100:200:1, 100:200:4] = True
    patches[100:200:4, 100:200] = True
    assert not fillable(patches).any()


def test_a_mark_beside_an_area_is_not_filled_from_it() -> None:
    scan = np.full((200, 200, 3), 90, np.uint8)
    scan[:, :80] = 255  # torn off
    mask = np.zeros((200, 200), bool)
    mask[:, :80] = True
    mask[100:103] = True
    scan[100:103, 80:] = 255
    filled = fill(scan, mask)
    assert fillable(mask)[101, 110:].all()
    assert (filled[:, 110:] == 90).all()
    assert (filled[101, 95:110] < 110).all()


@pytest.mark.parametrize(("size", "limit"), [((1, 1), 6), ((512, 512), 6), ((3000, 4000), 36), ((1500, 9000), 18)])
def test_the_limit_goes_with_the_size_of_the_scan(size: tuple[int, int], limit: int) -> None:
    assert widest(*size) == limit


@pytest.mark.parametrize(
    ("kind", "left"), [("dust", 0.2), ("scratches", 0.35), ("hairs", 0.35), ("cracks", 0.35), ("tears", 0.25)]
)
def test_little_is_left_of_marks_by_their_true_mask(photo: np.ndarray, kind: str, left: float) -> None:
    """Contrast against the unmarked scan."""
    marked, change = mark(photo, kind, np.random.default_rng(2))
    mask = change > 0.045
    assert mask.sum() > 150
    scan, clean = levels(marked), levels(photo).astype(np.float64)
    filled = fill(scan, mask)
    assert np.abs(filled - clean)[mask].sum() < left * np.abs(scan - clean)[mask].sum()


def test_grain_goes_on_in_what_is_filled(photo: np.ndarray) -> None:
    flat = np.full((240, 240, 3), 0.5, np.float32)
    scan = levels(grain(flat, np.random.default_rng(0), 0.05, 0.7))
    mask = lines(240, 240, half=2)
    damaged = scan.copy()
    damaged[mask] = 255
    filled = fill(damaged, mask)
    assert 0.6 < filled[mask].std() / scan[mask].std() < 1.2


def test_an_even_scan_is_filled_evenly() -> None:
    scan = np.full((60, 80, 1), 77, np.uint8)
    mask = lines(60, 80)
    damaged = scan.copy()
    damaged[mask] = 3
    np.testing.assert_array_equal(fill(damaged, mask), scan)


def test_squares_leave_no_seam(photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = levels(photo)
    mask = lines(*scan.shape[:2])
    whole, chosen = fill(scan, mask), fillable(mask)
    monkeypatch.setattr(module, "_CORE", 96)
    np.testing.assert_array_equal(fillable(mask), chosen)
    cut = fill(scan, mask)
    np.testing.assert_array_equal(cut[~chosen], whole[~chosen])
    assert np.abs(cut.astype(int) - whole)[chosen].mean() < 2


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 40, 1), (40, 1, 4), (3, 3, 2)])
@pytest.mark.parametrize("damaged", ["nothing", "everything", "one"])
def test_the_smallest_scans(shape: tuple[int, int, int], damaged: str) -> None:
    scan = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    mask = np.full(shape[:2], damaged == "everything")
    mask[0, 0] |= damaged == "one"
    filled = fill(scan, mask)
    assert filled.shape == shape
    if damaged == "nothing":
        assert filled is scan
    chosen = fillable(mask)
    np.testing.assert_array_equal(filled[~chosen], scan[~chosen])


@pytest.mark.parametrize(
    ("pixels", "mask", "what"),
    [
        (np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), bool), "the scan is float32"),
        (np.zeros((8, 8), np.uint8), np.zeros((8, 8), bool), "the scan is uint8"),
        (np.zeros((8, 8, 5), np.uint8), np.zeros((8, 8), bool), "the scan is uint8"),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9), bool), "the mask is bool"),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), "the mask is uint8"),
    ],
)
def test_other_arrays_are_refused(pixels: np.ndarray, mask: np.ndarray, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        fill(pixels, mask)
