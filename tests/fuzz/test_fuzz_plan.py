"""Planning over hostile stores: any name, any size, any catalogue.

It raises nothing but its documented errors, and every photograph listed is in exactly one place of the plan.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFile
from hostile_stores import Archive, check, new_archive, some
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.plan.catalogue import load_catalogue
from pipelines.plan.plan import make_plan
from pipelines.settings import Settings
from pipelines.store.layout import PRIVATE
from pipelines.store.store import Store

_PARTS = st.one_of(
    st.sampled_from([
        "a", "A", "b", "", ".", "..", "...", " ", "a.png", PRIVATE, "manifest", "run=1", "%2e%2e", "\0", "\n", "\t\r",
        "\x1b[31m", "\u00e9", "e\u0301", "\u00df", "ss", "\u0130", "\u202e", "\ufeff", "\u0645\u0644\u0641", "\U0001f4f7",
        "CON", "x" * 260, "\u0434" * 127, "*", "?", "[a]", "{b}", "#", "~", "\\",
        "c:", ".faitharchive-partial-1", "a.restoration.json",
    ]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), max_size=20),
)  # fmt: skip
_ENDS = st.sampled_from([".png", ".PNG", ".jpg", ".tif", ".tiff", ".jp2", ".txt", "", ".png/", ".png.restoration.json"])
_KEYS = st.builds(lambda parts, end: "/".join(parts) + end, st.lists(_PARTS, min_size=1, max_size=5), _ENDS)


@some
@given(st.lists(_KEYS, max_size=12, unique=True), st.sampled_from(["auto", "png", "jpeg"]))
@example(["../up.png", "/top.png", "a//b.png", "a/../c.png", "./d.png", f"./{PRIVATE}/manifest/e.png", ".png"], "auto")
@example(
    ["a.png", "A.png", "a.PNG", "a.tif", "a.png/b.png", "\u00e9.png", "e\u0301.png", "\u00df.png", "ss.png"], "auto"
)
def test_keys_of_an_object_store(archives: list[Archive], keys: list[str], format: str) -> None:
    archive = new_archive(archives)
    for key in keys:
        archive.put("scans", key, b"x")
    settings = Settings(**(archive.settings.model_dump() | {"format": format, "into_existing": True}))
    plan = make_plan(settings)
    check(settings, plan)
    again = make_plan(settings)
    assert [row["output_path"] for row in again.pending] == [row["output_path"] for row in plan.pending]


_S3_KEYS = (
    "../up.png", "/top.png", "a//b.png", "a/../c.png", "./d.png", "folder/", "folder.png/", "a.png", "a.png/b.png", "..png",
    "line\nbreak.png", "tab\t.png", "\x01.png", "\u00e9.png", "e\u0301.png", "\u202egnp.png", "A.png", "a?b.png", "a#b.png",
    "a%2e%2e/b.png", "100%.png", "a+b c.png", "[a]*.png", "x" * 300 + ".png", "d/" * 300 + "deep.png", f"./{PRIVATE}/e.png",
)  # fmt: skip


def test_keys_that_s3_takes(s3_server: str) -> None:
    """An S3 server's own listing and addresses: it keeps names that no file system has."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    # Past HTTP: a client would tidy up "..", and what a client of another kind once put there is what counts.
    server = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    server.create_bucket("hostile-keys", "us-east-1")
    for key in _S3_KEYS:
        server.put_object("hostile-keys", f"scans/{key}", b"x")
    settings = Settings(source="s3://hostile-keys/scans", output="s3://hostile-keys/restored", preset="tiny", steps=1)
    assert {entry.path for entry in Store(settings.source).list()} == {key for key in _S3_KEYS if not key.endswith("/")}
    check(settings, make_plan(settings))


_FILE_NAMES = st.one_of(
    st.binary(min_size=1, max_size=60).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_")),
    _PARTS.map(lambda name: name.replace("\0", "_").encode()[:240]),
).filter(lambda name: name not in (b"", b".", b".."))


@some
@given(st.lists(st.tuples(st.lists(_FILE_NAMES, max_size=2), _FILE_NAMES, _ENDS), max_size=8))
@example([([PRIVATE.encode()], b"a", ".png")])
def test_names_of_a_file_system(names: list[tuple[list[bytes], bytes, str]]) -> None:
    with tempfile.TemporaryDirectory() as home:
        source = os.fsencode(home) + b"/scans"
        os.mkdir(source)  # noqa: PTH102 (pathlib takes no bytes)
        for folders, name, end in names:
            folder = b"/".join([source, *folders])
            try:
                os.makedirs(folder, exist_ok=True)  # noqa: PTH103
                with open(folder + b"/" + name + end.rstrip("/").encode(), "wb") as file:  # noqa: PTH123
                    file.write(b"x")
            except OSError:
                continue  # too long, or a folder and a file of one name
        settings = Settings(source=f"{home}/scans", output=f"{home}/restored", preset="tiny", steps=1)
        settings = settings.model_copy(update={"into_existing": True})  # a folder may have the name of our own
        check(settings, make_plan(settings))


_CELLS = st.one_of(
    st.sampled_from(["path", "caption", "kept/one.png", "./kept/one.png", '"', "\0", "\n", ",", "\ufeff"]),
    st.text(max_size=9),
)
_TABLES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.lists(_CELLS, max_size=4), max_size=5).map(
        lambda rows: "\n".join(",".join(row) for row in [["path", "caption"], *rows]).encode("utf-8", "surrogatepass")
    ),
)


@some
@given(_TABLES, st.sampled_from([".csv", ".parquet", ""]))
@example(b"path,caption\nkept/one.png,A man\nkept/one.png,A woman\n", ".csv")
@example(b"path,path\na,b\n", ".csv")
@example(b"", ".csv")
@example(b'path,caption\n"unclosed,x\n', ".csv")
@example(b"path;caption\na;b\n", ".csv")
def test_catalogues(tmp_path: Path, data: bytes, suffix: str) -> None:
    """A catalogue is read whole or refused in one line that names it."""
    file = tmp_path / f"catalogue{suffix}"
    file.write_bytes(data)
    try:
        load_catalogue(str(file))
    except ValueError as error:
        assert "catalogue" in str(error)
        assert "\n" not in str(error)


@pytest.mark.parametrize("size", [0, 1, 2**40, 2**62])
def test_sizes(archives: list[Archive], size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning reads no photograph, so its size is only a number."""
    archive = new_archive(archives)

    class Claims(MemoryFile):
        @property
        def size(self) -> int:
            return size

    Claims(fsspec.filesystem("memory"), f"/{archive.name}/scans/claims.png", b"x").commit()
    plan = make_plan(archive.settings)
    check(archive.settings, plan)
    assert {row["source_size"] for row in plan.pending if row["source_path"] == "claims.png"} <= {size, 1}
