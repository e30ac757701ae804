"""Decoders' complaints: damage that shows in their log alone."""

from __future__ import annotations

import re
from typing import Any

import av

# Of what surrounds a picture, not of the picture.
_HARMLESS = re.compile(r"SEI|APP fields|EXIF|ICC")


class Complaints:
    """What a decoder logs as errors while this is entered. For some damage FFmpeg has no other sign: FFV1's checksums are
    compared, and a mismatch is written to the log and nowhere else.

    Args:
        threads: of the decoder; where there are several their logs cannot be told from those of other films.

    Attributes:
        found: whether there was one that concerns the picture; after the end.
    """

    def __init__(self, threads: int) -> None:
        self._capture = av.logging.Capture(local=threads == 1)
        self.found = False
        self._logs: list[Any] = []

    def __enter__(self) -> Complaints:
        av.logging.set_skip_repeated(False)
        av.logging.set_level(av.logging.ERROR)
        self._logs = self._capture.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._capture.__exit__(*exception)
        av.logging.set_level(None)
        self.found = any(not _HARMLESS.search(text) for _, _, text in self._logs)
