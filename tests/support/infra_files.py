"""The files of infra/ and what they are held against."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"


def read(name: str) -> dict[str, Any]:
    """A YAML file of infra/."""
    return yaml.safe_load((INFRA / name).read_text())


def schema(name: str) -> dict[str, Any]:
    """A JSON schema of tests/data/, by its path without `.json.gz`."""
    return json.loads(gzip.decompress((ROOT / f"tests/data/{name}.json.gz").read_bytes()))


def pinned(package: str) -> str:
    """The version that constraints.txt has."""
    lines = (line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    return {canonicalize_name(name): version for name, _, version in lines}[canonicalize_name(package)]
