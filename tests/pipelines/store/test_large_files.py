"""Large files: read in place, published whole or not at all, and frames made ahead."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.store.concurrency import prefetch
from pipelines.store.large_files import file_digest, folder_files, opener, publishing, seekable
from pipelines.store.store import OutsideError, Store


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return Store(str(tmp_path / "store"))
    if request.param == "memory":
        return Store(f"memory://{tmp_path.name}")
    request.getfixturevalue("s3_server")
    made = Store(f"s3://large-{abs(hash(tmp_path.name)) % 10**8}/root")
    made.fs.mkdir(made.root.partition("/")[0])
    return made


def test_a_file_appears_whole(store: Store) -> None:
    data = bytes(range(256)) * 4096
    with publishing(store, "reels/a.mkv") as local:
        local.write_bytes(data)
        assert not store.exists("reels/a.mkv")
        assert file_digest(local) == (hashlib.sha256(data).hexdigest(), len(data))
    assert store.read("reels/a.mkv") == data
    assert store.sha256("reels/a.mkv") == (hashlib.sha256(data).hexdigest(), len(data))
    opened = opener(store, "reels/a.mkv")()
    if isinstance(opened, str):
        assert Path(opened).read_bytes() == data
    else:
        with opened:
            opened.seek(256 * 100)
            assert opened.read(256) == data[:256]


def test_a_file_is_read_here_and_there(store: Store) -> None:
    data = bytes(range(256)) * 20_000  # several requests of a megabyte
    store.publish("scans/a.tif", data)
    with seekable(store, "scans/a.tif") as file:
        for offset, size in ((4_000_001, 300), (0, 8), (1_000_000, 2_500_000), (len(data) - 5, 100)):
            file.seek(offset)
            assert file.read(size) == data[offset : offset + size]
        assert file.seek(-3, 2) == len(data) - 3
        assert file.read() == data[-3:]
        assert file.read(1) == b""
    with pytest.raises(FileNotFoundError), seekable(store, "scans/none.tif"):
        pass


def test_after_an_error_there_is_nothing(store: Store) -> None:
    store.publish("reels/other.mkv", b"x")

    def fail() -> None:
        with publishing(store, "reels/a.mkv") as local:
            local.write_bytes(b"half")
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        fail()
    assert [entry.path for entry in store.list()] == ["reels/other.mkv"]
    if store.local:
        assert [path.name for path in Path(store.root, "reels").iterdir()] == ["other.mkv"]


def test_the_files_right_inside_a_folder(store: Store) -> None:
    for name in ("a.dpx", "reels/b.dpx", "reels/c.dpx", "reels/deep/d.dpx"):
        store.publish(name, name.encode())
    found = sorted(folder_files(store, "reels"))
    assert [(entry.path, entry.size) for entry in found] == [("reels/b.dpx", 11), ("reels/c.dpx", 11)]
    assert [entry.path for entry in folder_files(store, "")] == ["a.dpx"]
    listed = {entry.path: entry.version for entry in store.list()}
    assert all(listed[entry.path] == entry.version for entry in found)


def test_a_link_out_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "store").mkdir()
    (tmp_path / "store/link.mkv").symlink_to(tmp_path / "secret")
    with pytest.raises(OutsideError):
        opener(Store(str(tmp_path / "store")), "link.mkv")


def test_ahead_keeps_order_and_makes_few() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    for number, item in enumerate(prefetch(items(), depth=2)):
        assert item == number
        assert len(made) <= number + 5


def test_ahead_hands_errors_on_and_ends_its_thread() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("broken frame")

    got = []
    with pytest.raises(ValueError, match="broken frame"):
        got.extend(prefetch(broken()))
    taken = prefetch(iter(range(10**9)))
    assert next(taken) == 0
    taken.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]
