"""What an output is determined by: a digest of source, settings, model and seed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from functools import lru_cache

from pipelines.rows import Row
from pipelines.store.layout import PAGED

__all__ = ["identity", "row_identity", "software_versions"]


def identity(
    source_sha256: str,
    settings_digest: str,
    model_digest: str,
    seed: int,
    *,
    disclosed: bool = False,
    pages: str | None = None,
    carried: bool = False,
) -> str:
    """What determines a result (DESIGN.md, contract 3), as 64 hexadecimal digits.

    Args:
        source_sha256, settings_digest, model_digest, seed: of the row.
        disclosed: the file says how it was made. It is no part of the settings' digest, where results of the time before it
            would count as outdated.
        pages: of the row. Like `disclosed`, and nothing where one page is restored: results of one page are what they were
            before this could be chosen, and whatever is chosen.
        carried: the source's metadata is in the file; no part of the digest for the same reason as `disclosed`.
    """
    parts = f"{source_sha256}\n{settings_digest}\n{model_digest}\n{seed}" + ("\ndisclosed" if disclosed else "")
    parts += f"\npages {pages}" if pages in PAGED else ""
    parts += "\ncarried" if carried else ""
    return hashlib.sha256(parts.encode()).hexdigest()


def row_identity(row: Row, *, disclosed: bool, carried: bool = False) -> str:
    """The identity of a row's result; `disclosed` and `carried` as of `identity`."""
    made_from = row["source_sha256"], row["settings_digest"], row["model_digest"], row["seed"]
    return identity(*made_from, disclosed=disclosed, pages=row["pages"], carried=carried)


@lru_cache(maxsize=1)
def software_versions() -> str:
    """JSON of what a result may depend on."""
    names = (
        "faitharchive", "torch", "diffusers", "transformers", "pillow", "opencv-python-headless", "numpy", "ray", "av",
    )  # fmt: skip
    versions = {"python": platform.python_version(), "platform": platform.machine()}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return json.dumps(versions, sort_keys=True)
