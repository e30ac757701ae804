"""The files of leases: what one of them says, which is the newest, and whether its owner may still be at work."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from pipelines.store.layout import LEASES, lease_path
from pipelines.store.store import Store

__all__ = ["DRAINING", "HELD", "RELEASED", "LeaseRecord", "newest_lease", "process_mark", "prune"]

HELD, DRAINING, RELEASED = "held", "draining", "released"
_KEPT = 20  # old leases that stay, to be looked at


@dataclass(frozen=True, kw_only=True)
class LeaseRecord:
    """What a lease file says. Times are seconds since 1970."""

    run_id: str
    host: str
    process: int
    process_mark: str
    taken_at: float
    expires_at: float
    state: str

    def dumps(self) -> bytes:
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    @classmethod
    def loads(cls, data: bytes) -> LeaseRecord | None:
        """A lease, or None if the bytes are none: such a file holds nothing back."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError):
            return None

    def blocks(self) -> bool:
        """Whether the owner may still be at work."""
        return self.state != RELEASED and time.time() < self.expires_at and not self._owner_is_gone()

    def _owner_is_gone(self) -> bool:
        """Whether the owner was a process of this machine that has ended, as after a crash: nobody need wait for it."""
        return self.host == socket.gethostname() and self.process_mark != process_mark(self.process)


def newest_lease(store: Store) -> tuple[int, LeaseRecord | None]:
    """The highest lease and its number; 0 where there was none yet."""
    numbers = _numbers(store)
    if not numbers:
        return 0, None
    try:
        return numbers[-1], LeaseRecord.loads(store.read(lease_path(numbers[-1])))
    except FileNotFoundError:
        return numbers[-1], None


def _numbers(store: Store) -> list[int]:
    stems = (PurePosixPath(entry.path).stem for entry in store.list(LEASES))
    return sorted(int(stem) for stem in stems if stem.isdigit())


def prune(store: Store, number: int) -> None:
    """Remove leases that are long over, when lease `number` is the newest."""
    for old in _numbers(store):
        if old <= number - _KEPT:
            store.remove(lease_path(old))


def process_mark(process: int) -> str:
    """What tells a process from a later one of the same number: the boot and its time of start. Empty if it has ended."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # Fields after the name, which may hold anything: state is the first of them and the time of start the 20th.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else f"{boot} {fields[19]}"
