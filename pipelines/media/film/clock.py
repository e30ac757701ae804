"""Times of day and lengths as `hh:mm:ss.fraction`, read and written exactly."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["format_clock", "parse_clock"]


def parse_clock(text: str) -> Fraction | None:
    """Seconds of `00:01:02.250000000`; None for anything else."""
    parts = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text)
    return int(parts[1]) * 3600 + int(parts[2]) * 60 + Fraction(parts[3]) if parts else None


def format_clock(seconds: Fraction) -> str:
    """`00:01:02.250`, rounded to milliseconds."""
    whole = float(seconds)
    return f"{int(whole // 3600):02d}:{int(whole // 60) % 60:02d}:{whole % 60:06.3f}"
