"""Which commits of hub repositories a model is of, so that it is the same one on every machine and in the next run.

A repository without `@revision` means what an archive was restored with before, as its rows say; only where they say nothing,
what the hub has now. So a commit that somebody adds to a repository changes nothing until it is asked for: `owner/name@main`
follows the hub, `owner/name@commit` stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from faithdiff_model.spec import ModelSpec
from faithdiff_model.weights.errors import WeightsError
from faithdiff_model.weights.files import base_folder, captioner_folder, vae_folder, weights_file
from faithdiff_model.weights.hub import hub_origin, parse_hub

__all__ = ["CAPTIONER", "Revisions", "at_revision", "pin_captioner", "pin_model", "repository"]

CAPTIONER = "captioner"
# By part (`base`, `vae`, `faithdiff`, `captioner`) its repository and commit: `owner/name@commit`, with the path where one is
# given.
Revisions = Mapping[str, str]


def pin_model(spec: ModelSpec, recorded: Sequence[Revisions] = ()) -> tuple[ModelSpec, dict[str, str]]:
    """The same model with every hub repository at a commit, and those commits. Fetches what has to be looked up.

    Args:
        spec: of the model.
        recorded: what results were made with before, newest first.

    Raises:
        WeightsError: weights are missing.
    """
    if not spec.trained:
        return spec, {}
    parts: dict[str, Callable[[ModelSpec], Path]] = {"faithdiff": weights_file}
    if spec.network().text_input:
        parts["base"] = base_folder
    if spec.network().coefficients is None:
        parts["vae"] = vae_folder
    places: dict[str, str] = {}
    revisions: dict[str, str] = {}
    # What lies here comes first: a mistyped folder is named before the hub is asked for anything.
    for part, find in sorted(
        parts.items(), key=lambda each: (parse_hub(getattr(spec.origin, each[0])) is not None, each[0])
    ):

        def found(place: str, part: str = part, find: Callable[[ModelSpec], Path] = find) -> Path:
            return find(replace(spec, **{part: place}))  # type: ignore[arg-type]

        places[part], revisions[part] = _pin(part, getattr(spec.origin, part), recorded, found)
    pinned = replace(spec, **places)  # type: ignore[arg-type]
    return pinned, {part: text for part, text in revisions.items() if text}


def pin_captioner(location: str, recorded: Sequence[Revisions] = ()) -> tuple[str, dict[str, str]]:
    """The same captioner at a commit, and that commit; arguments as `pin_model`. Raises WeightsError: it is missing."""
    place, revision = _pin(CAPTIONER, location, recorded, captioner_folder)
    return place, {CAPTIONER: revision} if revision else {}


def at_revision(location: str, revision: str) -> str:
    """A location on the hub at the commit of a revision of the same repository; any other location as it is."""
    hub, known = parse_hub(location), parse_hub(revision)
    return str(hub.at(known.revision)) if hub and known and hub.repo == known.repo else location


def repository(location: str) -> str:
    """A location without its revision: a name that stays when the commit changes."""
    hub = parse_hub(location)
    return str(hub.at("")) if hub else location


def _pin(part: str, location: str, recorded: Sequence[Revisions], find: Callable[[str], Path]) -> tuple[str, str]:
    """A location at a commit, and what a row says of it: nothing where it is not from the hub."""
    hub = parse_hub(location)
    if hub is None:
        if "://" not in location:
            find(location)
        return location, hub_origin(Path(location).expanduser())
    if not hub.revision:
        before = (at_revision(location, revisions.get(part, "")) for revisions in recorded)
        location = next((place for place in before if place != location), location)
        hub = parse_hub(location) or hub
    if not hub.is_commit:
        origin = parse_hub(hub_origin(find(location)))
        if origin is None:
            raise WeightsError(f"weights {location}: the hub's cache does not say which commit this is; give a commit")
        hub = hub.at(origin.revision)
    return str(hub), str(hub)
