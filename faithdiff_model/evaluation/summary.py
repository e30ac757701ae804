"""The figures of an evaluation as plain values: means, run times, failures, circumstances. The content of `summary.json`."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypedDict

from faithdiff_model.evaluation.facts import machine, software
from faithdiff_model.evaluation.methods import Method
from faithdiff_model.evaluation.run import FAILED, MEASURED, Evaluation, Plan, Row

__all__ = ["DegradationSummary", "Failure", "FigureSummary", "Mean", "MethodMeans", "RunTime", "Summary", "summarise"]


class FigureSummary(TypedDict):
    """How a figure is shown; see `labels.Label`."""

    heading: str
    about: str
    lower_is_better: bool
    digits: int


class Mean(TypedDict):
    """A mean, None where there is none, and the number of images it is of."""

    mean: float | None
    images: int


class MethodMeans(TypedDict):
    """A method under one degradation: the number of images measured, and the mean of each figure by its name."""

    measured: int
    figures: dict[str, Mean]


class DegradationSummary(TypedDict):
    """The number of images under one degradation, and each method's means by its name."""

    images: int
    methods: dict[str, MethodMeans]


class RunTime(TypedDict):
    """Median seconds of a method, the size in pixels and the number of the images it is of, and what the method is."""

    method: str
    width: int | None
    height: int | None
    images: int
    seconds: float | None
    steps: int | None
    parameters: int | None
    device: str


class Failure(TypedDict):
    """An image that a method failed on, and why."""

    image: str
    degradation: str
    method: str
    reason: str


class Summary(TypedDict):
    """Everything; `asked` is what the caller recorded, `methods` what each method's results depend on."""

    made_at: str
    asked: dict[str, object]
    figures: dict[str, FigureSummary]
    degradations: dict[str, DegradationSummary]
    run_time: list[RunTime]
    methods: dict[str, dict[str, object]]
    failures: list[Failure]
    notes: list[str]
    software: dict[str, str]
    machine: dict[str, str | int]


def summarise(plan: Plan, results: Evaluation, request: Mapping[str, object]) -> Summary:
    """Means, run times, failures and circumstances.

    Args:
        plan: what was measured.
        results: of all its images and methods.
        request: what else is recorded, as `asked`.
    """
    labels = [*plan.labels, *(metric.label for metric in plan.set_metrics)]
    degradations = list(dict.fromkeys(pair.degradation for pair in plan.pairs))
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "asked": dict(request),
        "figures": {
            label.name: {
                "heading": label.heading,
                "about": label.about,
                "lower_is_better": label.lower_is_better,
                "digits": label.digits,
            }
            for label in labels
        },
        "degradations": {
            degradation: {
                "images": sum(pair.degradation == degradation for pair in plan.pairs),
                "methods": {method.name: _means(plan, results, degradation, method.name) for method in plan.methods},
            }
            for degradation in degradations
        },
        "run_time": [_run_time(method, results.rows) for method in plan.methods],
        "methods": {method.name: {"trained": method.trained, **method.made_by} for method in plan.methods},
        "failures": [
            {
                "image": row["image"],
                "degradation": row["degradation"],
                "method": row["method"],
                "reason": row["reason"],
            }
            for row in results.rows
            if row["status"] == FAILED
        ],
        "notes": list(results.notes),
        "software": software(),
        "machine": machine(),
    }


def _means(plan: Plan, results: Evaluation, degradation: str, method: str) -> MethodMeans:
    """A method's mean of each figure and the number of images it is of."""
    rows = [
        row
        for row in results.rows
        if (row["degradation"], row["method"], row["status"]) == (degradation, method, MEASURED)
    ]
    figures: dict[str, Mean] = {}
    for label in plan.labels:
        values = [row[label.name] for row in rows if row[label.name] is not None]
        figures[label.name] = {"mean": statistics.fmean(values) if values else None, "images": len(values)}
    of_set = results.set_figures.get((degradation, method), {})
    for metric in plan.set_metrics:
        name = metric.label.name
        figures[name] = {"mean": of_set.get(name), "images": len(rows) if name in of_set else 0}
    return {"measured": len(rows), "figures": figures}


def _run_time(method: Method, rows: Sequence[Row]) -> RunTime:
    """Median seconds over images of the most frequent size, without the first image, which pays for warming up."""
    time: RunTime = {
        "method": method.name,
        "width": None,
        "height": None,
        "images": 0,
        "seconds": None,
        "steps": method.steps,
        "parameters": method.parameters,
        "device": method.device,
    }
    timed = [row for row in rows if row["method"] == method.name and row["seconds"] is not None]
    sizes = Counter((row["width"], row["height"]) for row in timed)
    if not sizes:
        return time
    width, height = max(sizes, key=lambda size: (sizes[size], size))
    of_size = [row for row in timed if (row["width"], row["height"]) == (width, height)]
    later = [row for row in of_size if row is not timed[0]] or of_size
    seconds = statistics.median(row["seconds"] for row in later)
    return {**time, "width": width, "height": height, "images": len(later), "seconds": seconds}
