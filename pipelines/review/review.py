"""A review of an archive: its cards, its pictures and its decisions, behind one door. Knows nothing of HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from faithdiff_model.redaction import redact_url
from pipelines.item_settings import check_choices
from pipelines.manifest.decision import UNDO, Decision, Verb
from pipelines.manifest.decisions import DecisionLog
from pipelines.media.film.facts import JsonObject
from pipelines.review.details import details, metadata_lines
from pipelines.review.gallery import Gallery
from pipelines.review.overlays import Overlays
from pipelines.review.pictures import Pictures
from pipelines.review.tile_cache import TileCache
from pipelines.rows import Row
from pipelines.settings import Settings
from pipelines.store.ownership import check_holds_records
from pipelines.store.store import Store, StoreError
from pipelines.store.stores import open_store

__all__ = ["Review"]

_LOOK_AGAIN = 2.0  # seconds before the store is listed again: several pages ask at once
_LONGEST_NAME = 100


class Review:
    """An archive under review. Can be shared by threads.

    Args:
        output: URL of the results.
        source: URL of the scans; empty where they still lie where they were read.
        only: glob of source paths; empty for all.
        reviewer: the name that a page begins with.
        cache: keeps pictures on this machine.
        settings: limits of decoding.

    Raises:
        StoreError: there is no such output, or no item of a manifest in it, or the source is not there.
    """

    def __init__(
        self, output: str, *, source: str = "", only: str = "", reviewer: str = "", cache: TileCache, settings: Settings
    ) -> None:
        self.output = open_store(output, settings.retry_seconds)
        check_holds_records(self.output)
        self._source, self._retry_seconds = source, settings.retry_seconds
        if source:
            open_store(source, settings.retry_seconds).check_exists("source")
        self.reviewer = reviewer
        self.gallery = Gallery(self.output, only)
        self.gallery.cards()
        if not self.gallery.total:
            what = f"has no item that matches {only!r}; look at --only" if only else "holds no manifest yet"
            raise StoreError(f"output {redact_url(output)}: {what}; run faitharchive restore first")
        self.pictures = Pictures(self.output, self.source_of, cache, settings)
        self.overlays = Overlays(self.output)
        self._log = DecisionLog(self.output)
        self._looked: tuple[float, dict[str, Decision]] = (0.0, {})
        self._lock = threading.Lock()

    def source_of(self, row: Row) -> Store:
        """The store that an item's scan lies in. Raises StoreError."""
        if self._source:
            return open_store(self._source, self._retry_seconds)
        uri, path = row["source_uri"] or "", row["source_path"]
        if not uri.endswith(f"/{path}"):
            raise StoreError(f"{path}: the manifest does not say below which folder it was read; give --source")
        return open_store(uri[: -len(path) - 1], self._retry_seconds)

    def details(self, row: Row) -> JsonObject:
        """An item as JSON values. Raises StoreError."""
        return details(row, self._log.history(row["item_id"]))

    def metadata(self, row: Row) -> JsonObject:
        """What an item's files say of themselves."""
        return metadata_lines(row, self.source_of, self.output)

    def decisions(self) -> dict[str, list[str]]:
        """What was decided about each result that there is now: the decision and the reviewer. Raises StoreError."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked[0] > _LOOK_AGAIN:
                self._looked = now, self._log.current()
            found = self._looked[1]
        return {name: [each.decision, each.reviewer] for name, each in found.items() if self._holds(name, each)}

    def _holds(self, item_id: str, decision: Decision) -> bool:
        """Whether a decision is about the result that there is now."""
        return self.gallery.result(item_id) == decision.result

    def decide(
        self, item_ids: Sequence[str], verb: Verb, *, reviewer: str, note: str, choices: Mapping[str, object]
    ) -> int:
        """Record one decision about each of some items, all or none.

        Args:
            item_ids: of items of the gallery.
            verb: `accept`, `reject`, `redo`; `undo` takes each item's last decision back.
            reviewer: a name.
            note: the reviewer's words.
            choices: for redo, settings by name.

        Returns:
            How many were recorded: an undo of what nobody has decided is none.

        Raises:
            ValueError: a value is missing or none, or an item is not known.
            OSError: it cannot be written.
            StoreError: the store cannot be read.
        """
        name = " ".join(reviewer.split())[:_LONGEST_NAME]
        if not name:
            raise ValueError("reviewer: a decision needs a name; give yours")
        if verb == "redo":
            check_choices(choices)
        rows = self.gallery.rows(list(dict.fromkeys(item_ids)))
        if not rows:
            raise ValueError("no such item: load the page again")
        if verb == UNDO:
            current = self._log.current()
            before = [current[row["item_id"]] for row in rows if row["item_id"] in current]
            made = [each.taken_back(reviewer=name, note=note) for each in before]
        else:
            made = [Decision.about(row, verb, reviewer=name, note=note, choices=choices or None) for row in rows]
        self._log.record(made)
        with self._lock:
            self._looked = time.monotonic(), self._log.current(refresh=False)
        return len(made)
