"""Outputs' names: no two alike on any file system, the same tomorrow, short enough, and as close to the source's as can be."""

from __future__ import annotations

import os
import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.manifest.naming import assign_outputs, is_mask_name, item_id, output_format, refusal, suffix_of, visible
from pipelines.setting_types import Formats
from pipelines.store.layout import BESIDE, DAMAGE_SUFFIX, TRUST_SUFFIX

CHOICES = ("auto", "png", "tiff", "jpeg", "webp")
# Few stems, so that names meet often; letters whose case or composition file systems confuse; one of nearly 255 bytes.
STEMS = (
    "a",
    "A",
    "a.jpg",
    "a.png.damage",
    "A.png.Damage",
    "b",
    "é",
    "e\u0301",
    "É",
    "straße",
    "STRASSE",
    "a~x",
    "д" * 125,
    "д" * 124 + "Д",
    "x" * 251,
)
SUFFIXES = (".jpg", ".JPG", ".tif", ".TIF", ".png")
FOLDERS = ("", "F/", "f/", "a.png/", "a.tif/", "f/é/", "a.png.damage.png/", "a.png.trust.png/")

paths = st.builds(
    lambda folder, stem, suffix: folder + stem + suffix, *map(st.sampled_from, (FOLDERS, STEMS, SUFFIXES))
)
archives = st.lists(paths, unique=True, max_size=14)
choices = st.sampled_from([Formats(choice) for choice in CHOICES])


def folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


@settings(max_examples=300, deadline=None)
@given(archives, choices)
def test_no_two_outputs_are_one(sources: list[str], formats: Formats) -> None:
    outputs = assign_outputs(sources, formats, {})
    assert set(outputs) == set(sources)
    assert len({folded(output) for output in outputs.values()}) == len(sources)


@settings(max_examples=200, deadline=None)
@given(archives, choices)
@example(["a.jpg", "a.png.damage.jpg"], Formats("png"))
def test_no_output_is_the_mask_of_another(sources: list[str], formats: Formats) -> None:
    outputs = {folded(output) for output in assign_outputs(sources, formats, {}).values()}
    assert not [output for output in outputs if output.endswith((DAMAGE_SUFFIX, TRUST_SUFFIX))]


def test_a_mask_name_that_an_item_had_before_masks_is_not_kept() -> None:
    owned = {"a.png.damage.jpg": "a.png.damage.png"}
    assert assign_outputs(["a.jpg", "a.png.damage.jpg"], Formats("png"), owned) == {
        "a.jpg": "a.png",
        "a.png.damage.jpg": f"a.png.damage~{item_id('a.png.damage.jpg')[:8]}.png",
    }


@settings(max_examples=200, deadline=None)
@given(archives, choices)
def test_no_output_is_a_folder_of_another(sources: list[str], formats: Formats) -> None:
    outputs = {folded(output) for output in assign_outputs(sources, formats, {}).values()}
    folders = {str(folder) for output in outputs for folder in PurePosixPath(output).parents}
    assert not outputs & folders


@settings(max_examples=100, deadline=None)
@given(archives.flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))), choices)
def test_the_order_of_sources_does_not_matter(orders: tuple[list[str], list[str]], formats: Formats) -> None:
    assert assign_outputs(orders[0], formats, {}) == assign_outputs(iter(orders[1]), formats, {})


@settings(max_examples=300, deadline=None)
@given(archives, archives, choices)
def test_later_sources_change_nothing(first: list[str], later: list[str], formats: Formats) -> None:
    owned = assign_outputs(first, formats, {})
    both = assign_outputs({*first, *later}, formats, owned)
    assert {path: both[path] for path in first} == owned
    assert len({folded(output) for output in both.values()}) == len(both)


