"""Paths as another process finds them: Ray's workers run in a folder of their own, which need not be the caller's."""

from __future__ import annotations

from pathlib import Path

from pipelines.settings import Settings

__all__ = ["absolute_if_there", "with_absolute_paths"]


def with_absolute_paths(settings: Settings) -> Settings:
    """The same settings with no path that depends on the current folder.

    Stores are made absolute unless they are URLs; weights only where there is such a path, since `owner/name` is also how the
    hub names a repository. The captioner stays as given: its name is a part of what the manifest records of a result.
    """
    stores = {name: _absolute_store(getattr(settings, name)) for name in ("source", "output")}
    weights = {name: absolute_if_there(getattr(settings, name)) for name in ("base", "vae", "faithdiff")}
    return settings.model_copy(update=stores | weights)


def absolute_if_there(location: str) -> str:
    """A path that exists, made absolute; URLs, hub ids and what is not there stay as they are."""
    return str(Path(location).resolve()) if location and Path(location).exists() else location


def _absolute_store(url: str) -> str:
    return url if not url or "://" in url or "::" in url else str(Path(url).expanduser().absolute())
