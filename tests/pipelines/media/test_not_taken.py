"""What files are called that are not taken: by their names, in plain words, with what to do where something can be done."""

from __future__ import annotations

import pytest

from pipelines.media.kinds import kind_of
from pipelines.media.not_taken import UNKNOWN, other_kind

NAMES = {
    "Photoshop documents": ["a.psd", "B.PSB"],
    "PDF and PostScript documents": ["box/a.pdf", "a.eps"],
    "camera raw files": ["a.NEF", "a.cr2", "a.dng"],
    "system files": ["Thumbs.db", "box/.DS_Store", "desktop.ini", "._scan.tif", "x.lnk"],
    "sidecars with metadata": ["scan.xmp", "scan.xml"],
    "texts and tables": ["notes.txt", "README", "list.XLSX"],
    "sound": ["a.wav", "a.mp3"],
    "checksums": ["a.md5", "manifest-sha256.txt", "SHA256SUMS", "tagmanifest-md5.txt", "md5sum.txt"],
    "packed files": ["scans.zip"],
    "unfinished and temporary files": ["a.tif.part", "a.tmp"],
    "files of an unknown kind": ["a.qqq", "noending", "a", ".hidden"],
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names])
def test_a_file_is_called_what_it_is(kind: str, name: str) -> None:
    assert other_kind(name).name == kind


def test_what_can_be_converted_says_how() -> None:
    for name in ("a.psd", "a.pdf", "a.nef", "a.r3d", "a.zip", "a.unknown"):
        assert other_kind(name).advice
    for name in ("Thumbs.db", "a.txt", "a.md5"):
        assert not other_kind(name).advice


def test_no_ending_is_both_taken_and_explained() -> None:
    from pipelines.media.not_taken import _BY_ENDING

    assert {ending for ending in _BY_ENDING if kind_of(f"a{ending}")} <= {".sha256"}
    assert UNKNOWN not in _BY_ENDING.values()
