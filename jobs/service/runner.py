"""What `serve` runs: Prefect's runner, ended without losing a run in progress, and a server of its own where none is named."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from prefect.runner import Runner
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_SERVER_API_PORT, temporary_settings

_START_SECONDS = 120.0


class DrainingRunner(Runner):
    """A runner that takes up nothing new once it gets SIGTERM or SIGINT, passes the signal on, and waits.

    Prefect's own kills what it runs after 30 seconds. Here a run drains for its `drain_seconds`, commits what it has and ends
    as Completed with what is left; a second signal makes it leave what is in flight.
    """

    async def start(self, *arguments: Any, **named: Any) -> None:
        """Run what is due until a signal comes. Blocks."""
        before = signal.signal(signal.SIGINT, self.handle_sigterm)
        try:
            await super().start(*arguments, **named)
        finally:
            signal.signal(signal.SIGINT, before)

    def handle_sigterm(self, number: int = signal.SIGTERM, *_: Any) -> None:
        """Take up nothing new, and have the runs in progress drain."""
        if not hasattr(self, "_loops_task_group"):  # before it runs anything, or after
            raise SystemExit(0)
        if not (number == signal.SIGINT and _from_terminal()):
            for run in self._process_manager.flow_run_ids():
                handle = self._process_manager.get(run)
                if handle is not None and handle.pid is not None:
                    with suppress(ProcessLookupError):
                        os.kill(handle.pid, signal.SIGTERM)
        if not self.stopping:
            self.stopping = True
            assert self._loop is not None  # from the start on, and signals are heard only then
            self._loop.call_soon_threadsafe(self._loops_task_group.cancel_scope.cancel)


def _from_terminal() -> bool:
    """Whether a Ctrl-C here has reached all processes of ours by itself; a second signal would make them leave their work."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


@contextmanager
def some_server() -> Iterator[str]:
    """The URL of the API of the server that is named, or of one that is started here for the length of a block.

    Schedules are kept by a server; the one that Prefect starts for a single run does not know any.

    Raises:
        ValueError: the port is taken, or it does not start.
    """
    named = PREFECT_API_URL.value()
    if named:
        _check(named)
        yield named
        return
    port = PREFECT_SERVER_API_PORT.value()
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(("127.0.0.1", port))
        except OSError as error:
            raise ValueError(
                f"PREFECT_API_URL is not set and port {port} is taken: set it to the server there, such as "
                f"http://127.0.0.1:{port}/api, or PREFECT_SERVER_API_PORT to a free port"
            ) from error
    url = f"http://127.0.0.1:{port}/api"
    home = PREFECT_HOME.value()
    home.mkdir(parents=True, exist_ok=True)
    with (home / "server.log").open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            stdout=log,
            stderr=log,
            start_new_session=True,  # a terminal's Ctrl-C is for the runs, which then still need it
        )
        try:
            _await(url, server, home / "server.log")
            os.environ["PREFECT_API_URL"] = url  # of the runs' processes
            with temporary_settings({PREFECT_API_URL: url}):
                yield url
        finally:
            os.environ.pop("PREFECT_API_URL", None)
            server.terminate()
            server.wait(30)


def _check(url: str) -> None:
    if not _answers(url):
        raise ValueError(
            f"PREFECT_API_URL is {url}: no server answers; start one by 'prefect server start', or unset it and serve "
            "starts its own"
        )


def _await(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while not _answers(url):
        if server.poll() is not None or time.monotonic() > until:
            raise ValueError(f"Prefect's server does not start: see {log}")
        time.sleep(0.3)


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError, ValueError):
        return False
