"""XMP packets (ISO 16684-1): what a restored file says of its making, as RDF/XML that any reader of metadata understands."""

from __future__ import annotations

import re
from xml.etree import ElementTree

__all__ = ["BEGIN", "END", "NAMESPACES", "Packet", "writable", "xmp_packet"]

NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
    "stRef": "http://ns.adobe.com/xap/1.0/sType/ResourceRef#",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
}
# What XML 1.0 cannot hold, even escaped.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
END = '\n<?xpacket end="r"?>'  # read only: a program that edits the file in place has no room here

# Property, such as "xmp:CreatorTool", to its text; to the fields of a structure; or to a list of structures, in order.
Packet = dict[str, "str | dict[str, str] | list[dict[str, str]]"]

for _prefix, _uri in NAMESPACES.items():
    ElementTree.register_namespace(_prefix, _uri)


def xmp_packet(properties: Packet) -> bytes:
    """An XMP packet in UTF-8; the same properties give the same bytes.

    Args:
        properties: in the order in which they are written; their prefixes are those of `NAMESPACES`. Characters that XML
            cannot hold become U+FFFD.
    """
    root = ElementTree.Element(_name("x:xmpmeta"))
    description = ElementTree.SubElement(
        ElementTree.SubElement(root, _name("rdf:RDF")), _name("rdf:Description"), {_name("rdf:about"): ""}
    )
    for name, value in properties.items():
        element = ElementTree.SubElement(description, _name(name))
        if isinstance(value, str):
            element.text = writable(value)
        elif isinstance(value, dict):
            _fill(element, value)
        else:
            sequence = ElementTree.SubElement(element, _name("rdf:Seq"))
            for fields in value:
                _fill(ElementTree.SubElement(sequence, _name("rdf:li")), fields)
    ElementTree.indent(root, " ")
    return (BEGIN + ElementTree.tostring(root, encoding="unicode") + END).encode()


def _fill(element: ElementTree.Element, fields: dict[str, str]) -> None:
    element.set(_name("rdf:parseType"), "Resource")
    for name, text in fields.items():
        ElementTree.SubElement(element, _name(name)).text = writable(text)


def _name(qualified: str) -> str:
    prefix, _, local = qualified.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


def writable(text: str) -> str:
    """Text without what XML 1.0 cannot hold, even escaped: U+FFFD stands there."""
    return _UNWRITABLE.sub("\ufffd", text)
