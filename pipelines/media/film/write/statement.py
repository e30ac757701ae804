"""What a film's file says of how it was made, in the place that each container has for it.

Matroska takes tags of any name; MOV has a place for XMP in its user data; MP4 takes XMP as a box of its own at the end of the
file (XMP specification, part 3).
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from av.container import OutputContainer

__all__ = ["NOTHING", "Statement", "append_statement", "tag_statement", "without_statement"]

_XMP_BOX = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac")  # what Adobe registered for XMP
_MOV_XMP = "xmp"  # FFmpeg's name of the atom `XMP_`; it writes it, and reads it back only if asked


@dataclass(frozen=True)
class Statement:
    """The same statement in two forms; both empty where a film states nothing.

    Attributes:
        tags: plain names and values.
        xmp: an XMP packet.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    xmp: bytes = b""


NOTHING = Statement()


def tag_statement(container: OutputContainer, kind: str, statement: Statement) -> None:
    """State it in the tags of a container of FFmpeg's name `kind`, before its header is written."""
    if kind == "matroska":
        container.metadata.update(statement.tags)
    elif kind == "mov" and statement.xmp:
        container.metadata[_MOV_XMP] = statement.xmp.decode()


def without_statement(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags of a container that can be read back as they were written."""
    return {name: value for name, value in tags.items() if name != _MOV_XMP}


def append_statement(path: Path, kind: str, statement: Statement) -> None:
    """State it at the end of a finished file, where `kind` is a container that has its place there.

    Raises:
        OSError: it cannot be written.
    """
    if kind == "mp4" and statement.xmp:
        body = _XMP_BOX.bytes + statement.xmp
        with path.open("ab") as file:
            file.write(struct.pack(">I4s", 8 + len(body), b"uuid") + body)
