"""The page's own files: those of others are as they came, ours are small, and all travel in the package."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from pipelines.review.assets import page_files

WEB = Path(__file__).parents[3] / "pipelines" / "review" / "web"
OWN = [path for path in WEB.iterdir() if path.suffix in (".js", ".css", ".html")]


def test_files_of_others_are_as_they_came() -> None:
    sums = dict(reversed(line.split("  ")) for line in (WEB / "vendor/SHA256SUMS").read_text().splitlines())
    there = {path.name for path in (WEB / "vendor").iterdir()} - {"SHA256SUMS", "README.md"}
    assert set(sums) == there
    for name, digest in sums.items():
        assert hashlib.sha256((WEB / "vendor" / name).read_bytes()).hexdigest() == digest, name
    licence = (WEB / "vendor/openseadragon-LICENSE.txt").read_text()
    assert "Redistribution and use in source and binary forms" in licence


def test_every_file_that_the_page_names_is_served() -> None:
    files = page_files()
    assert "index.html" in files
    assert not {name for name in files if name.endswith((".md", ".txt")) or "SUMS" in name}
    named = re.findall(r'(?:src|href)="web/([^"]+)"', files["index.html"].data.decode())
    imported = [name for path in OWN for name in re.findall(r'from "\./([^"]+)"', path.read_text(encoding="utf-8"))]
    assert len(named) >= 6
    assert len(imported) >= 10
    assert set(named) | set(imported) <= set(files)


def test_our_files_are_short_and_write_no_markup() -> None:
    for path in OWN:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300, path.name
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"):
            assert word not in text, (path.name, word)
        assert not re.search(r"<script>|\son\w+=|style=", text) or path.suffix != ".html", path.name
