"""What films say of how they were made: in each container's own place, beside the source's tags, and the same each time."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from metadata import exiftool, needs_exiftool
from written_films import KINDS, decoded, source, timeline, write

from pipelines.media.film.write.statement import Statement
from pipelines.media.xmp import xmp_packet

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
STATED = Statement(
    {"DIGITAL_SOURCE_TYPE": SOURCE_TYPE, "AI_SYSTEM_USED": "FaithArchive, preset nano"},
    xmp_packet({"Iptc4xmpExt:DigitalSourceType": SOURCE_TYPE, "xmp:CreatorTool": "FaithArchive 1"}),
)


@pytest.mark.parametrize("kind", KINDS)
def test_the_statement_is_added_and_nothing_else_changes(tmp_path: Path, kind: str) -> None:
    original = source(tmp_path / "source", "matroska", "aac")
    for name, stated in (("with", STATED), ("again", STATED), ("without", Statement())):
        writer = write(tmp_path / name, kind, timeline(range(12), 1), carried=original, stated=stated)
        assert not [line for line in writer.left_out if "xmp" in line.lower() or "DIGITAL" in line]
    data, plain = ((tmp_path / name).read_bytes() for name in ("with", "without"))
    assert data == (tmp_path / "again").read_bytes()
    assert SOURCE_TYPE.encode() in data
    assert SOURCE_TYPE.encode() not in plain
    for one, other in zip(decoded(tmp_path / "with"), decoded(tmp_path / "without"), strict=True):
        assert (one == other).all()
    with av.open(str(tmp_path / "with")) as found, av.open(str(tmp_path / "without")) as without:
        assert without.metadata.items() <= found.metadata.items()
        if kind == "ffv1":
            assert found.metadata["DIGITAL_SOURCE_TYPE"] == SOURCE_TYPE
            assert found.metadata["AI_SYSTEM_USED"] == "FaithArchive, preset nano"


@needs_exiftool
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ffv1"])
def test_exiftool_reads_it_in_mov_and_mp4(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("film.mov" if kind == "prores" else "film.mp4")
    write(path, kind, timeline(range(12), 1), stated=STATED)
    found = exiftool(path)
    assert found["XMP-iptcExt:DigitalSourceType"] == SOURCE_TYPE
    assert found["XMP-xmp:CreatorTool"] == "FaithArchive 1"
    assert not [name for name in found if "Warning" in name]
