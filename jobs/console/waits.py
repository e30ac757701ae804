"""Words for every wait: whoever sits before a command is told what it waits for, if that takes longer than a moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from jobs.console.messages import hint

__all__ = ["MOMENT", "PLANNING", "patience", "waiting"]

MOMENT = 1.0  # seconds; with the interpreter's own start something is said within two
PLANNING = "planning: listing both stores, comparing, looking at the weights"


def patience(seconds: float) -> str:
    """What to add where a store may not answer, which is then tried for so many seconds."""
    return f"; a store that does not answer is tried for {seconds:.0f} s"


@contextmanager
def waiting(text: str, seconds: float = MOMENT) -> Iterator[None]:
    """Within the block: if it takes longer than `seconds`, say once, on stderr, what is waited for.

    Args:
        text: what is done, and how long it may take, such as `looking at both stores`.
        seconds: 0 or more.
    """
    timer = threading.Timer(seconds, hint, [f"{text} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
