"""A film that was restored before: whether its result is whole, and which files beside it are wanted and not there.

Copies and comparisons are made of the result, so that wanting another never restores a film again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from pipelines.film.beside import files_beside
from pipelines.film.sinks import OutputRecord
from pipelines.film.source import frames_of
from pipelines.manifest.naming import frames_folder, output_format
from pipelines.manifest.sidecar import read_sidecar
from pipelines.media.film.container.reader import open_container
from pipelines.media.film.facts import FilmOptions, FilmReader
from pipelines.media.film.sequence.reader import open_sequence
from pipelines.media.limits import limits_of
from pipelines.rows import RESTORED, Row
from pipelines.setting_types import DERIVED
from pipelines.settings import Settings
from pipelines.store.large_files import opener
from pipelines.store.layout import sidecar_path
from pipelines.store.store import Store

__all__ = ["film_record", "missing_beside", "published", "result_frames"]


def published(output: Store, row: Row, settings: Settings) -> Row | None:
    """The row of a film's result that lies in the output, whole, of the same source, network and settings but for what is made
    beside it; None where there is none, or all is to be made anew.

    Args:
        output: the store.
        row: of the film, with its source's digest.
        settings: of the film.

    Raises:
        OSError: the store fails.
    """
    if settings.redo:
        return None
    try:
        before = read_sidecar(output.read(sidecar_path(row["output_path"])))
    except FileNotFoundError:
        return None
    if before is None or before["status"] != RESTORED or not before["film"]:
        return None
    same = all(before[name] == row[name] for name in ("output_path", "source_sha256", "model_digest", "seed"))
    described = settings.captions != "none" and before["settings_digest"] != row["settings_digest"]
    if not same or described or _restoring(before["settings"]) != _restoring(row["settings"]):
        return None
    records = film_record(before)["outputs"]
    return before if records and _is_whole(output, records[0]) else None


def missing_beside(output: Store, before: Row, row: Row, settings: Settings) -> dict[str, str]:
    """Of `files_beside`, those that are not there as they were written, by path."""
    records = {record["path"]: record for record in film_record(before)["outputs"]}
    wanted = {row["output_path"] + suffix: kind for suffix, kind in files_beside(row["source_path"], settings).items()}
    return {path: kind for path, kind in wanted.items() if path not in records or not _is_whole(output, records[path])}


def film_record(row: Row) -> dict[str, list[OutputRecord]]:
    """What a row's column `film` says; of it the outputs are read here."""
    record: dict[str, list[OutputRecord]] = json.loads(row["film"] or "{}")
    record.setdefault("outputs", [])
    return record


def result_frames(output: Store, row: Row, settings: Settings) -> Iterator[np.ndarray]:
    """A result's frames in order: uint16 [H, W, 3], full range.

    Raises:
        ItemError: it cannot be read.
    """
    for frame in _reader(output, row, settings).scan():
        pixels = frame.pixels
        yield pixels if pixels.dtype == np.uint16 else pixels.astype(np.uint16) * 257


def _reader(output: Store, row: Row, settings: Settings) -> FilmReader:
    path = row["output_path"]
    pixels = (row["output_width"] or 0) * (row["output_height"] or 0)  # as many as it was written with, and no more
    options = FilmOptions(deinterlace="keep", max_pixels=pixels, max_frames=settings.max_film_frames)
    if output_format(row["source_path"], settings.formats) != "sequence":
        return open_container(opener(output, path), path, options)
    pattern = f"{frames_folder(path)}/{row['source_path'].rpartition('/')[2]}"
    return open_sequence(pattern, frames_of(output, pattern).numbers, output.read, options, limits_of(settings))


def _restoring(settings: str | None) -> dict[str, object]:
    """Recorded settings without those of what is made beside a result."""
    return {name: value for name, value in json.loads(settings or "{}").items() if name not in DERIVED}


def _is_whole(output: Store, record: OutputRecord) -> bool:
    """Whether an output is what was written; of a sequence each of its frames."""
    try:
        if output.sha256(record["path"]) != (record["sha256"], record["size"]):
            return False
        if "folder" not in record:
            return True
        above = record["path"].rpartition("/")[0]
        lines = (line.split("  ", 1) for line in output.read(record["path"]).decode().splitlines())
        return all(output.sha256(f"{above}/{name}".lstrip("/"))[0] == sha256 for sha256, name in lines)
    except FileNotFoundError:
        return False
