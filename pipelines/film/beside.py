"""What is wanted beside a film's result: copies in other formats, and a comparison with the source. Knows no decoders."""

from __future__ import annotations

from pipelines.manifest.naming import EXTENSIONS, output_format
from pipelines.settings import Settings

__all__ = ["COMPARISON", "files_beside"]

COMPARISON = "comparison"


def files_beside(source_path: str, settings: Settings) -> dict[str, str]:
    """`COMPARISON` or a copy's format, by what its path adds to the result's."""
    kind = output_format(source_path, settings.formats)
    copies = [copy for copy in settings.film_copies.split(",") if copy and copy != kind]
    beside = {f".{copy}{EXTENSIONS[copy]}": copy for copy in copies}
    return beside | ({".comparison.mp4": COMPARISON} if settings.comparison else {})
