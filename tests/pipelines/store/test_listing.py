"""Listing: in order, exactly named, links known, and in memory that does not grow with the store."""

from __future__ import annotations

import os
import random
import tempfile
import tracemalloc
import uuid
from pathlib import Path
from typing import Any

import pytest
from million_objects import MillionObjects
from moving_files import moving_url

from pipelines.store.store import OutsideError, Store, StoreError

NAMES = [
    "b.png",
    "b/x.png",
    "b/y/z.png",
    "b0.png",
    "a",
    "B",
    "b-/1",
    "bb/1",
    "é/1",
    "\U0001f4f7/1",
    "\ufffd.png",
    "~/1",
]


@pytest.fixture(params=["local", "memory", "s3", "moved"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        request.getfixturevalue("s3_server")
        name = f"listing-{uuid.uuid4().hex[:12]}"
        store = Store(f"s3://{name}/a/b")
        store.fs.mkdir(name)
        return store
    if request.param == "memory":
        return Store(f"memory://{uuid.uuid4().hex}/a")
    return Store(str(tmp_path / "a") if request.param == "local" else moving_url(tmp_path / "a"))


def test_in_the_order_of_whole_paths(store: Store) -> None:
    for name in random.Random(0).sample(NAMES, len(NAMES)):
        store.publish(name, name.encode())
    assert [entry.path for entry in store.list()] == sorted(NAMES)
    assert [entry.size for entry in store.list()] == [len(name.encode()) for name in sorted(NAMES)]
    assert [entry.path for entry in store.list("b")] == ["b/x.png", "b/y/z.png"]


def test_a_file_as_a_folder_is_empty(store: Store) -> None:
    store.publish("a", b"1")
    assert list(store.list("a")) == []


def test_odd_keys_of_an_object_store_are_listed_as_they_are(s3_server: str) -> None:
    name = f"odd-{uuid.uuid4().hex[:12]}"
    store = Store(f"s3://{name}/root")
    store.fs.mkdir(name)
    keys = ["a//b.png", "/abs.png", "x/../y.png", "./z.png", "plain.png"]
    for key in (*keys, "folder/"):
        store.fs.call_s3("put_object", Bucket=name, Key=f"root/{key}", Body=b"1" if key in keys else b"")
    store.fs.call_s3("put_object", Bucket=name, Key="rooted/elsewhere.png", Body=b"1")
    assert [entry.path for entry in store.list()] == sorted(keys)


def test_links(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "scans", tmp_path / "elsewhere"
    for folder in (root / "album", elsewhere / "folder"):
        folder.mkdir(parents=True)
        (folder / "1.png").write_bytes(b"123")
    (root / "inside.png").symlink_to(root / "album" / "1.png")
    (root / "outside.png").symlink_to(elsewhere / "folder" / "1.png")
    (root / "album again").symlink_to(root / "album")
    (root / "circle").symlink_to(root)
    (root / "away").symlink_to(elsewhere / "folder")
    (root / "album" / "up.png").symlink_to("../../elsewhere/folder/1.png")
    refused: list[tuple[str, OSError]] = []
    for start in (root, tmp_path / "way in"):
        if start != root:
            start.symlink_to(root)
        store = Store(str(start))
        refused.clear()
        found = {entry.path: entry.outside for entry in store.list(on_refused=lambda *each: refused.append(each))}
        assert found == {"album/1.png": False, "album/up.png": True, "inside.png": False, "outside.png": True}
        ((path, error),) = refused
        assert path == "away"
        assert isinstance(error, OutsideError)
        assert [entry.path for entry in store.list()] == list(found)
        assert store.read("inside.png") == b"123"
        for path in ("outside.png", "album/up.png", "away/1.png"):
            with pytest.raises(OutsideError):
                store.read(path)


def test_what_is_removed_meanwhile_is_left_out_and_the_rest_still_comes(store: Store) -> None:
    for name in ("a", "b/1", "c/1", "d/e/1", "f"):
        store.publish(name, b"1")
    found = store.list()
    assert next(found).path == "a"
    if store.local or not store.s3:
        store.fs.rm(store.key("b"), recursive=True)
        store.fs.rm(store.key("d/e"), recursive=True)
        assert [entry.path for entry in found] == ["c/1", "f"]
    else:
        assert [entry.path for entry in found] == ["b/1", "c/1", "d/e/1", "f"]  # one page: as it was when asked


def test_a_partial_file_that_comes_and_goes_never_ends_a_listing_early(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    names = ["#1", "#2", "1", "2"]  # a partial file comes between, in order
    for name in names:
        store.publish(name, b"1")
    partial = tmp_path / ".faitharchive-partial-0123456789ab"
    partial.write_bytes(b"half")
    found = store.list()
    first = next(found).path  # the folder's names are known now
    partial.unlink()
    assert [first, *(entry.path for entry in found)] == names


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who can become somebody with fewer rights")
@pytest.mark.parametrize("kind", ["local", "moved"])
def test_folders_that_may_not_be_listed_or_entered(kind: str) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders may be entered by root alone
        root = Path(name)
        store = Store(name if kind == "local" else moving_url(root))
        for path in ("a", "closed/1", "named only/1", "z"):
            store.publish(path, b"123")
        for folder, mode in (("", 0o755), ("closed", 0), ("named only", 0o744)):
            (root / folder).chmod(mode)
        refused: list[str] = []
        os.seteuid(65534)
        try:
            found = {entry.path: entry.size for entry in store.list(on_refused=lambda path, _: refused.append(path))}
            with pytest.raises(StoreError, match="cannot be listed"):
                list(store.list())
            with pytest.raises(PermissionError):
                store.read("named only/1")
        finally:
            os.seteuid(0)
        if kind == "local":
            assert (found, refused) == ({"a": 3, "named only/1": 0, "z": 3}, ["closed"])
        else:
            assert (set(found) - {"named only/1"}, set(refused) - {"named only"}) == ({"a", "z"}, {"closed"})


def listed_memory(store: Store, count: int) -> float:
    """Peak MiB that listing takes, with a check that all came, in order."""
    tracemalloc.start()
    last, seen = "", 0
    for entry in store.list():
        assert entry.path > last
        last, seen = entry.path, seen + 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == count
    return peak / 2**20


def test_an_s3_listing_takes_no_more_memory_for_more_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    peaks = []
    for count in (1_500, 8_000):
        with MillionObjects(count) as server:
            peaks.append(listed_memory(server.store(), count))
    assert peaks[1] < peaks[0] * 1.5 + 2, peaks
    assert peaks[1] < 40


def test_a_local_listing_holds_one_folder(tmp_path: Path) -> None:
    peaks = []
    for folders in (3, 30):
        root = tmp_path / str(folders)
        for folder in range(folders):
            (root / f"{folder:03d}").mkdir(parents=True)
            for number in range(300):
                os.close(os.open(root / f"{folder:03d}" / f"{number:04d}.png", os.O_CREAT))
        peaks.append(listed_memory(Store(str(root)), folders * 300))
    assert peaks[1] < peaks[0] * 1.5 + 0.5, peaks


def test_a_page_that_fails_in_the_middle_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with MillionObjects(5_000, fail_pages={2, 4}) as server:
        found: list[Any] = list(server.store().list())
        assert len(found) == len(set(found)) == 5_000
        assert server.pages == 5 + 2
