"""A small archive that the deployments of infra/prefect.yaml restore on a real server, and who hears its notifications."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from prefect_server import PrefectServer, wait_for

from pipelines.manifest.reader import current_rows
from pipelines.store.store import Store

FAST = {"steps": 1, "guidance_scale": 1.0, "replicas": 1, "cpus": 2, "object_store_mb": 200}


class Post:
    """A little HTTP server that keeps what is posted to it."""

    def __init__(self) -> None:
        self.got: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805 (self is the Post)
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                self.got.append(json.loads(body)["text"])
                handler.send_response(200)
                handler.end_headers()

            def log_message(handler, *_: Any) -> None:  # noqa: N805
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"

    def wait(self, text: str, seconds: float = 60) -> str:
        found: str = wait_for(
            f"a notification with {text!r}", lambda: next((t for t in self.got if text in t), ""), seconds
        )
        return found


def make_archive(folder: Path, count: int = 2) -> Path:
    scans = folder / "scans"
    scans.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)).save(scans / f"{number}.png")
    (scans / "bad.jpg").write_bytes(b"no picture")
    return folder


def deploy(server: PrefectServer, archive: Path) -> None:
    """All deployments, as the file has them; then with settings for a small machine."""
    said = server.prefect(
        "--no-prompt", "deploy", "--prefect-file", "infra/prefect.yaml", "--all",
        FAITHARCHIVE_SOURCE=str(archive / "scans"), FAITHARCHIVE_OUTPUT=str(archive / "out"), FAITHARCHIVE_PRESET="nano",
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr


def settings_of(server: PrefectServer, name: str, **changes: Any) -> dict[str, Any]:
    return {**server.deployment(name)["parameters"]["settings"], **FAST, **changes}


def restore_on_schedule(server: PrefectServer) -> dict[str, Any]:
    """Give the nightly deployment a schedule that is due in a moment; the run that it made, once it has ended."""
    nightly = server.deployment("restore-archive/nightly")
    parameters = {**nightly["parameters"], "settings": settings_of(server, "restore-archive/nightly")}
    server.call("PATCH", f"/deployments/{nightly['id']}", {"parameters": parameters})
    due = datetime.now(UTC) + timedelta(seconds=15)  # a scheduler that looks after that makes none
    schedule = {"interval": 86400, "anchor_date": due.isoformat(), "timezone": "UTC"}
    server.call("POST", f"/deployments/{nightly['id']}/schedules", [{"schedule": schedule, "active": True}])
    wanted = {
        "deployments": {"id": {"any_": [nightly["id"]]}},
        "flow_runs": {"expected_start_time": {"before_": (due + timedelta(seconds=60)).isoformat()}},
        "sort": "EXPECTED_START_TIME_DESC",
    }

    def look() -> dict[str, Any] | None:
        runs = [run for run in server.call("POST", "/flow_runs/filter", wanted) if run["auto_scheduled"]]
        return runs[0] if runs else None

    return server.ended(wait_for("the scheduler to make a run", look, 90)["id"])


def check_restored(server: PrefectServer, archive: Path, run: dict[str, Any]) -> None:
    """The run was the schedule's, restored, and shows its table, its failures and its report."""
    assert run["auto_scheduled"]
    assert run["state"]["type"] == "COMPLETED", run["state"]["message"]
    assert run["state"]["name"] == "ItemsFailed"
    assert run["state"]["message"] == "2 restored, 1 failed, 0 already done"
    said = server.logs(run["id"])
    assert "run planned" in said
    assert "item failed" in said and "bad.jpg" in said
    assert "item restored" not in said
    rows = current_rows(Store(str(archive / "out")))
    assert {row["source_path"]: row["status"] for row in rows.values()} == {
        "0.png": "restored", "1.png": "restored", "bad.jpg": "failed",
    }  # fmt: skip
    assert {row["flow_run_id"] for row in rows.values()} == {run["id"]}
    assert (archive / "out/0.png").is_file()
    shown = server.artifacts(run["id"])
    assert set(shown) == {
        "faitharchive-run", "faitharchive-failures", "faitharchive-report", "faitharchive-before-after",
    }  # fmt: skip
    assert shown["faitharchive-before-after"]["data"].startswith("data:image/jpeg;base64,")
    table = {row["what"]: row["value"] for row in json.loads(shown["faitharchive-run"]["data"])}
    assert (table["restored"], table["failed"], table["left"]) == ("2", "1", "0")
    (failure,) = json.loads(shown["faitharchive-failures"]["data"])
    assert (failure["source_path"], failure["error_code"]) == ("bad.jpg", "not_an_image")
    link = shown["faitharchive-report"]["data"]
    page = Path(link.partition("(file://")[2].rstrip(")"))
    assert page.read_text().startswith("<!doctype html>")
