"""Joining a Ray cluster that is there: as part of it (`auto`), from outside (`ray://`); and what no node can hold."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from ports import free_port

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

BIN = Path(sys.executable).parent
LABEL = "faitharchive.org/pool=restore"


@dataclass(frozen=True)
class Head:
    """A cluster of one node, with two GPUs on paper. `address` and `client` are as `--ray-address` takes them."""

    address: str
    client: str
    pid: int


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    folder = Path("/tmp") / f"fa{os.getpid()}"  # sockets have short names only
    gcs, client = free_port(), free_port()
    command = [
        str(BIN / "ray"), "start", "--head", "--block", f"--port={gcs}", f"--ray-client-server-port={client}",
        "--num-cpus=3", "--num-gpus=2", f"--labels={LABEL}", "--include-dashboard=false", f"--temp-dir={folder}",
        "--object-store-memory=200000000",
    ]  # fmt: skip
    log = (tmp_path_factory.mktemp("ray") / "log").open("w+")
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(client, process)
        yield Head(f"127.0.0.1:{gcs}", f"ray://127.0.0.1:{client}", process.pid)
    finally:
        for one in [*psutil.Process(process.pid).children(recursive=True), process]:  # SIGTERM drains for 30 s
            one.kill()
        process.wait(60)
        log.close()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "ray start ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("ray did not start")


def _cli(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "faitharchive"), *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive") / "scans"
    folder.mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


SMALL = ("--preset", "nano")


def test_restored_through_a_client_and_verified_from_within(head: Head, scans: Path) -> None:
    """Ray Data does not run in a Ray client's process; here it must, and Ray's own token must be found."""
    results = scans.parent / "restored"
    run = _cli("restore", str(scans), str(results), *SMALL, "--ray-address", head.client, "--replica-label", LABEL)
    assert (run.returncode, "4 restored, 0 failed" in run.stdout) == (0, True), run.stdout + run.stderr
    assert len(list(results.glob("?.png"))) == 4
    checked = _cli("verify", str(scans), str(results), "--ray-address", "auto", RAY_ADDRESS=head.address)
    assert (checked.returncode, "4 items checked, all sound" in checked.stdout) == (0, True), (
        checked.stdout + checked.stderr
    )


_CONNECT = """
import sys, ray
from pipelines.run.cluster import connected
from pipelines.settings import Settings
with connected(Settings(ray_address=sys.argv[1])):
    print(ray.cluster_resources()["GPU"], "GPUs")
"""


def test_a_client_whose_server_dies_as_it_starts_is_tried_again(head: Head) -> None:
    """Seen on a busy head, which forks it beside gRPC's threads."""
    killed = threading.Event()
    watcher = threading.Thread(target=_kill_client_server, args=(head.pid, killed), daemon=True)
    watcher.start()
    command = [sys.executable, "-c", _CONNECT, head.client]
    run = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert killed.is_set()
    assert run.stdout == "2.0 GPUs\n", run.stderr


def _kill_client_server(head: int, killed: threading.Event) -> None:
    """Kill the first process that the head starts for a client, as early as it is seen."""
    while not killed.is_set():
        for process in psutil.Process(head).children(recursive=True):
            with suppress(psutil.Error):
                if "--mode=specific-server" in process.cmdline():
                    process.kill()
                    killed.set()


def test_what_no_node_can_hold_ends_the_run(head: Head, scans: Path) -> None:
    """It would wait for ever."""
    label = "faitharchive.org/pool=caption"
    results = str(scans.parent / "none")
    run = _cli("restore", str(scans), results, *SMALL, "--ray-address", head.address, "--replica-label", label)
    assert run.returncode == 2
    wanted = f"a replica needs a node with 1 GPU and the label {label}, and none of the cluster's 1 has that"
    assert wanted in " ".join(run.stderr.split())


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address for clients of a cluster that asks for a token, and the token."""
    folder, token = Path("/tmp") / f"fg{os.getpid()}", "0123456789abcdef0123456789abcdef"
    gcs, client = free_port(), free_port()
    command = [
        str(BIN / "ray"), "start", "--head", "--block", f"--port={gcs}", f"--ray-client-server-port={client}",
        "--num-cpus=2", "--include-dashboard=false", f"--temp-dir={folder}", "--object-store-memory=200000000",
    ]  # fmt: skip
    log = (tmp_path_factory.mktemp("ray") / "log").open("w+")
    own = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=own)
    try:
        _wait_for(client, process)
        yield f"ray://127.0.0.1:{client}", token
    finally:
        for one in [*psutil.Process(process.pid).children(recursive=True), process]:
            one.kill()
        process.wait(60)
        log.close()


def test_a_flow_of_a_worker_brings_the_token_and_an_error_shows_rays_cause(guarded: tuple[str, str]) -> None:
    address, token = guarded
    code = "import jobs" + _CONNECT.replace('["GPU"], "GPUs"', '["CPU"], "CPUs"')
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    run = subprocess.run(
        [sys.executable, "-c", code, address], env={**plain, "RAY_AUTH_TOKEN": token}, capture_output=True, text=True,
        timeout=200, check=False,
    )  # fmt: skip
    assert run.stdout == "2.0 CPUs\n", run.stderr
    wrong = subprocess.run(
        [sys.executable, "-c", code, address], env={**plain, "RAY_AUTH_TOKEN": token[::-1]}, capture_output=True, text=True,
        timeout=280, check=False,
    )  # fmt: skip
    assert wrong.returncode == 1
    assert "token" in wrong.stderr.splitlines()[-1].lower(), wrong.stderr
