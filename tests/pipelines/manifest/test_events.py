"""The events of a sidecar, and the schema that describes sidecars."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from archive_steps import MOMENT, archive_settings, full_row, restore_without_model, save_photo
from jsonschema import Draft202012Validator
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from jobs.cli.main import app
from pipelines.manifest.events import EVENT_TYPES, events_of
from pipelines.manifest.sidecar import read_sidecar, sidecar_bytes
from pipelines.manifest.sidecar_schema import sidecar_schema
from pipelines.store.layout import damage_path, sidecar_path

BEFORE_EVENTS = ("schema", "events")


def problems(record: Any) -> list[str]:
    validator = Draft202012Validator(sidecar_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:80]}" for error in validator.iter_errors(record)
    ]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a scratched photograph and of a clean one."""
    folder = tmp_path_factory.mktemp("archive")
    settings = archive_settings(folder, repair_damage="fill")
    scratched = Image.new("RGB", (160, 120), (120, 110, 100))
    ImageDraw.Draw(scratched).line([(30, 0), (34, 119)], fill=(250, 250, 250), width=2)
    scratched.save(folder / "scans" / "scratched.png")
    save_photo(folder / "scans" / "1924" / "b.tif")
    restore_without_model(settings, damage=True)
    return folder / "restored"


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(sidecar_schema())


def test_what_is_published_fits_the_schema(published: Path) -> None:
    sidecars = sorted(published.rglob("*.restoration.json"))
    assert len(sidecars) == 2
    for path in sidecars:
        record = json.loads(path.read_bytes())
        assert problems(record) == []
        assert record["schema"] == {"name": "FaithArchive sidecar", "version": "1.1"}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"events": []}, "events"),
        ({"schema": {"name": "FaithArchive sidecar", "version": "7"}}, "schema/version"),
        ({"width": "wide"}, "width"),
        ({"identity": ""}, "identity"),
        ({"started_at": 7}, "started_at"),
        ({"another": 1}, ""),
    ],
)
def test_what_does_not_fit_is_seen(published: Path, changes: dict[str, Any], wrong: str) -> None:
    record = json.loads((published / sidecar_path("scratched.png")).read_bytes()) | changes
    assert [text.split(":")[0] for text in problems(record)] == [wrong]


def test_events_tell_what_was_done(published: Path) -> None:
    record = json.loads((published / sidecar_path("scratched.png")).read_bytes())
    events = {event["type"]: event for event in record["events"]}
    assert list(events) == ["fixity check", "damage repair", "restoration", "validation", "publication"]
    assert set(events) <= set(EVENT_TYPES)
    assert events["fixity check"]["objects"] == [
        {"role": "source", "what": "source", "path": "scratched.png", "sha256": record["source_sha256"]}
    ]
    assert events["damage repair"]["detail"].startswith(f"{record['damage_marks']} marks found on ")
    assert events["damage repair"]["objects"][1] == {
        "role": "outcome",
        "what": "damage mask",
        "path": damage_path("scratched.png"),
        "sha256": record["damage_mask_sha256"],
    }
    assert record["identity"] in events["restoration"]["detail"]
    assert events["restoration"]["agent"]["version"] == f"sha256:{record['model_digest']}"
    assert events["validation"]["detail"].endswith("PSNR 100.00 dB")
    assert events["publication"]["time"] == record["finished_at"]
    assert events["publication"]["objects"][0]["sha256"] == record["output_sha256"]


def test_times_lie_between_the_row_s_two_moments(published: Path) -> None:
    for path in published.rglob("*.restoration.json"):
        record = json.loads(path.read_bytes())
        first, last = (datetime.fromisoformat(record[name]) for name in ("started_at", "finished_at"))
        for event in record["events"]:
            moments = [datetime.fromisoformat(text) for text in event["time"].split("/")]
            assert all(first <= moment <= last for moment in moments), event


def test_an_event_that_was_not_is_not_told() -> None:
    row = full_row(caption_source="none", damage_share=None, lq_psnr_db=None)
    assert [event["type"] for event in events_of(row)] == ["fixity check", "restoration", "publication"]


def test_captions_and_warnings_are_told() -> None:
    row = full_row(caption_source="llava", caption_model="llava-hf/x", caption="a man", warnings=["16 bits became 8"])
    events = {event["type"]: event for event in events_of(row)}
    assert events["captioning"]["agent"]["name"] == "llava-hf/x"
    assert events["captioning"]["detail"] == "described by llava: a man"
    assert events["restoration"]["outcome"] == "warning"
    assert events["restoration"]["detail"].endswith("; 16 bits became 8")
    by_hand = {event["type"]: event for event in events_of(full_row(caption_source="catalogue", caption_model=None))}
    assert by_hand["captioning"]["agent"]["type"] == "organization"


def test_reading_ends_after_its_seconds() -> None:
    (check, *_) = events_of(full_row(seconds_read=2.0))
    assert check["time"] == (MOMENT + timedelta(seconds=2)).isoformat()
    (unknown, *_) = events_of(full_row(seconds_read=None, started_at=None))
    assert unknown["time"] == MOMENT.isoformat()


def test_a_sidecar_without_events_is_still_read() -> None:
    row = full_row()
    record = json.loads(sidecar_bytes(row))
    old = {name: value for name, value in record.items() if name not in BEFORE_EVENTS}
    assert read_sidecar(json.dumps(old).encode()) == row
    forged = record | {"events": "none of them"}
    assert read_sidecar(json.dumps(forged).encode()) == row


def test_the_command_prints_the_schema() -> None:
    done = CliRunner().invoke(app, ["manifest", "schema"])
    assert done.exit_code == 0
    assert json.loads(done.stdout) == sidecar_schema()
