"""The further kinds of marks: each changes what it says it covers and nothing else, and the recipe has them only when asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faithdiff_model.degradation.archive.drawing import smooth_noise
from faithdiff_model.degradation.archive.recipe import ArchiveSettings, degrade_archive
from faithdiff_model.degradation.archive.wear import KINDS, WearSettings, wear
from jobs.samples.archive import original

# So much that every seed below has some.
PLENTY = {name: min(6 * kind.amount[1], kind.limits[1]) for name, kind in KINDS.items()} | {"torn_corners": 0.3}


def flat(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 0.5, np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_changes_what_it_covers_and_nothing_else(kind: str) -> None:
    image = np.ascontiguousarray(original("astronaut.png")[:200, :240])
    for seed in range(4):
        marked, cover = KINDS[kind].draw(image, np.random.default_rng(seed), PLENTY[kind], 1.0)
        assert cover.shape == image.shape[:2]
        assert cover.dtype == np.float32
        assert 0 <= cover.min() <= cover.max() <= 1
        assert cover.max() > 0.1
        np.testing.assert_array_equal(marked[cover == 0], image[cover == 0])
        # Nothing changes by more than its cover, and a flat grey changes wherever the cover is strong.
        assert (np.abs(marked - image).max(axis=2) <= cover + 1e-5).all()
        on_grey = KINDS[kind].draw(flat(200, 240), np.random.default_rng(seed), PLENTY[kind], 1.0)
        changed = np.abs(on_grey.image - 0.5).max(axis=2)
        assert (changed[on_grey.cover > 0.2] > 0.02).mean() > 0.9


@pytest.mark.parametrize("kind", ["specks", "hairs", "fibres", "film_scratches", "fingerprints"])
def test_marks_are_pale_and_dark(kind: str) -> None:
    low, high = [], []
    for seed in range(12):
        marked = KINDS[kind].draw(flat(160, 160), np.random.default_rng(seed), PLENTY[kind], 1.0).image
        low.append(marked.min())
        high.append(marked.max())
    assert min(low) < 0.35
    assert max(high) > 0.65


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"cracks", "torn_corners"}))
def test_more_density_covers_more_and_none_covers_nothing(kind: str) -> None:
    draw, most = KINDS[kind].draw, PLENTY[kind]
    few, many = (
        np.mean(
            [draw(flat(256, 256), np.random.default_rng(seed), share * most, 1.0).cover.mean() for seed in range(8)]
        )
        for share in (0.1, 0.6)
    )
    assert many > 2 * few
    none = draw(flat(64, 64), np.random.default_rng(0), 0, 1.0)
    np.testing.assert_array_equal(none.image, flat(64, 64))
    assert not none.cover.any()


@pytest.mark.parametrize("kind", ["specks", "hairs", "fibres", "fingerprints", "mould", "stains"])
def test_size_makes_marks_larger(kind: str) -> None:
    small, large = (
        np.mean(
            [
                KINDS[kind].draw(flat(512, 512), np.random.default_rng(s), PLENTY[kind] / 4, z).cover.mean()
                for s in range(4)
            ]
        )
        for z in (0.5, 1.5)
    )
    assert large > 1.8 * small


def test_torn_corners_take_a_corner() -> None:
    for seed in range(6):
        cover = KINDS["torn_corners"].draw(flat(200, 300), np.random.default_rng(seed), 0.3, 1.0).cover
        corners = [cover[row, column] for row in (0, -1) for column in (0, -1)]
        assert max(corners) > 0.9
        assert cover[90:110, 140:160].max() < 0.05


def test_film_scratches_run_from_top_to_bottom() -> None:
    cover = KINDS["film_scratches"].draw(flat(200, 200), np.random.default_rng(1), 6, 1.0).cover
    columns = cover.max(axis=1)
    assert (columns > 0.05).mean() > 0.8


def test_the_recipe_is_the_same_without_wear_and_tells_kinds_with_it() -> None:
    image = np.ascontiguousarray(original("chelsea.png")[:128, :128])
    often = WearSettings(often=dict.fromkeys(KINDS, 1.0), amounts={"specks": (200, 200)})
    plain = degrade_archive(image, ArchiveSettings(), np.random.default_rng(3))
    worn = degrade_archive(image, replace(ArchiveSettings(), wear=often), np.random.default_rng(3))
    assert set(plain.damage) <= {"dust", "scratches", "crease"}
    assert {"specks", "mould", "stains"} <= set(worn.damage)
    np.testing.assert_array_equal(plain.hq, worn.hq)
    for kind, change in plain.damage.items():  # the recipe's own marks stay where they were
        np.testing.assert_array_equal(change, worn.damage[kind])


def test_wear_is_of_the_kinds_that_are_asked_for() -> None:
    for kind in KINDS:
        marked, changes = wear(flat(600, 600), WearSettings(often={kind: 1.0}), np.random.default_rng(5))
        assert set(changes) == {kind}
        np.testing.assert_array_equal(changes[kind], np.abs(marked - 0.5).max(axis=2))
    marked, changes = wear(flat(64, 64), WearSettings(often={}), np.random.default_rng(5))
    assert changes == {}
    np.testing.assert_array_equal(marked, flat(64, 64))


def test_one_kind_leaves_the_others_where_they_are() -> None:
    alone = wear(flat(300, 300), WearSettings(often={"hairs": 1.0}), np.random.default_rng(2))[1]["hairs"]
    both = wear(flat(300, 300), WearSettings(often={"hairs": 1.0, "specks": 1.0}), np.random.default_rng(2))[1]["hairs"]
    np.testing.assert_array_equal(alone, both)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"often": {"rust": 1.0}}, "no kind of wear 'rust': choose some of stains"),
        ({"often": {"hairs": 1.5}}, r"often\['hairs'\] is 1.5: choose 0 to 1"),
        ({"amounts": {"cracks": (0, 2)}}, r"amounts\['cracks'\] is \(0, 2\): choose"),
        ({"size": (0.1, 1)}, "size is"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WearSettings(**change)


def test_smooth_noise_has_its_size_and_strength() -> None:
    rng = np.random.default_rng(0)
    for size in (1.0, 4.0, 30.0):
        noise = smooth_noise(600, 500, size, rng)
        assert noise.shape == (600, 500)
        assert noise.std() == pytest.approx(1, rel=0.35)
        step = max(1, round(size))
        near = np.corrcoef(noise[:, :-step].ravel(), noise[:, step:].ravel())[0, 1]
        assert 0.6 < near < 0.95  # exp(-1/4) of a Gaussian filter
