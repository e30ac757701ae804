"""The tables: every row in Parquet, the summary in Markdown for people and in JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from faithdiff_model.evaluation.labels import Label
from faithdiff_model.evaluation.run import Evaluation, Plan, Row
from faithdiff_model.evaluation.summary import DegradationSummary, FigureSummary, Summary, summarise

__all__ = ["to_markdown", "to_table", "write_report"]

PER_IMAGE, SUMMARY, SUMMARY_JSON = "per-image.parquet", "summary.md", "summary.json"

_COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    ("image", pa.string()),
    ("degradation", pa.string()),
    ("method", pa.string()),
    ("seed", pa.int64()),
    ("status", pa.string()),
    ("reason", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("lq_width", pa.int32()),
    ("lq_height", pa.int32()),
    ("seconds", pa.float64()),
    ("ocr_reference", pa.string()),
)


def write_report(folder: Path, plan: Plan, results: Evaluation, request: Mapping[str, object]) -> Path:
    """Write `per-image.parquet`, `summary.md` and `summary.json`, replacing older ones.

    Args:
        folder: made if missing.
        plan: what was measured.
        results: of all its images and methods.
        request: what else is to be recorded: the seed, folders, versions of programs; plain values.

    Returns:
        The Markdown file.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(to_table(results.rows, plan.labels), folder / PER_IMAGE, compression="zstd")
    summary = summarise(plan, results, request)
    text = json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / SUMMARY_JSON).write_text(text + "\n", encoding="utf-8")
    (folder / SUMMARY).write_text(to_markdown(summary), encoding="utf-8")
    return folder / SUMMARY


def to_table(rows: Sequence[Row], labels: Sequence[Label]) -> pa.Table:
    """Rows as Arrow: the fixed columns, then a float64 column a figure, null where there is none."""
    schema = pa.schema([*_COLUMNS, *((label.name, pa.float64()) for label in labels)])
    return pa.Table.from_pylist(list(rows), schema=schema)


def to_markdown(summary: Summary) -> str:
    """`summarise`'s content as Markdown: a table a degradation, the run times, failures, and how it was measured."""
    parts = ["# Evaluation", *_result_parts(summary), "## Run time", _run_time_table(summary)]
    parts.append(
        "Seconds an image of the size of its result: the median over images of the most frequent size, without the first "
        "image, which pays for warming up. Parameters are of all networks that run."
    )
    parts += _failure_parts(summary)
    parts += ["## How it was measured", _circumstances(summary)]
    return "\n\n".join(parts) + "\n"


def _result_parts(summary: Summary) -> list[str]:
    parts = []
    for degradation, result in summary["degradations"].items():
        images, methods = result["images"], result["methods"]
        parts += [
            f"## {_cell(degradation)} ({images} image{'s' if images != 1 else ''})",
            _result_table(summary, result),
        ]
        if len({method["measured"] for method in methods.values()}) > 1:
            parts.append("The methods were measured on different numbers of images: compare with care.")
        untrained = [name for name in methods if not summary["methods"][name]["trained"]]
        if untrained:
            parts.append(f"{', '.join(map(_cell, untrained))}: random weights, which restore nothing.")
    parts.append(
        "Means over the images; the best of each column in bold; a number in brackets: means of so many images alone."
    )
    return parts


def _result_table(summary: Summary, result: DegradationSummary) -> str:
    """Methods as rows, figures as columns."""
    labels, methods = summary["figures"], result["methods"]
    best = {
        name: _best([_shown(method["figures"][name]["mean"], label) for method in methods.values()], label)
        for name, label in labels.items()
    }
    lines = [["method", "images", *(label["heading"] for label in labels.values())]]
    for method_name, method in methods.items():
        cells = [_cell(method_name), f"{method['measured']}"]
        for name, label in labels.items():
            figure = method["figures"][name]
            text = _shown(figure["mean"], label)
            shown = f"**{text}**" if text and text == best[name] else text or "-"
            part = text and figure["images"] != method["measured"]
            cells.append(f"{shown} ({figure['images']})" if part else shown)
        lines.append(cells)
    return _markdown_table(lines)


def _best(texts: Sequence[str], label: FigureSummary) -> str:
    """The best of figures as they are shown; "" where there is none."""
    choose = min if label["lower_is_better"] else max
    return choose((text for text in texts if text), key=float, default="")


def _shown(value: float | None, label: FigureSummary) -> str:
    return "" if value is None else f"{value:.{label['digits']}f}"


def _run_time_table(summary: Summary) -> str:
    """In the form of the paper's Table 4."""
    lines = [["method", "steps", "seconds an image", "of pixels", "images", "parameters", "device"]]
    for row in summary["run_time"]:
        lines.append(
            [
                _cell(row["method"]),
                "-" if row["steps"] is None else str(row["steps"]),
                "-" if row["seconds"] is None else f"{row['seconds']:.3g}",
                "-" if row["width"] is None else f"{row['width']}x{row['height']}",
                str(row["images"]),
                "-" if row["parameters"] is None else _millions(row["parameters"]),
                _cell(row["device"]) or "-",
            ]
        )
    return _markdown_table(lines)


def _millions(parameters: int) -> str:
    return "0" if not parameters else f"{parameters / 1e6:.2f} M" if parameters < 1e8 else f"{parameters / 1e6:.0f} M"


def _failure_parts(summary: Summary) -> list[str]:
    """One line a failure; an image that fails with every method alike is one."""
    if not summary["failures"] and not summary["notes"]:
        return []
    methods_by_failure: dict[tuple[str, str, str], list[str]] = {}
    for failure in summary["failures"]:
        key = (failure["image"], failure["degradation"], failure["reason"])
        methods_by_failure.setdefault(key, []).append(failure["method"])
    parts = ["## Failures"]
    if methods_by_failure:
        lines = [["image", "degradation", "methods", "reason"]]
        lines += [
            [_cell(image), _cell(degradation), _cell(", ".join(methods)), _cell(reason)]
            for (image, degradation, reason), methods in methods_by_failure.items()
        ]
        parts.append(_markdown_table(lines))
    if summary["notes"]:
        parts.append("\n".join(f"- {_cell(note)}" for note in summary["notes"]))
    return parts


def _circumstances(summary: Summary) -> str:
    lines = [f"- {figure['heading'][:-2]}: {figure['about']}" for figure in summary["figures"].values()]
    lines.append("- Results, LQ images and references are rounded to 8 bits before anything is measured")
    lines.append("- Networks get the LQ image enlarged by Lanczos to the reference's size, and no description")
    for name, made_by in summary["methods"].items():
        facts = ", ".join(f"{key} {value}" for key, value in made_by.items() if key != "trained" and value != "")
        lines.append(f"- {_cell(name)}: {_cell(facts)}")
    recorded: list[tuple[str, Mapping[str, object]]] = [
        ("asked", summary["asked"]),
        ("software", summary["software"]),
        ("machine", summary["machine"]),
    ]
    for what, values in recorded:
        facts = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in values.items())
        lines.append(f"- {what}: {_cell(facts)}")
    lines.append(f"- made at {summary['made_at']}")
    return "\n".join(lines)


def _markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """Padded, so that the text itself reads as a table."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    padded = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join(f"| {line} |" for line in (padded[0], " | ".join("-" * width for width in widths), *padded[1:]))


def _cell(text: str) -> str:
    """Names and reasons come from outside: no cell ends, no line breaks, no markup of theirs."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return "".join(f"\\{sign}" if sign in "\\|*`<[" else sign for sign in plain)
