"""What is recorded of a film in a container, and what its frames have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from pipelines.media.film.container.decoding import Decoder
from pipelines.media.film.container.deinterlace import Judgement
from pipelines.media.film.container.gaps import Rate
from pipelines.media.film.container.probe import Input, chroma_site, other_streams, timecode
from pipelines.media.film.facts import Deinterlace, FilmFacts
from pipelines.media.film.picture import colour
from pipelines.media.film.picture.chroma import chroma_preparation
from pipelines.media.film.picture.orientation import Turn, side_data, turn_of

__all__ = ["Look", "facts_of", "look_of", "missing_at_end"]

# What other streams may end before the header says, as their packets do not always tell how long they last.
_SLACK = Fraction(1, 4)


@dataclass(frozen=True)
class Look:
    """What all frames of a film have in common; taken from the first sound one.

    Attributes:
        width, height, pixel_format: as decoded, not yet turned.
        colour, turn: how frames become upright RGB.
        prepared: what frames need first (`chroma.preparing`), if anything.
        timecode: of the first frame, as its codec has it, or empty.
    """

    width: int
    height: int
    pixel_format: str
    colour: colour.Colour
    turn: Turn
    prepared: Callable[[av.VideoFrame], av.VideoFrame] | None
    timecode: str

    def pixels(self, frame: av.VideoFrame) -> np.ndarray:
        """RGB [H, W, 3], upright, full range."""
        return self.turn(colour.to_rgb(frame, self.colour)[: self.height, : self.width])


def look_of(film: Input, frame: av.VideoFrame) -> Look:
    """What a film's first sound frame, as decoded, shows."""
    rate = film.rates[0] if film.rates else None
    prepared = chroma_preparation(frame, film.time_base, chroma_site(film))
    described = colour.colour_of(frame, film.stream.codec_context.name, rate, film.tags)
    return Look(
        frame.width, frame.height, frame.format.name, described, turn_of(frame), prepared, _picture_timecode(frame)
    )


def _picture_timecode(frame: av.VideoFrame) -> str:
    """Of MPEG's groups of pictures; many encoders leave it at zero, which says nothing."""
    packed = int.from_bytes(side_data(frame, "GOP_TIMECODE")[:4], "little")
    hours, minutes, seconds, frames = packed >> 19 & 31, packed >> 13 & 63, packed >> 6 & 63, packed & 63
    if not (hours or minutes or seconds or frames):
        return ""
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{';' if packed & 1 << 24 else ':'}{frames:02d}"


def missing_at_end(film: Input, decoder: Decoder, kept: Rate, first: int) -> tuple[int, bool]:
    """Frames that the header announces beyond the last one that is there, and whether the film ends too early without
    anything telling by how much.

    Args:
        film, decoder: the film and what read it to its end.
        kept: the rate that its frames keep.
        first: when its first frame is shown.
    """
    rate = kept.value
    packets, pictures_end, every_end = film.announced()
    last = decoder.last * film.time_base if decoder.last is not None else Fraction(0)
    if every_end is not None and film.format == "mxf":  # which says how long it lasts, not when it ends
        every_end += first * film.time_base
    behind = max(packets - decoder.packets, 0)
    if behind and film.format == "mov" and not kept.variable:
        # Packets lie in order of decoding: of those that are gone some are shown before the last that is there.
        entries = film.stream.index_entries
        shown_last = min([first, *decoder.damaged[:1]]) + entries[-1].timestamp - entries[0].timestamp
        behind = min(behind, max(round((shown_last * film.time_base - last) * rate) + 1, 0))
    if pictures_end is not None:
        behind = max(round((pictures_end - last) * rate), 0)
    elif every_end is not None:
        alone = all(stream.type not in {"audio", "video"} or stream is film.stream for stream in film.container.streams)
        # Where sound lasts as long as announced the pictures are meant to be shorter.
        if every_end - decoder.end > (0 if alone else _SLACK):
            behind = max(round((every_end - last) * rate), 0)
    return behind, decoder.broken and not behind and not packets and pictures_end is None and every_end is None


def facts_of(
    film: Input, look: Look, rate: Rate, judgement: Judgement, deinterlaced: int, choice: Deinterlace, unreached: int
) -> FilmFacts:
    """Facts after a whole scan.

    Args:
        film: the film.
        look: of its frames.
        rate: that its frames keep.
        judgement: of all frames.
        deinterlaced: how many frames were made progressive.
        choice: what becomes of interlaced film.
        unreached: pictures at its start that cannot be decoded, as they refer to others before it.
    """
    described, turn = look.colour, look.turn
    pixel = film.stream.sample_aspect_ratio
    aspect = turn.aspect(Fraction(pixel) if pixel and pixel > 0 else Fraction(1))
    width, height = turn.size(look.width, look.height)
    warnings = [*described.warnings, *turn.warnings, *judgement.warnings]
    if judgement.interlaced:
        done = f"{deinterlaced} frames were made progressive" if choice == "frames" else "frames were kept as they are"
        warnings.append(f"interlaced, {judgement.field_order} ({judgement.summary()}): {done}")
    elif deinterlaced:
        warnings.append(f"{deinterlaced} combed frames were made progressive ({judgement.summary()})")
    if unreached:
        what = (
            "1 frame at its start refers to frames"
            if unreached == 1
            else f"{unreached} frames at its start refer to frames"
        )
        warnings.append(f"{what} that were cut off before it, and cannot be decoded: left out")
    if film.untimed:
        warnings.append(f"its frames have no times of their own: {rate.value} a second were taken")
    others = [s for s in film.container.streams if s.type == "video" and s.index != film.stream.index]
    if any(not s.disposition & av.stream.Disposition.attached_pic for s in others):
        warnings.append("it holds more than one stream of pictures: one was taken")
    return FilmFacts(
        format=film.format,
        codec=str(film.stream.codec_context.codec.canonical_name),
        width=width,
        height=height,
        channels=described.channels,
        bit_depth=described.bit_depth,
        pixel_format=look.pixel_format,
        rate=_fraction(rate.value),
        variable_rate=rate.variable,
        time_base=_fraction(film.time_base),
        pixel_aspect=_fraction(aspect),
        rotation=turn.degrees,
        field_order=judgement.field_order,
        deinterlaced=deinterlaced > 0,
        colour_range=described.colour_range,
        matrix=described.matrix,
        primaries=described.primaries,
        transfer=described.transfer,
        assumed=described.assumed,
        timecode=timecode(film) or look.timecode,
        streams=other_streams(film),
        warnings=tuple(warnings),
    )


def _fraction(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"
