"""Which photographs and films there are: the source store's listing as a table, and those that cannot even be planned.

sources  (SOURCE_SCHEMA)  items to consider; numbered frames are one item, named by their pattern
folders  (path, key)      the folders that their outputs would lie in; key is folded
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pipelines.errors import ItemError
from pipelines.manifest.naming import folded, folders_of, item_id, plain_output, refusal, suffix_of, visible
from pipelines.manifest.scratch import Filling, create_table
from pipelines.media.film.sequence.names import SequenceGrouper
from pipelines.media.kinds import FRAME_SUFFIXES, MAYBE_FRAME_SUFFIXES, kind_of, looks_numbered, suffix
from pipelines.plan.catalogue import Catalogue
from pipelines.rows import Row, fail, new_row
from pipelines.settings import Settings
from pipelines.store.layout import PRIVATE, SIDECAR_SUFFIX
from pipelines.store.store import Entry, OutsideError, Store

SOURCE_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("path", pa.string()),
        ("kind", pa.string()),
        ("size", pa.int64()),
        ("version", pa.string()),
        ("output", pa.string()),  # the plain one, until names are given
        ("key", pa.string()),  # the same, folded
        ("ext", pa.string()),
        ("caption", pa.string()),
        ("digest", pa.string()),  # of the settings, where they differ from the run's
    ]
)
_FOLDER_SCHEMA = pa.schema([("path", pa.string()), ("key", pa.string())])
_LARGEST = 2**63 - 1
# Bytes of the longest path: of a file on Linux, and of a key of S3, which are the least of what stores take.
_LOCAL_PATH, _OBJECT_KEY = 4095, 1024
_SPARE = len(SIDECAR_SUFFIX) + 32  # an output's name may be longer than its source's, and so may a partial file's
_KINDS = 1000
_OTHERS = "others"
_ELSEWHERE = (
    "is a link to something outside the source tree; copy {} into it or give its real folder as the source".format
)


def discover(
    database: Any,
    source: Store,
    output: Store,
    settings: Settings,
    catalogue: Catalogue | None,
    skipped: Counter[str],
    on_failed: Callable[[Row], None],
    *,
    film_digest: str = "",
) -> None:
    """List the sources into `sources` and `folders`.

    Args:
        database: gets the tables.
        source, output: the stores.
        settings: `only`, `sequences`, the formats, and what results depend on.
        catalogue: descriptions, if there are any.
        skipped: gets the number of files that are neither photographs nor films, by extension.
        on_failed: called with the final row of what cannot be planned: names that cannot be used, folders that cannot be
            listed, links that lead out.
        film_digest: of the settings, for films without a caption of their own.

    Raises:
        StoreError: the source cannot be listed.
    """
    create_table(database, "sources", SOURCE_SCHEMA)
    create_table(database, "folders", _FOLDER_SCHEMA)
    room = (_LOCAL_PATH if output.local else _OBJECT_KEY) - len(output.root.encode("utf-8", "surrogateescape")) - _SPARE
    last = ""

    def failed(path: str, code: str, reason: str) -> None:
        """Whatever cannot be planned is reported like a file that cannot be read: it must not just vanish."""
        on_failed(_failed_row(source, path, code, reason))

    def refused(folder: str, error: OSError) -> None:
        if isinstance(error, OutsideError):
            failed(folder, "outside", _ELSEWHERE("its files"))
        else:
            failed(
                folder,
                "unreadable",
                f"this folder cannot be listed ({error.strerror or type(error).__name__}); check access",
            )

    with (
        Filling(database, "sources", SOURCE_SCHEMA) as sources,
        Filling(database, "folders", _FOLDER_SCHEMA) as folders,
    ):

        def found(entry: Entry) -> None:
            nonlocal last
            path = entry.path
            if settings.only and not fnmatch.fnmatchcase(path, settings.only):
                return
            reason = refusal(path, room)
            if reason:
                failed(path, "bad_name", reason)
            elif entry.outside:
                failed(path, "outside", _ELSEWHERE("the file"))
            else:
                sources.add(*_source(entry, settings, catalogue, film_digest))
                if (parent := path.rpartition("/")[0]) != last:
                    last = parent
                    for folder in folders_of(path):
                        folders.add(folder, folded(folder))

        frames = SequenceGrouper()
        for entry in source.list(on_refused=refused):
            path = entry.path
            kind = None if path.startswith(f"{PRIVATE}/") else kind_of(path)
            if kind is None or (kind == "film" and not settings.films):
                ending = suffix(path) or visible(path.rpartition("/")[2])
                skipped[ending if ending in skipped or len(skipped) < _KINDS else _OTHERS] += 1
            elif _is_frame(path, settings) and not entry.outside:
                frames.add(path, entry.size, entry.version)
            elif looks_numbered(path):
                failed(path, "bad_name", "its name holds the place of a number, as a frame sequence's does; rename it")
            else:
                found(entry)
        for sequence in frames.sequences():
            found(Entry(sequence.pattern, sequence.size, sequence.version))


def _is_frame(path: str, settings: Settings) -> bool:
    """Whether a file is one of a film's frames: by its kind, or because the archive says so of its folder."""
    ending = suffix(path)
    if ending in FRAME_SUFFIXES:
        return True
    if not settings.films or not settings.sequences or ending not in MAYBE_FRAME_SUFFIXES:
        return False
    folder, _, name = path.rpartition("/")
    return fnmatch.fnmatchcase(folder, settings.sequences) and any(c in "0123456789" for c in name)


def _source(entry: Entry, settings: Settings, catalogue: Catalogue | None, film_digest: str) -> tuple[Any, ...]:
    path = entry.path
    kind = kind_of(path) or "photo"
    caption = catalogue.get(path) if catalogue else None
    output = plain_output(path, settings.formats)
    digest = film_digest if kind == "film" else None
    return (
        item_id(path),
        path,
        kind,
        min(entry.size, _LARGEST),
        entry.version,
        output,
        folded(output),
        suffix_of(output),
        caption,
        settings.result_digest(caption, kind) if caption else digest,
    )


def _failed_row(source: Store, path: str, code: str, reason: str) -> Row:
    name = visible(path)
    row = new_row(
        item_id=item_id(path),
        source_path=name,
        source_uri=f"{source.uri('')}/{name}",
        attempt=1,
        finished_at=datetime.now(UTC),
    )
    return fail(row, "plan", ItemError(code, f"{name}: {reason}"))
