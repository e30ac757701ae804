"""Packets of a picture stream: from the key frame before a time on, and with times that can be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av

from pipelines.media.film.container.probe import Input

__all__ = ["begins_frame", "from_key_frame", "is_closed", "with_rising_times"]

# Programme and transport streams are cut anywhere, not where frames begin.
_CUT_ANYWHERE = frozenset(("mpeg", "mpegts", "mpegtsraw"))
_PICTURE, _GROUP = b"\0\0\1\0", b"\0\0\1\xb8"
_I_PICTURE, _B_PICTURE = 1, 3
_BUFFER_LIMIT = 256 << 20  # bytes of packets
_PLAUSIBLE = 100  # pictures lost in one place, or shown between two that others refer to
_START = b"\0\0\1"
_CLOSED_GROUP = 64  # closed_gop of MPEG's group header, in its fourth byte (ISO/IEC 13818-2, 6.2.2.6)
_HEAD = 4096  # bytes: sequence and group headers and user data come first
# HEVC's NAL units (ITU-T H.265, table 7-1): leading pictures that refer to nothing before their key frame, and key frames whose
# leading pictures are all of this kind.
_DECODABLE = frozenset((6, 7, 17, 18, 19, 20))
_HEVC_PICTURES = 32  # units below this number are of pictures
_MOST_UNITS = 64  # of a packet's, that are looked at: parameter sets, messages, then the picture


def from_key_frame(
    packets: Iterator[av.Packet], film: Input, target: int | None, *, after_seek: bool
) -> Iterator[av.Packet]:
    """Packets from the last key frame at or before a time on; all if the time is None.

    Args:
        packets: of the picture stream, in order.
        film: the film.
        target: in the stream's time base.
        after_seek: the first packet is where a seek led to.
    """
    if after_seek and film.format in _CUT_ANYWHERE:
        packets = _timed(packets, film.stream.codec_context.name)
    if target is None:
        yield from packets
        return
    buffer: list[av.Packet] = []
    size = 0
    for packet in packets:
        if packet.is_keyframe and packet.pts is not None and packet.pts <= target:
            buffer, size = [], 0
        buffer.append(packet)
        size += packet.size
        # Packets come in order of decoding, so no key frame that is shown in time can come any more.
        if packet.dts is None or packet.dts > target or size > _BUFFER_LIMIT:
            break
    yield from buffer
    yield from packets


def with_rising_times(packets: Iterator[av.Packet], unit: Fraction) -> Iterator[av.Packet]:
    """Packets of MPEG-1 or MPEG-2 with times that rise in order of showing.

    In programme streams few frames have a time; FFmpeg guesses the others from the order of decoding, sometimes wrongly. A
    frame whose time is not after that of the frame shown before it follows that one as its temporal reference says. Where
    these references leave numbers out frames were lost, which nothing else tells: packets from there to the next I-picture
    are marked as corrupt.

    Args:
        packets: a frame each, from the film's start, in order of decoding.
        unit: a frame's duration in the time base.
    """
    order = _ShowingOrder(unit)
    # A picture that others refer to is shown when the next such picture comes; those in between are shown before it.
    group: list[_Picture] = []
    for packet in packets:
        picture = _Picture(packet)
        if group and picture.kind == _B_PICTURE and len(group) < _PLAUSIBLE:
            order.show(picture, group[0])
            group.append(picture)
            continue
        yield from order.finish(group)
        group = [picture]
        order.start(picture)
    yield from order.finish(group)


class _Picture:
    """A packet and what its picture header says: kind (I 1, P 2, B 3; 0: no header), temporal reference, start of a group."""

    def __init__(self, packet: av.Packet) -> None:
        self.packet, self.kind, self.reference = packet, 0, 0
        head = bytes(memoryview(packet)[:_HEAD])
        place = head.find(_PICTURE)
        self.group = 0 <= head.find(_GROUP) < place
        if 0 <= place < len(head) - 5:
            self.kind = head[place + 5] >> 3 & 7
            self.reference = head[place + 4] << 2 | head[place + 5] >> 6


class _ShowingOrder:
    """Times and gaps of pictures in the order in which they are shown."""

    def __init__(self, unit: Fraction) -> None:
        self._unit = unit
        self._last: int | None = None
        self._reference: int | None = None
        self._begins = False  # a group of pictures, with nothing of it shown yet
        self._lost = False

    def start(self, anchor: _Picture) -> None:
        """A picture that others refer to comes; the one before it was shown."""
        if anchor.group:
            self._reference, self._begins = -1, True
        if self._lost and anchor.kind != _I_PICTURE:
            anchor.packet.is_corrupt = True

    def show(self, picture: _Picture, anchor: _Picture) -> None:
        """A picture is shown while `anchor`, or itself, is the last one that others refer to."""
        packet, step = picture.packet, 1
        if self._reference is not None and picture.kind:
            step = (picture.reference - self._reference) % 1024
            # Editors leave out what an I-picture at the start of a group has before it.
            if step != 1 and not (self._begins and picture is anchor):
                self._lost = True
                if anchor.kind != _I_PICTURE:
                    anchor.packet.is_corrupt = True
        self._reference, self._begins = picture.reference if picture.kind else None, False
        if self._lost and picture.kind != _I_PICTURE:
            packet.is_corrupt = True
        if packet.pts is None or (self._last is not None and packet.pts <= self._last):
            frames = step if 1 <= step < _PLAUSIBLE else 1
            packet.pts = self._last + round(frames * self._unit) if self._last is not None else 0
        self._last = packet.pts

    def finish(self, group: list[_Picture]) -> Iterator[av.Packet]:
        """The last anchor is shown now; its packet and those after it can go to the decoder."""
        if not group:
            return
        if group[0].kind == _I_PICTURE:  # what was before it does not matter any more
            self._lost = False
        self.show(group[0], group[0])
        yield from (picture.packet for picture in group)


def _timed(packets: Iterator[av.Packet], codec: str) -> Iterator[av.Packet]:
    """Packets whose times are true: none, unless the first one begins a frame.

    If it is the rest of a frame it is given the time of the next one, that one the time of the one after it, and so on,
    and nothing tells where that ends.
    """
    first = next(packets, None)
    if first is None or not begins_frame(bytes(memoryview(first)[:8]), codec):
        return
    yield first
    yield from packets


def is_closed(packet: av.Packet, context: av.VideoCodecContext) -> bool:
    """Whether pictures at the start of a packet's group that are shown before its key frame can be decoded without what comes
    before it: MPEG-1's and MPEG-2's group header says so, and HEVC's kinds of pictures. Of other codecs it is not known: no.

    Args:
        packet: of any picture; without a group header nothing is said.
        context: of the stream's decoder.
    """
    if context.name in {"mpeg1video", "mpeg2video"}:
        head = bytes(memoryview(packet)[:_HEAD])
        place = head.find(_GROUP)
        return 0 <= place < head.find(_PICTURE) and place + 7 < len(head) and bool(head[place + 7] & _CLOSED_GROUP)
    if context.name == "hevc":
        return _hevc_picture(memoryview(packet), bytes(context.extradata or b"")) in _DECODABLE
    return False


def _hevc_picture(data: memoryview, extradata: bytes) -> int | None:
    """The kind of the first NAL unit that is of a picture, or None. Units come behind start codes, or behind their length where
    the stream has a configuration record (ISO/IEC 14496-15)."""
    if extradata[:1] != b"\1" or len(extradata) < 22:
        head, place = bytes(data[:_HEAD]), -1
        while (place := head.find(_START, place + 1)) >= 0 and place + 3 < len(head):
            kind = head[place + 3] >> 1 & 63
            if kind < _HEVC_PICTURES:
                return kind
        return None
    width, place = (extradata[21] & 3) + 1, 0
    for _ in range(_MOST_UNITS):
        if place + width >= len(data):
            return None
        kind = data[place + width] >> 1 & 63
        if kind < _HEVC_PICTURES:
            return kind
        place += width + int.from_bytes(data[place : place + width], "big")
    return None


def begins_frame(data: bytes, codec: str) -> bool:
    """Whether a packet's first bytes can only be the start of a frame.

    Args:
        data: 8 bytes or more.
        codec: FFmpeg's name.
    """
    place = data.find(_START, 0, 4)
    if place not in {0, 1}:
        return False
    kind, after = data[place + 3], data[place + 5] if len(data) > place + 5 else 0
    if codec in {"mpeg1video", "mpeg2video"}:
        return kind in {0x00, 0xB3, 0xB8}  # picture, sequence, group
    if codec == "h264":
        return kind & 31 in {6, 7, 8, 9} or (kind & 31 in {1, 5} and data[place + 4] & 128 != 0)
    if codec == "hevc":
        unit = kind >> 1 & 63
        return unit in {32, 33, 34, 35, 39} or (unit < 22 and after & 128 != 0)
    return False
