"""Prefect's server: the one that is named, one that `serve` starts, or the one that Prefect starts for a single run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    PREFECT_SERVER_API_PORT,
    temporary_settings,
)

from pipelines.run.terminal import stdin_from_null

__all__ = ["server_address", "some_server", "start_own_server"]

_START_SECONDS = 120.0


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
            stdin=subprocess.DEVNULL,
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


def server_address() -> str:
    """The URL of the API that flows of this process use; empty if none has been started."""
    own = SubprocessASGIServer()
    return PREFECT_API_URL.value() or (own.api_url if own.running else "")


def start_own_server() -> None:
    """Start it before the first flow asks for it; nothing happens where a server is configured.

    A terminal sends Ctrl-C to all processes at once. The server would end, and the flow, which drains, would then wait in vain
    to tell it so. A child inherits which signals are blocked.
    """
    if PREFECT_API_URL.value() or not PREFECT_SERVER_ALLOW_EPHEMERAL_MODE.value():
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with stdin_from_null():
            SubprocessASGIServer().start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
