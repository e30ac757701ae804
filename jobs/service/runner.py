"""Prefect's runner for `serve`, which ends without losing a run in progress."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from prefect.runner import Runner

__all__ = ["DrainingRunner"]


class DrainingRunner(Runner):
    """A runner that takes up nothing new once it gets SIGTERM or SIGINT, passes the signal on, and waits.

    Prefect's own kills what it runs after 30 seconds. Here a run drains for its `drain_seconds`, commits what it has and ends
    as Completed with what is left; a second signal makes it leave what is in flight.
    """

    async def start(self, run_once: bool = False, webserver: bool | None = None) -> None:
        """Run what is due until a signal comes. Blocks."""
        before = signal.signal(signal.SIGINT, self.handle_sigterm)
        try:
            await super().start(run_once, webserver)
        finally:
            signal.signal(signal.SIGINT, before)

    def handle_sigterm(self, number: int = signal.SIGTERM, *_: object) -> None:
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
