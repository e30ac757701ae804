"""Which photographs there are: the source store's listing as a table, and those that cannot even be planned.

sources  (SOURCE_SCHEMA)  photographs to consider
folders  (path, key)      the folders that their outputs would lie in; key is folded
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pipelines.catalogue import Catalogue
from pipelines.errors import ItemError
from pipelines.inventory import Filling, create_table
from pipelines.media.photo import PHOTO_SUFFIXES
from pipelines.naming import (
    SIDECAR_SUFFIX,
    folded,
    folders_of,
    item_id,
    plain_output,
    refusal,
    suffix_of,
    visible,
)
from pipelines.rows import Row, fail, new_row
from pipelines.settings import Settings
from pipelines.storage import PRIVATE, Entry, OutsideError, Store

SOURCE_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("path", pa.string()),
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
) -> None:
    """List the sources into `sources` and `folders`.

    Args:
        database: gets the tables.
        source, output: the stores.
        settings: `only`, `format`, and what results depend on.
        catalogue: descriptions, if there are any.
        skipped: gets the number of files that are not photographs, by extension.
        on_failed: called with the final row of what cannot be planned: names that cannot be used, folders that cannot be
            listed, links that lead out.

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
        for entry in source.list(on_refused=refused):
            path = entry.path
            suffix = suffix_of(path).lower()
            if suffix not in PHOTO_SUFFIXES or path.startswith(f"{PRIVATE}/"):
                kind = suffix or visible(path.rpartition("/")[2])
                skipped[kind if kind in skipped or len(skipped) < _KINDS else _OTHERS] += 1
                continue
            if settings.only and not fnmatch.fnmatchcase(path, settings.only):
                continue
            reason = refusal(path, room)
            if reason:
                failed(path, "bad_name", reason)
            elif entry.outside:
                failed(path, "outside", _ELSEWHERE("the file"))
            else:
                sources.add(*_source(entry, settings, catalogue))
                if (parent := path.rpartition("/")[0]) != last:
                    last = parent
                    for folder in folders_of(path):
                        folders.add(folder, folded(folder))


def _source(entry: Entry, settings: Settings, catalogue: Catalogue | None) -> tuple[Any, ...]:
    path = entry.path
    caption = catalogue.get(path) if catalogue else None
    output = plain_output(path, settings.format)
    return (
        item_id(path),
        path,
        min(entry.size, _LARGEST),
        entry.version,
        output,
        folded(output),
        suffix_of(output),
        caption,
        settings.result_digest(caption) if caption else None,
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
