"""`serve` as a process, and the flows that deployments start: what they leave, and bad schedules told before anything runs."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from ports import free_port
from prefect_server import process, wait_for
from typer.testing import CliRunner

from jobs.cli.main import app
from pipelines.manifest.reader import current_rows
from pipelines.settings import Settings
from pipelines.store.store import Store

ROOT = Path(__file__).parents[3]


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
    assert [each["name"] for each in content["deployments"]] == [
        "nightly",
        "work",
        "backfill",
        "verify",
        "report",
        "train",
    ]
    for each in content["deployments"]:
        assert set(each) == {
            "name", "description", "entrypoint", "tags", "parameters", "schedules", "concurrency_limit", "work_pool",
        }  # fmt: skip
        module, _, name = each["entrypoint"].rpartition(".")
        flow = getattr(import_module(module), name)
        assert set(each["parameters"]) <= set(flow.parameters.properties)
        assert each["concurrency_limit"]["collision_strategy"] in ("ENQUEUE", "CANCEL_NEW")
        assert each["work_pool"] == {"name": "faitharchive"}
        for schedule in each["schedules"]:
            assert set(schedule) == {"cron", "timezone", "active"}
        settings: dict[str, Any] = each["parameters"].get("settings", {})
        assert each["name"] == "report" or set(flow.parameters.required) <= set(each["parameters"])
        if each["name"] != "train":
            assert set(settings) <= set(Settings.model_fields)


@pytest.mark.ray
@pytest.mark.slow
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


@pytest.mark.ray
@pytest.mark.timeout(600)
@pytest.mark.slow  # cron knows no seconds
def test_serve_starts_a_server_runs_on_schedule_and_drains_when_it_is_ended(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for number in range(60):
        picture = np.random.default_rng(number).integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(picture).save(tmp_path / f"scans/{number}.png")
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {
        **ours,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_SERVER_API_PORT": str(free_port()),
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    command = [
        sys.executable, "-c", "from jobs.cli.main import main; main()", "serve", "scans", "out", "--cron", "* * * * *",
        "--preset", "tiny", "--steps", "8", "--guidance-scale", "1", "--cpus", "2", "--object-store-mb", "200",
        "--replicas", "1", "--drain-seconds", "120",
    ]  # fmt: skip
    log, out = tmp_path / "log", tmp_path / "out"
    with process(command, environment, log, tmp_path) as serving:

        def some() -> bool:
            assert serving.poll() is None, log.read_text()
            return len(list(out.glob("*.restoration.json"))) >= 3

        wait_for("the schedule's run to restore something", some, 240)
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(180) == 0, log.read_text()
    done = len(current_rows(Store(str(out))))
    assert 3 <= done < 60
    assert len(list(Store(str(out)).list("_faitharchive/runs"))) == 1  # it came to its own end
    database = sqlite3.connect(tmp_path / "prefect/prefect.db")
    (ended,) = database.execute(
        "select s.type, s.message, r.auto_scheduled from flow_run r join flow_run_state s on s.id = r.state_id "
        "where r.start_time is not null"
    ).fetchall()
    database.close()
    assert ended[0] == "COMPLETED", ended
    assert ended[1].startswith(
        f"{done} restored, 0 failed, 0 already done, {60 - done} left to the next run; stopped: "
    )
    assert "interrupted by SIGTERM" in ended[1]
    assert ended[2]


def test_serve_says_which_server_is_missing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    url = f"http://127.0.0.1:{free_port()}/api"
    command = [sys.executable, "-c", "from jobs.cli.main import main; main()", "serve", "in", "out"]
    with process(command, {**os.environ, "PREFECT_API_URL": url}, tmp_path / "log", tmp_path) as serving:
        assert serving.wait(120) == 2
    text = (tmp_path / "log").read_text()
    assert (
        f"error: PREFECT_API_URL is {url}: no server answers; start one by 'prefect server start', or unset it" in text
    )
