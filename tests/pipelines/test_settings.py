"""The settings object: explained, limited, and honest on what changes a result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from scratched import name_detector

from faithdiff_model.image.tone_weights import tone_digest
from faithdiff_model.presets import DEFAULTS
from faithdiff_model.spec import ModelSpec
from faithdiff_model.weights.files import model_digest
from pipelines.setting_types import AS_BEFORE
from pipelines.settings import Settings

# What may differ between two runs that must give equal bytes. A new setting has to be put on one side or the other.
CHANGE_BYTES = {
    "upscale", "format", "jpeg_quality", "preset", "attention", "dtype", "compile", "steps", "guidance_scale", "sampler",
    "start", "colour_fix", "scan_share", "negative_prompt", "window_overlap", "window_batch",
    "tile", "tile_halo", "captions", "cpu_threads",
}  # fmt: skip
# Later ones, left out where results are as before them.
LATER = {
    "caption_cleaned": True, "codec_overlap": 0.25, "detail": 0.5, "disclosure": False,
    "empty_negative": "encoded", "feature_reuse": 2, "float8_arithmetic": True, "float8_storage": True, "grain": "keep",
    "guidance_end": 0.5, "guidance_start": 0.25, "metadata": "none",
    "source_type": "trainedAlgorithmicMedia", "tiff_compression": "zstd", "tone": "restore",
}  # fmt: skip
# With which others they change something.
GUIDED, DESCRIBED = {"preset": "sdxl"}, {"preset": "sdxl", "captions": "llava"}
BESIDE: dict[str, dict[str, Any]] = {
    "caption_cleaned": DESCRIBED, "disclosure": {"undisclosed_because": "a test"}, "empty_negative": GUIDED,
    "feature_reuse": {"preset": "sdxl"}, "float8_arithmetic": {"preset": "sdxl", "dtype": "bfloat16"},
    "float8_storage": {"preset": "sdxl"},
    "guidance_end": GUIDED, "guidance_start": GUIDED,
}  # fmt: skip
RECORDED_WITH = {
    "caption_cleaned": {"caption_cleaner": model_digest(ModelSpec(preset="nano"))},
    "tone": {"tone_weights": tone_digest()},
}
CHANGE_PHOTOGRAPHS = {"format", "jpeg_quality", "tile", "tile_halo"}
DAMAGE = {"repair_damage", "damage_detector"}  # recorded where damage is looked for
CHANGE_FILMS = {
    "sequence_rate", "film_format", "film_copies", "film_bits", "comparison", "steady", "stabilise", "deflicker",
    "deinterlace", "tolerate_gaps", "gap_fill", "segment_frames", "segment_overlap",
}  # fmt: skip
# Digests of films as they were when copies and comparisons were a part of them: with neither, and with two copies and one.
NOW = "6da52f0c73db5e60c26d82d69bdc27bc08937d90bbbb200f88c5e4201e5abe28"
BEFORE = "c753a7df4c3216316127fee123fbc7a9e306fc45d37e975b82d7a287e4b06b8e"
# Identified by digests of their own: the model's weights, the item's description, the seed; pages where there are several.
DIGESTED = {"base", "vae", "faithdiff", "captioner", "catalogue", "catalogue_path", "catalogue_text", "pages",
    "seed",
}  # fmt: skip
CHANGE_NOTHING = {
    "source", "output", "only", "redo", "max_attempts", "device", "max_pixels", "max_bytes", "ray_address", "cpus",
    "giant_pixels", "max_giant_pixels",
    "replicas", "min_replicas", "caption_replicas", "gpus_per_replica", "gpus_per_captioner", "replica_label",
    "caption_label", "rows_per_call", "object_store_mb", "steal_lease", "max_frames", "into_existing", "name",
    "max_seconds", "retry_seconds", "lease_seconds", "drain_seconds", "stall_minutes", "deinterlace_for", "films",
    "sequences", "max_film_bytes",
    "max_film_frames", "budget_hours", "undisclosed_because", "memory", "log_format", "log_level", "metrics_port",
    "damaged", "review_worst_db", "trust", "review_below", "sensitive", "trust_seeds", "trust_share",
    "shards", "shards_at_once",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _detector(monkeypatch: pytest.MonkeyPatch) -> None:
    name_detector(monkeypatch)


def test_every_setting_is_on_one_side() -> None:
    assert (
        set(Settings.model_fields)
        == CHANGE_BYTES | {*LATER, "repair_damage"} | CHANGE_FILMS | DIGESTED | CHANGE_NOTHING
    )
    assert set(Settings(repair_damage="off").result_settings()) == CHANGE_BYTES
    assert set(Settings(repair_damage="fill").result_settings()) == CHANGE_BYTES | DAMAGE
    assert (
        set(Settings(repair_damage="fill").result_settings("film")) == CHANGE_BYTES - CHANGE_PHOTOGRAPHS | CHANGE_FILMS
    )


@pytest.mark.parametrize("name", LATER)
def test_a_later_setting_is_recorded_where_it_changes_results(name: str) -> None:
    as_before, changed = (Settings(**BESIDE.get(name, {}), **{name: each[name]}) for each in (AS_BEFORE, LATER))
    assert name not in as_before.result_settings()
    assert changed.result_settings() == as_before.result_settings() | {name: LATER[name]} | RECORDED_WITH.get(name, {})
    assert changed.result_digest() != as_before.result_digest()


def test_tone_is_of_photographs_and_so_are_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, restored = Settings(tone="keep"), Settings(tone="restore")
    assert kept.result_digest(kind="film") == restored.result_digest(kind="film")
    before = [each.result_digest() for each in (kept, restored)]
    monkeypatch.setattr("pipelines.settings.tone_digest", lambda: "0" * 64)
    after = [each.result_digest() for each in (kept, restored)]
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def test_what_is_made_beside_a_film_is_no_part_of_its_restoration() -> None:
    """Wanting a copy or a comparison, or none any more, never restores a film again."""
    usual = Settings(repair_damage="off")
    more = usual.model_copy(update={"film_copies": "prores,h264", "comparison": True})
    assert more.result_digest(kind="film") == usual.result_digest(kind="film") == NOW
    assert BEFORE in usual.former_digests()
    assert len(set(usual.former_digests())) == 32
    assert BEFORE not in Settings(repair_damage="off", steady="none").former_digests()


def test_a_setting_of_film_leaves_photographs_done_and_the_other_way_round() -> None:
    usual = Settings()
    film = Settings(steady="none", tolerate_gaps=3)
    assert film.result_digest() == usual.result_digest()
    assert film.result_digest(kind="film") != usual.result_digest(kind="film")
    photo = Settings(format="tiff")
    assert photo.result_digest() != usual.result_digest()
    assert photo.result_digest(kind="film") == usual.result_digest(kind="film")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"film_copies": "prores,dvd"}, "'dvd' is no kind of film copy: choose ffv1, prores, h264"),
        ({"deinterlace_for": "reel/a.mov"}, "'reel/a.mov' is no choice for films: give GLOB=CHOICE, such as"),
        ({"deinterlace_for": "a=keep,b=drop"}, "'b=drop' is no choice for films"),
        ({"sequence_rate": "24fps"}, "'24fps' is no frame rate: give frames a second"),
        ({"sequence_rate": "1/0"}, "'1/0' is no frame rate"),
        ({"sequence_rate": "-24"}, "'-24' is no frame rate"),
        ({"segment_frames": 20, "segment_overlap": 7}, "choose an overlap of at most a third of a segment"),
    ],
)
def test_what_is_no_setting_of_film_is_told(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Settings(**changes)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"float8_storage": True}, "preset nano has no weights to store as float8: leave it out, or choose sdxl"),
        ({"float8_storage": True, "preset": "sdxl", "compile": True}, "cannot be compiled: choose one of the two"),
        ({"float8_arithmetic": True, "preset": "sdxl"}, "goes with bfloat16; choose dtype bfloat16"),
        ({"feature_reuse": 2}, "feature_reuse is 2 but preset nano takes one step: choose preset sdxl, or 1"),
    ],
)
def test_what_approximations_cannot_be_used_with_is_told(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Settings(**changes)


def test_result_settings_hold_values() -> None:
    settings = Settings(
        preset="sdxl",
        steps=7,
        tile=256,
        format="webp",
        sampler="ddim",
        colour_fix="none",
        scan_share=0.1,
        repair_damage="fill",
    )
    expected = {name: getattr(settings, name) for name in CHANGE_BYTES}
    later = {"repair_damage": "fill", "damage_detector": "d" * 64}
    later |= {"codec_overlap": 0.25, "empty_negative": "encoded"}
    assert settings.result_settings() == expected | later
    described = Settings(preset="sdxl", captions="llava", captioner="x/y")
    assert described.result_settings()["captioner"] == "x/y"
    assert described.result_settings()["conversation"] == "vicuna_v1"


@pytest.mark.parametrize(("preset", "steps"), [("nano", 1), ("sdxl", 20)])
def test_what_is_not_chosen_is_the_presets_own_and_recorded_as_such(preset: str, steps: int) -> None:
    settings = Settings(preset=preset)
    own = DEFAULTS[preset]
    assert own.steps == steps
    recorded = settings.result_settings()
    assert (recorded["steps"], recorded["sampler"], recorded["colour_fix"]) == (steps, own.sampler, own.colour_fix)
    assert settings.restore_options(own.window_batch) == own
    spelt_out = Settings(preset=preset, steps=steps, sampler=own.sampler, colour_fix=own.colour_fix)
    assert settings.result_digest() == spelt_out.result_digest()


def test_steps_that_a_preset_does_not_take_are_not_recorded() -> None:
    assert Settings(preset="nano", steps=4).result_settings()["steps"] == 1
    assert Settings(preset="nano", steps=4).result_digest() == Settings(preset="nano").result_digest()
    assert Settings(preset="sdxl", steps=4).result_settings()["steps"] == 4


def test_what_a_preset_without_text_was_not_given_is_not_recorded() -> None:
    recorded = Settings(preset="nano", guidance_scale=7.0, negative_prompt="blur").result_settings()
    assert (recorded["guidance_scale"], recorded["negative_prompt"]) == (1.0, "")


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_has_a_section_and_a_description(name: str) -> None:
    field = Settings.model_fields[name]
    extra = field.json_schema_extra
    assert isinstance(extra, dict)
    assert extra["section"] in {
        "Archive",
        "Result",
        "Model",
        "Sampling",
        "Captions",
        "Trust",
        "Limits",
        "Faults",
        "Cluster",
        "Film",
        "Watch",
    }
    assert isinstance(extra["result"], bool)
    assert field.description
    assert field.description.endswith(".")
    assert "\n" not in field.description


def test_sections_are_in_one_piece() -> None:
    """So that help and YAML show each heading once."""
    sections = [field.json_schema_extra["section"] for field in Settings.model_fields.values()]  # type: ignore[index, call-overload]
    headings = [section for number, section in enumerate(sections) if number == 0 or sections[number - 1] != section]
    assert len(headings) == len(set(headings))


@pytest.mark.parametrize("changes", [{"steps": 3}, {"format": "png"}, {"upscale": 4}, {"sampler": "ddim"}])
def test_the_digest_changes_with_results(changes: dict[str, Any]) -> None:
    assert Settings(preset="tiny", **changes).result_digest() != Settings(preset="tiny").result_digest()


def test_the_digest_is_as_before_where_damage_is_not_looked_for() -> None:
    """Archives that were restored before it existed stay done."""
    recorded = Settings(repair_damage="off").result_settings()
    assert not recorded.keys() & {"repair_damage", "damage_detector"}
    digests = {Settings(repair_damage=mode).result_digest() for mode in ("fill", "mark", "off")}  # type: ignore[arg-type]
    assert len(digests) == 3
    films = {Settings(repair_damage=mode).result_digest(kind="film") for mode in ("fill", "mark", "off")}  # type: ignore[arg-type]
    assert len(films) == 1


def test_another_detector_changes_the_digest_where_damage_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {mode: Settings(repair_damage=mode).result_digest() for mode in ("fill", "mark", "off")}  # type: ignore[arg-type]
    monkeypatch.setattr("pipelines.settings.detector_digest", lambda: "0" * 64)
    assert Settings(repair_damage="fill").result_digest() != before["fill"]
    assert Settings(repair_damage="mark").result_digest() != before["mark"]
    assert Settings(repair_damage="off").result_digest() == before["off"]


def test_steps_that_nano_does_not_take_change_nothing() -> None:
    assert Settings(preset="nano", steps=3).result_digest() == Settings(preset="nano").result_digest()


def test_the_digest_changes_with_nothing_else() -> None:
    same = Settings(
        source="a", output="b", only="*", redo=True, max_attempts=9, device="cpu", replicas=4, seed=3, max_pixels=5
    )
    assert same.result_digest() == Settings().result_digest()
    assert Settings().result_digest("a mill") != Settings().result_digest("a boat") != Settings().result_digest()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"upscale": 0}, "greater than or equal to 1"),
        ({"upscale": 9}, "less than or equal to 8"),
        ({"upscale": 2.5}, "valid integer"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"seed": 2**63}, "less than"),
        ({"steps": -1}, "greater than or equal to 0"),
        ({"captions": "llava"}, "nano takes no text"),
        ({"start": "noise"}, "nano takes lr alone"),
        ({"format": "gif"}, "'auto', 'png'"),
        ({"preset": "huge"}, "choose one of"),
        ({"device": "gpu"}, "choose auto"),
        ({"device": "cuda:x"}, "choose auto"),
        ({"window_overlap": 0}, "greater than 0"),
        ({"window_overlap": float("nan")}, "less than or equal to 1"),
        ({"guidance_scale": float("inf")}, "less than or equal to 50"),
        ({"captions": "catalogue"}, "no catalogue is given"),
        ({"no_such_setting": 1}, "Extra inputs"),
    ],
)
def test_bad_values_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Settings(**changes)


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:1"])
def test_devices(device: str) -> None:
    assert Settings(device=device).model_spec().device == device


def test_settings_are_frozen_and_hashable() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.steps = 3  # type: ignore[misc]
    assert len({settings, Settings(), Settings(steps=3)}) == 2


def test_the_model_and_sampling_get_the_settings() -> None:
    settings = Settings(
        preset="tiny", attention="spatial", dtype="float32", compile=True, base="b", vae="v", faithdiff="f"
    )
    spec = settings.model_spec()
    assert (spec.preset, spec.attention, spec.dtype, spec.compile) == ("tiny", "spatial", "float32", True)
    assert (spec.base, spec.vae, spec.faithdiff) == ("b", "v", "f")
    assert Settings(attention="preset").model_spec().attention is None
    sampling = {"steps": 3, "guidance_scale": 2.0, "sampler": "ddim", "start": "noise", "colour_fix": "wavelet"}
    options = Settings(preset="tiny", **sampling, negative_prompt="n", window_overlap=0.25).restore_options(8)
    assert {name: getattr(options, name) for name in sampling} == sampling
    assert (options.negative_prompt, options.overlap) == ("n", 0.25)
    assert options.window_batch == 8
    assert Settings(window_batch=3).restore_options(8).window_batch == 3


def test_no_secret_is_a_setting_of_the_result(tmp_path: Path) -> None:
    settings = Settings(source="s3://key:s3cret@bucket", output="s3://key:s3cret@other", base="https://u:s3cret@host/x")
    assert "s3cret" not in str(settings.result_settings())
