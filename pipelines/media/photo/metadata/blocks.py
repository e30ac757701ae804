"""What a photograph's file says beside its pixels, as raw blocks that every format can be asked to hold."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace

__all__ = ["MAX_BLOCK", "MAX_TEXTS", "NOTHING", "Aside", "Metadata", "Text"]

MAX_BLOCK = 16 * 2**20  # bytes of one block; the largest genuine ones, XMP with depth maps, are a few MB
MAX_TEXTS = 1000  # comments and text chunks of a file
_MAX_INLINE = 4096  # bytes of a block that a record keeps whole: the manifest has a row of each photograph


@dataclass(frozen=True)
class Text:
    """A text with a name, as PNG has them.

    Attributes:
        keyword: what it is, such as "Title" or "Author"; "Comment" for JPEG's comments, which have no name.
        text: the text itself.
        language: RFC 3066 tag; empty where the file does not say.
    """

    keyword: str
    text: str
    language: str = ""


@dataclass(frozen=True)
class Aside:
    """A block that did not reach the restored file.

    Attributes:
        block: its name.
        why: one line.
        size: bytes.
        sha256: of the bytes.
        content: base64 of the bytes, where they are few; else empty.
    """

    block: str
    why: str
    size: int
    sha256: str
    content: str

    @classmethod
    def of(cls, block: str, why: str, data: bytes) -> Aside:
        """The record of a block."""
        content = base64.b64encode(data).decode() if len(data) <= _MAX_INLINE else ""
        return cls(block, why, len(data), hashlib.sha256(data).hexdigest(), content)

    @property
    def warning(self) -> str:
        """One line for people."""
        return f"metadata: {self.block} of {self.size} bytes {self.why}; it was left out, and the sidecar names it"


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """The blocks of one file, checked: none is broken, none too large.

    Attributes:
        exif: a classic TIFF structure without JPEG's leading "Exif"; empty for none, as all blocks.
        iptc: IPTC-IIM data sets.
        xmp: an XMP packet: XML in UTF-8, with what JPEG's extension holds of it.
        photoshop: image resources (8BIM) that stay true of other pixels, without IPTC.
        texts: comments and text chunks, in the file's order.
        xml: content of JPEG 2000's XML boxes.
        aside: what could not be kept.
        warnings: a line for each thing that was changed or left out.
    """

    exif: bytes = b""
    iptc: bytes = b""
    xmp: bytes = b""
    photoshop: bytes = b""
    texts: tuple[Text, ...] = ()
    xml: tuple[bytes, ...] = ()
    aside: tuple[Aside, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def names(self) -> list[str]:
        """The blocks that there are."""
        present = {
            "EXIF": self.exif, "IPTC-IIM": self.iptc, "XMP": self.xmp, "Photoshop": self.photoshop,
            "texts": self.texts, "XML": self.xml,
        }  # fmt: skip
        return [name for name, block in present.items() if block]

    def without(self, block: str, why: str, data: bytes, **changes: object) -> Metadata:
        """The same, with `changes`, and with a block of it kept aside."""
        note = Aside.of(block, why, data)
        kept = {"aside": (*self.aside, note), "warnings": (*self.warnings, note.warning)}
        return replace(self, **(changes | kept))  # type: ignore[arg-type]

    def to_bytes(self) -> bytes:
        """For a row; empty where there is nothing, and without the warnings, which rows have a column for."""
        if self == NOTHING:
            return b""
        record = {
            **{name: base64.b64encode(getattr(self, name)).decode() for name in ("exif", "iptc", "xmp", "photoshop")},
            "texts": [[text.keyword, text.text, text.language] for text in self.texts],
            "xml": [base64.b64encode(part).decode() for part in self.xml],
            "aside": [vars(note) for note in self.aside],
        }
        return json.dumps(record).encode()

    @classmethod
    def from_bytes(cls, data: bytes | None) -> Metadata:
        """What `to_bytes` made."""
        if not data:
            return NOTHING
        record = json.loads(data)
        return cls(
            exif=base64.b64decode(record["exif"]),
            iptc=base64.b64decode(record["iptc"]),
            xmp=base64.b64decode(record["xmp"]),
            photoshop=base64.b64decode(record["photoshop"]),
            texts=tuple(Text(*text) for text in record["texts"]),
            xml=tuple(base64.b64decode(part) for part in record["xml"]),
            aside=tuple(Aside(**note) for note in record["aside"]),
        )


NOTHING = Metadata()
