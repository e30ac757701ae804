"""A small archive that was really restored, and its exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from archive_steps import archive_settings, picture, restore_without_model, save_photo
from PIL import Image, ImageDraw

from pipelines.export.export import ExportOptions, ExportResult, export
from pipelines.export.profiles import ProfileName, profile_of
from pipelines.settings import Settings
from pipelines.store.store import Store

# Names that trouble somebody: other scripts, spaces, what BagIt escapes, what Archivematica takes for a comment, what Bulkrax
# splits at, what a spreadsheet takes for a formula, what XML and CSV quote, and a file of the same stem.
NAMES = (
    "a.png", "a.tif", "1924/b.tif", "1924/Семья 100% #1.jpg", "=cmd|x;y:z.png", 'dir & "q" <x>/line, comma.png',
)  # fmt: skip
BASE_URL = "https://archive.example/iiif"


def restored_archive(folder: Path, names: tuple[str, ...] = NAMES, **changes: Any) -> Settings:
    """An archive whose results lie in `folder/restored`; the first photograph has a scratch, which was filled."""
    settings = archive_settings(folder, **({"repair_damage": "fill"} | changes))
    scratched = Image.new("RGB", (160, 120), (120, 110, 100))
    ImageDraw.Draw(scratched).line([(30, 0), (34, 119)], fill=(250, 250, 250), width=2)
    for number, name in enumerate(names):
        pixels = picture(40, 60, seed=number)
        save_photo(folder / "scans" / name, pixels)
    scratched.save(folder / "scans" / names[0])
    restore_without_model(settings, damage=True)
    return settings


def exported(settings: Settings, destination: Path | str, profile: ProfileName, **changes: Any) -> ExportResult:
    """Export an archive as the command does."""
    signer = changes.pop("signer", None)
    base_url = BASE_URL if profile == "iiif" else ""
    options: dict[str, Any] = {
        "output": settings.output,
        "destination": str(destination),
        "base_url": base_url,
        "retry_seconds": 0.0,
    }
    return export(ExportOptions(**(options | changes)), profile_of(profile, base_url), signer=signer)


def tree(store: Store | Path) -> dict[str, bytes]:
    """Every file of a store outside our own folder, by path."""
    store = Store(str(store)) if isinstance(store, Path) else store
    return {entry.path: store.read(entry.path) for entry in store.list() if not entry.path.startswith("_faitharchive")}
