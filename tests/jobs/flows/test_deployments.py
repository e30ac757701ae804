"""infra/prefect.yaml and infra/automations.yaml on a real Prefect server with a real worker, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployed_archive import Post, check_restored, deploy, make_archive, restore_on_schedule, settings_of
from prefect_server import PrefectServer, postgresql, postgresql_binaries, prefect_server

from jobs.settings.deployment import from_environment
from pipelines.manifest.reader import current_rows
from pipelines.store.lease import hold_lease
from pipelines.store.store import Store

ROOT = Path(__file__).parents[3]
pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def post() -> Iterator[Post]:
    post = Post()
    yield post
    post.server.shutdown()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with prefect_server(tmp_path_factory.mktemp("prefect")) as server:
        made = server.prefect("work-pool", "create", "faitharchive", "--type", "process")
        assert made.returncode == 0, made.stdout + made.stderr
        yield server


@pytest.fixture(scope="module")
def deployed(server: PrefectServer, archive: Path) -> Iterator[PrefectServer]:
    deploy(server, archive)
    with server.worker("faitharchive"):
        yield server


def test_a_variable_that_is_not_set_ends_the_deployment(server: PrefectServer) -> None:
    said = server.prefect("--no-prompt", "deploy", "--prefect-file", "infra/prefect.yaml", "-n", "nightly")
    assert said.returncode == 1
    assert "error: FAITHARCHIVE_SOURCE and FAITHARCHIVE_OUTPUT not set: export the folder or URL" in said.stderr
    assert "Traceback" not in said.stdout + said.stderr
    assert server.ask("GET", "/deployments/name/restore-archive/nightly").status_code == 404


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"source": "", "output": "/b"}, "FAITHARCHIVE_SOURCE not set"),
        (
            {"source": "/a", "output": "/b", "preset": "giant"},
            "preset is 'giant': 'giant' is not a preset: choose one of",
        ),
    ],
)
def test_wrong_variables_by_name(given: dict[str, str], complaint: str) -> None:
    with pytest.raises(SystemExit, match=f"^error: {complaint}"):
        from_environment(**given)


def test_unset_variables_that_need_not_be_set_are_defaults() -> None:
    given = {"source": "/a", "output": "/b", "preset": "", "ray_address": ""}
    assert from_environment(**given) == {"source": "/a", "output": "/b", "preset": "nano", "ray_address": "local"}


def test_what_the_server_knows_of_the_deployments(deployed: PrefectServer) -> None:
    nightly = deployed.deployment("restore-archive/nightly")
    (schedule,) = nightly["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 1 * * *", "Europe/Amsterdam")
    limits = {}
    for name in ("restore-archive/nightly", "backfill-archive/backfill", "verify-archive/verify", "report-archive/report",
                 "train-stage/train"):  # fmt: skip
        there = deployed.deployment(name)
        assert there["enforce_parameter_schema"]
        assert there["global_concurrency_limit"]["limit"] == 1
        limits[there["name"]] = there["concurrency_options"]["collision_strategy"]
    assert limits == {
        "nightly": "CANCEL_NEW", "backfill": "ENQUEUE", "verify": "CANCEL_NEW", "report": "CANCEL_NEW", "train": "ENQUEUE",
    }  # fmt: skip


def test_the_form_of_the_ui_has_descriptions_sections_choices_and_limits(deployed: PrefectServer) -> None:
    form = deployed.deployment("restore-archive/nightly")["parameter_openapi_schema"]
    assert form["properties"]["report"]["description"] == "make a page on the archive's state afterwards."
    upscale = form["definitions"]["Settings"]["properties"]["upscale"]
    assert (upscale["description"], upscale["minimum"], upscale["maximum"], upscale["section"]) == (
        "Enlargement, 1 to 8.", 1, 8, "Result",
    )  # fmt: skip
    assert form["definitions"]["Settings"]["properties"]["format"]["enum"] == [
        "auto",
        "png",
        "tiff",
        "jpeg",
        "webp",
        "jp2",
    ]
    train = deployed.deployment("train-stage/train")["parameter_openapi_schema"]["definitions"]["TrainSettings"]
    assert train["properties"]["stage"]["enum"] == ["vae", "prior", "1", "2", "joint", "detail"]
    assert train["properties"]["crop"]["maximum"] == 4096


@pytest.mark.parametrize(
    ("name", "wrong", "complaint"),
    [
        (
            "restore-archive/nightly",
            {"upscale": 99},
            "'settings.upscale'. Failure reason: 99 is greater than the maximum",
        ),
        ("restore-archive/nightly", {"upscail": 2}, "('upscail' was unexpected)"),
        (
            "restore-archive/nightly",
            {"format": "gif"},
            "'gif' is not one of ['auto', 'png', 'tiff', 'jpeg', 'webp', 'jp2']",
        ),
        ("train-stage/train", {"crop": -1}, "'settings.crop'. Failure reason: -1 is less than the minimum of 0"),
    ],
)
def test_the_server_refuses_wrong_parameters_by_name(
    deployed: PrefectServer, name: str, wrong: dict[str, Any], complaint: str
) -> None:
    deployment = deployed.deployment(name)
    parameters = {"settings": {**deployment["parameters"]["settings"], **wrong}}
    answer = deployed.ask("POST", f"/deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})
    assert answer.status_code == 409
    assert complaint in answer.json()["detail"]


def test_automations_from_the_file_and_that_nothing_ran_is_told(
    deployed: PrefectServer, post: Post, tmp_path: Path
) -> None:
    content = yaml.safe_load((ROOT / "infra/automations.yaml").read_text())
    for automation in content["automations"]:
        if automation["name"] == "faitharchive: nothing ran":
            automation["trigger"]["within"] = 10
    (tmp_path / "automations.yaml").write_text(yaml.safe_dump(content))
    command = ("automations", str(tmp_path / "automations.yaml"))
    for word in ("created", "updated"):
        said = deployed.faitharchive(*command, FAITHARCHIVE_NOTIFY_WEBHOOK=post.url)
        assert said.returncode == 0, said.stderr
        assert said.stdout.splitlines() == [f"{word}: {automation['name']}" for automation in content["automations"]]
    assert len(deployed.call("POST", "/automations/filter", {})) == len(content["automations"])
    assert post.url not in json.dumps(deployed.call("POST", "/block_documents/filter", {"include_secrets": False}))
    post.wait("FaithArchive: nothing ran")


def test_one_run_at_a_time_of_a_deployment_and_of_an_output(deployed: PrefectServer, archive: Path) -> None:
    nightly, output = deployed.deployment("restore-archive/nightly"), Store(str(archive / "out"))
    output.check_writable()
    with hold_lease(output, run_id="theirs", seconds=600):
        first, second = (
            deployed.start_run(nightly, settings=settings_of(deployed, "restore-archive/nightly")) for _ in range(2)
        )
        ends = [deployed.ended(run_id) for run_id in (first, second)]
    skipped, refused = sorted(ends, key=lambda run: run["state"]["type"], reverse=True)
    assert (skipped["state"]["name"], skipped["state"]["type"]) == ("Skipped", "COMPLETED")
    assert "run theirs on " in skipped["state"]["message"]
    assert "wait for it to end" in skipped["state"]["message"]
    assert "Traceback" not in deployed.logs(skipped["id"])
    assert (refused["state"]["type"], refused["state"]["message"]) == (
        "CANCELLED", "Deployment concurrency limit reached.",
    )  # fmt: skip
    assert not current_rows(output)


def test_a_night_that_spends_its_budget_and_the_next_on_schedule(
    deployed: PrefectServer, archive: Path, post: Post
) -> None:
    nightly = deployed.deployment("restore-archive/nightly")
    settings = settings_of(deployed, "restore-archive/nightly", budget_hours=1e-7)
    spent = deployed.ended(deployed.start_run(nightly, settings=settings, report=False))
    assert spent["state"]["type"] == "COMPLETED", spent["state"]["message"]
    assert "3 left to the next run; stopped: the time budget of 1e-07 hours is spent" in spent["state"]["message"]
    table = json.loads(deployed.artifacts(spent["id"])["faitharchive-run"]["data"])
    assert {"what": "left", "value": "3"} in table

    check_restored(deployed, archive, restore_on_schedule(deployed))
    told = post.wait("FaithArchive: 1 items failed")
    assert "2 restored, 1 failed" in told
    assert "not_an_image" in told


def test_a_run_that_cannot_work_fails_with_one_line_and_somebody_is_told(
    deployed: PrefectServer, archive: Path, post: Post
) -> None:
    nightly = deployed.deployment("restore-archive/nightly")
    settings = settings_of(deployed, "restore-archive/nightly", source=str(archive / "gone"))
    failed = deployed.ended(deployed.start_run(nightly, settings=settings))
    assert failed["state"]["type"] == "FAILED"
    assert failed["state"]["message"] == f"source {archive}/gone: there is no such folder; check the path"
    assert "Traceback" not in deployed.logs(failed["id"])
    told = post.wait("FaithArchive: restore-archive Failed")
    assert "there is no such folder" in told
    assert f"flow-run/{failed['id']}" in told


@pytest.mark.slow
def test_backfill_verification_and_report_run_as_deployed(deployed: PrefectServer, tmp_path: Path) -> None:
    archive = make_archive(tmp_path)
    stores = {"source": str(archive / "scans"), "output": str(archive / "out")}

    def end(name: str, **parameters: Any) -> dict[str, Any]:
        deployment = deployed.deployment(name)
        if "settings" in deployment["parameters"]:
            parameters["settings"] = settings_of(deployed, name, **stores)
        return deployed.ended(deployed.start_run(deployment, **parameters))

    filled = end("backfill-archive/backfill", parts=["0*", "bad*"])
    assert (filled["state"]["type"], filled["state"]["message"]) == (
        "COMPLETED", "1 restored, 1 failed, 0 already done",
    )  # fmt: skip
    sound = end("verify-archive/verify")
    assert (sound["state"]["type"], sound["state"]["message"]) == ("COMPLETED", "1 items checked, all sound")
    reported = end("report-archive/report", output=stores["output"])
    assert reported["state"]["type"] == "COMPLETED", reported["state"]["message"]
    assert set(deployed.artifacts(reported["id"])) == {"faitharchive-report", "faitharchive-before-after"}
    (archive / "out/0.png").write_bytes(b"spoilt")
    unsound = end("verify-archive/verify")
    assert unsound["state"]["type"] == "FAILED"
    assert unsound["state"]["message"].startswith("1 of 1 items have problems: record ")
    assert "faitharchive-fixity" in deployed.artifacts(unsound["id"])
    missing = end("report-archive/report", output=str(archive / "nowhere"))
    assert missing["state"]["type"] == "FAILED"
    assert "there is no such folder; check the path" in missing["state"]["message"]


@pytest.mark.slow
@pytest.mark.skipif(postgresql_binaries() is None, reason="needs PostgreSQL's server: apt-get install postgresql")
def test_the_same_on_postgresql(tmp_path: Path) -> None:
    home = tmp_path / "prefect"
    home.mkdir()
    archive = make_archive(tmp_path)
    with postgresql() as database, prefect_server(home, database) as server:
        made = server.prefect("work-pool", "create", "faitharchive", "--type", "process")
        assert made.returncode == 0, made.stdout + made.stderr
        deploy(server, archive)
        with server.worker("faitharchive"):
            check_restored(server, archive, restore_on_schedule(server))
    assert not list(home.glob("*.db"))


def test_automations_say_what_they_need(deployed: PrefectServer, tmp_path: Path) -> None:
    file = str(ROOT / "infra/automations.yaml")
    for arguments, complaint in (
        ((file,), "error: where to notify: none given; choose one of --slack, --teams, --webhook and --block"),
        ((file, "--block", "slack-webhook/nobody"), "error: --block is 'slack-webhook/nobody': the server has none"),
        ((file, "--webhook", "hooks.example"), "error: --webhook: the URL must begin with https://"),
    ):
        said = deployed.faitharchive("automations", *arguments)
        assert said.returncode == 2
        assert complaint in said.stderr
