"""Mending what needs no model: sidecars written again from the manifest, rows recorded again from sidecars."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from pipelines.audit.fixity import BEHIND, DAMAGED, DISAGREES, MANIFEST_ROW, MISSING, SIDECAR, Check
from pipelines.manifest.index import open_index, read_block
from pipelines.manifest.sidecar import parse_sidecar, sidecar_bytes
from pipelines.manifest.writer import ManifestWriter
from pipelines.rows import RESTORED, Row
from pipelines.settings import Settings
from pipelines.store.layout import sidecar_path
from pipelines.store.lease import hold_lease
from pipelines.store.store import Store
from pipelines.store.stores import open_store

__all__ = ["RepairResult", "repair"]

_BLOCK_ROWS = 100
_BLOCK_BYTES = 1 << 40  # a block is only read from the manifest here


class RepairResult(NamedTuple):
    """How many sidecars were written again and how many rows recorded."""

    sidecars: int
    rows: int


def repair(settings: Settings, item_ids: Collection[str], *, run_id: str) -> RepairResult:
    """Mend the sidecars and the manifest rows of items, holding the output store for the time.

    Each item is checked again first, since another run may have touched it after it was verified.

    Args:
        settings: the output store.
        item_ids: whose sidecar is missing or damaged, or whose row was lost.
        run_id: of the verification; names what is written.

    Raises:
        LeaseError: another run holds the output.
        StoreError: it cannot be read or written.
    """
    if not item_ids:
        return RepairResult(0, 0)
    output = open_store(settings.output, settings.retry_seconds)
    check = Check(None, output)
    wanted = frozenset(item_ids)
    sidecars = rows = 0
    with hold_lease(output, run_id=run_id, seconds=settings.lease_seconds, steal=settings.steal_lease) as lease:
        writer = ManifestWriter(output, run_id)
        with open_index(output, choose=lambda name, path: name in wanted, statuses=(RESTORED,)) as current:
            for block in current.blocks(rows=_BLOCK_ROWS, size=_BLOCK_BYTES):
                lease.check("verify again")
                full = read_block(output, block, ())
                for row, answer in zip(full, check(full).to_pylist(), strict=True):
                    found = {(problem["what"], problem["problem"]) for problem in answer["problems"]}
                    if found & {(SIDECAR, MISSING), (SIDECAR, DAMAGED), (SIDECAR, DISAGREES)}:
                        output.publish(sidecar_path(row["output_path"]), sidecar_bytes(row))
                        sidecars += 1
                    elif (MANIFEST_ROW, BEHIND) in found:
                        writer.add(_sidecar_row(output, row))
                        rows += 1
        writer.flush()
    return RepairResult(sidecars, rows)


def _sidecar_row(output: Store, row: Row) -> Row:
    return parse_sidecar(output.read(sidecar_path(row["output_path"])))
