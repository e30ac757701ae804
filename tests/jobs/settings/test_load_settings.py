"""Where settings come from, which goes before which, and errors that say which one was wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from jobs.settings.load import SettingsError, load_settings, settings_yaml
from pipelines.settings import Settings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text("upscale: 3\nsteps: 30\nseed: 300\nonly: 'Семья/*'\n", encoding="utf-8")
    return path


def test_flags_environment_file_defaults(config: Path) -> None:
    """Each source sets one thing less than the one below it."""
    environment = {"FAITHARCHIVE_UPSCALE": "4", "FAITHARCHIVE_STEPS": "40", "PATH": "/bin", "FAITHARCHIVE_CACHE": "/x"}
    found = load_settings({"upscale": 5, "steps": None, "seed": None}, config=config, environment=environment)
    assert (found.upscale, found.steps, found.seed, found.only) == (5, 40, 300, "Семья/*")
    assert found == Settings(upscale=5, steps=40, seed=300, only="Семья/*")
    assert load_settings({}, environment={}) == Settings()


def test_a_false_or_empty_flag_is_given(config: Path) -> None:
    environment = {"FAITHARCHIVE_REDO": "true", "FAITHARCHIVE_ONLY": "x"}
    assert load_settings({}, config=config, environment=environment).redo is True
    found = load_settings({"redo": False, "only": "", "seed": 0}, config=config, environment=environment)
    assert (found.redo, found.only, found.seed) == (False, "", 0)


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAITHARCHIVE_MAX_ATTEMPTS", "7")
    assert load_settings({}).max_attempts == 7
    assert load_settings({}, environment={}).max_attempts == 3


def message(flags: dict[str, Any], config: Path | None = None, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(flags, config=config, environment=environment or {})
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_bad_value_is_named_with_its_source_and_flag(config: Path) -> None:
    config.write_text("max_pixels: many\n")
    for text, source, value, flag in (
        (message({"upscale": 9}), "flag", "9", "--upscale"),
        (message({"colour_fix": "sepia"}), "flag", "'sepia'", "--colour-fix"),
        (message({}, environment={"FAITHARCHIVE_STEPS": "many"}), "environment", "'many'", "--steps"),
        (message({}, config), f"settings file {config}", "'many'", "--max-pixels"),
        (message({"device": "gpu"}), "flag", "'gpu'", "--device"),
        (message({"preset": "a\nb"}), "flag", "'a\\nb'", "--preset"),
    ):
        assert text.startswith(f"{source}: ")
        assert f" is {value}: " in text
        assert flag in text


def test_a_better_source_mends_a_bad_value(config: Path) -> None:
    config.write_text("upscale: 99\n")
    assert load_settings({"upscale": 2}, config=config, environment={}).upscale == 2
    assert "settings file" not in message({"upscale": 98}, config)


def test_a_missing_catalogue_is_said() -> None:
    assert "catalogue" in message({"captions": "catalogue"})


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"upscal: 2", "unknown setting 'upscal'; did you mean upscale?"),
        (b"zzz: 2", "unknown setting 'zzz'; see 'faitharchive settings'"),
        (b"1: 2", "unknown setting 1"),
        (b"- upscale", "found a list"),
        (b"upscale", "found a str"),
        (b"upscale: [", "not YAML"),
        (b"upscale: 2\n\tsteps: 3", "not YAML"),
        (b"\xff\xfe", "not YAML"),
        (b"upscale: !!python/object/apply:os.system [ls]", "not YAML"),
        (b"upscale:", "upscale is None"),
        (b"only: [a]", "only is ['a']"),
    ],
)
def test_bad_files(config: Path, content: bytes, text: str) -> None:
    config.write_bytes(content)
    found = message({}, config)
    assert text in found
    assert str(config) in found


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read (No such file or directory)" in message({}, tmp_path / "missing.yaml")
    assert "cannot be read (Is a directory)" in message({}, tmp_path)


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"---\n", b"\xef\xbb\xbfupscale: 2\n"])
def test_empty_and_marked_files_are_fine(config: Path, content: bytes) -> None:
    config.write_bytes(content)
    assert load_settings({}, config=config, environment={}) == Settings()


def test_yaml_is_whole_and_explained(tmp_path: Path) -> None:
    text = settings_yaml(Settings())
    assert list(yaml.safe_load(text)) == list(Settings.model_fields)
    for field in Settings.model_fields.values():
        assert f"  # {field.description}" in text
    headings = [line for line in text.splitlines() if line.startswith("# ")][1:]
    assert len(headings) == len(set(headings)) == 11


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=120)


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts, texts, st.integers(1, 8), st.booleans(), st.floats(0, 50), st.sampled_from(["none", "llava"]))
def test_yaml_comes_back(
    tmp_path: Path, only: str, negative: str, upscale: int, redo: bool, guidance: float, captions: str
) -> None:
    settings = Settings(
        source="/scans #1: a",
        preset="tiny",
        only=only,
        negative_prompt=negative,
        upscale=upscale,
        redo=redo,
        guidance_scale=guidance,
        captions=captions,
    )
    path = tmp_path / "settings.yaml"
    path.write_text(settings_yaml(settings), encoding="utf-8", newline="")
    assert load_settings({}, config=path, environment={}) == settings


def test_a_variable_that_is_no_setting_is_told_which_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"FAITHARCHIVE_UPSCAL": "4", "FAITHARCHIVE_CACHE": "/tmp/cache", "FAITHARCHIVE_TRAIN_SEED": "1"}
    settings = load_settings({}, environment=environment)
    assert settings.upscale == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "FAITHARCHIVE_UPSCAL is no setting; did you mean FAITHARCHIVE_UPSCALE?" in said
    assert "CACHE" not in said
    assert "TRAIN" not in said
