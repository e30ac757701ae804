"""What independent readers find in a file's metadata."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

needs_exiftool = pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="the program exiftool is not here (Debian: libimage-exiftool-perl)"
)


def exiftool(path: Path) -> dict[str, Any]:
    """What exiftool reads in a file, by group and name, such as `XMP-xmp:CreatorTool`; what it warns of is under its own."""
    command = ["exiftool", "-json", "-G1", "-struct", "-api", "largefilesupport=1", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    (found,) = json.loads(done.stdout)
    return dict(found)