@settings(max_examples=300, deadline=None)
@given(archives, archives, choices)
@example(["a.jpg"], ["a.png/b.jpg", "A.png/b.jpg"], Formats("png"))
def test_no_later_output_is_a_folder_of_another(first: list[str], later: list[str], formats: Formats) -> None:
    owned = assign_outputs(first, formats, {})
    found = {folded(output) for output in assign_outputs({*first, *later}, formats, owned).values()}
    files = found | {output + suffix for output in found for suffix in BESIDE}
    assert not files & {str(folder) for output in found for folder in PurePosixPath(output).parents}


@settings(max_examples=200, deadline=None)
@given(archives, archives, choices)
def test_the_name_of_a_source_that_is_gone_stays_its_own(gone: list[str], later: list[str], formats: Formats) -> None:
    """Its result still lies there: nobody may write over it."""
    owned = assign_outputs(gone, formats, {})
    new = assign_outputs(set(later) - set(gone), formats, owned)
    assert not {folded(output) for output in owned.values()} & {folded(output) for output in new.values()}


@settings(max_examples=200, deadline=None)
@given(archives, choices)
def test_every_component_fits_with_its_sidecar(sources: list[str], formats: Formats) -> None:
    for output in assign_outputs(sources, formats, {}).values():
        assert all(len(part.encode()) <= 255 for part in PurePosixPath(output + max(BESIDE, key=len)).parts)


@settings(max_examples=200, deadline=None)
@given(paths, choices)
def test_folder_and_stem_stay_where_nothing_collides(source: str, formats: Formats) -> None:
    output = PurePosixPath(assign_outputs([source], formats, {})[source])
    assert output.parent == PurePosixPath(source).parent
    plain = f"{PurePosixPath(source).stem}{output.suffix}"
    if len(plain.encode()) < 200 and not is_mask_name(plain):
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
    assert output_format(path, Formats(choice)) == expected


def test_names_by_example() -> None:
    found = assign_outputs(["1924/a.tif", "1924/a.jpg", "1924/b.jpg", "1924/B.png", "1925/b.jpg"], Formats(), {})
    assert found == {
        "1924/a.tif": "1924/a.tif",
        "1924/a.jpg": "1924/a.png",
        "1924/b.jpg": "1924/b.jpg.png",
        "1924/B.png": "1924/B.png.png",
        "1925/b.jpg": "1925/b.png",
    }
    assert assign_outputs(["a.jpg"], Formats("jpeg"), {}) == {"a.jpg": "a.jpg"}
    assert assign_outputs(["a.jpg"], Formats("webp"), {}) == {"a.jpg": "a.webp"}
    assert assign_outputs(["a.jpg", "a.png/inside.png"], Formats(), {})["a.jpg"] == "a.jpg.png"


def test_an_owned_name_of_another_format_is_not_kept() -> None:
    assert assign_outputs(["a.jpg"], Formats("tiff"), {"a.jpg": "a.png"}) == {"a.jpg": "a.tif"}
    assert assign_outputs(["a.jpg"], Formats("png"), {"a.jpg": "elsewhere/a.png"}) == {"a.jpg": "elsewhere/a.png"}


def test_a_third_source_finds_both_names_taken() -> None:
    owned = {"a.jpg": "a.png", "a.png": "a.jpg.png"}
    assert assign_outputs(["A.jpg"], Formats("png"), owned) == {"A.jpg": f"A.jpg~{item_id('A.jpg')[:8]}.png"}


def test_names_that_are_not_utf8_do_not_stop_the_others() -> None:
    broken = [os.fsdecode(b"caf\xe9.jpg"), os.fsdecode(b"\xff" * 250 + b".jpg")]
    outputs = assign_outputs([*broken, "a.jpg"], Formats(), {})
    assert outputs["a.jpg"] == "a.png"
    assert len(set(outputs.values())) == 3


def test_item_ids() -> None:
    assert item_id("1924/a.tif") == "0b29877ae11a8f448d4a6cce"  # manifests hold ids for decades
    assert len({item_id(path) for path in ("a", "A", "é", "e\u0301", os.fsdecode(b"\xe9"))}) == 5


