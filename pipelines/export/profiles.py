"""The profiles by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from pipelines.export.archivematica import ArchivematicaTransfer
from pipelines.export.bag import Bags
from pipelines.export.entry import Profile
from pipelines.export.hyrax import HyraxImport
from pipelines.export.iiif import IiifManifests
from pipelines.export.islandora import IslandoraTask
from pipelines.export.opex import OpexFolders
from pipelines.export.plain import PlainTable

__all__ = ["PROFILES", "ProfileName", "profile_of"]

ProfileName = Literal["bag", "archivematica", "islandora", "hyrax", "opex", "iiif", "csv"]
PROFILES: tuple[str, ...] = get_args(ProfileName)

_PLAIN: dict[str, Callable[[], Profile]] = {
    "bag": Bags,
    "archivematica": ArchivematicaTransfer,
    "islandora": IslandoraTask,
    "hyrax": HyraxImport,
    "opex": OpexFolders,
    "csv": PlainTable,
}


def profile_of(name: ProfileName, base_url: str = "") -> Profile:
    """The profile of a name.

    Args:
        name: as `--profile` has it.
        base_url: for `iiif` alone.

    Raises:
        ValueError: a base URL is missing, wrong, or given where none is used.
    """
    if name == "iiif":
        return IiifManifests(base_url)
    if base_url:
        raise ValueError(f"--base-url: profile {name} names no addresses; leave it out")
    return _PLAIN[name]()
