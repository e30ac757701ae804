"""The items of an archive as a reviewer's page lists them: one card an item, from its current row in the manifest."""

from __future__ import annotations

import fnmatch
import json
import threading
import time
from collections import OrderedDict

import pyarrow as pa

from pipelines.manifest.index import RowTable
from pipelines.manifest.reader import manifest_files, read_manifest_file
from pipelines.manifest.scratch import count, scratch_database
from pipelines.media.film.facts import JsonObject
from pipelines.rows import MANIFEST_SCHEMA, Row
from pipelines.store.store import Store

__all__ = ["MOST_CARDS", "Gallery"]

MOST_CARDS = 200_000  # on one page: some 60 MB in a browser
_TEXT = 300  # characters of a caption that are sent for searching
_NEEDED = ("item_id", "run_id", "finished_at", "source_path")
_WANTED = (
    "status", "media_kind", "width", "height", "output_width", "output_height", "frames", "pages", "caption", "warnings",
    "error_code", "error_reason", "lq_psnr_db", "output_sha256", "source_sha256", "settings_digest", "model_trained",
    "model_preset", "damage_mask_sha256", "trust", "consistency_ssim", "consistency_colour",
    "consistency_worst_db", "sensitive", "needs_review",
)  # fmt: skip
# Sent as numbers of a list of distinct values.
_NAMED = ("status", "media_kind", "error_code", "model_preset")
_LOOK_AGAIN = 5.0  # seconds
_TABLES = 4  # manifest files that are kept in memory, for the rows that are looked at


class Gallery:
    """The current rows of a manifest. Can be shared by threads.

    Args:
        output: the store of the results.
        only: glob of source paths; empty for all.

    Attributes:
        total: items that the manifest knows and `only` takes; more than `MOST_CARDS` are not on the page.
    """

    def __init__(self, output: Store, only: str = "") -> None:
        self._output, self._only = output, only
        self._lock = threading.Lock()
        self._version = ""
        self._listed = float("-inf"), ""
        self._files: list[str] = []
        self._places: dict[str, tuple[int, int]] = {}
        self._results: dict[str, tuple[str, str]] = {}
        self._tables: OrderedDict[str, pa.Table] = OrderedDict()
        self._json = b"{}"
        self.total = 0

    def cards(self) -> tuple[str, bytes]:
        """The version of the manifest, and its cards as JSON: lists of equal length by column, in order of path.

        Raises:
            StoreError: the manifest cannot be read; named.
        """
        with self._lock:
            self._refresh()
            return self._version, self._json

    def version(self) -> str:
        """Changes when the manifest does; a few seconds late, as pages ask often. Raises StoreError."""
        with self._lock:
            now = time.monotonic()
            if now - self._listed[0] > _LOOK_AGAIN:
                self._listed = now, self._list()
            return self._listed[1]

    def _list(self) -> str:
        """The manifest's files, as one text."""
        return " ".join(f"{entry.path.rpartition('/')[2]}:{entry.size}" for entry in manifest_files(self._output))

    def row(self, item_id: str) -> Row | None:
        """An item's current row with all columns; None where there is no such item.

        Raises:
            StoreError: the manifest cannot be read; named.
        """
        with self._lock:
            if not self._version:
                self._refresh()
            place = self._places.get(item_id)
            return None if place is None else self._row(*place)

    def result(self, item_id: str) -> tuple[str, str] | None:
        """Digests of an item's result and of its settings, as they were when the cards were read; None where there is none."""
        return self._results.get(item_id)

    def rows(self, item_ids: list[str]) -> list[Row]:
        """Current rows of some items, those that there are, in their order. Raises StoreError."""
        with self._lock:
            if not self._version:
                self._refresh()
            # File by file: each is read once.
            places = [(self._places[name], at) for at, name in enumerate(item_ids) if name in self._places]
            found = {at: self._row(*place) for place, at in sorted(places)}
            return [found[at] for at in sorted(found)]

    def _row(self, file: int, position: int) -> Row:
        path = self._files[file]
        if path not in self._tables:
            self._tables[path] = read_manifest_file(self._output, path)
            while len(self._tables) > _TABLES:
                self._tables.popitem(last=False)
        self._tables.move_to_end(path)
        row: Row = self._tables[path].slice(position, 1).to_pylist()[0]
        return row

    def _refresh(self) -> None:
        version = self._list()
        self._listed = time.monotonic(), version
        if version == self._version and version:
            return
        wanted = [name for name in (*_NEEDED, *_WANTED) if name in MANIFEST_SCHEMA.names]
        files = [entry.path for entry in manifest_files(self._output)]
        with scratch_database() as database:
            rows = RowTable(database, wanted)
            for path in files:
                table = read_manifest_file(self._output, path, wanted)
                rows.add(table, self._chosen(table))
            rows.keep_newest("newest")
            self.total = count(database, "select count(*) from newest")
            table = database.sql(f"select * from newest order by source_path limit {MOST_CARDS}").to_arrow_table()
        found = {name: table[name].to_pylist() for name in table.column_names}
        places = zip(found.pop("file"), found.pop("position"), strict=True)
        self._places = dict(zip(found["item_id"], places, strict=True))
        results = zip(found["output_sha256"], found["settings_digest"], strict=True)
        self._results = {
            name: (sha256 or "", digest or "") for name, (sha256, digest) in zip(found["item_id"], results, strict=True)
        }
        self._files, self._version = files, version
        self._tables.clear()
        self._json = json.dumps(_as_cards(found, self.total), ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "replace"
        )

    def _chosen(self, table: pa.Table) -> list[int] | None:
        if not self._only:
            return None
        paths = table["source_path"].to_pylist()
        return [at for at, path in enumerate(paths) if fnmatch.fnmatchcase(path or "", self._only)]


def _as_cards(found: JsonObject, total: int) -> JsonObject:
    columns: JsonObject = {name: values for name, values in found.items() if name not in ("run_id", "finished_at")}
    columns["caption"] = [(text or "")[:_TEXT] for text in found["caption"]]
    columns["source_sha256"] = [(text or "")[:16] for text in found["source_sha256"]]
    columns["output_sha256"] = [(text or "")[:16] for text in found["output_sha256"]]
    columns.pop("settings_digest")
    columns["damage_mask_sha256"] = [bool(text) for text in found["damage_mask_sha256"]]
    for name in ("lq_psnr_db", "trust", "consistency_ssim", "consistency_colour", "consistency_worst_db"):
        if name in columns:
            columns[name] = [None if value is None else round(value, 4) for value in columns[name]]
    names: dict[str, list[object]] = {}
    for name in _NAMED:
        names[name] = sorted({value or "" for value in columns[name]})
        number = {value: at for at, value in enumerate(names[name])}
        columns[name] = [number[value or ""] for value in columns[name]]
    texts: dict[str, int] = {}
    columns["warnings"] = [
        [texts.setdefault(line, len(texts)) for line in (lines or "").splitlines()] for lines in columns["warnings"]
    ]
    names["warnings"] = list(texts)
    return {"total": total, "count": len(columns["item_id"]), "names": names, "columns": columns}
