"""How much memory a piece of work takes at its peak, C libraries included. Linux with glibc only."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from pathlib import Path

_libc = ctypes.CDLL(None)
_MMAP_THRESHOLD = -3  # glibc's M_MMAP_THRESHOLD
# Blocks above this size go back to the system when they are freed: what earlier work left behind would hide a peak.
_libc.mallopt(_MMAP_THRESHOLD, 1 << 16)


def peak_bytes(work: Callable[[], object]) -> int:
    """Bytes that the process held at most while `work` ran, beyond what it held before."""
    _libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the highest use so far
    before = status_bytes("VmRSS")
    work()
    return status_bytes("VmHWM") - before


def status_bytes(name: str) -> int:
    """A size from the process's status: VmRSS now in use, VmHWM the most so far, VmSize addresses."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None, name
    return int(found[1]) << 10
