"""Tells a store that is down from files that are bad: an outage must not fail a whole archive item by item."""

from __future__ import annotations

from pipelines.rows import Row
from pipelines.settings import Settings
from pipelines.store.store import Store

__all__ = ["OutageWatch"]

_STORE_CODES = {"unreadable": "source", "write_error": "output"}
_SUSPICIOUS = 8  # failures of one store in a row after which it is looked at


class OutageWatch:
    """Watches a run's final rows.

    Args:
        settings: source and output.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._in_a_row = {"source": 0, "output": 0}

    def see(self, row: Row) -> str:
        """Why the run should stop after this row; empty if it should not."""
        store = _STORE_CODES.get(row["error_code"] or "")
        if store is None:
            self._in_a_row = dict.fromkeys(self._in_a_row, 0)
            return ""
        self._in_a_row[store] += 1
        if self._in_a_row[store] % _SUSPICIOUS:
            return ""
        return self._look(store)

    def _look(self, which: str) -> str:
        url = getattr(self._settings, which)
        try:
            store = Store(url, 5.0)
            if which == "output":
                store.check_writable()
            elif not store.exists():
                return f"the source {store.uri('')} is no longer there"
        except (OSError, ValueError) as error:
            return f"the {which} store does not answer any more: {' '.join(str(error).split())[:300]}"
        return ""
