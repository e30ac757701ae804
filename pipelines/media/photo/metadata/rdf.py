"""RDF/XML of strangers: read within limits, without entities or document types, and written with the prefixes that it had."""

from __future__ import annotations

from xml.etree.ElementTree import Element
from xml.parsers import expat

from pipelines.media.photo.metadata.blocks import MAX_BLOCK
from pipelines.media.xmp import NAMESPACES, writable

__all__ = ["ABOUT", "DESCRIPTION", "PARSE_TYPE", "RDF", "XML", "XmpError", "name", "read_rdf", "write_rdf"]

XML = "http://www.w3.org/XML/1998/namespace"
_MAX_NODES = 200_000  # elements and attributes
_MAX_DEPTH = 64
_MAX_NAMESPACES = 500
_MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def name(qualified: str) -> str:
    """The full name of a property such as `dc:title`, whose prefix is one of `NAMESPACES`."""
    prefix, _, local = qualified.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


RDF, DESCRIPTION, ABOUT, PARSE_TYPE = name("rdf:RDF"), name("rdf:Description"), name("rdf:about"), name("rdf:parseType")


class XmpError(ValueError):
    """The bytes are no XMP that is safe to read; the message is the reason."""


class _Builder:
    """Builds a tree out of what expat reports, and stops at what no XMP needs."""

    def __init__(self) -> None:
        self.prefixes: dict[str, str] = {}  # namespace to prefix
        self.root: Element | None = None
        self._open: list[Element] = []
        self._nodes = 0
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.namespace_prefixes = True
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        self.parser = parser

    def _refuse(self, *_: object) -> None:
        raise XmpError("declares a document type or entities, which XMP has none of")

    def _full(self, reported: str) -> str:
        uri, _, rest = reported.partition(" ")
        if not rest:
            return uri
        local, _, prefix = rest.partition(" ")
        if uri not in self.prefixes and uri != XML:
            if len(self.prefixes) >= _MAX_NAMESPACES:
                raise XmpError(f"has more than {_MAX_NAMESPACES} namespaces")
            self.prefixes[uri] = prefix
        return f"{{{uri}}}{local}"

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._nodes += 1 + len(attributes)
        if self._nodes > _MAX_NODES or len(self._open) >= _MAX_DEPTH:
            raise XmpError(f"has more than {_MAX_NODES} nodes, or more than {_MAX_DEPTH} levels")
        element = Element(self._full(tag), {self._full(key): value for key, value in attributes.items()})
        if self._open:
            self._open[-1].append(element)
        else:
            self.root = element
        self._open.append(element)

    def _end(self, _tag: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        parent = self._open[-1]
        if len(parent):
            parent[-1].tail = (parent[-1].tail or "") + text
        else:
            parent.text = (parent.text or "") + text


def read_rdf(packet: bytes) -> tuple[Element, dict[str, str]]:
    """The element rdf:RDF of an XMP packet, and the prefix of each namespace.

    Raises:
        XmpError: it is not well formed, holds no RDF, or asks for more than XMP may.
    """
    if len(packet) > MAX_BLOCK:
        raise XmpError(f"has {len(packet)} bytes, of {MAX_BLOCK} at most")
    builder = _Builder()
    try:
        builder.parser.Parse(_utf8(packet), True)
    except expat.ExpatError as error:
        raise XmpError(f"is not well formed ({error})") from error
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, XmpError) else XmpError("is not well formed") from error
    root = builder.root
    found = [] if root is None else [root, *root] if root.tag != RDF else [root]
    for element in found:
        if element.tag == RDF:
            element.tail = None
            return element, builder.prefixes
    raise XmpError("holds no RDF")


def _utf8(packet: bytes) -> bytes:
    """The packet as UTF-8, without the zeros that some programs fill it up with."""
    for mark, encoding in _MARKS:
        if packet.startswith(mark):
            try:
                return packet.decode(encoding).strip("\ufeff\0 \r\n\t").encode()
            except UnicodeError as error:
                raise XmpError(f"is no {encoding.upper()}") from error
    # Without its own declaration: what it says of the encoding has become untrue on the way, or is UTF-8 anyway.
    return packet.removeprefix(b"\xef\xbb\xbf").strip(b"\0 \r\n\t")


def write_rdf(rdf: Element, prefixes: dict[str, str]) -> str:
    """The element with all it holds, in an x:xmpmeta; every namespace keeps its prefix, as far as two do not share one."""
    chosen = {XML: "xml"}
    known = {uri: prefix for prefix, uri in NAMESPACES.items()}
    for element in rdf.iter():
        for full in (element.tag, *element.keys()):
            uri = full[1:].partition("}")[0] if full.startswith("{") else ""
            if uri and uri not in chosen:
                wanted = prefixes.get(uri) or known.get(uri) or "ns"
                number = 1
                prefix = wanted
                while prefix in chosen.values() or prefix in ("x", "xmlns"):
                    number += 1
                    prefix = f"{wanted}{number}"
                chosen[uri] = prefix
    declared = "".join(f' xmlns:{prefix}="{_quoted(uri)}"' for uri, prefix in chosen.items() if uri != XML)
    parts = [f'<x:xmpmeta xmlns:x="{NAMESPACES["x"]}">']
    _write(parts, rdf, chosen, declared)
    return "".join([*parts, "</x:xmpmeta>"])


def _write(parts: list[str], element: Element, prefixes: dict[str, str], declared: str = "") -> None:
    tag = _short(element.tag, prefixes)
    attributes = "".join(f' {_short(key, prefixes)}="{_quoted(value)}"' for key, value in element.items())
    parts.append(f"<{tag}{declared}{attributes}")
    if element.text or len(element):
        parts.append(f">{_escaped(element.text or '')}")
        for child in element:
            _write(parts, child, prefixes)
        parts.append(f"</{tag}>")
    else:
        parts.append("/>")
    parts.append(_escaped(element.tail or ""))


def _short(full: str, prefixes: dict[str, str]) -> str:
    uri, _, local = full[1:].rpartition("}") if full.startswith("{") else ("", "", full)
    return f"{prefixes[uri]}:{local}" if uri else local


def _escaped(text: str) -> str:
    return writable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")
