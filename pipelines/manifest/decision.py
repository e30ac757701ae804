"""One decision about a result: accept, reject, redo with other settings, or undo of an earlier one; and what holds of a result.

A decision is about the result that its reviewer saw. `standing` says what holds of a result now: what was said of an earlier
one says nothing. `decisions` keeps all of them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, cast, get_args

from pipelines.item_settings import choices_json
from pipelines.rows import Row

__all__ = ["ACCEPT", "REDO", "REJECT", "UNDECIDED", "UNDO", "Decision", "Standing", "Verb", "standing"]

Verb = Literal["accept", "reject", "redo", "undo"]
Standing = Literal["accept", "reject", "redo", "none"]
ACCEPT, REJECT, REDO, UNDO = get_args(Verb)
UNDECIDED: Standing = "none"

_LONGEST = 10_000  # characters of a note


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision.

    Attributes:
        item_id: whose.
        decision: `accept`, `reject`, `redo`, or `undo` of an earlier one.
        output_path, output_sha256, settings_digest: of the result that was decided on; empty where there is none.
        settings: JSON of the settings chosen for redo, by name; empty otherwise.
        undoes: id of the decision that an undo takes back; empty otherwise.
        note: in the reviewer's words.
        reviewer: a name.
        decided_at: when, with its time zone.
        decision_id: names the decision for good: recording it again records nothing.

    Raises:
        ValueError: a value is missing or not possible; in one line.
    """

    item_id: str
    decision: Verb
    output_path: str = ""
    output_sha256: str = ""
    settings_digest: str = ""
    settings: str = ""
    undoes: str = ""
    note: str = ""
    reviewer: str = ""
    decided_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    decision_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        if self.decision not in get_args(Verb):
            raise ValueError(f"decision {str(self.decision)[:40]!r}: is none of {', '.join(get_args(Verb))}")
        if not self.item_id or not self.decision_id:
            raise ValueError("decision: names no item, or has no id")
        if (self.decision == UNDO) != bool(self.undoes):
            raise ValueError("decision: an undo names the decision that it takes back, and nothing else does")
        if bool(self.settings) != (self.decision == REDO):
            raise ValueError("decision: redo needs the settings that were chosen, and nothing else has any")
        if self.decided_at is None or self.decided_at.tzinfo is None:
            raise ValueError("decision: its time has no time zone")
        if self.settings:
            object.__setattr__(self, "settings", choices_json(_object(self.settings)))
        object.__setattr__(self, "note", self.note[:_LONGEST])

    @classmethod
    def about(
        cls,
        row: Row,
        decision: Verb,
        *,
        reviewer: str,
        note: str = "",
        choices: Mapping[str, object] | None = None,
        decision_id: str = "",
    ) -> Decision:
        """A decision about the result of a manifest row, made now.

        Args:
            row: with `item_id`, `output_path`, `output_sha256` and `settings_digest`.
            decision: not `undo`.
            reviewer, note: who, and why.
            choices: for redo: settings by name, of `item_settings.CHOOSABLE`.
            decision_id: given by a client that may send the same decision twice.

        Raises:
            ValueError: the choices are none.
        """
        return cls(
            item_id=row["item_id"],
            decision=decision,
            output_path=row["output_path"] or "",
            output_sha256=row["output_sha256"] or "",
            settings_digest=row["settings_digest"] or "",
            settings=choices_json(choices or {}) if decision == REDO else "",
            note=note,
            reviewer=reviewer,
            decision_id=decision_id or uuid.uuid4().hex,
        )

    def taken_back(self, *, reviewer: str, note: str = "") -> Decision:
        """The undo of this decision, made now."""
        return Decision(
            item_id=self.item_id,
            decision=UNDO,
            output_path=self.output_path,
            output_sha256=self.output_sha256,
            settings_digest=self.settings_digest,
            undoes=self.decision_id,
            note=note,
            reviewer=reviewer,
        )

    @property
    def choices(self) -> dict[str, object]:
        """The settings chosen for redo, by name."""
        return _object(self.settings) if self.settings else {}

    def is_about(self, row: Row) -> bool:
        """Whether it was made on the very result that a manifest row tells of."""
        return self.result == (row["output_sha256"] or "", row["settings_digest"] or "")

    @property
    def result(self) -> tuple[str, str]:
        """Digests of the result that it was made on, and of its settings."""
        return self.output_sha256, self.settings_digest


def standing(decision: Decision | None, row: Row) -> Standing:
    """What was decided about the result that a row tells of: `none` where nobody has, or only about an earlier one.

    Args:
        decision: of `DecisionLog.current`, of the row's item.
        row: with `output_sha256` and `settings_digest`.
    """
    if decision is None or not decision.is_about(row):
        return UNDECIDED
    return cast(Standing, decision.decision)


def _object(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"decision: settings {text[:80]!r} are no JSON object")
    return found
