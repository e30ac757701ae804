"""Interlaced or not: judged by what frames show, since their flags lie; and one progressive frame of each interlaced one."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, NamedTuple

import av
from av.filter import Graph

from pipelines.media.film.container.decoding import Picture

__all__ = ["CONTEXT", "Comb", "Deinterlacer", "Judgement"]

Vote = Literal["tff", "bff", "progressive", "undetermined"]
_KEY = "lavfi.idet.single.current_frame"
_AROUND = 4  # frames on either side that are asked about a frame's parity, too
CONTEXT = _AROUND + 2  # frames on either side that a deinterlaced frame depends on
_PLENTY = 500  # frames
_PROGRESSIVE = 1  # FFmpeg's AV_FIELD_PROGRESSIVE; 0 is unknown, and above are the orders of fields
_FEW = 3  # combed frames that are worth a word


class _Bar(NamedTuple):
    """How many combed frames of one parity make a film interlaced.

    Attributes:
        least: frames, or half of a shorter film.
        of_all: share of all frames: a handful in a still film is chance.
        of_clear: share of the frames that show it either way. Pulldown combs two of five.
    """

    least: int
    of_all: float
    of_clear: float


# Where container or frames say that it is interlaced little proof is needed, and much where nothing does.
_EXPECTED, _UNEXPECTED = _Bar(3, 0.02, 0.05), _Bar(5, 0.1, 0.25)


class Comb:
    """Looks at frames for lines of two moments: libavfilter's `idet`, which compares each with its neighbours."""

    def __init__(self, first: av.VideoFrame, time_base: Fraction) -> None:
        self._graph = Graph()
        self._graph.threads = 1
        source = self._graph.add_buffer(
            width=first.width, height=first.height, format=first.format, time_base=time_base
        )
        self._graph.link_nodes(source, self._graph.add("idet"), self._graph.add("buffersink")).configure()

    def votes(self, frame: av.VideoFrame | None) -> list[Vote]:
        """What is known now of the frames given so far, in order; a frame is judged when its successor comes. None ends."""
        self._graph.vpush(frame)
        votes: list[Vote] = []
        while True:
            try:
                votes.append(_vote(self._graph.vpull().metadata.get(_KEY, "")))
            except (av.error.BlockingIOError, av.error.EOFError):
                return votes


def _vote(text: str) -> Vote:
    return text if text in {"tff", "bff", "progressive"} else "undetermined"  # type: ignore[return-value]