def test_a_folder_named_like_a_result_gets_a_mark() -> None:
    """Local stores cannot hold a file and a folder of one name; nor can a folder stand where a sidecar is."""
    owned = {"a.jpg": "a.png"}
    found = assign_outputs(
        ["a.jpg", "A.png/x.jpg", "a.png/deep/x.jpg", "a.png.restoration.json/y.jpg"], Formats(), owned
    )
    assert found == {
        "a.jpg": "a.png",
        "A.png/x.jpg": f"A.png~{item_id('A.png')[:8]}/x.png",
        "a.png/deep/x.jpg": f"a.png~{item_id('a.png')[:8]}/deep/x.png",
        "a.png.restoration.json/y.jpg": (f"a.png.restoration.json~{item_id('a.png.restoration.json')[:8]}/y.png"),
    }
    long = "д" * 125 + ".png"  # 254 bytes: the mark replaces its end
    (moved,) = assign_outputs([f"{long}/x.jpg"], Formats(), {"d.jpg": long}).values()
    assert len(moved.split("/")[0].encode()) <= 255
    assert moved.endswith(f"~{item_id(long)[:8]}/x.png")


def test_what_is_in_such_a_folder_already_stays() -> None:
    owned = {"a.jpg": "a.png", "a.png/x.jpg": "a.png/x.png"}  # an object store can hold both
    assert assign_outputs(owned, Formats(), owned) == owned


def test_a_result_whose_sidecar_would_be_a_folder_goes_elsewhere() -> None:
    found = assign_outputs(["a.jpg", "a.png.restoration.json/y.jpg"], Formats(), {})
    assert found == {"a.jpg": "a.jpg.png", "a.png.restoration.json/y.jpg": "a.png.restoration.json/y.png"}


def test_of_two_that_claim_one_result_only_one_keeps_it() -> None:
    """No run of ours records that, but a manifest can be edited."""
    found = assign_outputs(["a.jpg", "b.jpg"], Formats(), {"a.jpg": "x.png", "b.jpg": "X.png"})
    assert sorted(found.values()) == ["X.png", "a.png"]


def test_earlier_results_are_not_written_over() -> None:
    assert assign_outputs(["a.jpg"], Formats(), {}, held={"a.png": "a.tif"}) == {"a.jpg": "a.jpg.png"}
    assert assign_outputs(["a.jpg"], Formats(), {}, held={"a.png": "a.jpg"}) == {"a.jpg": "a.png"}
    assert assign_outputs(["a.jpg"], Formats(), {}, folders=["a.png"]) == {"a.jpg": "a.jpg.png"}


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("../a.png", "'..'"),
        ("a/../b.png", "'..'"),
        ("/a.png", "empty"),
        ("a//b.png", "empty"),
        ("a/", "empty"),
        ("./a.png", "'.'"),
        ("a\0.png", "NUL"),
        (os.fsdecode(b"caf\xe9.png"), "UTF-8"),
        ("\ud800.png", "UTF-8"),
        ("x" * 256 + "/a.png", "255 bytes"),
        ("д" * 128 + "/a.png", "255 bytes"),
        ("a/" * 150 + "a.png", "room"),
    ],
)
def test_names_that_are_refused(path: str, says: str) -> None:
    reason = refusal(path, 300)
    assert reason is not None
    assert says in reason
    assert reason.endswith(("rename it", "shorten it"))
    visible(path).encode()  # can be recorded
    assert "\0" not in visible(path)
    item_id(path)


@pytest.mark.parametrize(
    "path", ["a.png", "..png", "a/...png", "~/$HOME.png", "line\nbreak.png", "c:\\a.png", "x" * 290]
)
def test_names_that_are_not(path: str) -> None:
    assert refusal(path, 300) is None
    assert visible(path) == path


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1))
@example("..png")
@example("a.")
def test_suffixes_are_pathlib_s(name: str) -> None:
    if name not in (".", ".."):  # which are refused
        assert suffix_of(f"folder.x/{name}") == PurePosixPath(name).suffix
