"""Local files behind another protocol: a store, as sftp or smb are, whose writes do not appear whole by themselves."""

from __future__ import annotations

from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem


class MovingFiles(LocalFileSystem):
    """`moving://` and an absolute path."""

    protocol = "moving"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(str(path).removeprefix("moving://")))

    def unstrip_protocol(self, name: str) -> str:
        return f"moving://{name}"


fsspec.register_implementation("moving", MovingFiles, clobber=True)


def moving_url(folder: Path) -> str:
    """A folder's URL."""
    return f"moving://{folder}"
