"""Metadata on its way through the stages: whole and tiled photographs, broken blocks, and what the manifest says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from archive_steps import archive_settings, picture, restore_without_model, save_photo, table_of
from metadata import exiftool, needs_exiftool
from metadata_files import EXIF, IPTC, STALE, XMP, jpeg_segment, jpeg_with, rdf, tagged_file

from pipelines.manifest.identity import identity
from pipelines.manifest.reader import current_rows
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.decode import Photo, decode
from pipelines.plan.plan import make_plan
from pipelines.rows import PENDING, RESTORED
from pipelines.stages.adapter import run_stage
from pipelines.stages.decode import Decode
from pipelines.stages.restore import Restore
from pipelines.stages.stitch import Stitch
from pipelines.stages.tile import Tile
from pipelines.stages.write import Write
from pipelines.store.store import Store

ENHANCED = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"


def restored(folder: Path, data: bytes, name: str = "a.jpg", **changes: Any) -> tuple[dict[str, Any], Photo]:
    """The sidecar of a photograph's result, and the result read again."""
    (folder / "scans").mkdir(parents=True)
    (folder / "scans" / name).write_bytes(data)
    settings = archive_settings(folder, preset="nano", **changes)
    (row,) = restore_without_model(settings)
    assert row["status"] == RESTORED, row["error_reason"]
    (current,) = current_rows(Store(settings.output)).values()
    sidecar = json.loads((folder / "restored" / f"{row['output_path']}.restoration.json").read_bytes())
    assert json.loads(current["metadata"] or "null") == sidecar["metadata"]
    assert current["warnings"] == sidecar["warnings"] == row["warnings"]
    assert row["metadata_blocks"] is None
    result = folder / "restored" / row["output_path"]
    return sidecar, decode(result.read_bytes(), result.name, DecodeLimits())


@needs_exiftool
def test_a_result_holds_its_source_and_our_statement(tmp_path: Path) -> None:
    data = tagged_file(tmp_path / "a.jpg", "JPEG", [*EXIF, *IPTC, *XMP, *STALE])
    sidecar, result = restored(tmp_path, data)
    assert sidecar["metadata"] == {"carried": ["EXIF", "IPTC-IIM", "XMP"]}
    assert result.orientation == 1
    assert result.dpi == pytest.approx((600, 600), abs=0.1)
    found = exiftool(tmp_path / "restored" / "a.png")
    assert found["IFD0:Copyright"] == "Stadtarchiv"
    assert found["IPTC:Caption-Abstract"] == "Mühle am Bach"
    assert found["XMP-acdsee:Author"] == "unknown schema"
    assert found["XMP-iptcExt:DigitalSourceType"] == ENHANCED == sidecar["disclosure"]
    assert [event["Action"] for event in found["XMP-xmpMM:History"]] == ["created", "edited"]
    assert found["XMP-xmpMM:DerivedFrom"] == {"DocumentID": f"urn:sha256:{sidecar['source_sha256']}"}
    first = (tmp_path / "restored" / "a.png").read_bytes()
    restore_without_model(archive_settings(tmp_path, preset="nano", redo=True))
    assert (tmp_path / "restored" / "a.png").read_bytes() == first


@needs_exiftool
def test_none_leaves_all_of_it_out(tmp_path: Path) -> None:
    data = tagged_file(tmp_path / "a.jpg", "JPEG", [*EXIF, *IPTC, *XMP])
    sidecar, result = restored(tmp_path, data, metadata="none")
    assert sidecar["metadata"] is None
    assert result.metadata.names == ["XMP"]  # our statement
    found = exiftool(tmp_path / "restored" / "a.png")
    assert not [name for name in found if name.startswith(("GPS", "IPTC", "IFD0", "XMP-dc", "XMP-acdsee"))]
    assert found["XMP-iptcExt:DigitalSourceType"] == ENHANCED


def test_without_disclosure_the_source_alone_speaks(tmp_path: Path) -> None:
    packet = rdf("", 'xmlns:m="urn:m" m:a="b"')
    data = jpeg_with(jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet))
    sidecar, result = restored(tmp_path, data, disclosure=False, undisclosed_because="a test")
    assert sidecar["metadata"] == {"carried": ["XMP"]}
    assert b'm:a="b"' in result.metadata.xmp
    assert b"FaithArchive" not in result.metadata.xmp


def test_broken_blocks_are_named_and_kept_aside(tmp_path: Path) -> None:
    segments = [
        jpeg_segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff<script>alert(1)</script>"),
        jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x" + b"y" * 9000),
    ]
    sidecar, result = restored(tmp_path, jpeg_with(*segments))
    exif, xmp = sidecar["metadata"]["aside"]
    assert (exif["block"], xmp["block"]) == ("EXIF", "XMP")
    assert (exif["size"], xmp["size"], xmp["content"]) == (33, 9002, "")
    assert exif["content"].startswith("SUkqAP")
    assert len(xmp["sha256"]) == 64
    assert sidecar["metadata"]["carried"] == []
    assert [line for line in sidecar["warnings"] if line.startswith("metadata: EXIF of 33 bytes is broken")]
    assert [line for line in sidecar["warnings"] if line.startswith("metadata: XMP of 9002 bytes is not well formed")]
    assert not [line for line in sidecar["warnings"] if "<script>" in line]
    assert result.metadata.exif == b""


def test_sources_without_metadata_say_so(tmp_path: Path) -> None:
    save_photo(tmp_path / "b.png", picture(20, 24))
    sidecar, _ = restored(tmp_path, (tmp_path / "b.png").read_bytes(), "b.png")
    assert sidecar["metadata"] == {"carried": []}
    assert sidecar["warnings"] == []


def test_tiles_carry_it_once(tmp_path: Path) -> None:
    comment = b"found in the attic"
    save_photo(tmp_path / "scans" / "a.jpg", picture(90, 70), comment=comment)
    settings = archive_settings(tmp_path, steps=1, guidance_scale=1.0, tile=128, format="jpeg")
    (row,) = make_plan(settings).pending
    table = run_stage(Tile(settings), run_stage(Decode(settings), table_of({**row, "run_id": "r", "flow_run_id": ""})))
    assert [bool(part) for part in table.column("metadata_blocks").to_pylist()] == [True, False, False, False]
    for stage in (Restore(settings, threads=1), Write(settings)):
        table = run_stage(stage, table)
    parts = table.to_pylist()
    (joined,) = run_stage(Stitch(settings), table_of({**parts[-1], "status": PENDING})).to_pylist()
    assert joined["status"] == RESTORED, joined["error_reason"]
    assert json.loads(joined["metadata"]) == {"carried": ["texts"]}
    result = (tmp_path / "restored" / "a.jpg").read_bytes()
    assert decode(result, "a.jpg", DecodeLimits()).metadata.texts[0].text.encode() == comment


def test_results_of_before_stay_done(tmp_path: Path) -> None:
    """They hold no metadata and are not planned anew; their identity is another, as their bytes are."""
    save_photo(tmp_path / "scans" / "a.png")
    settings = archive_settings(tmp_path)
    assert "metadata" not in settings.result_settings()
    assert settings.result_digest() != archive_settings(tmp_path, metadata="none").result_digest()
    assert archive_settings(tmp_path, metadata="none").result_settings("film").get("metadata") is None
    before = identity("a", "b", "c", 0, disclosed=True)
    assert identity("a", "b", "c", 0, disclosed=True, carried=True) != before
    restore_without_model(settings)
    assert make_plan(settings).pending == []
