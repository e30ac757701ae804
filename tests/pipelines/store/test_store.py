"""Stores: exact names, whole files or none, nothing outside the root, no secrets in what people see."""

from __future__ import annotations

import os
import pickle
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from moving_files import moving_url

from pipelines.store.layout import PRIVATE
from pipelines.store.store import Store, StoreError, version_of
from pipelines.store.stores import check_disjoint

NAMES = (
    "plain.png",
    "with space .png",
    "hash#1.png",
    "question?a=1&b=2.png",
    "star*.png",
    "[bracket].png",
    "{brace}.png",
    "100%25.png",
    "single'quote.png",
    'double"quote.png',
    "line\nbreak.png",
    "Семья/老照片.png",
    "cafe\u0301.png",
    "~tilde.png",
    "..two dots.png",
    "a@b/c@d.png",
)


@pytest.fixture(params=["path", "file", "memory", "odd path", "odd memory", "s3", "moved"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    odd = "a #%? [1924] 'b'*"
    if request.param == "s3":
        request.getfixturevalue("s3_server")
        bucket = f"bucket-{uuid.uuid4().hex[:12]}"
        store = Store(f"s3://{bucket}/archive")
        store.fs.mkdir(bucket)
        return store
    if request.param == "moved":
        return Store(moving_url(tmp_path / "store"))
    return Store(
        {
            "path": str(tmp_path / "store"),
            "file": f"file://{tmp_path}/store",
            "memory": f"memory://{uuid.uuid4().hex}",
            "odd path": str(tmp_path / odd),
            "odd memory": f"memory://{uuid.uuid4().hex}/{odd}",
        }[request.param]
    )


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_written_listed_and_read(store: Store, name: str) -> None:
    if store.s3 and "\n" in name:
        pytest.skip("moto 5.2 answers 404 to any key with a line break; S3 itself takes it")
    store.publish(name, b"first")
    store.publish(name, b"second")
    assert store.read(name) == b"second"
    assert [(entry.path, entry.size) for entry in store.list()] == [(name, 6)]
    assert list(store.list()) == list(store.list())  # a version mark stays until the file changes
    assert store.info(name)[:2] == (name, 6)
    assert store.exists(name)
    assert store.uri(name).endswith(f"/{name}")


def test_listing_is_sorted_and_below_a_folder(store: Store) -> None:
    for name in ("b/2", "b/1", "a", "bb/3"):
        store.publish(name, b"")
    assert [entry.path for entry in store.list()] == ["a", "b/1", "b/2", "bb/3"]
    assert [entry.path for entry in store.list("b")] == ["b/1", "b/2"]
    assert list(store.list("missing")) == []
    assert not store.exists("missing")
    with pytest.raises(FileNotFoundError):
        store.info("missing")
    with pytest.raises(OSError):
        store.read("missing")


def test_nothing_is_below_a_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.publish("a", b"1")
    assert not store.exists("a/b")
    assert list(store.list("a/b")) == []


def test_a_missing_store_is_empty(store: Store) -> None:
    assert list(store.list()) == []
    assert not store.exists()


@pytest.mark.parametrize(
    "path", ["../x", "a/../../x", "..", "a/..", "/etc/passwd", "/", ".", "./x", "a/./x", "a//x", "a/"]
)
def test_nothing_leaves_the_root(store: Store, path: str) -> None:
    for use in (store.key, store.uri, store.read, lambda at: store.publish(at, b"")):
        with pytest.raises(StoreError, match="leaves the store"):
            use(path)


def test_a_worker_gets_the_same_store(store: Store) -> None:
    again = pickle.loads(pickle.dumps(store))
    store.publish("a", b"1")
    assert again.read("a") == b"1"
    assert again.uri("a") == store.uri("a")


def test_own_folders_are_removed_and_no_others(store: Store) -> None:
    for name in (f"{PRIVATE}/parts/1/x", f"{PRIVATE}/parts/1/y/z", f"{PRIVATE}/parts/10", "result"):
        store.publish(name, b"1")
    store.remove_folder(f"{PRIVATE}/parts/1")
    store.remove_folder(f"{PRIVATE}/parts/missing")
    assert [entry.path for entry in store.list()] == [f"{PRIVATE}/parts/10", "result"]
    for path in ("result", "", PRIVATE, f"{PRIVATE}/", f"{PRIVATE}/../result", f"x/{PRIVATE}/parts"):
        with pytest.raises((AssertionError, StoreError)):
            store.remove_folder(path)
    assert store.exists("result")
    assert store.exists(f"{PRIVATE}/parts/10")


def test_check_writable_leaves_nothing(store: Store) -> None:
    store.check_writable()
    assert list(store.list()) == []


def test_check_writable_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be written"):
        Store(str(tmp_path / "file" / "below")).check_writable()


def test_check_writable_reads_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path))
    monkeypatch.setattr(Store, "read", lambda self, path: b"other")
    with pytest.raises(StoreError, match="did not come back"):
        store.check_writable()


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace"])
def test_a_failing_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    store = Store(str(tmp_path))
    store.publish("a/x.png", b"old")

    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(broken, refuse)
        for name in ("a/x.png", "a/new.png"):
            with pytest.raises(OSError, match="No space left"):
                store.publish(name, b"new")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["x.png"]
    assert store.read("a/x.png") == b"old"


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    whole = [bytes([digit]) * 300_000 for digit in range(2)]
    store.publish("x", whole[0])
    stop, seen, listed = threading.Event(), set(), set()

    def look() -> None:
        while not stop.is_set():
            seen.add(store.read("x"))
            listed.update((entry.path, entry.size) for entry in store.list())

    reader = threading.Thread(target=look)
    reader.start()
    for count in range(60):
        store.publish("x", whole[count % 2])
    stop.set()
    reader.join()
    assert seen <= set(whole)
    assert listed == {("x", 300_000)}


