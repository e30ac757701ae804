"""What was done to make a result, as the events that PREMIS 3 knows: type, time, agent, outcome and the objects it concerns.

Events are worked out of the manifest's row, which holds all they say: a sidecar, a bag and a rebuilt row tell the same story.
A row has the moments when its reading began and when it was published. Where an event's own moment is not recorded, its time is
the interval between them, as EDTF has it (`begin/end`), and `seconds` says how long it took.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Literal, TypedDict

from pipelines.media.kinds import is_sequence
from pipelines.rows import Row
from pipelines.store.layout import damage_path

__all__ = ["EVENT_TYPES", "Agent", "Event", "Link", "events_of"]

EVENT_TYPES = ("fixity check", "captioning", "damage repair", "restoration", "validation", "publication")

_PROGRAM = "FaithArchive"


class Agent(TypedDict):
    """Who or what acted: a program or a network, with its version."""

    name: str
    type: Literal["software", "organization"]
    version: str


class Link(TypedDict):
    """An object that an event concerns, and what it was to the event."""

    role: Literal["source", "outcome"]
    what: Literal["source", "result", "damage mask"]
    path: str
    sha256: str


class Event(TypedDict):
    """One event.

    Attributes:
        type: of `EVENT_TYPES`.
        time: ISO 8601 moment, or an interval `begin/end`.
        seconds: how long it took, waiting left out; None where nobody measured it.
        agent: who acted.
        outcome: success, or warning where something could not be done as it should.
        detail: what was done and found, a line.
        objects: what it concerns.
    """

    type: str
    time: str
    seconds: float | None
    agent: Agent
    outcome: Literal["success", "warning"]
    detail: str
    objects: list[Link]


def events_of(row: Row) -> list[Event]:
    """The events of a restored row, in the order in which they happened.

    Args:
        row: of status restored, with all columns that the manifest keeps.
    """
    found = [
        _fixity_check(row),
        _captioning(row),
        _damage_repair(row),
        _restoration(row),
        _validation(row),
        _publication(row),
    ]
    return [event for event in found if event is not None]


def _event(
    row: Row, kind: str, detail: str, objects: list[Link], *, time: str = "", seconds: float | None = None, agent: Agent
) -> Event:
    return {
        "type": kind,
        "time": time or _interval(row),
        "seconds": seconds,
        "agent": agent,
        "outcome": "success",
        "detail": detail,
        "objects": objects,
    }


def _fixity_check(row: Row) -> Event:
    began, seconds = row["started_at"], row["seconds_read"]
    moment = began + timedelta(seconds=seconds) if began and seconds is not None else None
    of = "the list of its frames' checksums" if is_sequence(row["source_path"]) else "it"
    return _event(
        row,
        "fixity check",
        f"SHA-256 of {of} computed while the source was read; later checks are held against it",
        [_source(row)],
        time=_moment(moment) if moment else "",
        seconds=seconds,
        agent=_program(row),
    )


def _captioning(row: Row) -> Event | None:
    if row["caption_source"] in (None, "", "none"):
        return None
    by_model = bool(row["caption_model"])
    agent: Agent = (
        {"name": str(row["caption_model"]), "type": "software", "version": ""}
        if by_model
        else {"name": "the archive's catalogue", "type": "organization", "version": ""}
    )
    detail = f"described by {row['caption_source']}: {row['caption'] or '(nothing)'}"
    return _event(row, "captioning", detail, [_source(row)], seconds=row["seconds_caption"], agent=agent)


def _damage_repair(row: Row) -> Event | None:
    if row["damage_share"] is None:
        return None
    filled = _setting(row, "repair_damage") == "fill"
    marks = row["damage_marks"] or 0
    done = "narrow ones filled from around them, wide ones left" if filled else "none of them changed"
    detail = f"{marks} marks found on {row['damage_share']:.2%} of the scan; {done}"
    return _event(
        row, "damage repair", detail, [_source(row), *_mask(row)], seconds=row["seconds_damage"], agent=_program(row)
    )


def _restoration(row: Row) -> Event:
    preset = str(row["model_preset"] or _setting(row, "preset") or "")
    detail = (
        f"preset {preset}, seed {row['seed']}, settings sha256:{row['settings_digest']}, identity {row['identity']}"
    )
    if row["model_trained"] is False:
        detail += "; the weights are random, so this is no restoration"
    if row["tone_curve"]:
        detail += "; tone changed by smooth curves"
    agent: Agent = {
        "name": f"{_PROGRAM} network {preset}".rstrip(),
        "type": "software",
        "version": f"sha256:{row['model_digest']}",
    }
    event = _event(
        row, "restoration", detail, [_source(row), _result(row)], seconds=row["seconds_restore"], agent=agent
    )
    if row["warnings"]:
        event["outcome"] = "warning"
        event["detail"] += "; " + "; ".join(row["warnings"])
    return event


def _validation(row: Row) -> Event | None:
    if row["lq_psnr_db"] is None:
        return None
    detail = f"result compared with the source at the source's size, outside damage: PSNR {row['lq_psnr_db']:.2f} dB"
    for name, column in (("SSIM", row["consistency_ssim"]), ("colour difference", row["consistency_colour"])):
        detail += f", {name} {column:.3f}" if column is not None else ""
    if row["consistency_worst_db"] is not None:
        detail += f", worst region {row['consistency_worst_db']:.2f} dB"
    return _event(row, "validation", detail, [_source(row), _result(row)], agent=_program(row))


def _publication(row: Row) -> Event:
    detail = f"{row['output_size']} bytes of {row['output_format']} published whole, SHA-256 recorded"
    return _event(
        row,
        "publication",
        detail,
        [_result(row), *_mask(row)],
        time=_moment(row["finished_at"]),
        seconds=row["seconds_write"],
        agent=_program(row),
    )


def _source(row: Row) -> Link:
    return {"role": "source", "what": "source", "path": row["source_path"], "sha256": row["source_sha256"]}


def _result(row: Row) -> Link:
    return {"role": "outcome", "what": "result", "path": row["output_path"], "sha256": row["output_sha256"] or ""}


def _mask(row: Row) -> list[Link]:
    if not row["damage_mask_sha256"]:
        return []
    path = damage_path(row["output_path"], row["pages"])
    return [{"role": "outcome", "what": "damage mask", "path": path, "sha256": row["damage_mask_sha256"]}]


def _program(row: Row) -> Agent:
    versions = json.loads(row["software"] or "{}")
    return {"name": _PROGRAM, "type": "software", "version": str(versions.get("faitharchive", ""))}


def _setting(row: Row, name: str) -> object:
    settings = json.loads(row["settings"] or "{}")
    return settings.get(name) if isinstance(settings, dict) else None


def _interval(row: Row) -> str:
    """From the beginning of reading to publication; the latter alone where the former is not known."""
    end = _moment(row["finished_at"])
    return f"{_moment(row['started_at'])}/{end}" if row["started_at"] else end


def _moment(moment: datetime) -> str:
    return moment.isoformat()
