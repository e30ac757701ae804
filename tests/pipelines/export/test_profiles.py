"""The other forms: each read back as the system that takes it reads it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from exports import BASE_URL, NAMES, exported, restored_archive, tree
from jsonschema import Draft202012Validator
from lxml import etree
from PIL import Image

from pipelines.export.profiles import profile_of
from pipelines.export.tiles import TILE, image_files, scale_factors, sizes
from pipelines.manifest.reader import current_rows
from pipelines.rows import Row
from pipelines.store.store import Store

OPEX = "{http://www.openpreservationexchange.org/opex/v1.2}"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A restored archive with an export in each of these forms in `export`."""
    folder = tmp_path_factory.mktemp("archive")
    settings = restored_archive(folder)
    for profile in ("archivematica", "islandora", "hyrax", "opex", "iiif", "csv"):
        done = exported(settings, folder / "export", profile)  # type: ignore[arg-type]
        assert (done.exported, done.failed, done.left_out) == (len(NAMES), 0, 0), done
    return folder


@pytest.fixture(scope="module")
def rows(archive: Path) -> dict[str, Row]:
    return {row["source_path"]: row for row in current_rows(Store(str(archive / "restored"))).values()}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_csv_names_every_file(archive: Path, rows: dict[str, Row]) -> None:
    folder = archive / "export" / "csv"
    lines = table(folder / "index.csv")
    assert [line["source_path"].removeprefix("'") for line in lines] == sorted(rows)
    named = {"index.csv"}
    for line in lines:
        row = rows[line["source_path"].removeprefix("'")]
        assert line["identity"] == row["identity"]
        assert line["scan_sha256"] == row["source_sha256"]
        for role in ("scan", "restored", "mask", "sidecar"):
            if line[f"{role}_path"]:
                assert digest(folder / line[f"{role}_path"]) == line[f"{role}_sha256"]
                named.add(f"{line[f'{role}_path']}")
    assert {path.removeprefix("csv/") for path in tree(archive / "export") if path.startswith("csv/")} == named
    assert not any(line["source_path"].startswith("=") for line in lines)


