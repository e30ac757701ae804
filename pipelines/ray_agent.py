"""Ray's agent, which exports metrics: a process of its own that comes with `ray[default]`."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import ray._private.utils

from pipelines.store.store import StoreError


def check_metrics_port(port: int) -> None:
    """Raises StoreError where a local Ray could not export metrics on a port: it would say so in a file of its own alone."""
    if ray._private.utils.get_dashboard_dependency_error() is not None:
        raise StoreError(
            f"metrics port {port}: Ray's agent is not installed; pip install 'faitharchive[cluster]', or leave the port out"
        )
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the agent does
        try:
            probe.bind(("", port))
        except OSError as error:
            raise StoreError(f"metrics port {port}: cannot be used ({error.strerror}); choose another") from error


@contextmanager
def left_out() -> Iterator[None]:
    """Have a local Ray that is started in this block do without the agent, as if `ray[default]` were not installed.

    It would take seconds to start and 100 MB, to export what nobody asked for. Ray 2.60 has no option for that.
    """
    kept = ray._private.utils.get_dashboard_dependency_error
    ray._private.utils.get_dashboard_dependency_error = lambda: ImportError("nobody asked for Ray's agent")
    try:
        yield
    finally:
        ray._private.utils.get_dashboard_dependency_error = kept
