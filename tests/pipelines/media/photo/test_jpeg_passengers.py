"""What lies in a JPEG file besides its picture is named, and the picture is what it is without."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from photo_files import pillow_file, read, smooth
from PIL import Image


def with_segment(marker: int, body: bytes, data: bytes | None = None) -> bytes:
    """A JPEG file with a further application segment."""
    data = data or pillow_file(smooth(3), "JPEG")
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + data[2:]


def xmp(text: str) -> bytes:
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    names = (
        'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"'
    )
    packet = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}" {names}>{text}</rdf:RDF></x:xmpmeta>'
    return with_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet.encode())


def multi_picture(count: int) -> bytes:
    """A file in the multi-picture format, as Pillow writes it."""
    images = [Image.fromarray(smooth(3)) for _ in range(count)]
    file = io.BytesIO()
    images[0].save(file, "MPO", save_all=True, append_images=images[1:])
    return file.getvalue()


MOTION = "a motion photo: its film is not restored"
GAIN_MAP = "a gain map, which brightens the picture on HDR screens: it is not restored"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (multi_picture(3), ("3 images (multi-picture format): only the first is restored",)),
        (xmp('<rdf:Description GCamera:MotionPhoto="1"/>'), (MOTION,)),
        (xmp("<rdf:Description><GCamera:MicroVideo>1</GCamera:MicroVideo></rdf:Description>"), (MOTION,)),
        (pillow_file(smooth(3), "JPEG") + b"\0" * 16 + b"MotionPhoto_Data" + bytes(32), (MOTION,)),
        (xmp('<rdf:Description hdrgm:Version="1.0"/>'), (GAIN_MAP,)),
        (with_segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4)), (GAIN_MAP,)),
        (xmp('<rdf:Description GCamera:MotionPhoto="0"/>'), ()),
        (with_segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff"), ()),
        (pillow_file(smooth(3), "JPEG"), ()),
    ],
)
def test_what_is_not_the_picture_is_named(data: bytes, says: tuple[str, ...]) -> None:
    photo = read(data)
    assert photo.warnings == says
    np.testing.assert_array_equal(photo.pixels, read(pillow_file(smooth(3), "JPEG")).pixels)


def test_a_gain_map_is_no_image_of_its_own() -> None:
    data = multi_picture(2)
    marked = with_segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4), data)
    assert read(marked).warnings == (GAIN_MAP,)
