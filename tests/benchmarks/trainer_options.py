"""What the trainers of small networks are given: a folder for the run, photographs to train on, to choose on, and held out."""

from __future__ import annotations

import argparse
from pathlib import Path


def trainer_parser(description: str | None, shipped: Path) -> argparse.ArgumentParser:
    """The arguments that all of them take; `shipped` is where their weights go."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("run", type=Path)
    parser.add_argument("--hq", type=Path, required=True)
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--without", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=shipped)
    return parser


def split_photographs(options: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """The photographs of `--hq` by name: those to train on, and those that the file `--without` names."""
    held_out = set(options.without.read_text(encoding="utf-8").split())
    files = sorted(path for path in options.hq.iterdir() if path.suffix in (".jpg", ".png"))
    return (
        [path for path in files if path.name not in held_out],
        [path for path in files if path.name in held_out],
    )
