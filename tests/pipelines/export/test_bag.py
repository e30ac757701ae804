"""Bags by the judgement of the Library of Congress's own validator, and PREMIS by its schema."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import bagit
import pytest
from archive_steps import full_row
from exports import NAMES, exported, restored_archive
from lxml import etree

from pipelines.export.item import Item, ItemFile, package_name
from pipelines.export.package import Placed
from pipelines.export.premis import premis_xml
from pipelines.manifest.reader import current_rows
from pipelines.rows import Row
from pipelines.store.store import Store

SCHEMA = Path(__file__).parents[2] / "data" / "premis" / "premis-v3-0.xsd"
NAMESPACE = {"p": "http://www.loc.gov/premis/v3"}


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(SCHEMA)))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A restored archive beside its bags in `export`."""
    folder = tmp_path_factory.mktemp("archive")
    settings = restored_archive(folder)
    done = exported(settings, folder / "export", "bag")
    assert (done.exported, done.failed, done.left_out) == (len(NAMES), 0, 0)
    return folder


def rows(archive: Path) -> dict[str, Row]:
    return {row["source_path"]: row for row in current_rows(Store(str(archive / "restored"))).values()}


def bag_of(archive: Path, name: str) -> Path:
    return archive / "export" / "bags" / package_name(rows(archive)[name])


def test_every_bag_is_valid(archive: Path) -> None:
    bags = sorted((archive / "export" / "bags").iterdir())
    assert len(bags) == len(NAMES)
    for folder in bags:
        bag = bagit.Bag(str(folder))
        bag.validate()
        assert bag.version == "1.0"
        assert bag.info["Bag-Software-Agent"].startswith("FaithArchive ")


@pytest.mark.parametrize("name", NAMES)
def test_a_bag_holds_what_the_archive_has(archive: Path, name: str) -> None:
    row, folder = rows(archive)[name], bag_of(archive, name)
    (scan,) = (folder / "data" / "scan").iterdir()
    assert scan.read_bytes() == (archive / "scans" / name).read_bytes()
    result = folder / "data" / "restoration" / row["output_path"].rpartition("/")[2].replace("%", "_")
    assert result.read_bytes() == (archive / "restored" / row["output_path"]).read_bytes()
    (sidecar,) = (folder / "data" / "metadata").glob("*.restoration.json")
    assert json.loads(sidecar.read_bytes())["identity"] == row["identity"]
    masks = list((folder / "data" / "restoration").glob("*.damage.png"))
    assert len(masks) == (1 if row["damage_mask_sha256"] else 0)


def test_one_photograph_has_a_mask(archive: Path) -> None:
    assert rows(archive)["a.png"]["damage_mask_sha256"]


def test_an_altered_bag_is_seen(archive: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(bag_of(archive, "a.png"), tmp_path / "bag")
    (scan,) = (tmp_path / "bag" / "data" / "scan").iterdir()
    scan.write_bytes(scan.read_bytes()[:-1] + b"x")
    with pytest.raises(bagit.BagValidationError):
        bagit.Bag(str(tmp_path / "bag")).validate()


@pytest.mark.parametrize("name", NAMES)
def test_premis_fits_its_schema(archive: Path, schema: etree.XMLSchema, name: str) -> None:
    document = etree.parse(str(bag_of(archive, name) / "data" / "metadata" / "premis.xml"))
    assert schema.validate(document), schema.error_log
    objects = document.xpath("//p:object/p:objectIdentifier/p:objectIdentifierValue/text()", namespaces=NAMESPACE)
    for path in objects:
        assert (bag_of(archive, name) / path).is_file()
    names = document.xpath("//p:originalName/text()", namespaces=NAMESPACE)
    assert names[:2] == [name, rows(archive)[name]["output_path"]]
    linked = document.xpath("//p:linkingObjectIdentifierValue/text()", namespaces=NAMESPACE)
    assert set(linked) <= set(objects)
    agents = set(document.xpath("//p:agentIdentifierValue/text()", namespaces=NAMESPACE))
    assert set(document.xpath("//p:linkingAgentIdentifierValue/text()", namespaces=NAMESPACE)) == agents


def test_premis_tells_what_was_done(archive: Path) -> None:
    document = etree.parse(str(bag_of(archive, "a.png") / "data" / "metadata" / "premis.xml"))
    assert document.xpath("//p:eventType/text()", namespaces=NAMESPACE) == [
        "fixity check",
        "damage repair",
        "restoration",
        "validation",
        "publication",
        "fixity check",
        "information package creation",
    ]
    row = rows(archive)["a.png"]
    digests = document.xpath("//p:messageDigest/text()", namespaces=NAMESPACE)
    assert digests == [row["source_sha256"], row["output_sha256"], row["damage_mask_sha256"]]


def test_premis_of_odd_texts_fits_its_schema(schema: etree.XMLSchema) -> None:
    row = full_row(
        source_path="a\x01\ufffe & <b>.jpg",
        caption="c\x00d",
        caption_source="llava",
        warnings=["\x1b[1m"],
        damage_share=0.1,
    )
    files = tuple(ItemFile(role=role, name=f"{role}.png", sha256="0" * 64) for role in ("scan", "restored"))
    placed = [Placed(role=file.role, path=f"data/{file.name}", sha256=file.sha256, size=1) for file in files]
    moment = datetime.fromisoformat("2026-11-28T15:00:00+00:00")
    data = premis_xml(Item(row=row, name="x", files=files), placed, moment)
    document = etree.fromstring(data)
    assert schema.validate(document), schema.error_log
    assert document.xpath("//p:originalName/text()", namespaces=NAMESPACE)[0] == "a\ufffd\ufffd & <b>.jpg"
    document[0].remove(document[0][0])  # without its identifier
    assert not schema.validate(document)
