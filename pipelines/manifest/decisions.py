"""What people decided about the results of a store. Rows that are only ever added.

Several reviewers decide at once, and nobody waits for another: each batch of decisions is a file of its own
(`decision_files`), and what counts follows from all rows alone, in whatever order they are read. Of the decisions about an item
the last one counts; an undo names the decision that it takes back, and the one before counts again.

What was decided about an earlier result says nothing of a newer one (`decision.standing`). Only the settings that were chosen
for *redo* stay with the item (`DecisionLog.redos`): else the run after it would restore the item with the old ones once more.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import cast

import pyarrow as pa

from faithdiff_model.redaction import redact, redact_url
from pipelines.errors import first_line
from pipelines.manifest.decision import REDO, UNDO, Decision
from pipelines.manifest.decision_files import SUMMARY, DecisionRow, batch_path, encode, parse, summary_path
from pipelines.store.concurrency import map_threaded
from pipelines.store.layout import REVIEWS
from pipelines.store.ownership import publish_new
from pipelines.store.store import Entry, Store, StoreError

__all__ = ["DecisionLog"]

logger = logging.getLogger(__name__)

_READERS = 16  # files read at a time; each is some kilobytes
_SUMMARY_AFTER = 500  # batches that no summary covers, before one is written


class DecisionLog:
    """The decisions of an output store. Can be shared by threads.

    Args:
        store: the output store; nothing is read until something is asked.

    Attributes:
        problems: a line for each file or row that could not be used, with its name. The rest counts.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, threading.Lock()
        self.problems: list[str] = []
        self._seen: dict[str, tuple[int, str]] = {}  # damaged files, with the size and version that were tried
        self._read: set[str] = set()  # names of files whose rows are known
        self._covered: set[str] = set()  # those of them that a summary holds
        self._rows: dict[str, dict[str, Decision]] = defaultdict(dict)  # by item and id
        self._touched: set[str] = set()
        self._current: dict[str, Decision] = {}
        self._redos: dict[str, Decision] = {}

    def record(self, decisions: Iterable[Decision]) -> None:
        """Add decisions, all of them or none, once: recording the same again changes nothing.

        Raises:
            OSError: they could not be written; record the same ones again.
        """
        batch = sorted({each.decision_id: each for each in decisions}.values(), key=_age)
        if not batch:
            return
        path = batch_path((each.decision_id for each in batch), batch[0].decided_at)
        data = encode([cast(DecisionRow, asdict(each)) for each in batch])
        if not publish_new(self._store, path, data):  # ours, as another release of pyarrow wrote it
            batch = [each for row in parse(self._store.read(path))[0] if (each := self._decision(row, path))]
        with self._lock:
            self._add(path, batch)
        self._summarise()

    def current(self, *, refresh: bool = True) -> dict[str, Decision]:
        """The decision that counts, by item id. Items of which all decisions were taken back are left out.

        Args:
            refresh: look for files that came since; else what is known already.

        Raises:
            StoreError: the folder cannot be listed, or a file not be read for want of access; named.
        """
        with self._lock:
            self._update(refresh)
            return dict(self._current)

    def redos(self, *, refresh: bool = True) -> dict[str, Decision]:
        """The redo whose settings hold for an item, by item id: the last one that nobody took back, or answered with another
        decision about the same result. It stays in force when it is done. Arguments and errors as `current`."""
        with self._lock:
            self._update(refresh)
            return dict(self._redos)

    def history(self, item_id: str, *, refresh: bool = True) -> list[Decision]:
        """All decisions about an item, oldest first, those that were taken back and their undos too. Errors as `current`."""
        with self._lock:
            self._update(refresh)
            return sorted(self._rows.get(item_id, {}).values(), key=_age)

    def _update(self, refresh: bool) -> None:
        if refresh:
            self._refresh()
        for item in self._touched:
            held = _effective(sorted(self._rows[item].values(), key=_age))
            _set(self._current, item, held[-1] if held else None)
            _set(self._redos, item, _redo(held))
        self._touched.clear()

    def _refresh(self) -> None:
        """Read what came since, a summary before the many that it stands for."""
        new = [entry for entry in self._store.list(REVIEWS) if self._is_new(entry)]
        summaries = [entry for entry in new if _name(entry).startswith(SUMMARY)]
        if summaries and len(new) - len(summaries) > len(summaries):
            self._take(summaries[-1:])
        # Older summaries hold nothing that their batches do not.
        self._read.update(_name(entry) for entry in summaries)
        self._take([entry for entry in new if self._is_new(entry)])

    def _is_new(self, entry: Entry) -> bool:
        return _name(entry) not in self._read and self._seen.get(entry.path) != (entry.size, entry.version)

    def _take(self, entries: list[Entry]) -> None:
        for entry, data in zip(entries, map_threaded(self._bytes, entries, _READERS), strict=True):
            try:
                rows, covers = parse(data)
            except (pa.ArrowException, OSError, ValueError) as error:
                self._seen[entry.path] = entry.size, entry.version
                self._complain(f"{self._store.uri(entry.path)}: holds no decisions ({redact(first_line(error))[:200]})")
                continue
            self._add(entry.path, [each for row in rows if (each := self._decision(row, entry.path))])
            self._read.update(covers)
            self._covered.update(covers)

    def _bytes(self, entry: Entry) -> bytes:
        try:
            return self._store.read(entry.path)
        except FileNotFoundError:
            return b""
        except OSError as error:
            text = redact(error.strerror or first_line(error))
            raise StoreError(f"review {self._store.uri(entry.path)}: cannot be read ({text}); check access") from error

    def _decision(self, row: DecisionRow, path: str) -> Decision | None:
        try:
            return Decision(**row)  # type: ignore[arg-type]  # the class looks at its values
        except ValueError as error:
            self._complain(f"{self._store.uri(path)}: one row is left out ({redact(first_line(error))[:200]})")
            return None

    def _complain(self, text: str) -> None:
        self.problems.append(text)
        logger.warning("review %s; the other decisions count", text)

    def _add(self, path: str, decisions: Iterable[Decision]) -> None:
        self._read.add(PurePosixPath(path).name)
        for each in decisions:
            self._rows[each.item_id].setdefault(each.decision_id, each)
            self._touched.add(each.item_id)

    def _summarise(self) -> None:
        """Write one file for many, where there are many. What fails here is tried with a later batch."""
        with self._lock:
            single = {name for name in self._read if not name.startswith(SUMMARY)}
            if len(single - self._covered) < _SUMMARY_AFTER:
                return
            rows = [cast(DecisionRow, asdict(each)) for found in self._rows.values() for each in found.values()]
        try:
            publish_new(self._store, summary_path(single, datetime.now(UTC)), encode(rows, sorted(single)))
        except OSError as error:
            logger.warning(
                "reviews of %s: no summary could be written (%s)", redact_url(self._store.url), first_line(error)
            )
            return
        with self._lock:
            self._covered |= single


def _effective(decisions: list[Decision]) -> list[Decision]:
    """Of an item's decisions, oldest first, those that nobody took back."""
    gone: set[str] = set()
    for each in reversed(decisions):
        if each.decision == UNDO and each.decision_id not in gone:
            gone.add(each.undoes)
    return [each for each in decisions if each.decision != UNDO and each.decision_id not in gone]


def _redo(held: list[Decision]) -> Decision | None:
    """The redo that is in force: no later decision is about the same result."""
    answered: set[tuple[str, str]] = set()
    for each in reversed(held):
        if each.decision == REDO and each.result not in answered:
            return each
        answered.add(each.result)
    return None


def _set(table: dict[str, Decision], item: str, decision: Decision | None) -> None:
    if decision is None:
        table.pop(item, None)
    else:
        table[item] = decision


def _age(decision: Decision) -> tuple[datetime, str]:
    return decision.decided_at, decision.decision_id


def _name(entry: Entry) -> str:
    return PurePosixPath(entry.path).name
