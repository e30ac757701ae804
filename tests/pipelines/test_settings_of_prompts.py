"""What is recorded of prompts: an empty negative one, and a scan that is cleaned for its caption."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.settings import Settings


@pytest.mark.parametrize(
    "changes", [{"preset": "nano"}, {"guidance_scale": 1.0}, {"negative_prompt": "blurred"}, {"guidance_scale": 0.5}]
)
def test_an_empty_negative_prompt_is_recorded_where_there_is_one(changes: dict[str, Any]) -> None:
    """What was restored before, when it was zeros, is as it was unless it is guided and has no negative prompt."""
    before, now = (Settings(**{"preset": "sdxl", "empty_negative": kind, **changes}) for kind in ("zeros", "encoded"))
    assert before.result_digest() == now.result_digest()
    guided = Settings(preset="sdxl")
    assert guided.result_settings()["empty_negative"] == "encoded"
    assert guided.result_digest() != Settings(preset="sdxl", empty_negative="zeros").result_digest()
    assert guided.restore_options(1).empty_negative == "encoded"


def test_cleaning_for_captions_is_recorded_where_llava_describes() -> None:
    for captions, catalogue in (("none", ""), ("catalogue", "a.csv")):
        both = [
            Settings(preset="sdxl", captions=captions, catalogue=catalogue, caption_cleaned=cleaned)  # type: ignore[arg-type]
            for cleaned in (False, True)
        ]
        assert both[0].result_digest() == both[1].result_digest()
