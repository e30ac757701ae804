"""Settings that a person may choose for one item alone, where its result is to be made again in another way.

What an item may have of its own leaves everything else of a run as it is: the name and format of its result, what the file says
of its making, where descriptions come from, and how the machine computes stay the run's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from faithdiff_model.presets import PRESETS
from pipelines.settings import Settings

__all__ = ["CHOOSABLE", "check_choices", "choices_json", "choosable_schema", "with_choices"]

# The settings' names, in the order in which a person is likely to think of them.
CHOOSABLE = (
    "preset", "detail", "grain", "tone", "repair_damage", "upscale", "scan_share", "colour_fix", "seed",
    "steps", "guidance_scale", "guidance_start", "guidance_end", "negative_prompt", "sampler", "start",
    "steady", "stabilise", "deflicker", "deinterlace", "tolerate_gaps", "gap_fill",
)  # fmt: skip
# What belongs to one preset: where its weights are, how it samples, how it computes. Another preset begins with its own.
_OF_PRESET = (
    "base", "vae", "faithdiff", "attention", "float8_storage", "float8_arithmetic", "detail", "scan_share", "colour_fix",
    "steps", "guidance_scale", "guidance_start", "guidance_end", "feature_reuse", "negative_prompt", "empty_negative",
    "sampler", "start",
)  # fmt: skip


@cache
def _adapter(name: str) -> TypeAdapter[object]:
    field = Settings.model_fields[name]
    kind: Any = field.annotation
    return TypeAdapter(Annotated[kind, *field.metadata] if field.metadata else kind)


def check_choices(choices: Mapping[str, object]) -> dict[str, object]:
    """The same choices with values of the settings' own types.

    Args:
        choices: values by name of the setting; numbers may be texts, as a form sends them.

    Raises:
        ValueError: there is none, a name is not of `CHOOSABLE`, or a value is none that the setting takes; in one line.
    """
    if not choices:
        raise ValueError("redo: no setting is chosen, so the result would be the same; choose at least one")
    checked = {}
    for name, value in choices.items():
        if name not in CHOOSABLE:
            raise ValueError(f"redo: {name} cannot be chosen for one item; choose of {', '.join(CHOOSABLE)}")
        try:
            checked[name] = _adapter(name).validate_python(value)
        except ValidationError as error:
            raise ValueError(f"redo: {name} cannot be {str(value)[:80]!r} ({error.errors()[0]['msg']})") from error
    return checked


def choices_json(choices: Mapping[str, object]) -> str:
    """Checked choices as JSON: equal choices, equal texts. Raises ValueError as `check_choices`."""
    return json.dumps(check_choices(choices), sort_keys=True, ensure_ascii=False)


def with_choices(settings: Settings, choices: Mapping[str, object]) -> Settings:
    """A run's settings with those that were chosen for an item.

    Args:
        settings: of the run.
        choices: as of `check_choices`. Another preset has its own weights and its own defaults of sampling.

    Raises:
        ValueError: the choices are none, or do not go together with the run's settings; in one line.
    """
    checked, values = check_choices(choices), settings.model_dump()
    preset = checked.get("preset", settings.preset)
    if preset != settings.preset:
        values |= {name: type(settings).model_fields[name].default for name in _OF_PRESET}
        if not PRESETS[str(preset)].text_input:
            values["captions"] = "none"
    if "deinterlace" in checked:
        values["deinterlace_for"] = ""
    values |= checked
    try:
        return type(settings).model_validate(values)
    except ValidationError as error:
        raise ValueError(f"redo: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error


def choosable_schema(kind: str = "photo") -> dict[str, dict[str, Any]]:
    """JSON Schema of each setting that an item of a kind may have of its own: what a form needs to offer them.

    Args:
        kind: `photo` or `film`.
    """
    found = {}
    properties = Settings.model_json_schema()["properties"]
    for name in CHOOSABLE:
        if properties[name].get("of", "") in ("", kind):
            found[name] = {
                key: value for key, value in properties[name].items() if key not in ("section", "result", "of")
            }
    return found
