"""The files that a restored film becomes: the result, its copies, the comparison. All are whole before any is published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from types import TracebackType

import numpy as np

from pipelines.film.beside import COMPARISON, files_beside
from pipelines.film.plan import FilmPlan
from pipelines.film.sinks import ComparisonSink, FileSink, OutputRecord, SequenceSink, Sink
from pipelines.film.source import film_opener, open_film, reading_film
from pipelines.manifest.disclosure import disclosure_of
from pipelines.manifest.naming import output_format
from pipelines.media.film.write.comparison import ComparisonWriter
from pipelines.media.film.write.statement import NOTHING, Statement
from pipelines.media.film.write.writer import FilmWriter
from pipelines.rows import Row
from pipelines.settings import Settings
from pipelines.store.concurrency import prefetch
from pipelines.store.large_files import publishing
from pipelines.store.store import Store

__all__ = ["FilmOutputs"]


class FilmOutputs(AbstractContextManager["FilmOutputs"]):
    """All outputs of one film, written frame by frame; a context. They appear in the store when it ends without an error.

    Args:
        row: of the film.
        plan: of the film.
        settings: formats and copies.
        source, output: the stores.
        only: what alone is made, beside a result that is there: a kind (`beside.files_beside`) by its path; None makes all.

    Attributes:
        disclosure: IPTC Digital Source Type that the outputs state; None where they state none.
    """

    def __init__(
        self,
        row: Row,
        plan: FilmPlan,
        settings: Settings,
        source: Store,
        output: Store,
        only: Mapping[str, str] | None = None,
    ) -> None:
        self._only = only
        self._row, self._plan, self._settings, self._source, self._output = row, plan, settings, source, output
        self._stack = ExitStack()
        stated = disclosure_of(row, settings.source_type) if settings.disclosure else None
        self._stated = Statement(stated.tags(), stated.xmp()) if stated else NOTHING
        self.disclosure = stated.source_type if stated else None
        self._sinks: list[Sink] = []

    def __enter__(self) -> FilmOutputs:
        settings, path = self._settings, self._row["output_path"]
        kind = output_format(self._row["source_path"], settings.formats)
        with ExitStack() as stack:
            if self._only is None and kind == "sequence":
                self._sinks.append(
                    SequenceSink(self._row, self._plan, settings, self._source, self._output, self._stated.xmp)
                )
            elif self._only is None:
                self._sinks.append(self._film(stack, path, kind))
            beside = {path + suffix: name for suffix, name in files_beside(self._row["source_path"], settings).items()}
            for other, name in (beside if self._only is None else self._only).items():
                sink = self._comparison(stack, other) if name == COMPARISON else self._film(stack, other, name)
                self._sinks.append(sink)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, number: int, pixels_HWC: np.ndarray) -> None:
        """The next frame, uint16 [H, W, 3], to all of them."""
        for sink in self._sinks:
            sink.write(number, pixels_HWC)

    def finish(self) -> list[OutputRecord]:
        """Close all; the result comes first. Raises ItemError where one is not what was written."""
        return [sink.finish() for sink in self._sinks]

    def _film(self, stack: ExitStack, path: str, kind: str) -> Sink:
        local = stack.enter_context(publishing(self._output, path))
        facts, settings = self._plan.facts, self._settings
        writer = stack.enter_context(
            FilmWriter(
                local,
                kind,
                facts,
                width=self._row["output_width"],
                height=self._row["output_height"],
                timeline=self._plan.timeline,
                carried=film_opener(self._source, self._row["source_path"]),
                name=self._row["source_path"],
                bits=None if settings.film_bits == "auto" else int(settings.film_bits),
                stated=self._stated,
            )
        )
        return FileSink(path, kind.upper(), local, writer)

    def _comparison(self, stack: ExitStack, path: str) -> Sink:
        local = stack.enter_context(publishing(self._output, path))
        writer = stack.enter_context(
            ComparisonWriter(
                local,
                self._plan.facts,
                width=self._row["output_width"],
                height=self._row["output_height"],
                timeline=self._plan.timeline,
                carried=film_opener(self._source, self._row["source_path"]),
                name=self._row["source_path"],
                stated=self._stated,
            )
        )
        return ComparisonSink(path, local, writer, self._sources(stack))

    def _sources(self, stack: ExitStack) -> Iterator[np.ndarray]:
        """The source's frames from the first on, a few ahead."""
        name = self._row["source_path"]
        reader = open_film(self._source, name, self._settings)

        def frames() -> Iterator[np.ndarray]:
            with reading_film(name):
                for frame in reader.frames(self._plan.timeline, 0, len(self._plan.timeline)):
                    yield frame.pixels

        return stack.enter_context(closing(prefetch(frames())))