def test_archivematica_finds_every_copy(archive: Path, rows: dict[str, Row]) -> None:
    folder = archive / "export" / "transfer"
    with (folder / "manualNormalization" / "normalization.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert len(lines) == len(rows)
    originals = [line[0] for line in lines]
    for original, access, preservation in lines:
        assert preservation == ""
        assert "#" not in original
        assert (folder / original).is_file()
        assert (folder / access).is_file()
        assert access.startswith("manualNormalization/access/")
        # Archivematica looks an original up by the end of its path; no two may end alike.
        assert [other for other in originals if other.endswith(original)] == [original]
    by_hash = {row["source_sha256"]: row["output_sha256"] for row in rows.values()}
    assert {digest(folder / line[0]): digest(folder / line[1]) for line in lines} == by_hash
    # As Archivematica calls it, where `objects` holds all but `metadata`; and it counts lines and files.
    checksums = folder / "metadata" / "checksum.sha256"
    done = subprocess.run(
        ["sha256sum", "-c", "--strict", "metadata/checksum.sha256"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    files = [
        path for path in folder.rglob("*") if path.is_file() and "metadata" not in path.relative_to(folder).parts[:1]
    ]
    assert len(checksums.read_text().splitlines()) == len(files)


def test_islandora_s_columns_are_those_that_it_reserves(archive: Path, rows: dict[str, Row]) -> None:
    folder = archive / "export" / "islandora"
    configuration = yaml.safe_load((folder / "create.yml").read_text())
    additional = [name for one in configuration["additional_files"] for name in one]
    lines = table(folder / configuration["input_csv"])
    assert list(lines[0]) == ["id", "file", "title", "field_model", "field_description", *additional]
    assert len({line["id"] for line in lines}) == len(rows)
    for line in lines:
        assert 0 < len(line["title"]) <= 255
        assert (folder / configuration["input_dir"] / line["file"]).is_file()
        assert all((folder / line[name]).is_file() for name in additional)
    assert {digest(folder / line["file"]) for line in lines} == {row["source_sha256"] for row in rows.values()}


def test_bulkrax_finds_every_file(archive: Path, rows: dict[str, Row]) -> None:
    folder = archive / "export" / "hyrax"
    lines = table(folder / "import.csv")
    assert len(lines) == len(rows)
    found = set()
    for line in lines:
        assert line["source_identifier"]
        assert line["title"]
        assert line["model"] == "GenericWork"
        for name in re.split(r"\s*[:;|]\s*", line["file"]):  # as Bulkrax splits, and then takes `_` for spaces
            path = folder / "files" / name.strip().replace(" ", "_")
            assert path.is_file()
            found.add(path)
    assert found == set((folder / "files").iterdir())


def test_opex_has_a_document_for_everything(archive: Path, rows: dict[str, Row]) -> None:
    folder = archive / "export" / "opex"
    documents = sorted(folder.rglob("*.opex"))
    for path in documents:
        root = etree.parse(str(path)).getroot()
        assert root.tag == f"{OPEX}OPEXMetadata"
        # The order that the schema's sequences want.
        assert [child.tag for child in root] in (
            [f"{OPEX}Transfer", f"{OPEX}Properties"],
            [f"{OPEX}Transfer"],
        )
        manifest = root.find(f"{OPEX}Transfer/{OPEX}Manifest")
        if manifest is None:
            content = path.with_name(path.name.removesuffix(".opex"))
            fixity = root.find(f"{OPEX}Transfer/{OPEX}Fixities/{OPEX}Fixity")
            assert fixity is not None
            assert (fixity.get("type"), fixity.get("value")) == ("SHA-256", digest(content))
            continue
        assert path.name == f"{path.parent.name}.opex"
        names = {child.text for child in manifest.iter(f"{OPEX}File")}
        assert names == {one.name for one in path.parent.iterdir() if one.is_file() and one != path}
        folders = {child.text for child in manifest.iter(f"{OPEX}Folder")}
        assert folders == {one.name for one in path.parent.iterdir() if one.is_dir()}
    assert len(documents) == 1 + sum(3 + (4 if row["damage_mask_sha256"] else 3) for row in rows.values())


# What IIIF Presentation 3.0 says that a manifest of pictures MUST have; written here from its text.
_STRINGS: dict[str, Any] = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"type": "array", "minItems": 1, "items": {"type": "string"}},
}
_URI = {"type": "string", "format": "uri", "pattern": "^https?://"}


def has(required: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": required, "required": list(required)}


def only_one(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "maxItems": 1, "items": item}


_SERVICE = has({"id": _URI, "type": {"const": "ImageService3"}, "profile": {"const": "level0"}})
_SIDE = {"type": "integer", "exclusiveMinimum": 0}
_PICTURE = has(
    {
        "id": _URI, "type": {"const": "Image"}, "format": {"const": "image/jpeg"}, "label": _STRINGS, "width": _SIDE,
        "height": _SIDE, "service": only_one(_SERVICE),
    }
)  # fmt: skip
_CHOICE = has(
    {"type": {"const": "Choice"}, "items": {"type": "array", "minItems": 2, "maxItems": 2, "items": _PICTURE}}
)
_ANNOTATION = has(
    {"id": _URI, "type": {"const": "Annotation"}, "motivation": {"const": "painting"}, "body": _CHOICE, "target": _URI}
)
_PAGE = has({"id": _URI, "type": {"const": "AnnotationPage"}, "items": only_one(_ANNOTATION)})
_CANVAS = has({"id": _URI, "type": {"const": "Canvas"}, "width": _SIDE, "height": _SIDE, "items": only_one(_PAGE)})
_MANIFEST = has(
    {
        "@context": {"const": "http://iiif.io/api/presentation/3/context.json"}, "id": _URI, "type": {"const": "Manifest"},
        "label": _STRINGS, "summary": _STRINGS, "items": only_one(_CANVAS),
        "metadata": {"type": "array", "items": has({"label": _STRINGS, "value": _STRINGS})},
    }
)  # fmt: skip


def at(archive: Path, url: str) -> Path:
    assert url.startswith(f"{BASE_URL}/")
    return archive / "export" / "iiif" / url.removeprefix(f"{BASE_URL}/")


def test_iiif_manifests_are_what_the_standard_wants(archive: Path, rows: dict[str, Row]) -> None:
    collection = json.loads((archive / "export" / "iiif" / "collection.json").read_bytes())
    assert collection["type"] == "Collection"
    assert len(collection["items"]) == len(rows)
    for listed in collection["items"]:
        manifest = json.loads(at(archive, listed["id"]).read_bytes())
        Draft202012Validator(_MANIFEST, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(manifest)
        assert manifest["id"] == listed["id"]
        (canvas,) = manifest["items"]
        annotation = canvas["items"][0]["items"][0]
        assert annotation["target"] == canvas["id"]
        scan, result = annotation["body"]["items"]
        assert [one["label"]["en"][0] for one in (scan, result)] == ["Scan", "Restoration by machine"]
        for picture in (scan, result):
            with Image.open(at(archive, picture["id"])) as image:
                assert image.size == (picture["width"], picture["height"])
            info = json.loads((at(archive, picture["service"][0]["id"]) / "info.json").read_bytes())
            assert info["id"] == picture["service"][0]["id"]
            assert abs(info["width"] / info["height"] - canvas["width"] / canvas["height"]) < 0.02


def test_iiif_manifests_pass_the_published_types(archive: Path) -> None:
    prezi = pytest.importorskip(
        "iiif_prezi3", reason="pip install --no-deps iiif-prezi3: it refuses Pillow 13 on paper"
    )
    for path in (archive / "export" / "iiif").glob("*/manifest.json"):
        told = json.loads(path.read_bytes())
        again = json.loads(prezi.Manifest.model_validate(told).json())
        assert again["items"][0]["items"][0]["items"][0]["body"]["type"] == "Choice"


@pytest.mark.parametrize(("width", "height"), [(1, 1), (512, 512), (513, 200), (1100, 700), (2500, 1300)])
def test_every_tile_that_a_viewer_may_ask_for_is_there(width: int, height: int) -> None:
    """As the Image API 3.0 computes the tiles of a level 0 service from its info.json."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    files = dict(image_files(pixels, None, "https://a.example/x"))
    info = json.loads(files["info.json"])
    assert (info["width"], info["height"]) == (width, height)
    wanted = {"info.json"} | {f"full/{one['width']},{one['height']}/0/default.jpg" for one in info["sizes"]}
    for factor in info["tiles"][0]["scaleFactors"]:
        side = info["tiles"][0]["width"] * factor
        for top in range(0, height, side):
            for left in range(0, width, side):
                across, down = min(side, width - left), min(side, height - top)
                region = "full" if (across, down) == (width, height) else f"{left},{top},{across},{down}"
                wanted.add(f"{region}/{-(-across // factor)},{-(-down // factor)}/0/default.jpg")
    assert set(files) == wanted
    for path, data in files.items():
        if path.endswith(".jpg"):
            with Image.open(io.BytesIO(data)) as tile:
                assert f"{tile.width},{tile.height}" == path.split("/")[1]
                assert max(tile.size) <= max(TILE, 1024)


def test_tiles_show_the_picture() -> None:
    rows, columns = np.mgrid[0:700, 0:1100]
    pixels = np.stack([rows // 3, columns // 5, (rows + columns) // 8], axis=2).astype(np.uint8)
    files = dict(image_files(pixels, None, "https://a.example/x"))
    for top, left in ((0, 0), (512, 1024)):
        down, across = min(512, 700 - top), min(512, 1100 - left)
        data = files[f"{left},{top},{across},{down}/{across},{down}/0/default.jpg"]
        with Image.open(io.BytesIO(data)) as tile:
            difference = np.abs(np.asarray(tile).astype(int) - pixels[top : top + down, left : left + across])
        assert difference.mean() < 2
    assert scale_factors(1100, 700) == [1, 2, 4]
    assert sizes(1100, 700) == [(275, 175), (550, 350)]


def test_grey_deep_and_see_through_pictures_have_tiles() -> None:
    for channels, depth in ((1, np.uint8), (1, np.uint16), (2, np.uint8), (4, np.uint16)):
        pixels = np.full((30, 40, channels), np.iinfo(depth).max, depth)
        files = dict(image_files(pixels, None, "https://a.example/x"))
        with Image.open(io.BytesIO(files["full/40,30/0/default.jpg"])) as image:
            assert image.mode == ("L" if channels < 3 else "RGB")
            assert np.asarray(image).min() > 250


def test_films_are_left_out_of_iiif() -> None:
    from archive_steps import full_row

    assert "it is a film" in profile_of("iiif", BASE_URL).excuse(full_row(media_kind="film"))
    assert profile_of("bag").excuse(full_row(media_kind="film")) == ""


@pytest.mark.parametrize("url", ["", "archive.example", "ftp://a", "https://a.example/x#y", "https://a b"])
def test_iiif_wants_an_address(url: str) -> None:
    with pytest.raises(ValueError, match="--base-url"):
        profile_of("iiif", url)


def test_no_other_form_wants_one() -> None:
    with pytest.raises(ValueError, match="leave it out"):
        profile_of("bag", BASE_URL)