@dataclass
class Judgement:
    """Of a whole film, as its frames come in.

    Attributes:
        said: FFmpeg's number of the field order that the container or the stream's header names; 0: none.
        votes: how many frames show what.
        flagged: how many say that they are interlaced. frames: all.
    """

    said: int = 0
    votes: Counter[str] = field(default_factory=Counter)
    flagged: int = 0
    frames: int = 0

    def add(self, vote: Vote) -> None:
        """What a frame shows."""
        self.votes[vote] += 1

    def flags(self, pictures: Iterator[Picture]) -> Iterator[Picture]:
        """Pictures as they pass by, counted with their flags."""
        for picture in pictures:
            self.frames += 1
            self.flagged += picture.frame.interlaced_frame
            yield picture

    @property
    def plain(self) -> bool:
        """Whether there is no need to see more: hundreds of frames were seen, and most are combed."""
        combed = self.votes["tff"] + self.votes["bff"]
        return self.frames >= _PLENTY and combed > self.frames / 2 and self.interlaced

    @property
    def expected(self) -> bool:
        """Whether it says of itself that it is interlaced: most of its frames do, or else its container."""
        return self.flagged > self.frames / 2 or self.said > _PROGRESSIVE

    @property
    def interlaced(self) -> bool:
        """Combed frames of one parity outweigh chance: grain, stripes and fast cuts make a few, of either."""
        most, least = max(self.votes["tff"], self.votes["bff"]), min(self.votes["tff"], self.votes["bff"])
        clear, bar = most + least + self.votes["progressive"], _EXPECTED if self.expected else _UNEXPECTED
        enough = max(min(bar.least, self.frames / 2), bar.of_all * self.frames, bar.of_clear * clear)
        return clear > 0 and most - least / 2 >= enough

    @property
    def field_order(self) -> str:
        """progressive, tff, bff, or mixed: both, or combed frames among progressive ones (pulldown)."""
        if not self.interlaced:
            return "progressive"
        top, bottom, whole = self.votes["tff"], self.votes["bff"], self.votes["progressive"]
        if min(top, bottom) > (top + bottom) / 4 or whole > (top + bottom) / 4:
            return "mixed"
        return "tff" if top > bottom else "bff"

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where flags and content differ."""
        if self.flagged > self.frames / 2 and not self.interlaced:
            return ("frames are flagged as interlaced, their content is progressive: taken as progressive",)
        combed = self.votes["tff"] + self.votes["bff"]
        if combed >= _FEW and not self.interlaced:
            return (
                f"{combed} of {self.frames} frames look interlaced, too few to tell from chance: taken as progressive",
            )
        if self.interlaced and not self.flagged:
            return ("frames are flagged as progressive, their content is interlaced",)
        return ()

    def summary(self) -> str:
        """One phrase: how many frames show what."""
        shown = ", ".join(f"{count} {vote}" for vote, count in self.votes.most_common())
        said = {0: "", _PROGRESSIVE: "; its header says progressive"}.get(self.said, "; its header says interlaced")
        return f"by content: {shown}; flagged interlaced: {self.flagged} of {self.frames}{said}"


@dataclass
class _Waiting:
    picture: Picture
    vote: Vote = "undetermined"


class Deinterlacer:
    """Makes one progressive frame of each combed one and leaves the others as they are; times stay.

    A frame's result depends on `CONTEXT` frames on either side and nothing else, so it is the same wherever decoding began.
    """

    def __init__(self, time_base: Fraction) -> None:
        self.changed = 0
        self._time_base = time_base
        self._comb: Comb | None = None
        self._frames: deque[_Waiting] = deque()
        self._judged = 0  # of those in the window
        self._place = 0  # of the next to be handed on

    def frames(self, pictures: Iterator[Picture]) -> Iterator[tuple[Picture, Vote]]:
        """Pictures with their frames made progressive, and what each showed before."""
        for picture in pictures:
            self._comb = self._comb or Comb(picture.frame, self._time_base)
            self._frames.append(_Waiting(picture))
            self._note(self._comb.votes(picture.frame))
            while self._judged - self._place > _AROUND:
                yield self._next()
        if self._comb is not None:
            self._note(self._comb.votes(None))
        while self._place < len(self._frames):
            yield self._next()

    def _note(self, votes: list[Vote]) -> None:
        for vote in votes:
            if self._judged < len(self._frames):
                self._frames[self._judged].vote = vote
                self._judged += 1

    def _next(self) -> tuple[Picture, Vote]:
        place, frames = self._place, self._frames
        waiting = frames[place]
        parity = self._parity(place)
        picture = waiting.picture
        if parity:
            before = frames[max(place - 1, 0)].picture.frame
            after = frames[min(place + 1, len(frames) - 1)].picture.frame
            progressive = _bwdif(before, picture.frame, after, parity, self._time_base)
            picture = Picture(progressive, picture.pts, picture.duration)
            self.changed += 1
        if self._place == _AROUND:
            frames.popleft()
            self._judged -= 1
        else:
            self._place += 1
        return picture, waiting.vote

    def _parity(self, place: int) -> str:
        """Which field of a frame is the earlier one; empty: it is progressive, or nothing moves."""
        around = list(self._frames)[max(place - _AROUND, 0) : place + _AROUND + 1]
        votes = Counter(waiting.vote for waiting in around)
        combed = votes["tff"] + votes["bff"]
        own = self._frames[place].vote
        # A lone combed frame is grain; amid combed ones an unclear frame is most likely one of them, and so is one that looks
        # whole where nearly all are combed. Pulldown has three whole frames to two combed ones, which stay apart.
        whole = votes["progressive"]
        enough = {"progressive": 2 * whole, "undetermined": whole}.get(own, 0)
        if combed < min(2, len(around)) or combed <= enough:
            return ""
        return "tff" if votes["tff"] >= votes["bff"] else "bff"


def _bwdif(
    before: av.VideoFrame, frame: av.VideoFrame, after: av.VideoFrame, parity: str, time_base: Fraction
) -> av.VideoFrame:
    """FFmpeg's `bwdif` of one frame: it keeps the earlier field and fills in the lines between from three frames."""
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base)
    filter_ = graph.add("bwdif", f"mode=send_frame:parity={parity}:deint=all")
    graph.link_nodes(source, filter_, graph.add("buffersink")).configure()
    progressive: av.VideoFrame | None = None
    times = [other.pts for other in (before, frame, after)]
    try:
        for number, other in enumerate((before, frame, after)):
            other.pts = number  # one frame may come twice, at an end
            graph.vpush(other)
            other.pts = times[number]
            while True:
                try:
                    progressive = graph.vpull()
                except (av.error.BlockingIOError, av.error.EOFError):
                    break
    finally:
        for other, pts in zip((before, frame, after), times, strict=True):
            other.pts = pts
    assert progressive is not None, "the frame comes out when the one after it is given"
    progressive.pts = frame.pts
    return progressive
