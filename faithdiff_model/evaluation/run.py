"""The evaluation itself: every image through every method, a row for each, failures too."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faithdiff_model.evaluation.data import Pair, Reader, load_pair
from faithdiff_model.evaluation.labels import OCR, Label
from faithdiff_model.evaluation.methods import Method, check_names
from faithdiff_model.evaluation.metrics import Metric, SetMetric
from faithdiff_model.evaluation.ocr import TextReader, text_scores

__all__ = ["FAILED", "MEASURED", "Evaluation", "Plan", "Row", "evaluate"]

MEASURED, FAILED = "measured", "failed"
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure and how.

    Attributes:
        pairs: images, each with its degradation.
        methods: side by side, with different names.
        metrics: of every image.
        set_metrics: of all images of a method and degradation together.
        read: reads a photograph.
        read_text: where text is to be measured.
        save_to: where images are kept, as `<degradation>/<method, hq or lq>/<name>.png`.
    """

    pairs: Sequence[Pair]
    methods: Sequence[Method]
    metrics: Sequence[Metric]
    set_metrics: Sequence[SetMetric] = ()
    read: Reader
    read_text: TextReader | None = None
    save_to: Path | None = None

    def __post_init__(self) -> None:
        check_names([method.name for method in self.methods])

    @property
    def labels(self) -> list[Label]:
        """Figures that every row has."""
        return [metric.label for metric in self.metrics] + (list(OCR) if self.read_text else [])


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The results of an evaluation.

    Attributes:
        rows: one an image, degradation and method: `image`, `degradation`, `method`, `seed`, `status` (`measured` or
            `failed`), `reason` (of a failure, one line), sizes in pixels (`width`, `height`, `lq_width`, `lq_height`),
            `seconds` of the method alone, `ocr_reference` (`file` or `image`), and a figure by the name of each label, None
            where it has no value.
        set_figures: figures of sets by degradation, method and name.
        notes: what went wrong with those, a line each.
    """

    rows: list[Row] = field(default_factory=list)
    set_figures: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """A pair in memory, and its text where that is measured."""

    lq: np.ndarray
    reference: np.ndarray
    text: str = ""
    text_from: str | None = None


def evaluate(plan: Plan, on_row: Callable[[Row], None] | None = None) -> Evaluation:
    """Measure everything. A failure of an image or a method is a row with its reason, and the rest goes on.

    Args:
        plan: what to measure.
        on_row: called with every row as it is finished.

    Raises:
        OSError: an image cannot be saved.
    """
    results = Evaluation()
    with tempfile.TemporaryDirectory(prefix="faitharchive-evaluate-") as temporary:
        folders = [folder for folder in (plan.save_to, Path(temporary) if plan.set_metrics else None) if folder]
        for pair in plan.pairs:
            for row in _measure_pair(plan, pair, folders):
                results.rows.append(row)
                if on_row:
                    on_row(row)
        if plan.set_metrics:
            _measure_sets(plan, Path(temporary), results)
    return results


def _measure_pair(plan: Plan, pair: Pair, folders: Sequence[Path]) -> Iterator[Row]:
    """All methods on one image."""
    try:
        loaded = _load(plan, pair)
    except Exception as error:
        yield from (_row(plan, pair, method.name, status=FAILED, reason=_reason(error)) for method in plan.methods)
        return
    _save(folders, pair, "lq", loaded.lq)
    _save(folders, pair, "hq", loaded.reference)
    for method in plan.methods:
        try:
            row, result = _measure(plan, pair, method, loaded)
        except Exception as error:  # of a network, a metric or a file: whatever it is, the others can go on
            yield _row(plan, pair, method.name, status=FAILED, reason=_reason(error))
            continue
        _save(folders, pair, method.name, result)
        yield row


def _load(plan: Plan, pair: Pair) -> _Loaded:
    lq, reference = load_pair(pair, plan.read)
    if plan.read_text is None:
        return _Loaded(lq=lq, reference=reference)
    text_file = pair.hq.with_suffix(".txt")
    if not text_file.is_file():
        return _Loaded(lq=lq, reference=reference, text=plan.read_text(reference), text_from="image")
    try:
        return _Loaded(lq=lq, reference=reference, text=text_file.read_text(encoding="utf-8-sig"), text_from="file")
    except UnicodeDecodeError as error:
        raise ValueError(f"{text_file}: is not text in UTF-8; save it as UTF-8") from error


def _measure(plan: Plan, pair: Pair, method: Method, loaded: _Loaded) -> tuple[Row, np.ndarray]:
    height, width = loaded.reference.shape[:2]
    started = time.perf_counter()
    result = method.run(loaded.lq, height, width, pair)
    seconds = time.perf_counter() - started
    if result.shape != loaded.reference.shape:
        raise ValueError(
            f"{method.name} of {pair.name} is {result.shape[1]}x{result.shape[0]} pixels, its reference {width}x{height}: "
            "results must have the reference's size"
        )
    figures: dict[str, float | None] = {}
    for metric in plan.metrics:
        figures[metric.label.name] = _finite(metric.measure(result, loaded.reference))
    if plan.read_text is not None:
        figures |= text_scores(plan.read_text(result), loaded.text)
    sizes = {"width": width, "height": height, "lq_width": loaded.lq.shape[1], "lq_height": loaded.lq.shape[0]}
    timing = {"seconds": seconds if method.timed else None}
    row = _row(plan, pair, method.name, **sizes, **timing, ocr_reference=loaded.text_from, **figures)
    return row, result


def _row(plan: Plan, pair: Pair, method: str, **values: str | float | None) -> Row:
    row: Row = {
        "image": _text(pair.name),
        "degradation": pair.degradation,
        "method": method,
        "seed": pair.seed,
        "status": MEASURED,
        **dict.fromkeys(("reason", "width", "height", "lq_width", "lq_height", "seconds", "ocr_reference")),
        **dict.fromkeys(label.name for label in plan.labels),
    }
    return row | values


def _save(folders: Sequence[Path], pair: Pair, kind: str, pixels: np.ndarray) -> None:
    for folder in folders:
        path = folder / pair.degradation / kind / f"{pair.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path)


def _measure_sets(plan: Plan, folder: Path, results: Evaluation) -> None:
    """Each method's results as a set against the references."""
    for degradation in dict.fromkeys(pair.degradation for pair in plan.pairs):
        for method in plan.methods:
            mine = [row for row in results.rows if (row["degradation"], row["method"]) == (degradation, method.name)]
            count = sum(row["status"] == MEASURED for row in mine)
            for metric in plan.set_metrics:
                name = metric.label.name
                what = f"{metric.label.title} of {method.name} under {degradation}"
                if count < 2:
                    results.notes.append(
                        f"{what}: wants two images or more, there {'is' if count == 1 else 'are'} {count}"
                    )
                    continue
                try:
                    value = _finite(metric.measure(folder / degradation / method.name, folder / degradation / "hq"))
                except Exception as error:
                    results.notes.append(f"{what}: {_reason(error)}")
                    continue
                if value is not None:
                    results.set_figures.setdefault((degradation, method.name), {})[name] = value


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _reason(error: Exception) -> str:
    """One line; errors of our own say all, others are named."""
    text = " ".join(_text(str(error)).split())
    if isinstance(error, ValueError | OSError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _text(name: str) -> str:
    """Names that are not valid Unicode, which neither Parquet nor Markdown takes, with their bytes spelt out."""
    return name.encode("utf-8", "backslashreplace").decode()
