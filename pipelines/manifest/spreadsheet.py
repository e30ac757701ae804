"""Texts in CSV files that spreadsheets open: none becomes a formula."""

from __future__ import annotations

__all__ = ["spreadsheet_text"]

# What a spreadsheet takes for a formula, or drops to find one; wide forms count in Japanese ones.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def spreadsheet_text(text: str) -> str:
    """The text, preceded by `'` where a spreadsheet would compute it: a file's name must not become a formula."""
    return f"'{text}" if text.startswith(_FORMULAS) else text
