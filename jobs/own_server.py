"""The server that Prefect starts for itself where none is configured, kept out of reach of Ctrl-C."""

from __future__ import annotations

import signal

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE


def start_own_server() -> None:
    """Start it before the first flow asks for it; nothing happens where a server is configured.

    A terminal sends Ctrl-C to all processes at once. The server would end, and the flow, which drains, would then wait in vain
    to tell it so. A child inherits which signals are blocked.
    """
    if PREFECT_API_URL.value() or not PREFECT_SERVER_ALLOW_EPHEMERAL_MODE.value():
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        SubprocessASGIServer().start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
