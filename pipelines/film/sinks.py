"""What a restored film is written into, frame by frame: a file, a comparison, or the numbered files of a sequence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NotRequired, Protocol, TypedDict

import numpy as np

from pipelines.film.plan import FilmPlan
from pipelines.film.source import open_film, reading_film
from pipelines.manifest.naming import frames_folder
from pipelines.manifest.ownership import lies_there, publish_member
from pipelines.media.film.sequence.encode import frame_encoder
from pipelines.media.film.sequence.listing import listing_line
from pipelines.media.film.sequence.reader import SequenceReader
from pipelines.media.film.write.comparison import ComparisonWriter
from pipelines.media.film.write.writer import FilmWriter
from pipelines.media.limits import limits_of
from pipelines.rows import Row
from pipelines.settings import Settings
from pipelines.store.large_files import file_digest
from pipelines.store.layout import sidecar_path, xmp_path
from pipelines.store.store import Store

__all__ = ["ComparisonSink", "FileSink", "OutputRecord", "SequenceSink", "Sink"]


class OutputRecord(TypedDict):
    """One output of a film, as the manifest's column `film` holds it.

    `path` and, of a sequence, the `folder` of its frames are in the output store; `size` and `frames_size` are bytes.
    """

    path: str
    format: str
    sha256: str
    size: int
    warnings: list[str]
    folder: NotRequired[str]
    frames_size: NotRequired[int]


class Sink(Protocol):
    """Something that is being written."""

    def write(self, number: int, pixels_HWC: np.ndarray) -> None:
        """The next frame, uint16 [H, W, 3]."""
        ...

    def finish(self) -> OutputRecord:
        """Close it; what it is: path, format, sha256, size, warnings. Raises ItemError where it is not what was written."""
        ...


class FileSink:
    """A film file.

    Args:
        path: in the store.
        format: for the record.
        local: where it is written.
        writer: an open `FilmWriter`.
    """

    def __init__(self, path: str, format: str, local: Path, writer: FilmWriter) -> None:
        self._path, self._format, self._local, self._writer = path, format, local, writer

    def write(self, number: int, pixels_HWC: np.ndarray) -> None:
        self._writer.write(pixels_HWC)

    def finish(self) -> OutputRecord:
        self._writer.close()
        return _record(self._path, self._format, self._local, self._writer)


class ComparisonSink:
    """Source and result side by side.

    Args:
        path: in the store.
        local: where it is written.
        writer: an open `ComparisonWriter`.
        sources: the source's frames from the first on.
    """

    def __init__(self, path: str, local: Path, writer: ComparisonWriter, sources: Iterator[np.ndarray]) -> None:
        self._path, self._local, self._writer, self._sources = path, local, writer, sources

    def write(self, number: int, pixels_HWC: np.ndarray) -> None:
        self._writer.write(next(self._sources), pixels_HWC)

    def finish(self) -> OutputRecord:
        self._writer.close()
        return _record(self._path, "COMPARISON", self._local, self._writer)


class SequenceSink:
    """Numbered files like the source's, each published by itself, and at last the list of them: what makes the sequence whole.

    The list is as `sha256sum` writes it, relative to its own folder.

    Args:
        row: of the film.
        plan: of the film.
        settings: for the limits of the source's files.
        source, output: the stores.
        xmp: packet that says how the frames were made, for a file beside the list; none if empty.
    """

    def __init__(
        self, row: Row, plan: FilmPlan, settings: Settings, source: Store, output: Store, xmp: bytes = b""
    ) -> None:
        self._xmp = xmp
        self._row, self._plan, self._source, self._output = row, plan, source, output
        reader = open_film(source, row["source_path"], settings)
        assert isinstance(reader, SequenceReader)
        self._reader = reader
        self._encode = frame_encoder(row["source_path"], plan.facts, limits_of(settings))
        self._folder = frames_folder(row["output_path"])
        self._lines: list[str] = []
        self._size = 0
        self._ours = lies_there(output, row)
        # Frames of an earlier result are replaced one by one: from now on they are of no whole result.
        output.retract(sidecar_path(row["output_path"]))

    def write(self, number: int, pixels_HWC: np.ndarray) -> None:
        with reading_film(self._row["source_path"]):
            original = self._source.read(self._reader.original(self._plan.timeline, number))
        data = self._encode(pixels_HWC, original)
        name = self._reader.path(number).rpartition("/")[2]
        self._publish(f"{self._folder}/{name}", data)
        self._lines.append(listing_line(hashlib.sha256(data).hexdigest(), f"{self._folder.rpartition('/')[2]}/{name}"))
        self._size += len(data)

    def finish(self) -> OutputRecord:
        data = "".join(self._lines).encode()
        if self._xmp:
            self._publish(xmp_path(self._row["output_path"]), self._xmp)
        elif self._ours:
            self._output.retract(xmp_path(self._row["output_path"]))
        self._publish(self._row["output_path"], data)
        return {
            "path": self._row["output_path"],
            "format": f"{self._plan.facts.codec.upper()} sequence",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size": len(data),
            "folder": self._folder,
            "frames_size": self._size,
            "warnings": [],
        }

    def _publish(self, path: str, data: bytes) -> None:
        publish_member(self._output, path, data, ours=self._ours)


def _record(path: str, format: str, local: Path, writer: FilmWriter | ComparisonWriter) -> OutputRecord:
    sha256, size = file_digest(local)
    noted = [f"{format}: {line}" for line in (*writer.warnings, *(f"left out: {text}" for text in writer.left_out))]
    return {"path": path, "format": format, "sha256": sha256, "size": size, "warnings": noted}
