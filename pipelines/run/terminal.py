"""Keeps the terminal from the processes of a run: one that asks it anything from the background is stopped for ever.

Ray's workers stand in process groups of their own, and so does what they start. A child that sets the terminal up, as `ffmpeg`
does, gets SIGTTOU there, stops, and whoever waits for it waits for good.
"""

from __future__ import annotations

import fcntl
import os
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["leave_terminal", "stdin_from_null"]


@contextmanager
def stdin_from_null() -> Iterator[None]:
    """Processes that are started in this block find an empty standard input, and so do all that they start."""
    try:
        kept = os.dup(0)
    except OSError:  # it is closed: nothing to keep from anybody
        yield
        return
    try:
        _empty_stdin()
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def leave_terminal() -> None:
    """Have this process, which nobody types to, and all that it starts from now on do without a terminal: as in a session of
    its own, which the leader of a process group, as a worker may be, cannot begin any more."""
    _empty_stdin()
    if os.getsid(0) == os.getpid():  # a session's leader takes the terminal from all of it
        return
    with suppress(OSError), open("/dev/tty", "rb", buffering=0) as terminal:  # noqa: PTH123 (a device, not a path of ours)
        fcntl.ioctl(terminal, termios.TIOCNOTTY)


def _empty_stdin() -> None:
    nowhere = os.open(os.devnull, os.O_RDONLY)
    if nowhere:
        os.dup2(nowhere, 0)
        os.close(nowhere)
