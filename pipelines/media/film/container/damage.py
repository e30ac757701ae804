"""Which pictures of a stream are intact: none that is broken, and none that refers to a broken one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import TracebackType

import av

__all__ = ["Coded", "DecoderLog", "References"]


@dataclass(eq=False)
class Coded:
    """What is remembered of a packet.

    Attributes:
        order: of decoding.
        pts: when its picture is shown, in the stream's time base.
        key: whether its picture refers to no other.
        disposable: whether no picture refers to its own.
        errors: that were met before it was sent to the decoder.
        bad: whether its picture is broken.
        closed: whether the pictures of its group that are shown before it refer to nothing before it (of a key frame), or its
            own refers to nothing before its key frame (of another).
    """

    order: int
    pts: int
    key: bool
    disposable: bool
    errors: int
    bad: bool
    closed: bool = False


class References:
    """Key frames and broken pictures in order of decoding: a picture hangs on all between its key frame and itself.

    Attributes:
        first: the first key frame; None before it was met.
    """

    def __init__(self) -> None:
        self.first: Coded | None = None
        self._keys: list[Coded] = []  # the last three
        self._bad: list[int] = []  # orders of the broken pictures that others may refer to

    def note_key(self, entry: Coded) -> None:
        """A picture that refers to no other was met."""
        if self.first is None:
            self.first = entry
        self._keys = sorted([*self._keys, entry], key=lambda key: key.order)[-3:]
        self._bad = [order for order in self._bad if order >= self._keys[0].order]

    def close(self, entry: Coded) -> None:
        """It is known now whether a picture is broken."""
        if entry.bad and not entry.disposable:
            self._bad.append(entry.order)

    def reached(self, entry: Coded | None, pts: int) -> bool:
        """Whether all that a picture may refer to was read.

        What is shown before the first key frame refers to what lies before that, unless it is decoded after it and its group is
        closed. Before a key frame was met, nothing is known of it, and the answer is yes.

        Args:
            entry: the picture's; None if its packet is not known.
            pts: when it is shown.
        """
        first = self.first
        if first is None or pts >= first.pts:
            return True
        return entry is not None and entry.order > first.order and (first.closed or entry.closed)

    def sound(self, entry: Coded) -> bool:
        """Whether neither a picture nor any that it may refer to is broken."""
        start = 0
        for number, key in enumerate(self._keys):
            if key.order <= entry.order:
                # Pictures shown before their key frame refer to the group before it, too, if their own is not closed.
                before = self._keys[number - 1].order if number else 0
                start = before if entry.pts < key.pts and not (key.closed or entry.closed) else key.order
        return not entry.bad and not any(start <= order < entry.order for order in self._bad)


# Of what surrounds a picture, not of the picture.
_HARMLESS = re.compile(r"SEI|APP fields|EXIF|ICC")


class DecoderLog:
    """What a decoder logs as errors while this is entered. For some damage FFmpeg has no other sign: FFV1's checksums are
    compared, and a mismatch is written to the log and nowhere else.

    Args:
        threads: of the decoder; where there are several their logs cannot be told from those of other films.

    Attributes:
        has_errors: whether there was one that concerns the picture; after the end.
    """

    def __init__(self, threads: int) -> None:
        self._capture = av.logging.Capture(local=threads == 1)
        self.has_errors = False
        self._logs: list[tuple[int, str, str]] = []

    def __enter__(self) -> DecoderLog:
        av.logging.set_skip_repeated(False)
        av.logging.set_level(av.logging.ERROR)
        self._logs = self._capture.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.__exit__(None, None, None)
        av.logging.set_level(None)
        self.has_errors = any(not _HARMLESS.search(text) for _, _, text in self._logs)
