"""Single pictures of a film and of its result, by the number of the frame: for people who look at both side by side."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np

from pipelines.film.source import frames_of, reading_film
from pipelines.manifest.naming import frames_folder
from pipelines.media.film.facts import FilmOptions, JsonObject
from pipelines.media.kinds import is_sequence
from pipelines.media.limits import DecodeLimits
from pipelines.rows import Row
from pipelines.store.large_files import opener
from pipelines.store.layout import FRAME_LIST
from pipelines.store.store import Store

__all__ = ["frame_count", "frame_rate", "result_still", "source_still"]

_RATE = Fraction(24)


def frame_count(row: Row) -> int:
    """Frames of a film's result, 1 at least."""
    return max(1, row["frames"] or 1)


def frame_rate(row: Row) -> Fraction:
    """Frames a second that its result is counted by; an average where they vary."""
    facts: JsonObject = json.loads(row["film"] or "{}").get("facts", {})
    try:
        rate = Fraction(facts.get("rate") or str(row["frame_rate"] or _RATE))
    except (ValueError, ZeroDivisionError):
        return _RATE
    return rate if rate > 0 else _RATE


def source_still(store: Store, row: Row, number: int) -> np.ndarray:
    """The source's picture at the time of the result's frame `number`.

    Returns:
        RGB [H, W, 3], upright, full range, uint8 or uint16.

    Raises:
        ItemError: it cannot be read.
    """
    return _still(store, row["source_path"], row, number)


def result_still(store: Store, row: Row, number: int) -> np.ndarray:
    """Frame `number` of the result, counted from 0. Returns and raises as `source_still`."""
    path = row["output_path"]
    if path.endswith(FRAME_LIST):
        path = f"{frames_folder(path)}/{row['source_path'].rpartition('/')[2]}"
    return _still(store, path, row, number)


def _still(store: Store, path: str, row: Row, number: int) -> np.ndarray:
    number = min(max(number, 0), frame_count(row) - 1)
    limits = DecodeLimits()
    with reading_film(path):
        if is_sequence(path):
            from pipelines.media.film.sequence.formats import read_frame
            from pipelines.media.film.sequence.names import frame_path

            there = frames_of(store, path).numbers
            wanted = there[0] + number
            held = max((each for each in there if each <= wanted), default=there[0])
            name = frame_path(path, held)
            return read_frame(store.read(name), name, limits).pixels
        from pipelines.media.film.container.still import still_at

        # The middle of the frame's time: rounding of times then never leads to the frame before.
        seconds = float((number + Fraction(1, 2)) / frame_rate(row))
        return still_at(opener(store, path), path, FilmOptions(max_pixels=limits.max_pixels), seconds)
