"""What a line of `gpu.py`'s results says to a reader, with the goal beside the figure. Loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Of the full-size network at 1024x1024, 20 steps, guidance 5, on an H100; they are goals, not measurements.
GOAL_EXACT = 0.60  # seconds an image without approximations
GOAL_BF16 = 0.85  # seconds an image, good for bfloat16 without float8
GOAL_FASTER = 4.0  # times the reference's way in the same run
GOAL_MATRIX = 798.0  # TFLOP/s of large matrices in bfloat16


def line(row: Mapping[str, Any]) -> str:
    """One line for one row of the results; rows of the training keep their JSON."""
    if "failed" in row:
        named = ", ".join(f"{key} {row[key]}" for key in ("way", "batch", "mode", "windows_a_call") if key in row)
        return f"  {row['what']} {named}: {row['failed']}"
    told = _LINES.get(row["what"])
    return "  " + (told(row) if told else str(dict(row)))


def _goal(row: Mapping[str, Any], told: str) -> str:
    return told if row["network"] == "sdxl" else ""


def _begins(row: Mapping[str, Any]) -> str:
    machine = row["machine"]
    return (
        f"{row['name']}: {machine['gpu'] or machine['cpu']}, torch {machine['torch']}, diffusers {machine['diffusers']}"
    )


def _step(row: Mapping[str, Any]) -> str:
    if "left_out" in row:
        return f"step {row['name']} left out: {row['left_out']}"
    return f"step {row['name']}: exit {row['exit']} after {row['seconds']} s"


def _golden(row: Mapping[str, Any]) -> str:
    verdict = {True: ", all within", False: ", BEYOND", None: ""}[row["within"]]
    errors = ", ".join(f"{name} {value:.1e}" for name, value in row["errors"].items())
    return f"golden {row['dtype']}: largest errors {errors}{verdict}{' tolerance' if verdict else ''}"


def _matrix(row: Mapping[str, Any]) -> str:
    return f"matrices in {row['dtype']}: {row['tflop_s']:.4g} TFLOP/s" + _goal(row, f" (goal {GOAL_MATRIX:.0f})")


def _speed(row: Mapping[str, Any]) -> str:
    ratio, peak = row.get("times_faster"), row.get("peak_gib")
    return (
        f"{row['way']} x{row['batch']} in {row['dtype']}: {row['s_an_image']:.4g} s an image"
        + _goal(row, f" (goal {GOAL_EXACT:.2f} exact, up to {GOAL_BF16:.2f} is good for bfloat16 without float8)")
        + (f", {ratio:.3g} times the reference's way" if ratio is not None else "")
        + (_goal(row, f" (goal {GOAL_FASTER:g})") if ratio is not None else "")
        + f", {row['tflop_s']:.4g} TFLOP/s, first call {row['first_call_s']:.1f} s"
        + (f", peak {peak:.2f} GiB" if peak is not None else "")
        + ("" if row["finite"] else ", NOT FINITE")
    )


def _large(row: Mapping[str, Any]) -> str:
    peak = row.get("peak_gib")
    return (
        f"{row['way']}, {row['size']}x{row['size']} in {row['windows']} windows, {row['windows_a_call']} a call: "
        f"{row['seconds']:.4g} s, {row['s_a_megapixel']:.4g} s a megapixel"
        + (f", peak {peak:.2f} GiB" if peak is not None else "")
    )


def _profile(row: Mapping[str, Any]) -> str:
    parts = ", ".join(f"{name} {100 * share:.1f}%" for name, share in row["shares"].items())
    longest = "".join(
        f"\n    {kernel['ms']:9.2f} ms, {kernel['calls']:5d} calls  {kernel['name'][:100]}" for kernel in row["longest"]
    )
    syncs = row.get("synchronisations_a_step")
    waits = f", {syncs:g} host synchronisations a step" if syncs is not None else ""
    return f"profile, {row['way']}, {row['steps']} steps: {parts}, idle {100 * row['idle']:.1f}%{waits}{longest}"


def _memory(row: Mapping[str, Any]) -> str:
    peak = "-" if row["peak_gib"] is None else f"{row['peak_gib']:.2f} GiB"
    return f"memory {row['mode']}: peak {peak}, {row['s_an_image']:.4g} s an image"


def _approximation(row: Mapping[str, Any]) -> str:
    return f"{row['way']}: {row['s_an_image']:.4g} s an image, off by at most {row['difference']:.2g} of white (random weights)"


def _nano(row: Mapping[str, Any]) -> str:
    return (
        f"nano {row['way']} in {row['dtype']}, {row['windows_a_call']} windows a call: "
        f"{row['s_a_megapixel']:.4g} s a megapixel"
    )


_LINES = {
    "begins": _begins,
    "step": _step,
    "golden": _golden,
    "matrix": _matrix,
    "speed": _speed,
    "large": _large,
    "profile": _profile,
    "memory": _memory,
    "nano": _nano,
    "approximation": _approximation,
}
