"""An item as PREMIS 3 describes it: files as objects, what was done to them as events, who did it as agents.

The events are those of the sidecar, and two of the export: the fixity check of what was copied, and the making of the package.
Source: PREMIS Data Dictionary 3.0 and its schema, http://www.loc.gov/premis/v3.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring

from pipelines.export.item import Item, media_type
from pipelines.export.package import Placed
from pipelines.manifest.events import Agent, Event, Link, events_of

__all__ = ["premis_xml", "xml_text"]

_PREMIS = "http://www.loc.gov/premis/v3"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_LOCATION = f"{_PREMIS} https://www.loc.gov/standards/premis/v3/premis-v3-0.xsd"
# Characters that no XML 1.0 document can hold.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAMES = uuid.UUID(
    "4a4d1e0c-3e1c-5f0e-9d57-6f6d9c0a7b11"
)  # of our identifiers: the same item has the same ones for ever
_WHAT: dict[str, Literal["source", "result", "damage mask"]] = {
    "scan": "source",
    "restored": "result",
    "mask": "damage mask",
}
# How an object came from another one, in the words of the Library of Congress's vocabulary.
_DERIVED = {"restored": "scan", "mask": "scan"}

register_namespace("premis", _PREMIS)
register_namespace("xsi", _XSI)


def xml_text(text: str) -> str:
    """A text as XML can hold it: characters that it cannot stand as U+FFFD."""
    return _NOT_XML.sub("\ufffd", text)


@dataclass(kw_only=True)
class _Document:
    """What is being written, and the identifiers that objects and agents have in it."""

    root: Element
    item: Item
    objects: dict[str, str] = field(default_factory=dict)  # what -> path in the package
    agents: dict[tuple[str, str], Agent] = field(default_factory=dict)
    events: int = 0


def premis_xml(item: Item, placed: Sequence[Placed], moment: datetime) -> bytes:
    """The description of an exported item.

    Args:
        item: with its row.
        placed: its files in the package, hashed as they were copied; scan and result are among them.
        moment: when they were copied, with its time zone.

    Returns:
        A PREMIS 3 document, UTF-8.
    """
    root = Element(_name("premis"), {"version": "3.0", f"{{{_XSI}}}schemaLocation": _LOCATION})
    document = _Document(root=root, item=item)
    for file in placed:
        if file.role in _WHAT:
            document.objects[_WHAT[str(file.role)]] = file.path
    for file in placed:
        if file.role in _WHAT:
            _object(document, file)
    told = [*events_of(item.row), *_exported(item, moment)]
    for event in told:
        _event(document, event)
    for agent in document.agents.values():
        _agent(root, agent)
    indent(root)
    return tostring(root, encoding="UTF-8", xml_declaration=True) + b"\n"


def _exported(item: Item, moment: datetime) -> list[Event]:
    """The events of the export itself."""
    links: list[Link] = [
        {"role": "source", "what": _WHAT[file.role], "path": file.path, "sha256": file.sha256}
        for file in item.files
        if file.role in _WHAT
    ]
    agent: Agent = {"name": "FaithArchive", "type": "software", "version": version("faitharchive")}
    done = {
        "fixity check": "SHA-256 computed while the files were copied; each is the one that was recorded at restoration",
        "information package creation": "scan, result and what is known of them put together for transfer",
    }
    return [
        {
            "type": kind,
            "time": moment.isoformat(),
            "seconds": None,
            "agent": agent,
            "outcome": "success",
            "detail": detail,
            "objects": links,
        }
        for kind, detail in done.items()
    ]


def _object(document: _Document, file: Placed) -> None:
    item, root = document.item, document.root
    made = SubElement(root, _name("object"), {f"{{{_XSI}}}type": "premis:file"})
    _identifier(made, "objectIdentifier", "local", file.path)
    facts = SubElement(made, _name("objectCharacteristics"))
    _text(facts, "compositionLevel", "0")
    fixity = SubElement(facts, _name("fixity"))
    _text(fixity, "messageDigestAlgorithm", "SHA-256")
    _text(fixity, "messageDigest", file.sha256)
    _text(fixity, "messageDigestOriginator", "FaithArchive")
    _text(facts, "size", str(file.size))
    designation = SubElement(SubElement(facts, _name("format")), _name("formatDesignation"))
    _text(designation, "formatName", media_type(file.path))
    named = {"scan": item.row["source_path"], "restored": item.row["output_path"]}
    _text(made, "originalName", named.get(str(file.role), file.path.rpartition("/")[2]))
    parent = _DERIVED.get(str(file.role))
    if parent is not None:
        relation = SubElement(made, _name("relationship"))
        _text(relation, "relationshipType", "derivation")
        _text(relation, "relationshipSubType", "has source")
        _identifier(relation, "relatedObjectIdentifier", "local", document.objects[_WHAT[parent]])


def _event(document: _Document, event: Event) -> None:
    document.events += 1
    made = SubElement(document.root, _name("event"))
    _identifier(made, "eventIdentifier", "UUID", _uuid(document.item, f"event {document.events}"))
    _text(made, "eventType", event["type"])
    _text(made, "eventDateTime", event["time"])
    _text(SubElement(made, _name("eventDetailInformation")), "eventDetail", event["detail"])
    _text(SubElement(made, _name("eventOutcomeInformation")), "eventOutcome", event["outcome"])
    agent = event["agent"]
    document.agents[agent["name"], agent["version"]] = agent
    _identifier(made, "linkingAgentIdentifier", "local", _agent_name(agent))
    for link in event["objects"]:
        path = document.objects.get(link["what"])
        if path is not None:
            linked = _identifier(made, "linkingObjectIdentifier", "local", path)
            _text(linked, "linkingObjectRole", link["role"])


def _agent(root: Element, agent: Agent) -> None:
    made = SubElement(root, _name("agent"))
    _identifier(made, "agentIdentifier", "local", _agent_name(agent))
    _text(made, "agentName", agent["name"])
    _text(made, "agentType", agent["type"])
    if agent["version"]:
        _text(made, "agentVersion", agent["version"])


def _agent_name(agent: Agent) -> str:
    return f"{agent['name']} {agent['version']}".strip()


def _identifier(parent: Element, name: str, kind: str, value: str) -> Element:
    """An identifier of any of PREMIS's names, which all have a type and a value."""
    made = SubElement(parent, _name(name))
    _text(made, f"{name}Type", kind)
    _text(made, f"{name}Value", value)
    return made


def _uuid(item: Item, what: str) -> str:
    return str(uuid.uuid5(_NAMES, f"{item.name} {what}"))


def _name(name: str) -> str:
    return f"{{{_PREMIS}}}{name}"


def _text(parent: Element, name: str, text: str) -> None:
    SubElement(parent, _name(name)).text = xml_text(text)
