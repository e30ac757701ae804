"""`faitharchive capacity`: what it says, what it refuses, and that it invents neither speed nor price."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from archive_steps import full_row
from typer.testing import CliRunner, Result

from jobs.cli import capacity as capacity_cli
from pipelines.manifest.writer import ManifestWriter
from pipelines.store.store import Store, StoreError

app = typer.Typer()
app.command()(capacity_cli.capacity)
WORK = ["--items", "1000000", "--gpus", "100", "--hours-a-night", "10"]
GIVEN = ["--megapixels", "5", "--seconds-a-megapixel", "2", "--upscale", "2", "--preset", "tiny"]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*WORK, *arguments])


def told(*arguments: str) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def as_json(*arguments: str) -> dict[str, Any]:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


@pytest.fixture
def output(tmp_path: Path) -> str:
    """40 photographs of 5 megapixels, 2 s a megapixel of result."""
    store = Store(str(tmp_path / "out"))
    writer = ManifestWriter(store, "run1")
    for number in range(40):
        values = {
            "item_id": f"{number:024d}", "run_id": "run1", "media_kind": "photo", "device": "Card", "model_preset": "tiny",
            "width": 2500, "height": 2000, "output_width": 5000, "output_height": 4000, "source_size": 5_000_000,
            "output_size": 40_000_000, "seconds_restore": 40.0, "seconds_read": 0.1, "seconds_decode": 0.2,
            "seconds_damage": 0.0, "seconds_tile": 0.3, "seconds_write": 0.9, "seconds_caption": 4.0,
        }  # fmt: skip
        writer.add(full_row(**values))
    writer.flush()
    return store.root


def test_given_figures_are_called_given() -> None:
    text = told(*GIVEN)
    assert "restore │ 2 │ s of a replica a megapixel of result │ given" in text
    assert "restore seconds │ 40 │" in text
    assert "nights │ 12 │ nights of 10 hours │ arithmetic" in text
    assert "driver │ 30 │ rows a second, one driver │ measured, on 2 cores" in text
    assert "store writes │ 3,500 │ a second and prefix │ documented, S3" in text
    assert "Held up by: GPUs." in text
    assert "money gpus" not in text
    for words in ("CPU hours", "bytes of results (--result-mb)", "money for gpus (--gpu-price)"):
        assert words in text
    assert "Measured on" not in text


def test_measured_figures_are_called_measured(output: str) -> None:
    text = told(output)
    assert "restore │ 2 │ s of a replica a megapixel of result │ measured" in text
    assert "megapixels │ 5 │ a source │ measured" in text
    assert "Measured on 40 photographs, tiny on Card: 2 to 2 s a megapixel" in text
    assert "untrained" not in text
    found = as_json(output)
    assert found["measured"]["items"] == 40
    assert found["known"]["decode"] == {
        "value": pytest.approx(0.06), "how": "measured", "unit": "CPU s a megapixel of source",
    }  # fmt: skip
    assert found["figures"]["results_gb"]["value"] == pytest.approx(40_000)
    assert found["bottleneck"] == "GPUs"
    assert found["figures"]["cpu_hours_at_work"]["value"] == pytest.approx(1.5 * 1e6 / 3600)


def test_what_is_given_goes_before_what_was_measured(output: str) -> None:
    found = as_json(output, "--seconds-a-megapixel", "1", "--megapixels", "10", "--upscale", "1", "--result-mb", "7")
    assert found["known"]["restore"]["how"] == "given"
    assert found["archive"] == {"items": 1_000_000, "megapixels": 10, "enlargement": 1, "tiles": 1}
    assert found["figures"]["restore_seconds"]["value"] == 10
    assert found["figures"]["results_gb"]["value"] == pytest.approx(7000)
    assert found["known"]["source_bytes"]["how"] == "measured"


def test_captioners_and_prices(output: str) -> None:
    found = as_json(
        output, "--captioners", "2", "--gpu-price", "3", "--storage-price", "0.02", "--write-price", "0.005",
        "--read-price", "0.0004", "--cpu-price", "0.05", "--compacted", "--drivers", "2", "--driver-rows", "50",
    )  # fmt: skip
    assert (found["bottleneck"], found["rates"]["captioners"], found["rates"]["driver"]) == (
        "captioners",
        0.5,
        20,
    )  # 4 tiles
    assert found["figures"]["money_gpus"]["value"] == pytest.approx(3 * 102 * 2e6 / 3600)
    assert found["pool"]["driver_rows"] == {"value": 50, "how": "given"}
    assert not [words for words in found["unknown"] if words.startswith("money")]
    assert (
        found["figures"]["requests_plans"]["value"]
        < as_json(output, "--captioners", "2")["figures"]["requests_plans"]["value"]
    )


def test_large_results_are_cut_into_tiles_as_the_code_cuts_them() -> None:
    found = as_json("--megapixels", "25", "--seconds-a-megapixel", "2", "--preset", "sdxl")
    assert found["archive"]["tiles"] == 4  # 10,000 x 10,000 in tiles of 8192
    assert found["rates"]["driver"] == 6  # of 30 rows a second: four tiles and the whole


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no speed is known; restore some photographs on the device first, or give --seconds-a-megapixel"),
        (["--seconds-a-megapixel", "2"], "give --megapixels"),
        ([*GIVEN, "--captioners", "1"], "give --seconds-a-caption"),
    ],
)
def test_what_is_not_known_is_asked_for(arguments: list[str], words: str) -> None:
    refused = call(*arguments)
    assert isinstance(refused.exception, ValueError)
    assert words in str(refused.exception)
    assert "\n" not in str(refused.exception)


def test_an_empty_store_and_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused = call(str(tmp_path / "empty"))
    assert "empty: has no restored photograph to measure; restore some photographs on the device first" in str(
        refused.exception
    )
    assert call(str(tmp_path / "empty"), *GIVEN).exit_code == 0
    assert isinstance(call(str(tmp_path / "nowhere"), *GIVEN).exception, StoreError)


def test_few_photographs_and_untrained_networks_are_told(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    writer = ManifestWriter(store, "run1")
    values = {
        "media_kind": "photo",
        "width": 10,
        "height": 10,
        "output_width": 20,
        "output_height": 20,
        "device": "cpu",
    }
    for number in range(2):
        row = values | {
            "item_id": str(number),
            "model_trained": False,
            "settings_digest": str(number),
            "model_preset": "tiny",
        }
        writer.add(full_row(seconds_restore=1.0, **row))
    writer.flush()
    text = told(store.root)
    for words in ("Fewer than 30: measure more", "2 different settings", "The network is untrained"):
        assert words in text


@pytest.mark.parametrize(
    "arguments", [["--gpus", "0"], ["--hours-a-night", "25"], ["--gpu-price", "-1"], ["--upscale", "9"]]
)
def test_impossible_arguments(arguments: list[str]) -> None:
    assert call(*GIVEN, *arguments).exit_code == 2


def test_gpus_are_not_priced_by_a_cpus_speed_unless_that_is_asked_for(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    writer = ManifestWriter(store, "run1")
    writer.add(
        full_row(
            media_kind="photo",
            device="cpu",
            model_preset="nano",
            seconds_restore=4.0,
            width=50,
            height=40,
            source_size=999,
            output_width=100,
            output_height=80,
            output_size=9999,
        )
    )
    writer.flush()
    refused = call(store.root, "--gpu-price", "2")
    assert isinstance(refused.exception, ValueError)
    assert "a CPU's speed (cpu)" in str(refused.exception)
    assert "--seconds-a-megapixel" in str(refused.exception)
    for told_so in (["--device", "cpu"], ["--seconds-a-megapixel", "1"]):
        assert call(store.root, "--gpu-price", "2", *told_so).exit_code == 0
    assert call(store.root).exit_code == 0  # without a price it is what it is
