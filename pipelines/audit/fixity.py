"""Compare a restored item with its manifest row: the bytes of its source, the bytes of its result, and its sidecar."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypedDict

import pyarrow as pa

from pipelines.film.source import source_digest, source_state
from pipelines.manifest.sidecar import NewerSidecarError, SidecarError, parse_sidecar
from pipelines.media.kinds import is_sequence
from pipelines.rows import RESTORED, Row, columns_of
from pipelines.store.layout import FRAME_LIST, PAGE_LIST, damage_path, sidecar_path, trust_path
from pipelines.store.retries import what_failed
from pipelines.store.store import Store

__all__ = [
    "ALTERED", "ANSWER_SCHEMA", "BEHIND", "CHANGED", "COLUMNS", "DAMAGED", "DISAGREES", "MANIFEST_ROW", "MAP", "MASK",
    "MISSING",
    "NOT_RESTORED", "PROBLEM_SCHEMA", "RESULT", "SIDECAR", "SOURCE", "UNREADABLE", "Answer", "Check", "FileDigest",
    "Problem",
]  # fmt: skip

SOURCE, RESULT, SIDECAR, MASK, MAP, MANIFEST_ROW = "source", "result", "sidecar", "mask", "trust map", "manifest row"
MISSING, CHANGED, ALTERED, UNREADABLE, DAMAGED, DISAGREES, BEHIND, NOT_RESTORED = (
    "missing", "changed", "altered", "unreadable", "damaged", "disagrees", "behind", "not restored",
)  # fmt: skip

# What a check reads of a manifest row.
COLUMNS = (
    "item_id", "run_id", "source_path", "source_size", "source_version", "source_sha256", "output_path", "output_size",
    "output_sha256", "status", "identity", "settings_digest", "model_digest", "seed", "error_code", "error_reason",
    "damage_mask_sha256", "trust_map_sha256", "pages",
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
    "settings_digest", "model_digest", "seed", "damage_mask_sha256",
)  # fmt: skip
_THREADS = 8  # a store far away answers in tens of milliseconds: several files at a time


class Problem(TypedDict):
    """One thing that is wrong with an item: the columns of `PROBLEM_SCHEMA`."""

    item_id: str
    source_path: str
    output_path: str
    what: str
    problem: str
    expected: str | None
    found: str | None
    text: str


class Answer(TypedDict):
    """What the check of an item says: the columns of `ANSWER_SCHEMA`; `bytes` were read."""

    item_id: str
    bytes: int
    problems: list[Problem]


class FileDigest(NamedTuple):
    """A file, or the frames of a sequence, as it was read: hash, bytes, and what the store says of its version."""

    sha256: str
    size: int
    state: str


class Check:
    """The stage; holds both stores.

    Args:
        source: the store of the sources; None to check results alone.
        output: that of the results.
    """

    def __init__(self, source: Store | None, output: Store) -> None:
        self.source, self.output = source, output

    def __call__(self, rows: Sequence[Row]) -> pa.Table:
        """Rows with `COLUMNS` -> a row each of `ANSWER_SCHEMA`."""
        with ThreadPoolExecutor(_THREADS) as pool:
            return pa.Table.from_pylist(list(pool.map(self.core, rows)), schema=ANSWER_SCHEMA)

    def core(self, row: Row) -> Answer:
        """One item's answer: how many bytes were read and what is wrong. Whatever a store raises becomes a problem."""
        checking = _ItemCheck(row)
        if row["status"] != RESTORED:
            text = f"it is {row['status']} ({row['error_code']}: {row['error_reason']})"
            checking.note(RESULT, NOT_RESTORED, f"{text}; restore tries it again", found=row["status"])
        else:
            if self.source is not None:
                self._source(self.source, checking)
            self._result(checking)
        return {"item_id": row["item_id"], "bytes": checking.bytes, "problems": checking.problems}

    def _source(self, store: Store, item: _ItemCheck) -> None:
        row = item.row
        try:
            found = item.read(store, row["source_path"])
        except FileNotFoundError:
            item.note(
                SOURCE, MISSING, "there is no such file; bring it back from a copy if it was lost. Its result stays"
            )
            return
        except Exception as error:  # stores raise what they like
            item.note(SOURCE, UNREADABLE, f"{what_failed(error)[:300]}; check access and the store")
            return
        if found.sha256 == row["source_sha256"]:
            return
        if found.state == f"{row['source_size']} {row['source_version']}":
            text = "its bytes are not those that were restored; bring it back from a copy"
            item.note(SOURCE, ALTERED, text, row["source_sha256"], found.sha256)
        else:
            text = "it was replaced or edited since it was restored; restore makes its result again"
            item.note(SOURCE, CHANGED, text, row["source_sha256"], found.sha256)

    def _result(self, item: _ItemCheck) -> None:
        row = item.row
        sidecar, fault = self._sidecar(item)
        try:
            found = item.read(self.output, row["output_path"])
        except FileNotFoundError:
            item.note(RESULT, MISSING, "there is no such file; --repair restores it again", row["output_sha256"])
            return
        except Exception as error:
            item.note(RESULT, UNREADABLE, f"{what_failed(error)[:300]}; check access and the store")
            return
        if found.sha256 == row["output_sha256"]:
            if fault:
                item.problems.append(fault)
            if row["damage_mask_sha256"]:
                path = damage_path(row["output_path"], row["pages"])
                self._beside(item, MASK, path, row["damage_mask_sha256"], "mask of its damage")
            if row["trust_map_sha256"]:
                path = trust_path(row["output_path"])
                self._beside(item, MAP, path, row["trust_map_sha256"], "map of its trust")
            if row["output_path"].endswith(FRAME_LIST) and is_sequence(row["source_path"]):
                self._listed(item, "frame")
            elif row["output_path"].endswith(PAGE_LIST) and row["pages"]:
                self._listed(item, "page")
        elif sidecar and sidecar["output_sha256"] == found.sha256 and sidecar["run_id"] > row["run_id"]:
            text = "result and sidecar are of a later run, whose row was lost; --repair records it"
            item.note(MANIFEST_ROW, BEHIND, text, row["output_sha256"], found.sha256)
        else:
            text = f"its bytes are not those that were published ({found.size} bytes); --repair restores it again"
            item.note(RESULT, ALTERED, text, row["output_sha256"], found.sha256)

    def _beside(self, item: _ItemCheck, what: str, path: str, expected: str, name: str) -> None:
        """A file that lies beside a result that is sound."""
        try:
            found = item.read(self.output, path)
        except FileNotFoundError:
            item.note(what, MISSING, f"there is no {name}; --repair restores it again", expected)
            return
        except Exception as error:
            item.note(what, UNREADABLE, f"{what_failed(error)[:300]}; check access and the store")
            return
        if found.sha256 != expected:
            text = f"the bytes of the {name} are not those that were published; --repair restores it again"
            item.note(what, ALTERED, text, expected, found.sha256)

    def _listed(self, item: _ItemCheck, kind: str) -> None:
        """Frames of a sequence, or pages, against the list of them, which is sound; the first that is not counts."""
        row = item.row
        folder = row["output_path"].rpartition("/")[0]
        for line in self.output.read(row["output_path"]).decode().splitlines():
            expected, _, name = line.partition("  ")
            try:
                found, size = self.output.sha256(f"{folder}/{name}" if folder else name)
            except FileNotFoundError:
                item.note(RESULT, MISSING, f"its {kind} {name} is not there; --repair restores it again", expected)
                return
            except Exception as error:
                item.note(
                    RESULT, UNREADABLE, f"its {kind} {name}: {what_failed(error)[:300]}; check access and the store"
                )
                return
            item.bytes += size
            if found != expected:
                text = f"the bytes of its {kind} {name} are not those that were published; --repair restores it again"
                item.note(RESULT, ALTERED, text, expected, found)
                return

    def _sidecar(self, item: _ItemCheck) -> tuple[Row | None, Problem | None]:
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
            return None, item.problem(SIDECAR, UNREADABLE, f"{what_failed(error)[:300]}; check access and the store")
        ours, theirs = columns_of(row), columns_of(sidecar)
        wrong = [name for name in _AGREE if theirs[name] != ours[name]]
        if not wrong:
            return sidecar, None
        text = f"it differs from the manifest in {', '.join(wrong)}; {again}"
        expected, found = str(ours[wrong[0]]), str(theirs[wrong[0]])
        mine = sidecar["item_id"] == row["item_id"] and sidecar["output_path"] == row["output_path"]
        return sidecar if mine else None, item.problem(SIDECAR, DISAGREES, text, expected, found)


class _ItemCheck:
    """A row under check: what was read of it, what was found."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.bytes = 0
        self.problems: list[Problem] = []

    def read(self, store: Store, path: str) -> FileDigest:
        """Hash a file. Raises what the store raises."""
        version = source_state(store, path)
        sha256, size = source_digest(store, path)
        self.bytes += size
        return FileDigest(sha256, size, version)

    def note(self, what: str, problem: str, text: str, expected: str | None = None, found: str | None = None) -> None:
        self.problems.append(self.problem(what, problem, text, expected, found))

    def problem(
        self, what: str, problem: str, text: str, expected: str | None = None, found: str | None = None
    ) -> Problem:
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
