"""Outputs' names: no two alike on any file system, the same tomorrow, short enough, and as close to the source's as can be."""

from __future__ import annotations

import os
import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.naming import SIDECAR_SUFFIX, assign_outputs, item_id, output_format

CHOICES = ("auto", "png", "tiff", "jpeg", "webp")
# Few stems, so that names meet often; letters whose case or composition file systems confuse; one of nearly 255 bytes.
STEMS = ("a", "A", "a.jpg", "b", "é", "e\u0301", "É", "straße", "STRASSE", "a~x", "д" * 125, "д" * 124 + "Д", "x" * 251)
SUFFIXES = (".jpg", ".JPG", ".tif", ".TIF", ".png")
FOLDERS = ("", "F/", "f/", "a.png/", "a.tif/", "f/é/")

paths = st.builds(
    lambda folder, stem, suffix: folder + stem + suffix, *map(st.sampled_from, (FOLDERS, STEMS, SUFFIXES))
)
archives = st.lists(paths, unique=True, max_size=14)
choices = st.sampled_from(CHOICES)


def folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


@settings(max_examples=300, deadline=None)
@given(archives, choices)
def test_no_two_outputs_are_one(sources: list[str], choice: str) -> None:
    outputs = assign_outputs(sources, choice, {})
    assert set(outputs) == set(sources)
    assert len({folded(output) for output in outputs.values()}) == len(sources)


@settings(max_examples=200, deadline=None)
@given(archives, choices)
def test_no_output_is_a_folder_of_another(sources: list[str], choice: str) -> None:
    outputs = {folded(output) for output in assign_outputs(sources, choice, {}).values()}
    folders = {str(folder) for output in outputs for folder in PurePosixPath(output).parents}
    assert not outputs & folders


@settings(max_examples=100, deadline=None)
@given(archives.flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))), choices)
def test_the_order_of_sources_does_not_matter(orders: tuple[list[str], list[str]], choice: str) -> None:
    assert assign_outputs(orders[0], choice, {}) == assign_outputs(iter(orders[1]), choice, {})


@settings(max_examples=300, deadline=None)
@given(archives, archives, choices)
def test_later_sources_change_nothing(first: list[str], later: list[str], choice: str) -> None:
    owned = assign_outputs(first, choice, {})
    both = assign_outputs({*first, *later}, choice, owned)
    assert {path: both[path] for path in first} == owned
    assert len({folded(output) for output in both.values()}) == len(both)


@settings(max_examples=200, deadline=None)
@given(archives, archives, choices)
def test_the_name_of_a_source_that_is_gone_stays_its_own(gone: list[str], later: list[str], choice: str) -> None:
    """Its result still lies there: nobody may write over it."""
    owned = assign_outputs(gone, choice, {})
    new = assign_outputs(set(later) - set(gone), choice, owned)
    assert not {folded(output) for output in owned.values()} & {folded(output) for output in new.values()}


@settings(max_examples=200, deadline=None)
@given(archives, choices)
def test_every_component_fits_with_its_sidecar(sources: list[str], choice: str) -> None:
    for output in assign_outputs(sources, choice, {}).values():
        assert all(len(part.encode()) <= 255 for part in PurePosixPath(output + SIDECAR_SUFFIX).parts)


@settings(max_examples=200, deadline=None)
@given(paths, choices)
def test_folder_and_stem_stay_where_nothing_collides(source: str, choice: str) -> None:
    output = PurePosixPath(assign_outputs([source], choice, {})[source])
    assert output.parent == PurePosixPath(source).parent
    if len(PurePosixPath(source).stem.encode()) < 200:
        assert output.stem == PurePosixPath(source).stem
    else:
        assert output.stem.endswith(f"~{item_id(source)[:8]}")
        assert PurePosixPath(source).stem.startswith(output.stem[:-9])


@pytest.mark.parametrize(
    ("path", "choice", "expected"),
    [
        ("a.tif", "auto", "tiff"),
        ("a.TIFF", "auto", "tiff"),
        ("a.jpg", "auto", "png"),
        ("tif/a.jp2", "auto", "png"),
        ("a.tif.png", "auto", "png"),
        ("a.tif", "jpeg", "jpeg"),
        ("a.jpg", "webp", "webp"),
        ("a.png", "tiff", "tiff"),
    ],
)
def test_output_format(path: str, choice: str, expected: str) -> None:
    assert output_format(path, choice) == expected


def test_names_by_example() -> None:
    found = assign_outputs(["1924/a.tif", "1924/a.jpg", "1924/b.jpg", "1924/B.png", "1925/b.jpg"], "auto", {})
    assert found == {
        "1924/a.tif": "1924/a.tif",
        "1924/a.jpg": "1924/a.png",
        "1924/b.jpg": "1924/b.jpg.png",
        "1924/B.png": "1924/B.png.png",
        "1925/b.jpg": "1925/b.png",
    }
    assert assign_outputs(["a.jpg"], "jpeg", {}) == {"a.jpg": "a.jpg"}
    assert assign_outputs(["a.jpg"], "webp", {}) == {"a.jpg": "a.webp"}
    assert assign_outputs(["a.jpg", "a.png/inside.png"], "auto", {})["a.jpg"] == "a.jpg.png"


def test_an_owned_name_of_another_format_is_not_kept() -> None:
    assert assign_outputs(["a.jpg"], "tiff", {"a.jpg": "a.png"}) == {"a.jpg": "a.tif"}
    assert assign_outputs(["a.jpg"], "png", {"a.jpg": "elsewhere/a.png"}) == {"a.jpg": "elsewhere/a.png"}


def test_a_third_source_finds_both_names_taken() -> None:
    owned = {"a.jpg": "a.png", "a.png": "a.jpg.png"}
    assert assign_outputs(["A.jpg"], "png", owned) == {"A.jpg": f"A.jpg~{item_id('A.jpg')[:8]}.png"}


def test_names_that_are_not_utf8_do_not_stop_the_others() -> None:
    broken = [os.fsdecode(b"caf\xe9.jpg"), os.fsdecode(b"\xff" * 250 + b".jpg")]
    outputs = assign_outputs([*broken, "a.jpg"], "auto", {})
    assert outputs["a.jpg"] == "a.png"
    assert len(set(outputs.values())) == 3


def test_item_ids() -> None:
    assert item_id("1924/a.tif") == "0b29877ae11a8f448d4a6cce"  # manifests hold ids for decades
    assert len({item_id(path) for path in ("a", "A", "é", "e\u0301", os.fsdecode(b"\xe9"))}) == 5
