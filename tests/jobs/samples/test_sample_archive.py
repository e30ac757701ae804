"""The demo archive is reproducible, all good and varied; the hostile one is what it says."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hostile_archive import RESTORED, SKIPPED, make_hostile_archive

from jobs.samples import print_effects
from jobs.samples.archive import LONG_SIDE, make_demo_archive, original
from pipelines.errors import ERROR_CODES, ItemError
from pipelines.media.kinds import PHOTO_SUFFIXES
from pipelines.media.photo.decode import DecodeLimits, Photo, decode


def digests(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def read(path: Path) -> Photo:
    return decode(path.read_bytes(), path.name, DecodeLimits())


def test_demo_archive_depends_on_the_seed_alone(tmp_path: Path) -> None:
    paths = make_demo_archive(tmp_path / "a", seed=1)
    make_demo_archive(tmp_path / "b", seed=1)
    make_demo_archive(tmp_path / "c", seed=2)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert len(digests(tmp_path / "a")) == len(paths)
    same = {name for name, digest in digests(tmp_path / "a").items() if digests(tmp_path / "c")[name] == digest}
    assert same == {"1995 observatory/deep field.png"}  # a good scan has nothing that was drawn


def test_demo_archive_is_good_and_varied(tmp_path: Path) -> None:
    paths = make_demo_archive(tmp_path / "new" / "folder")
    photos = [read(path) for path in paths]
    assert len(paths) == 8
    assert all(path.is_file() and path.parent.parent == tmp_path / "new" / "folder" for path in paths)
    assert all(photo.warnings == () and max(photo.pixels.shape[:2]) <= LONG_SIDE for photo in photos)
    assert {photo.format for photo in photos} == {"JPEG", "PNG", "TIFF", "WEBP", "JPEG2000"}
    assert {(photo.pixels.shape[2], photo.bit_depth) for photo in photos} == {(1, 8), (1, 16), (3, 8), (3, 16), (4, 8)}
    assert any(photo.orientation == 6 for photo in photos)
    names = [path.name for path in paths]
    assert any(" " in name for name in names)
    assert sum(not name.isascii() for name in names) >= 3
    assert all(PHOTO_SUFFIXES[path.suffix] == photo.format for path, photo in zip(paths, photos, strict=True))


@pytest.mark.parametrize("name", ["chelsea.png", "camera.png"])
def test_originals_are_real_photographs(name: str) -> None:
    image = original(name)
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.dtype == np.float32
    assert 0 <= image.min() < 0.1
    assert 0.8 < image.max() <= 1


def test_ageing_steps_are_pure_and_stay_in_range() -> None:
    image = print_effects.shrink(original("chelsea.png"), 96)
    before = image.copy()
    aged = print_effects.vignette(image, 0.4)
    assert aged.shape == image.shape
    assert aged.dtype == np.float32
    assert 0 <= aged.min() <= aged.max() <= 1
    assert abs(aged - image).max() > 0.02
    np.testing.assert_array_equal(image, before)
    assert print_effects.shrink(image, 500).shape == image.shape
    assert print_effects.torn_edge((40, 60), np.random.default_rng(0)).shape == (40, 60, 1)


def test_hostile_archive_is_what_it_says(tmp_path: Path) -> None:
    expected = make_hostile_archive(tmp_path / "a", seed=3)
    make_hostile_archive(tmp_path / "b", seed=3)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    found = {}
    for name in digests(tmp_path / "a"):
        if name in SKIPPED:
            continue
        try:
            photo = read(tmp_path / "a" / name)
        except ItemError as error:
            found[name] = error.code
            continue
        found[name] = "too_small" if min(photo.pixels.shape[:2]) < 8 else RESTORED
        assert max(photo.pixels.shape[:2]) <= 64
    found["gone.jpg"] = "unreadable"
    assert found == expected
    assert set(expected.values()) - {RESTORED} <= set(ERROR_CODES)


def test_hostile_names_are_all_there(tmp_path: Path) -> None:
    expected = make_hostile_archive(tmp_path)
    names = {name.rsplit("/", 1)[-1] for name in expected}
    for letter in " '\"%#?*[{\n\t\\;$~":
        assert any(letter in name for name in names), letter
    assert max(len(name.encode()) for name in names) == 255
    assert any(name.startswith("-") for name in names)
    assert any(name != unicodedata.normalize("NFC", name) for name in names)
    assert not (tmp_path / "gone.jpg").exists()
    assert (tmp_path / "gone.jpg").is_symlink()
    assert (tmp_path / "folder.jpg").is_dir()
    for skipped in SKIPPED:
        assert (tmp_path / skipped).is_file()
        assert skipped not in expected