def test_unfinished_files_of_a_crash_are_not_listed(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.publish("a/x", b"")
    (tmp_path / "a" / ".faitharchive-partial-0123456789ab").write_bytes(b"half")
    assert [entry.path for entry in store.list()] == ["a/x"]


def test_links_to_nowhere_are_listed_and_unreadable(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "here.jpg").write_bytes(b"1")
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"12")
    store = Store(str(tmp_path))
    assert [entry.path for entry in store.list()] == ["caf\udce9.jpg", "gone.jpg", "here.jpg", "loop.jpg"]
    for name in ("gone.jpg", "loop.jpg"):
        with pytest.raises(OSError):
            store.read(name)


def stores(source: Path | str, output: Path | str) -> tuple[Store, Store]:
    return Store(str(source)), Store(str(output))


def test_an_output_that_touches_the_source_is_refused(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    (tmp_path / "link").symlink_to(scans)
    for output, text in (
        (scans, "lies inside"),
        (scans / "restored", "lies inside"),
        (f"{scans}/", "lies inside"),
        (f"file://{scans}/new/deep", "lies inside"),
        (tmp_path / "link", "lies inside"),
        (tmp_path / "link" / "restored", "lies inside"),
        (tmp_path / "x" / ".." / "scans", "lies inside"),
        (tmp_path, "holds"),
    ):
        with pytest.raises(StoreError, match=text):
            check_disjoint(*stores(scans, output))
    with pytest.raises(StoreError, match="lies inside"):
        check_disjoint(*stores(tmp_path / "link", scans / "restored"))


def test_separate_stores_are_accepted(tmp_path: Path) -> None:
    check_disjoint(*stores(tmp_path / "scans", tmp_path / "scans restored"))
    check_disjoint(*stores(tmp_path / "scans", tmp_path / "scan"))
    check_disjoint(*stores("memory://a/scans", "memory://a/restored"))
    check_disjoint(*stores(tmp_path, f"memory://{tmp_path}"))


def test_memory_stores_are_compared_too() -> None:
    for output in ("memory://a/scans", "memory:///a/scans/", "memory://a/scans/x", "memory://a"):
        with pytest.raises(StoreError):
            check_disjoint(*stores("memory://a/scans", output))


def test_a_move_that_fails_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(moving_url(tmp_path))

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.fs, "mv", refuse)
    with pytest.raises(OSError, match="No space left"):
        store.publish("a/x.png", b"new")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_uris_keep_names_that_look_like_credentials() -> None:
    assert Store("/home@work/scans").uri("a@b.png") == "file:///home@work/scans/a@b.png"
    assert Store("memory://x@y").uri("z@w?.png") == "memory:///x@y/z@w?.png"


def test_urls_that_cannot_be_opened() -> None:
    for url, text in (
        ("nonsense://x", "nonsense"),
        ("~nobody-of-that-name/scans", "cannot be opened"),
    ):
        with pytest.raises(StoreError, match=text):
            Store(url)


def test_home_and_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert Store("~/scans").uri("a") == Store("scans").uri("a") == f"file://{tmp_path}/scans/a"


def test_version_marks() -> None:
    assert version_of({"mtime": 1.25, "created": 2, "size": 3}) == "1.25"
    assert version_of({"ETag": '"abc"', "LastModified": "x"}) == '"abc"'
    assert version_of({"size": 3, "mtime": None}) == ""
