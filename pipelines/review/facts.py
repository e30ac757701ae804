"""What a report says of an archive."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class Report:
    """What a report says. Counts are of items by their current row.

    Attributes:
        made_at: UTC.
        output: the store, without secrets.
        statuses: items by status.
        kinds: restored items, their bytes before and after and their frames, by kind of medium.
        codes: failed items by error code.
        failures: the first failed and quarantined items: path, status, attempts, code, stage, reason.
        faithfulness: PSNR to the source in dB at the 1st, 10th, 50th, 90th and 99th hundredth; empty without results.
        faintest: the results that are furthest from their source: path, dB.
        models: restored items by preset, device and whether the weights were trained.
        runs: summaries of the latest runs, newest first.
    """

    made_at: str
    output: str
    statuses: dict[str, int] = field(default_factory=dict)
    kinds: list[tuple[str, int, int, int, int]] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, str, int, str, str, str]] = field(default_factory=list)
    faithfulness: list[float] = field(default_factory=list)
    faintest: list[tuple[str, float]] = field(default_factory=list)
    models: list[tuple[str, str, bool, int]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
