"""Compare a restored item with its manifest row: the bytes of its source, the bytes of its result, and its sidecar."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pyarrow as pa

from pipelines.listing import is_inside
from pipelines.provenance import NewerSidecarError, SidecarError, parse_sidecar, sidecar_path
from pipelines.retries import GaveUpError, patiently, safe_text
from pipelines.rows import RESTORED, Row
from pipelines.storage import Entry, OutsideError, Store

SOURCE, RESULT, SIDECAR, MANIFEST_ROW = "source", "result", "sidecar", "manifest row"
MISSING, CHANGED, ALTERED, UNREADABLE, DAMAGED, DISAGREES, BEHIND, NOT_RESTORED = (
    "missing", "changed", "altered", "unreadable", "damaged", "disagrees", "behind", "not restored",
)  # fmt: skip

# What a check reads of a manifest row.
COLUMNS = (
    "item_id", "run_id", "source_path", "source_size", "source_version", "source_sha256", "output_path", "output_size",
    "output_sha256", "status", "identity", "settings_digest", "model_digest", "seed", "error_code", "error_reason",
)  # fmt: skip
PROBLEM_SCHEMA = pa.schema(
    [
        (name, pa.string())
        for name in ("item_id", "source_path", "output_path", "what", "problem", "expected", "found", "text")
    ]
)
ANSWER_SCHEMA = pa.schema(
    [("item_id", pa.string()), ("bytes", pa.int64()), ("problems", pa.list_(pa.struct(list(PROBLEM_SCHEMA))))]
)

# Fields by which a sidecar and a manifest row speak of the same result. Others may differ for good reasons: a row that was
# adopted or recorded again carries another run, and a touched source another version.
_AGREE = (
    "item_id", "source_path", "source_sha256", "output_path", "output_size", "output_sha256", "identity",
    "settings_digest", "model_digest", "seed",
)  # fmt: skip
_CHUNK = 4 << 20  # bytes of a file in memory at a time
_THREADS = 8  # a store far away answers in tens of milliseconds: several files at a time, 32 MiB in all


class Found(NamedTuple):
    """A file as it was read: its hash, its size, and its entry in the store."""

    sha256: str
    size: int
    entry: Entry


class Check:
    """The stage; holds both stores.

    Args:
        source: URL of the sources; empty to check results alone.
        output: URL of the results.
        retry_seconds: how long passing errors of a store are tried again.
    """

    def __init__(self, source: str, output: str, retry_seconds: float) -> None:
        self.source = Store(source, retry_seconds) if source else None
        self.output = Store(output, retry_seconds)

    def __call__(self, rows: Sequence[Row]) -> pa.Table:
        """Rows with `COLUMNS` -> a row each of `ANSWER_SCHEMA`."""
        with ThreadPoolExecutor(_THREADS) as pool:
            return pa.Table.from_pylist(list(pool.map(self.core, rows)), schema=ANSWER_SCHEMA)

    def core(self, row: Row) -> dict[str, Any]:
        """One item's answer: how many bytes were read and what is wrong. Whatever a store raises becomes a problem."""
        checking = _Item(row)
        if row["status"] != RESTORED:
            text = f"it is {row['status']} ({row['error_code']}: {row['error_reason']})"
            checking.note(RESULT, NOT_RESTORED, f"{text}; restore tries it again", found=row["status"])
        else:
            if self.source is not None:
                self._source(self.source, checking)
            self._result(checking)
        return {"item_id": row["item_id"], "bytes": checking.bytes, "problems": checking.problems}

    def _source(self, store: Store, item: _Item) -> None:
        row = item.row
        try:
            found = item.read(store, row["source_path"])
        except FileNotFoundError:
            item.note(
                SOURCE, MISSING, "there is no such file; bring it back from a copy if it was lost. Its result stays"
            )
            return
        except Exception as error:  # stores raise what they like
            item.note(SOURCE, UNREADABLE, f"{_line(error)}; check access and the store")
            return
        if found.sha256 == row["source_sha256"]:
            return
        if (found.entry.size, found.entry.version) == (row["source_size"], row["source_version"]):
            text = "its bytes are not those that were restored; bring it back from a copy"
            item.note(SOURCE, ALTERED, text, row["source_sha256"], found.sha256)
        else:
            text = "it was replaced or edited since it was restored; restore makes its result again"
            item.note(SOURCE, CHANGED, text, row["source_sha256"], found.sha256)

    def _result(self, item: _Item) -> None:
        row = item.row
        sidecar, fault = self._sidecar(item)
        try:
            found = item.read(self.output, row["output_path"])
        except FileNotFoundError:
            item.note(RESULT, MISSING, "there is no such file; --repair restores it again", row["output_sha256"])
            return
        except Exception as error:
            item.note(RESULT, UNREADABLE, f"{_line(error)}; check access and the store")
            return
        if found.sha256 == row["output_sha256"]:
            if fault:
                item.problems.append(fault)
        elif sidecar and sidecar["output_sha256"] == found.sha256 and sidecar["run_id"] > row["run_id"]:
            text = "result and sidecar are of a later run, whose row was lost; --repair records it"
            item.note(MANIFEST_ROW, BEHIND, text, row["output_sha256"], found.sha256)
        else:
            text = f"its bytes are not those that were published ({found.size} bytes); --repair restores it again"
            item.note(RESULT, ALTERED, text, row["output_sha256"], found.sha256)

    def _sidecar(self, item: _Item) -> tuple[Row | None, dict[str, Any] | None]:
        """The sidecar, if it is one of this item's, and what is wrong with it beside a right result."""
        row, again = item.row, "--repair writes it again"
        try:
            data = self.output.read(sidecar_path(row["output_path"]))
            item.bytes += len(data)
            sidecar = parse_sidecar(data)
        except FileNotFoundError:
            return None, item.problem(SIDECAR, MISSING, f"there is no sidecar; {again}")
        except NewerSidecarError as error:
            return None, item.problem(SIDECAR, UNREADABLE, str(error))
        except SidecarError as error:
            return None, item.problem(SIDECAR, DAMAGED, f"{error}; {again}")
        except Exception as error:
            return None, item.problem(SIDECAR, UNREADABLE, f"{_line(error)}; check access and the store")
        wrong = [name for name in _AGREE if sidecar[name] != row[name]]
        if not wrong:
            return sidecar, None
        text = f"it differs from the manifest in {', '.join(wrong)}; {again}"
        expected, found = str(row[wrong[0]]), str(sidecar[wrong[0]])
        mine = sidecar["item_id"] == row["item_id"] and sidecar["output_path"] == row["output_path"]
        return sidecar if mine else None, item.problem(SIDECAR, DISAGREES, text, expected, found)


