"""A real Prefect server, on SQLite or PostgreSQL, with its command line, its API and a worker: processes of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from ports import free_port

_QUICK = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    "PREFECT_RUNNER_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def wait_for(what: str, look: Callable[[], Any], seconds: float) -> Any:
    """The first true value of `look`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.3)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


@contextmanager
def process(command: list[str], environment: dict[str, str], log: Path, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its children, ended with all of them."""
    with log.open("ab") as out:
        started = subprocess.Popen(
            command, stdout=out, stderr=out, env=environment, cwd=cwd, start_new_session=True
        )  # fmt: skip
        try:
            yield started
        finally:
            if started.poll() is None:
                os.killpg(started.pid, signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    started.wait(15)
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait()


class PrefectServer:
    """A server that runs.

    Attributes:
        home: its PREFECT_HOME, and the folder of its logs.
        url: of its API.
        environment: for processes that talk to it.
    """

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.url = home, f"http://127.0.0.1:{port}/api"
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        self.environment = {**ours, **_QUICK, "PREFECT_HOME": str(home), "PREFECT_API_URL": self.url}

    def call(self, method: str, path: str, content: Any = None) -> Any:
        """What the API answers; AssertionError with its text if it refuses."""
        answer = self.ask(method, path, content)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def ask(self, method: str, path: str, content: Any = None) -> httpx.Response:
        """The API's answer; asked again while SQLite is locked, as Prefect's own client does."""
        for _ in range(20):
            answer = httpx.request(method, f"{self.url}{path}", json=content, timeout=60)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(0.5)
        return answer

    def prefect(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Prefect's command line, from the repository's root."""
        return self.python("-m", "prefect", *arguments, **variables)

    def faitharchive(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run our command line."""
        return self.python("-c", "from jobs.cli.main import main; main()", *arguments, **variables)

    def python(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, "COLUMNS": "200", **variables}
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
        )

    def deployment(self, name: str) -> dict[str, Any]:
        return self.call("GET", f"/deployments/name/{name}")

    def start_run(self, deployment: dict[str, Any], **parameters: Any) -> str:
        """Ask for a run now; its id."""
        run = self.call("POST", f"/deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})
        return str(run["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        return self.call("GET", f"/flow_runs/{run_id}")

    def ended(self, run_id: str, seconds: float = 180) -> dict[str, Any]:
        """A run, once it has come to its end."""
        final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

        def look() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run["state"]["type"] in final else None

        return wait_for(f"run {run_id} to end", look, seconds)

    def logs(self, run_id: str) -> str:
        rows = self.call("POST", "/logs/filter", {"logs": {"flow_run_id": {"any_": [run_id]}}})
        return "\n".join(row["message"] for row in rows)

    def artifacts(self, run_id: str) -> dict[str, Any]:
        """A run's artifacts by key."""
        rows = self.call("POST", "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run_id]}}})
        return {row["key"]: row for row in rows}

    @contextmanager
    def worker(self, pool: str) -> Iterator[None]:
        """A worker of a pool, from a folder that holds no code."""
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool]
        with process(command, self.environment, self.home / "worker.log", self.home):
            yield


ROOT = Path(__file__).parents[2]


@contextmanager
def prefect_server(home: Path, database: str = "") -> Iterator[PrefectServer]:
    """Start a server and wait until it answers.

    Args:
        home: an empty folder of its own.
        database: URL as Prefect takes it; SQLite in `home` by default.
    """
    port = free_port()
    server = PrefectServer(home, port)
    environment = {name: value for name, value in server.environment.items() if name != "PREFECT_API_URL"}
    environment["PREFECT_UI_URL"] = f"http://127.0.0.1:{port}"  # what notifications link to
    if database:
        environment["PREFECT_API_DATABASE_CONNECTION_URL"] = database
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    log = home / "server.log"
    with process(command, environment, log, home) as started:

        def look() -> bool:
            assert started.poll() is None, log.read_text()
            try:
                return bool(httpx.get(f"{server.url}/health", timeout=2).is_success)
            except httpx.TransportError:
                return False

        wait_for("the server", look, 120)
        yield server


def postgresql_binaries() -> Path | None:
    """Where PostgreSQL's server is installed, newest first; None if it is not."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if found:
        return found[0].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL server with an empty database; its URL as Prefect takes it. It refuses root, so `nobody` runs it there."""
    with TemporaryDirectory(prefix="faitharchive-postgresql-") as folder:  # pytest's own folders are closed to `nobody`
        yield from _cluster(Path(folder))


def _cluster(folder: Path) -> Iterator[str]:
    binaries, port = postgresql_binaries(), free_port()
    assert binaries is not None
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        shutil.chown(folder, "nobody")
    data = folder / "data"
    subprocess.run(
        [str(binaries / "initdb"), "-D", str(data), "-U", "prefect", "--auth=trust", "--no-sync"],
        check=True, capture_output=True, cwd="/", **user,
    )  # fmt: skip
    command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"]
    log = (folder / "log").open("wb")
    started = subprocess.Popen([*command, "-F"], stdout=log, stderr=log, cwd="/", start_new_session=True, **user)
    try:
        wait_for("PostgreSQL", lambda: _answers(port), 30)
        yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/postgres"
    finally:
        started.send_signal(signal.SIGINT)  # fast shutdown
        started.wait(30)
        log.close()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
