"""Reading single photographs for commands: as the pipeline reads them, with one line for what fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.settings import Settings

__all__ = ["read_photo"]


def read_photo(
    path: Path, settings: Settings, *, called: str = "", remedy: str = "check the path and permissions"
) -> np.ndarray:
    """Pixels [H, W, 1 to 4], uint8 or uint16.

    Args:
        path: the file.
        settings: their limits count.
        called: what messages begin with.
        remedy: what they say of a file that cannot be opened.

    Raises:
        ValueError: it cannot be opened, or not decoded within the limits.
    """
    from pipelines.errors import ItemError
    from pipelines.media.limits import limits_of
    from pipelines.media.photo.decode import decode

    try:
        return decode(path.read_bytes(), path.name, limits_of(settings)).pixels
    except OSError as error:
        raise ValueError(f"{called}{path}: cannot be read ({error.strerror}); {remedy}") from error
    except ItemError as error:
        raise ValueError(f"{called}{error.reason}") from error
