"""The files of leases: what one of them says, which is the newest, and whether its owner may still be at work."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from faithdiff_model.redaction import redact_url
from pipelines.store.layout import LEASES, lease_path
from pipelines.store.store import Store

__all__ = [
    "DRAINING",
    "HELD",
    "RELEASED",
    "LeasePlace",
    "LeaseRecord",
    "newest_lease",
    "process_mark",
    "prune",
    "refusal",
]

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


@dataclass(frozen=True)
class LeasePlace:
    """What a lease is of.

    Attributes:
        folder: of its files; by default those of the whole output.
        above: number of the lease of the whole output that this one, of a part of its work, depends on: with that one this
            is lost, too. 0 depends on none.
    """

    folder: str = LEASES
    above: int = 0

    def taken_over(self, store: Store, number: int) -> bool:
        """Whether there is a newer lease than `number`, or than the one above it."""
        if self.above and store.exists(lease_path(self.above + 1)):
            return True
        return store.exists(lease_path(number + 1, self.folder))


def newest_lease(store: Store, folder: str = LEASES) -> tuple[int, LeaseRecord | None]:
    """The highest lease of a folder and its number; 0 where there was none yet."""
    numbers = _numbers(store, folder)
    if not numbers:
        return 0, None
    try:
        return numbers[-1], LeaseRecord.loads(store.read(lease_path(numbers[-1], folder)))
    except FileNotFoundError:
        return numbers[-1], None


def _numbers(store: Store, folder: str) -> list[int]:
    stems = (PurePosixPath(entry.path).stem for entry in store.list(folder))
    return sorted(int(stem) for stem in stems if stem.isdigit())


def prune(store: Store, number: int, folder: str = LEASES) -> None:
    """Remove leases of a folder that are long over, when lease `number` is the newest."""
    for old in _numbers(store, folder):
        if old <= number - _KEPT:
            store.remove(lease_path(old, folder))


def refusal(store: Store, holder: LeaseRecord) -> str:
    """One line for a run that finds an output held: by whom, since when, and what to do."""
    since, until = (
        datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") for at in (holder.taken_at, holder.expires_at)
    )
    return (
        f"output {redact_url(store.url)}: run {holder.run_id} on {holder.host} (process {holder.process}) has held it since "
        f"{since}, for now until {until}; wait for it to end, or take it over by --steal-lease"
    )


def process_mark(process: int) -> str:
    """What tells a process from a later one of the same number: the boot and its time of start. Empty if it has ended."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # Fields after the name, which may hold anything: state is the first of them and the time of start the 20th.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else f"{boot} {fields[19]}"
