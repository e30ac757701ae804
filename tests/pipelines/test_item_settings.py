"""What may be chosen for one item: values of the settings' own types, and nothing that is the run's."""

from __future__ import annotations

import json

import pytest

from pipelines.item_settings import CHOOSABLE, check_choices, choices_json, choosable_schema, with_choices
from pipelines.settings import Settings


def test_choices_get_the_settings_types_and_override_the_run() -> None:
    settings = Settings(source="a", output="b", format="png", faithdiff="x.safetensors")
    chosen = with_choices(settings, {"detail": "0.5", "stabilise": "true", "seed": "3"})
    assert (chosen.detail, chosen.stabilise, chosen.seed) == (0.5, True, 3)
    assert (chosen.source, chosen.format, chosen.faithdiff) == ("a", "png", "x.safetensors")
    assert chosen.result_digest() != settings.result_digest()
    assert with_choices(settings, {"detail": -1}) == settings
    assert choices_json({"seed": "3", "detail": 0}) == choices_json({"detail": 0.0, "seed": 3})


def test_another_preset_has_its_own_weights() -> None:
    settings = Settings(preset="sdxl", faithdiff="x.safetensors", base="o/n")
    assert with_choices(settings, {"preset": "sdxl"}).faithdiff == "x.safetensors"
    chosen = with_choices(settings, {"preset": "nano"})
    assert (chosen.preset, chosen.faithdiff, chosen.base) == ("nano", "", "")


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ({}, "no setting is chosen"),
        ({"format": "png"}, "format cannot be chosen"),
        ({"disclosure": False}, "disclosure cannot be chosen"),
        ({"detail": 3}, "detail cannot be '3'"),
        ({"preset": "grand"}, "is not a preset"),
        ({"guidance_start": 0.9, "guidance_end": 0.1}, "choose a start before the end"),
        ({"start": "noise"}, "takes lr alone"),
    ],
)
def test_what_cannot_be_chosen_is_refused_in_one_line(choices: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text) as found:
        with_choices(Settings(), choices)
    assert "\n" not in str(found.value)


def test_a_form_gets_each_setting_with_its_type_and_words() -> None:
    photo, film = choosable_schema("photo"), choosable_schema("film")
    assert {*photo, *film} == set(CHOOSABLE)
    assert "stabilise" not in photo
    assert "tone" not in film
    assert photo["detail"]["minimum"] == -1
    assert photo["tone"]["enum"] == ["keep", "restore"]
    assert json.dumps(photo)
    for name, field in photo.items():
        assert check_choices({name: field["default"]})
