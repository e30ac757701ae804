"""The step that `prefect deploy` runs before each deployment: the archive's own settings, from the environment, checked.

Prefect itself takes a variable that is not set for empty text, and deploys that.
"""

from __future__ import annotations

from jobs.settings.load import ENV_PREFIX, load_settings

__all__ = ["from_environment"]

_NEEDED = ("source", "output")


def from_environment(**values: str) -> dict[str, str]:
    """Settings by name, as infra/prefect.yaml asks for them; empty ones take the default.

    Raises:
        SystemExit: one is needed and not set, unknown or wrong; its text is one line.
    """
    missing = [f"{ENV_PREFIX}{name.upper()}" for name in _NEEDED if not values.get(name)]
    if missing:
        raise SystemExit(
            f"error: {' and '.join(missing)} not set: export the folder or URL, such as s3://archive/scans, and deploy again"
        )
    try:
        settings = load_settings({name: value or None for name, value in values.items()}, environment={})
    except ValueError as error:
        raise SystemExit(f"error: {str(error).removeprefix('flag: ').partition('; see --')[0]}") from error
    return {name: str(getattr(settings, name)) for name in values}
