"""XMP packets (ISO 16684-1): what a restored file says of its making, as RDF/XML that any reader of metadata understands."""

from __future__ import annotations

import re
from xml.etree import ElementTree

__all__ = ["Packet", "xmp_packet"]

_NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
    "stRef": "http://ns.adobe.com/xap/1.0/sType/ResourceRef#",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
# What XML 1.0 cannot hold, even escaped.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_END = '\n<?xpacket end="r"?>'  # read only: a program that edits the file in place has no room here

# Property, such as "xmp:CreatorTool", to its text; to the fields of a structure; or to a list of structures, in order.
Packet = dict[str, "str | dict[str, str] | list[dict[str, str]]"]

for _prefix, _uri in _NAMESPACES.items():
    ElementTree.register_namespace(_prefix, _uri)


def xmp_packet(properties: Packet) -> bytes:
    """An XMP packet in UTF-8; the same properties give the same bytes.

    Args:
        properties: in the order in which they are written; their prefixes are those of `_NAMESPACES`. Characters that XML
            cannot hold become U+FFFD.
    """
    root = ElementTree.Element(_name("x:xmpmeta"))
    description = ElementTree.SubElement(
        ElementTree.SubElement(root, _name("rdf:RDF")), _name("rdf:Description"), {_name("rdf:about"): ""}
    )
    for name, value in properties.items():
        element = ElementTree.SubElement(description, _name(name))
        if isinstance(value, str):
            element.text = _writable(value)
        elif isinstance(value, dict):
            _fill(element, value)
        else:
            sequence = ElementTree.SubElement(element, _name("rdf:Seq"))
            for fields in value:
                _fill(ElementTree.SubElement(sequence, _name("rdf:li")), fields)
    ElementTree.indent(root, " ")
    return (_BEGIN + ElementTree.tostring(root, encoding="unicode") + _END).encode()


def _fill(element: ElementTree.Element, fields: dict[str, str]) -> None:
    element.set(_name("rdf:parseType"), "Resource")
    for name, text in fields.items():
        ElementTree.SubElement(element, _name(name)).text = _writable(text)


def _name(qualified: str) -> str:
    prefix, _, local = qualified.partition(":")
    return f"{{{_NAMESPACES[prefix]}}}{local}"


def _writable(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
