"""The cache of pictures: bounded, private, and harmless where it cannot be written."""

from __future__ import annotations

from pathlib import Path

from pipelines.review.tile_cache import TileCache


def test_the_longest_unused_goes_first(tmp_path: Path) -> None:
    cache = TileCache(tmp_path / "cache", 100)
    for number in range(3):
        cache.put(bytes([number]) * 30, "tile", number)
    assert cache.get("tile", 0) == b"\0" * 30
    cache.put(b"x" * 30, "tile", 3)
    assert [cache.get("tile", number) is not None for number in range(4)] == [True, False, True, True]
    assert sum(path.stat().st_size for path in (tmp_path / "cache").glob("??/*")) <= 100


def test_what_was_kept_is_found_by_the_next(tmp_path: Path) -> None:
    TileCache(tmp_path / "cache", 100).put(b"a" * 60, "a")
    again = TileCache(tmp_path / "cache", 100)
    assert again.get("a") == b"a" * 60
    again.put(b"b" * 60, "b")
    assert again.get("a") is None
    assert again.get("b") == b"b" * 60


def test_others_cannot_read_it_and_names_tell_nothing(tmp_path: Path) -> None:
    cache = TileCache(tmp_path / "cache", 1000)
    cache.put(b"a", "confidential/name.tif")
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
    assert not any("name" in path.name for path in (tmp_path / "cache").rglob("*"))


def test_a_full_disk_is_no_error(tmp_path: Path) -> None:
    cache = TileCache(tmp_path / "cache", 1000)
    for path in (tmp_path / "cache").iterdir():
        path.unlink()
    (tmp_path / "cache").rmdir()
    (tmp_path / "cache").write_bytes(b"in the way")
    cache.put(b"a", "a")
    assert cache.get("a") is None
