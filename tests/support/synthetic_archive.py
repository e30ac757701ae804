"""Stores of any number of files that exist in their listing alone, a thousand a folder, and a real manifest that covers them.

Reading any of those files is an error: a plan may only list. Our own folder of an output is a real one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from pipelines.manifest.naming import item_id
from pipelines.rows import MANIFEST_SCHEMA, RESTORED, SCHEMA_VERSION
from pipelines.settings import Settings
from pipelines.store.layout import MANIFEST, PRIVATE, RUNS, SIDECAR_SUFFIX

_A_FOLDER = 1000
_SIZE, _VERSION = 123_456, "2024-05-06 07:08:09+00:00"
_FILE_ROWS = 2000  # as `ManifestWriter` has them
_RUN = "20250611T221500.123Z-abcdef"


class SyntheticFileSystem(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """`synthetic://scans-<files>` and `synthetic://restored-<files>`. Counts what it is asked for.

    Attributes:
        own: local folder of each root that has one.
        listed, read: folders listed and files read since they were last set to 0.
    """

    protocol = "synthetic"
    own: dict[str, Path] = {}  # noqa: RUF012 (all instances are one store)
    listed = read = 0

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """A folder's entries, in order."""
        SyntheticFileSystem.listed += 1
        path = self._strip_protocol(path).rstrip("/")
        root, _slash, below = path.partition("/")
        kind, files = root.split("-")[0], int(root.split("-")[1])
        if below.startswith(PRIVATE):
            found = self._own_entries(root, below)
        elif below:
            first = int(below.removeprefix("box ")) * _A_FOLDER
            found = [
                {"name": f"{path}/{name}", "size": size, "type": "file", "mtime": _VERSION}
                for number in range(first, min(first + _A_FOLDER, files))
                for name, size in _names(kind, number)
            ]
        else:
            boxes = [f"box {number:06d}" for number in range(-(-files // _A_FOLDER))]
            names = [PRIVATE, *boxes] if root in self.own else boxes
            found = [{"name": f"{path}/{name}", "size": 0, "type": "directory"} for name in names]
        return found if detail else [entry["name"] for entry in found]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """A root is a folder; of nothing else is it asked for."""
        path = self._strip_protocol(path).rstrip("/")
        root, _slash, below = path.partition("/")
        if below.startswith(PRIVATE) and root in self.own:
            return LocalFileSystem().info(str(self.own[root] / below)) | {"name": path}
        if below:
            raise FileNotFoundError(path)
        return {"name": path, "size": 0, "type": "directory"}

    def cat_file(self, path: str, **_: Any) -> bytes:
        """A file of our own folder."""
        SyntheticFileSystem.read += 1
        root, _slash, below = self._strip_protocol(path).partition("/")
        if not below.startswith(f"{PRIVATE}/"):
            raise AssertionError(f"{path} was read")
        return (self.own[root] / below).read_bytes()

    def _own_entries(self, root: str, below: str) -> list[dict[str, Any]]:
        folder = self.own[root] / below if root in self.own else None
        if folder is None or not folder.is_dir():
            raise FileNotFoundError(below)
        return [
            {
                "name": f"{root}/{below}/{path.name}",
                "size": path.stat().st_size,
                "type": "directory" if path.is_dir() else "file",
            }
            for path in sorted(folder.iterdir())
        ]


def synthetic_archive(folder: Path, files: int, *, done: int = 0, **changes: Any) -> Settings:
    """Settings of an archive of which the first `done` photographs are restored by a run that came to its end.

    Args:
        folder: gets the manifest.
        files: photographs.
        done: how many of them are restored.
        changes: further settings.
    """
    fsspec.register_implementation("synthetic", SyntheticFileSystem, clobber=True)
    settings = Settings(
        source=f"synthetic://scans-{files}", output=f"synthetic://restored-{done}", preset="tiny", steps=1
    )
    settings = Settings(**(settings.model_dump() | changes))
    SyntheticFileSystem.own[f"restored-{done}"] = folder
    (folder / MANIFEST / f"run={_RUN}").mkdir(parents=True)
    if done:
        from faithdiff_model.weights.files import model_digest

        (folder / RUNS).mkdir()
        (folder / RUNS / f"{_RUN}.json").write_text('{"only": ""}')
        constant = _constant_columns(settings, model_digest(settings.model_spec()))
        for part, first in enumerate(range(0, done, _FILE_ROWS)):
            _write_part(
                folder / MANIFEST / f"run={_RUN}" / f"part-{part:05d}.parquet",
                range(first, min(first + _FILE_ROWS, done)),
                settings,
                constant,
            )
    return settings


def _names(kind: str, number: int) -> list[tuple[str, int]]:
    if kind == "scans":
        return [(f"IMG_{number:08d}.jpg", _SIZE)]
    return [(f"IMG_{number:08d}.png", 4 * _SIZE), (f"IMG_{number:08d}.png{SIDECAR_SUFFIX}", 2500)]


def _constant_columns(settings: Settings, model: str) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": _RUN,
        "source_size": _SIZE,
        "source_version": _VERSION,
        "output_size": 4 * _SIZE,
        "status": RESTORED,
        "warnings": [],
        "attempt": 1,
        "settings": '{"preset": "tiny"}',
        "settings_digest": settings.result_digest(),
        "model_digest": model,
        "seed": settings.seed,
        "started_at": datetime(2025, 6, 11, 22, 15, tzinfo=UTC),
        "finished_at": datetime(2025, 6, 11, 22, 16, tzinfo=UTC),
    }


def _write_part(path: Path, numbers: range, settings: Settings, constant: dict[str, Any]) -> None:
    sources = [f"box {number // _A_FOLDER:06d}/IMG_{number:08d}.jpg" for number in numbers]
    outputs = [f"{source.removesuffix('.jpg')}.png" for source in sources]
    ids = [item_id(source) for source in sources]
    columns: dict[str, list[Any]] = {
        "item_id": ids,
        "source_path": sources,
        "source_uri": [f"{settings.source}/{source}" for source in sources],
        "source_sha256": [name * 2 + "0" * 16 for name in ids],
        "output_path": outputs,
        "output_uri": [f"{settings.output}/{output}" for output in outputs],
        "output_sha256": ["f" * 16 + name * 2 for name in ids],
        "identity": ["1" * 16 + name * 2 for name in ids],
    }
    arrays = [
        pa.array(columns.get(field.name, [constant.get(field.name)] * len(numbers)), field.type)
        for field in MANIFEST_SCHEMA
    ]
    pq.write_table(pa.Table.from_arrays(arrays, schema=MANIFEST_SCHEMA), path, compression="zstd")
