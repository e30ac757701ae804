"""Photographs with metadata of every kind, written by exiftool and Pillow, and blocks put together by hand."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from photo_files import pillow_file, smooth
from PIL import Image

EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "TIFF": "tif", "WEBP": "webp", "JPEG2000": "jp2"}
# What exiftool writes into each source, block by block: argument, and the name that it reads it back by.
EXIF = {"-EXIF:Make=Leitz": "IFD0:Make", "-EXIF:Artist=Jürgen Ærø": "IFD0:Artist",
        "-EXIF:Copyright=Stadtarchiv": "IFD0:Copyright",
        "-EXIF:DateTimeOriginal=1954:06:07 08:09:10": "ExifIFD:DateTimeOriginal",
        "-EXIF:GPSLatitude=52.5": "GPS:GPSLatitude", "-EXIF:GPSLatitudeRef=N": "GPS:GPSLatitudeRef",
        "-EXIF:InteropIndex=R98": "InteropIFD:InteropIndex"}  # fmt: skip
IPTC = {"-IPTC:CodedCharacterSet=UTF8": "IPTC:CodedCharacterSet",
        "-IPTC:Caption-Abstract=Mühle am Bach": "IPTC:Caption-Abstract",
        "-IPTC:Keywords=mill": "IPTC:Keywords", "-IPTC:By-line=J. Ærø": "IPTC:By-line"}  # fmt: skip
XMP = {"-XMP-dc:Title=Die Mühle": "XMP-dc:Title", "-XMP-acdsee:Author=unknown schema": "XMP-acdsee:Author",
       "-XMP-xmpMM:HistoryAction=created": ""}  # fmt: skip
# What is no longer true of a result.
STALE = ("-EXIF:Orientation#=6", "-EXIF:ExifImageWidth=64", "-EXIF:ExifImageHeight=48", "-EXIF:XResolution=300",
         "-EXIF:YResolution=300", "-EXIF:ResolutionUnit=inches", "-XMP-tiff:Orientation#=6", "-XMP-tiff:ImageWidth=64",
         "-XMP-exif:ExifImageWidth=64", "-XMP-xmpMM:InstanceID=xmp.iid:1", "-XMP-xmpMM:DocumentID=xmp.did:1")  # fmt: skip


def tagged_file(path: Path, format: str, arguments: list[str], **options: object) -> bytes:
    """A photograph of 64 x 48 pixels in which exiftool has written what the arguments say."""
    path.write_bytes(pillow_file(smooth(3), format, **options))
    command = [shutil.which("exiftool") or "exiftool", "-q", "-m", "-overwrite_original", *arguments, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return path.read_bytes()


def tiff_structure(*tables: list[tuple[int, int, int, bytes]], order: str = "<") -> bytes:
    """A classic TIFF structure of tables, each the next of the one before."""
    data = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))
    pointer = 4
    for table in tables:
        struct.pack_into(order + "I", data, pointer, len(data))
        start = len(data)
        data += struct.pack(order + "H", len(table)) + bytes(12 * len(table) + 4)
        pointer = len(data) - 4
        for number, (tag, kind, count, value) in enumerate(sorted(table)):
            held = value.ljust(4, b"\0")
            if len(value) > 4:
                held = struct.pack(order + "I", len(data))
                data += value + bytes(len(value) % 2)
            struct.pack_into(order + "HHI4s", data, start + 2 + 12 * number, tag, kind, count, held)
    return bytes(data)


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg_with(*segments: bytes) -> bytes:
    """A JPEG with segments behind its first marker."""
    plain = pillow_file(smooth(3), "JPEG")
    return plain[:2] + b"".join(segments) + plain[2:]


def rdf(content: str, namespaces: str = "") -> bytes:
    """A packet with the content of one description."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {namespaces}>{content}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


def picture_of(data: bytes, path: Path) -> Image.Image:
    path.write_bytes(data)
    return Image.open(path)