class _Item:
    """A row under check: what was read of it, what was found."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.bytes = 0
        self.problems: list[dict[str, Any]] = []

    def read(self, store: Store, path: str) -> Found:
        """Hash a file. Raises what the store raises."""
        entry = store.info(path)
        sha256, size = hash_file(store, path)
        self.bytes += size
        return Found(sha256, size, entry)

    def note(self, what: str, problem: str, text: str, expected: str | None = None, found: str | None = None) -> None:
        self.problems.append(self.problem(what, problem, text, expected, found))

    def problem(
        self, what: str, problem: str, text: str, expected: str | None = None, found: str | None = None
    ) -> dict[str, Any]:
        return {
            "item_id": self.row["item_id"],
            "source_path": self.row["source_path"],
            "output_path": self.row["output_path"],
            "what": what,
            "problem": problem,
            "expected": expected,
            "found": found,
            "text": f"{what} {problem}: {text}",
        }


def hash_file(store: Store, path: str) -> tuple[str, int]:
    """SHA-256 and size of a file, a few megabytes of it in memory at a time.

    Raises:
        OutsideError: it is a link out of the store.
        OSError: it cannot be read, also after passing errors were tried again.
    """
    key = store.key(path)
    if store.local and not is_inside(os.path.realpath(key), os.path.realpath(store.root)):
        raise OutsideError(errno.EACCES, "a link out of the store", path)
    return patiently(lambda: _hash(store, key), f"hashing {path}", store.retry_seconds)


def _hash(store: Store, key: str) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    # s3fs would fetch 50 MB ahead for each of the threads.
    with store.fs.open(key, "rb", block_size=_CHUNK) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def _line(error: Exception) -> str:
    text = (error.strerror if isinstance(error, GaveUpError) else "") or f"{type(error).__name__}: {error}"
    return safe_text(text)[:300]
