"""Ray's nodes of the compose stack, started for real by its own command lines, on ports that nobody has."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from infra_files import read

SERVICES = read("compose/compose.yaml")["services"]
BIN = Path(sys.executable).parent

# A driver as the Prefect worker starts it: it must find work done on the worker, not on the head.
DRIVER = """
import ray
ray.init(address="{address}", log_to_driver=False, logging_level="ERROR")
@ray.remote(num_cpus=1)
def where():
    return ray.get_runtime_context().get_node_id()
print(sorted(node["Resources"].get("CPU", 0) for node in ray.nodes()))
done = ray.get(where.remote(), timeout=60)
print([node["Resources"].get("CPU", 0) for node in ray.nodes() if node["NodeID"] == done])
"""


def _ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _page(url: str, seconds: float, holding: str, token: str = "") -> str:
    end = time.monotonic() + seconds
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    while True:
        try:
            with closing(urllib.request.urlopen(request, timeout=5)) as answer:
                text = answer.read().decode()
            if holding in text:
                return text
        except OSError:
            pass
        assert time.monotonic() < end, url
        time.sleep(0.5)


def _environment(service: str) -> dict[str, str]:
    """A service's, of what concerns Ray, where nobody has set another password."""
    given = SERVICES[service]["environment"]
    return {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in given.items() if name.startswith("RAY_")}


class _Nodes:
    """Nodes by their service's command. Each is ended with all that it started, and with nothing else."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fa-", dir="/tmp"))  # Ray's sockets want a short path
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, service: str, replace: dict[str, str], *more: str) -> None:
        command = SERVICES[service]["command"]
        for old, new in replace.items():
            assert old in command
            command = command.replace(old, new)
        words = [*shlex.split(command), f"--temp-dir={self.folder}", "--object-store-memory=100000000", *more]
        assert words[:2] == ["ray", "start"]
        environment = {**os.environ, **_environment(service), "RAY_USAGE_STATS_ENABLED": "0"}
        log = (self.folder / f"{service}.log").open("wb")
        self.processes.append(
            subprocess.Popen([BIN / "ray", *words[1:]], stdout=log, stderr=log, env=environment, start_new_session=True)
        )

    def end(self) -> None:
        for process in reversed(self.processes):
            family = [process, *psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []
            for member in family:
                if psutil.pid_exists(member.pid):
                    os.kill(member.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def nodes() -> Iterator[_Nodes]:
    started = _Nodes()
    try:
        yield started
    finally:
        started.end()


@pytest.mark.ray
def test_the_stack_s_ray_works_and_exports_metrics(nodes: _Nodes) -> None:
    gcs, client, dashboard, metrics, worker_metrics, *agents = _ports(9)
    nodes.start(
        "ray-head", {"--port=6379": f"--port={gcs}", "=8080": f"={metrics}", "0.0.0.0": "127.0.0.1"},
        f"--ray-client-server-port={client}", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agents[0]}",
        f"--runtime-env-agent-port={agents[1]}",
    )  # fmt: skip
    assert "ray_" in _page(f"http://127.0.0.1:{metrics}/metrics", 60, "ray_")
    version = f"http://127.0.0.1:{dashboard}/api/version"
    _page(version, 60, "ray_version", _environment("ray-head")["RAY_AUTH_TOKEN"])
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(version, timeout=5)
    probe = [word.replace("6379", str(gcs)) for word in SERVICES["ray-head"]["healthcheck"]["test"][1:]]
    environment = {**os.environ, **_environment("worker")}
    subprocess.run([BIN / probe[0], *probe[1:]], check=True, timeout=60, env=environment)
    nodes.start(
        "ray-worker", {"ray-head:6379": f"127.0.0.1:{gcs}", "=8080": f"={worker_metrics}"}, "--num-cpus=1",
        f"--dashboard-agent-listen-port={agents[2]}", f"--runtime-env-agent-port={agents[3]}",
    )  # fmt: skip
    _page(f"http://127.0.0.1:{worker_metrics}/metrics", 60, "ray_")
    assert all(process.poll() is None for process in nodes.processes)  # in the foreground, as a container's process
    shown = subprocess.run(
        [sys.executable, "-c", DRIVER.format(address=f"127.0.0.1:{gcs}")], capture_output=True, text=True, timeout=120,
        check=True, env=environment,
    ).stdout.splitlines()  # fmt: skip
    assert shown == ["[0, 1.0]", "[1.0]"]
