"""No file of a source is passed over in silence: each is an item, a failure, or counted with what it is."""

from __future__ import annotations

from pathlib import Path

from archive_steps import archive_settings, save_photo

from pipelines.plan.not_taken import NotTaken
from pipelines.plan.plan import make_plan

NAMES = (
    "a.psd", "b.PSD", "box/c.pdf", "Thumbs.db", "box/Thumbs.db", ".DS_Store", "notes.txt", "x.nef", "README", "reel.mkv",
    "shot.0001.dpx", "shot.0002.dpx", "what.ever",
)  # fmt: skip


def test_every_file_of_the_source_has_a_place(tmp_path: Path) -> None:
    save_photo(tmp_path / "scans" / "a.png")
    save_photo(tmp_path / "scans" / "box" / "b.tif")
    for name in NAMES:
        (tmp_path / "scans" / name).write_bytes(b"x")
    settings = archive_settings(tmp_path, films=False, only="*.png")
    found = make_plan(settings).not_taken.listed()
    assert sum(each["files"] for each in found) == len(NAMES) + 1  # and b.tif, which was not asked for
    assert [(each["kind"], each["pattern"], each["files"]) for each in found] == [
        ("PDF and PostScript documents", "*.pdf", 1),
        ("Photoshop documents", "*.psd", 2),
        ("camera raw files", "*.nef", 1),
        ("files of an unknown kind", "*.ever", 1),
        ("films and their frames", "*.dpx", 2),
        ("films and their frames", "*.mkv", 1),
        ("files that --only leaves out", "*.tif", 1),
        ("system files", "Thumbs.db", 2),
        ("system files", ".DS_Store", 1),
        ("texts and tables", "*.txt", 1),
        ("texts and tables", "README", 1),
    ]
    assert {each["kind"]: each["advice"] for each in found}["Photoshop documents"] == (
        "save each as a flattened TIFF, then run again"
    )


def test_endless_endings_take_no_endless_memory() -> None:
    files = NotTaken()
    for number in range(5000):
        files.add(f"a.x{number}")
    found = files.listed()
    assert sum(each["files"] for each in found) == 5000
    assert len(found) == 1001
    assert found[0] | {"advice": ""} == {
        "pattern": "others",
        "files": 4000,
        "kind": "files of an unknown kind",
        "advice": "",
    }
