"""What names a model: digests of its files' bytes, or of the numbers that are in them.

Our own networks are named by their file's bytes. Published ones exist as several files of the same numbers (float16 and
float32, safetensors and torch files, with and without wrappings), and what is restored depends on the numbers after they were
rounded to the format that they are loaded in (`ModelSpec.weights_dtype`). Their digest is of that: of each tensor the name, the
shape and the rounded values. So two copies have one digest exactly if the same numbers are computed with; a float32 copy that
holds more than its float16 copy differs from it where float32 is asked for, and does not where it is rounded to float16 first.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from faithdiff_model.weights.download import cache_folder, exclusive
from faithdiff_model.weights.wrappings import inner_names, is_spare

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Part", "config_part", "file_part", "parts_digest", "tensors_part"]

_NUMBERS = 1 << 20  # rounded and hashed at a time
# What configuration files say of who wrote them and in which format, and not of the network.
_OF_THE_WRITER = {"_name_or_path", "_diffusers_version", "transformers_version", "torch_dtype", "dtype"}

logger = logging.getLogger(__name__)


class Part:
    """A part of a model that has a digest of its own.

    Args:
        name: within the model.
        paths: its files.
        kind: what is hashed of them; with the files' states it is the key of the memory.
        make: makes the digest, hex.
    """

    def __init__(self, name: str, paths: Sequence[Path], kind: str, make: Callable[[Sequence[Path]], str]) -> None:
        self.name, self.paths, self.kind, self.make = name, tuple(paths), kind, make

    def key(self) -> str:
        """Changes when a file does."""
        # The hub's cache has links to files without a suffix: they are read by the link, and remembered by the file.
        states = [(path.resolve(), path.stat()) for path in self.paths]
        files = "|".join(f"{path}|{stat.st_size}|{stat.st_mtime_ns}" for path, stat in states)
        return f"{files}|{self.kind}" if self.kind else files


def file_part(name: str, path: Path) -> Part:
    """A file, by its bytes."""
    return Part(name, [path], "", _bytes_digest)


def config_part(name: str, path: Path) -> Part:
    """A configuration in JSON, by what it says of the network."""
    return Part(name, [path], "config", _config_digest)


def tensors_part(name: str, paths: Sequence[Path], dtype: str) -> Part:
    """The tensors of one or more weights files, by their names, shapes and values.

    Args:
        name: within the model.
        paths: safetensors or torch files; the shards of one model are one part.
        dtype: that floating values are rounded to: `float16`, `bfloat16` or `float32`.
    """
    return Part(name, paths, f"tensors {dtype}", lambda files: _tensors_digest(files, dtype))


def parts_digest(config_digest: str, parts: Iterable[Part]) -> str:
    """SHA-256 over a configuration and the parts of a model, by name.

    The parts' digests are remembered by path, size and modification time, since hashing SDXL takes most of a minute.

    Args:
        config_digest: what the weights are loaded into.
        parts: of the model.

    Raises:
        WeightsError: a weights file is damaged or unsafe.
    """
    total = hashlib.sha256(config_digest.encode())
    ordered = sorted(parts, key=lambda part: part.name)
    if not ordered:
        return total.hexdigest()
    store = cache_folder() / "digests.json"
    with exclusive(store):  # so that of a node's replicas, which start together, one hashes for all
        memory = _DigestMemory(store)
        try:
            for part in ordered:
                total.update(f"{part.name}\0{memory.digest(part)}\n".encode())
        finally:
            memory.save()
    return total.hexdigest()


def _bytes_digest(paths: Sequence[Path]) -> str:
    with paths[0].open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _config_digest(paths: Sequence[Path]) -> str:
    data = paths[0].read_bytes()
    try:
        config = json.loads(data)
        data = json.dumps({k: v for k, v in config.items() if k not in _OF_THE_WRITER}, sort_keys=True).encode()
    except (ValueError, AttributeError):
        pass  # loading says what is wrong with it
    return hashlib.sha256(data).hexdigest()


def _tensors_digest(paths: Sequence[Path], dtype: str) -> str:
    """One tensor is in memory at a time, and of its rounded copy a part."""
    import torch

    total, to = hashlib.sha256(f"tensors {dtype}\n".encode()), getattr(torch, dtype)
    for name, tensor in _by_name(paths):
        kind = dtype if tensor.is_floating_point() else str(tensor.dtype)
        total.update(f"{name}\0{kind}\0{list(tensor.shape)}\0".encode())
        flat = tensor.detach().reshape(-1)
        for start in range(0, flat.numel(), _NUMBERS):
            some = flat[start : start + _NUMBERS]
            some = (some.to(to) if tensor.is_floating_point() else some).contiguous()
            total.update(some.view(torch.uint8).numpy().data)
    return total.hexdigest()


def _by_name(paths: Sequence[Path]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of all files in the order of the names that networks have; those that cannot matter are left out."""
    from faithdiff_model.weights.checkpoint import read_tensors

    tables = {path: read_tensors(path) for path in paths}  # mapped into memory, and read as they are asked for
    found: dict[str, tuple[Path, str]] = {}
    for path, table in tables.items():
        for outer, inner in inner_names(table).items():
            if not is_spare(inner):
                found[inner.removeprefix("text_model.")] = path, outer  # transformers writes it or not, by its version
    for name, (path, outer) in sorted(found.items()):
        yield name, tables[path][outer]


class _DigestMemory:
    """Digests of parts, remembered between runs."""

    def __init__(self, store: Path) -> None:
        self._store = store
        try:
            self._known: dict[str, str] = json.loads(store.read_text())
        except (OSError, ValueError):
            self._known = {}
        self._changed = False

    def digest(self, part: Part) -> str:
        key = part.key()
        if key not in self._known:
            started = time.monotonic()
            self._known[key] = part.make(part.paths)
            size = sum(path.stat().st_size for path in part.paths)
            logger.info("hashed %s, %d bytes, in %.1f s", part.paths[0].name, size, time.monotonic() - started)
            self._changed = True
        return self._known[key]

    def save(self) -> None:
        if not self._changed:
            return
        try:
            self._store.parent.mkdir(parents=True, exist_ok=True)
            partial = self._store.with_name(f"{self._store.name}.{os.getpid()}.partial")
            partial.write_text(json.dumps(self._known, indent=0))
            partial.replace(self._store)
        except OSError:
            pass  # a memory that cannot be kept costs time only
