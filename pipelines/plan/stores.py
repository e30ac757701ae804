"""Sources and results apart: no output store may touch the sources."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

from faithdiff_model.weights.download import shown
from pipelines.store.store import Store, StoreError


def check_apart(source: Store, output: Store) -> None:
    """Refuse an output store that could touch the sources.

    Raises:
        StoreError: one lies inside the other, or they are equal.
    """
    if type(source.fs) is not type(output.fs):
        return
    first, second = _real(source), _real(output)
    for inner, outer, text in (
        (second, first, "lies inside the source"),
        (first, second, "holds the source"),
    ):
        if inner == outer or outer in inner.parents:
            raise StoreError(
                f"output {shown(output.url)}: {text} {shown(source.url)}, and sources are never written to; choose a "
                "separate output"
            )


def _real(store: Store) -> PurePosixPath:
    return PurePosixPath(os.path.realpath(store.root) if store.local else store.root)
