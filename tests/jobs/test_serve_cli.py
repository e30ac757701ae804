"""`serve` and the flows that deployments start: bad schedules are told before anything runs, and what they leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from jobs.cli import app
from pipelines.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--cron", "0 25 * * *"], "'0 25 \\* \\* \\*'"),
        (["--timezone", "Mars/Base"], "'Mars/Base'"),
        (["--cron", "nightly"], "nightly"),
    ],
)
def test_a_schedule_that_is_none(tmp_path: Path, options: list[str], complaint: str) -> None:
    (tmp_path / "in").mkdir()
    result = CliRunner().invoke(app, ["serve", str(tmp_path / "in"), str(tmp_path / "out"), *options])
    assert isinstance(result.exception, ValueError)
    with pytest.raises(ValueError, match=f"schedule .*{complaint}.*: is none; give five fields"):
        raise result.exception


def test_deployments_name_flows_and_settings_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect passes over unknown keys in silence: here none is unknown."""
    from importlib import import_module

    content = yaml.safe_load((ROOT / "infra/prefect.yaml").read_text())
    assert [each["name"] for each in content["deployments"]] == ["nightly", "backfill", "verify", "report", "train"]
    for each in content["deployments"]:
        assert set(each) == {
            "name", "description", "entrypoint", "tags", "parameters", "schedules", "concurrency_limit", "work_pool",
        }  # fmt: skip
        file, _, name = each["entrypoint"].partition(":")
        assert (ROOT / file).is_file()
        flow = getattr(import_module(file.removesuffix(".py").replace("/", ".")), name)
        assert set(each["parameters"]) <= set(flow.parameters.properties)
        assert each["concurrency_limit"]["collision_strategy"] in ("ENQUEUE", "CANCEL_NEW")
        assert each["work_pool"] == {"name": "faitharchive"}
        for schedule in each["schedules"]:
            assert set(schedule) == {"cron", "timezone", "active"}
        settings: dict[str, Any] = each["parameters"].get("settings", {})
        if each["name"] != "train":
            assert set(settings) <= set(Settings.model_fields)


@pytest.mark.ray
def test_flows_of_verification_report_and_backfill(tmp_path: Path, ray_session: None) -> None:
    from jobs.flows.backfill import backfill_archive
    from jobs.flows.report import report_archive
    from jobs.flows.verify import UnsoundError, verify_archive

    for name in ("1924/a.png", "1925/b.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)).save(path)
    settings = Settings(
        source=str(tmp_path / "in"),
        output=str(tmp_path / "out"),
        preset="tiny",
        steps=1,
        guidance_scale=1.0,
        replicas=1,
    )
    done = backfill_archive(settings, parts=["1924/*", "1925/*"])
    assert [(part["part"], part["restored"]) for part in done] == [("1924/*", 1), ("1925/*", 1)]
    with pytest.raises(ValueError, match="leave only empty"):
        backfill_archive(settings.model_copy(update={"only": "x"}), parts=["1924/*"])
    assert verify_archive(settings)["items"] == 2
    uri = report_archive(settings.output, name="today")
    assert Path(uri.removeprefix("file://")).read_text().startswith("<!doctype html>")
    (tmp_path / "out/1924/a.png").write_bytes(b"spoilt")
    with pytest.raises(UnsoundError, match="1 of 2 items have problems"):
        verify_archive(settings)
