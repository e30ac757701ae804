"""A port that nobody has."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Above those that Ray gives its workers."""
    while True:
        with socket.socket() as door:
            door.bind(("", 0))
            port = int(door.getsockname()[1])
        if port > 20000:
            return port
