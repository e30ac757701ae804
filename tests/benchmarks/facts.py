"""What a figure was measured on, and where figures are kept: JSON files with the machine in them, and small text tables."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from faithdiff_model.evaluation.facts import cpu_name, version

RESULTS = Path(__file__).parent / "results"
_ROOT = Path(__file__).parents[2]
_PACKAGES = ("torch", "diffusers", "transformers", "ray", "numpy", "pillow", "pyarrow")


def machine_facts() -> dict[str, Any]:
    """The machine, the software and the command line, as plain values. Memory in GiB."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.executable).name, *sys.argv]),
        "commit": _commit(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "load_average_1min": round(os.getloadavg()[0], 2),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpu": _gpu(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


def peak_mb() -> int:
    """The most memory that this process ever had, pages of mapped files among it."""
    return _memory("VmHWM") >> 20


def resident() -> int:
    """Memory of this process now, bytes."""
    return _memory("VmRSS")


def _memory(field: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith(field))


def write_results(name: str, device: str, content: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Keep `content` with the machine's facts as `<name>-<device>-<date>.json`, replacing one of the same day.

    Args:
        name: of the benchmark.
        device: `cpu` or `cuda`.
        content: figures, plain values.
        folder: made if missing.
    """
    facts = machine_facts()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{device}-{facts['date'][:10]}.json"
    path.write_text(json.dumps({"machine": facts, **content}, indent=1) + "\n")
    return path


def text_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """A Markdown table of some columns; missing values are dashes, floats have four significant digits."""
    cells = [list(columns), *([_shown(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = [" | ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)) for line in cells]
    rule = " | ".join("-" * width for width in widths)
    return "\n".join(f"| {line} |" for line in [lines[0], rule, *lines[1:]])


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def _commit() -> str:
    """Short hash, with `+changes` where the packages differ from it."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", "faithdiff_model", "pipelines", "jobs")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+changes" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=_ROOT, check=True, capture_output=True, text=True, timeout=20
    ).stdout.strip()


def _gpu() -> str | None:
    import torch

    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
