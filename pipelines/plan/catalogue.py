"""Descriptions that the archive already has: a CSV or Parquet table keyed by source path."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping

import fsspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from faithdiff_model.redaction import redact_url
from pipelines.errors import first_line

__all__ = ["Catalogue", "load_catalogue"]


class Catalogue:
    """Descriptions by source path.

    Args:
        descriptions: by path below the source root.
    """

    def __init__(self, descriptions: Mapping[str, str]) -> None:
        self._descriptions = dict(descriptions)

    def __len__(self) -> int:
        return len(self._descriptions)

    def get(self, path: str) -> str | None:
        """The description of a source, white space folded, or None. Paths are compared in Unicode's NFC form."""
        return self._descriptions.get(_key(path))


def load_catalogue(url: str, *, path_column: str = "path", text_column: str = "caption") -> Catalogue:
    """Read a catalogue.

    Args:
        url: `.parquet` or CSV (UTF-8, a header line) at a local path or fsspec URL.
        path_column: source paths below the source root, with `/`; a leading `./` is dropped.
        text_column: descriptions; blank ones count as none.

    Raises:
        ValueError: unreadable, a column is missing, or a path has two descriptions.
    """
    name = redact_url(url)
    table = _read(url, name)
    missing = [column for column in (path_column, text_column) if column not in table.column_names]
    if missing:
        raise ValueError(
            f"catalogue {name}: has no column {' or '.join(missing)} but {', '.join(table.column_names)}; name them by "
            "catalogue_path and catalogue_text"
        )
    descriptions: dict[str, str] = {}
    for path, text in zip(table[path_column].to_pylist(), table[text_column].to_pylist(), strict=True):
        description = " ".join(str(text or "").split())
        if not path or not description:
            continue
        key = _key(str(path))
        if descriptions.setdefault(key, description) != description:
            raise ValueError(f"catalogue {name}: {path} has two different descriptions; keep one")
    return Catalogue(descriptions)


def _read(url: str, name: str) -> pa.Table:
    try:
        with fsspec.open(url, "rb") as file:
            if url.lower().endswith((".parquet", ".pq")):
                return pq.read_table(pa.BufferReader(file.read()))
            data = file.read().removeprefix(
                b"\xef\xbb\xbf"
            )  # Excel's byte order mark would become part of a column's name
        header = data.split(b"\n", 1)[0].decode().rstrip("\r")
        columns = next(iter(_header(header)))
        options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=True)
        parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
        return pyarrow.csv.read_csv(pa.BufferReader(data), convert_options=options, parse_options=parse)
    except (OSError, pa.ArrowException, UnicodeDecodeError, StopIteration) as error:
        raise ValueError(
            f"catalogue {name}: cannot be read ({first_line(error)}); give a CSV in UTF-8 or a Parquet file"
        ) from error


def _header(line: str) -> Iterator[list[str]]:
    import csv

    return csv.reader([line])


def _key(path: str) -> str:
    return unicodedata.normalize("NFC", path).removeprefix("./")
