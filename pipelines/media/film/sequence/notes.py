"""Warnings about the frames of a sequence, gathered into a few lines for the whole film."""

from __future__ import annotations

from pipelines.media.film.sequence.frame import FrameFile

__all__ = ["SequenceNotes"]

_MOST = 20  # different lines kept; frames of one film say much the same


class SequenceNotes:
    """Gathers over a scan, in memory that does not grow with the film."""

    def __init__(self) -> None:
        self._frames = self._damaged = self._above = self._below = self._samples = self._others = 0
        self._lines: dict[str, int] = {}
        self._examples: list[str] = []
        self._said: dict[str, set[str]] = {}

    def add(self, frame: FrameFile) -> None:
        """A frame that was decoded."""
        self._frames += 1
        self._above += frame.above
        self._below += frame.below
        self._samples += frame.kind.width * frame.kind.height * frame.kind.channels
        lines = list(frame.warnings)
        if frame.colour_profile:
            lines.append(f"the colour profile {frame.colour_profile} is kept in frames, not in a film's file")
        for line in dict.fromkeys(lines):
            if line in self._lines or len(self._lines) < _MOST:
                self._lines[line] = self._lines.get(line, 0) + 1
            else:
                self._others += 1
        for what, value in (("rate", frame.rate), ("pixel aspect", frame.pixel_aspect)):
            said = self._said.setdefault(what, set())
            if len(said) < 3:
                said.add(value)

    def damaged(self, reason: str) -> None:
        """A frame that could not be decoded."""
        self._damaged += 1
        if len(self._examples) < 3:
            self._examples.append(reason)

    def warnings(self) -> tuple[str, ...]:
        """A line each."""
        found = []
        for line, count in self._lines.items():
            found.append(line if count == self._frames else f"{line} ({count} of {self._frames} frames)")
        if self._others:
            found.append(f"{self._others} further remarks on frames are not listed")
        for count, what in ((self._above, "above 1"), (self._below, "below 0 or no numbers")):
            if count:
                share = f"{100 * count / self._samples:.3g} %"
                found.append(f"{share} of the scene-linear values are {what} and were clipped")
        for what, said in self._said.items():
            if len(said) > 1:
                found.append(f"frames differ in their {what}: that of the first was taken")
        if self._damaged:
            found.append(f"{self._damaged} frame files are damaged: {' | '.join(self._examples)}")
        return tuple(found)
